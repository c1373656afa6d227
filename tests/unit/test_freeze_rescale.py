"""Scales that are taken from each batch become constants of the model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from hsnn import nn as snn
from hsnn.errors import UsageError
from hsnn.frontends.torch import from_torch
from hsnn.passes.rewrite.canonicalize import canonicalize
from hsnn.passes.rewrite.freeze_cost import freeze
from hsnn.passes.rewrite.freeze_rescale import freeze_rescale, without_scales
from hsnn.passes.simulation.whole_run import run_whole


class Chain(nn.Module):
    """Two encoders in a row, both rescaling over the batch; decoding does not undo encoding."""

    def __init__(self, rescale: str = "batch") -> None:
        super().__init__()
        self.first, self.second = (snn.BitPlaneEncode(6, order="lsb", floor_lsb=True, rescale=rescale) for _ in "ab")
        self.hidden, self.last = snn.Lif(0.7), snn.Lif(0.6)
        self.fc1, self.fc2 = nn.Linear(4, 16), nn.Linear(16, 3)
        for layer in (self.fc1, self.fc2):
            nn.init.normal_(layer.weight, 0.2, 0.8)
        self.decode1, self.decode2 = (snn.WeightedSumDecode([2.0**k for k in range(6)], divisor=9.0) for _ in "ab")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        middle = self.decode1(self.hidden(self.fc1(self.first(x))))
        return self.decode2(self.last(self.fc2(self.second(middle))))


@pytest.fixture
def samples():
    return {"x": (np.random.default_rng(0).normal(0.5, 2.0, (20, 4))).astype(np.float32)}


def hybrid_of(model, samples):
    return canonicalize(from_torch(model.eval(), (torch.from_numpy(samples["x"][:2]),)))


@pytest.fixture
def chain(samples):
    torch.manual_seed(3)
    return hybrid_of(Chain(), samples)


def output(hybrid, samples):
    name = hybrid.outputs[0].name
    return run_whole(hybrid, samples, (name,))[name]


def test_scales_are_the_means_of_the_ends_of_full_batches(chain, samples):
    _, (first, _) = freeze_rescale(chain, samples, batch=8)
    batches = samples["x"][:8], samples["x"][8:16]  # the last four are no full batch
    assert first.module == "first"
    assert first.low == pytest.approx(np.mean([part.min() for part in batches]))
    assert first.high == pytest.approx(np.mean([part.max() for part in batches]))


def test_a_batch_that_is_smaller_than_asked_for_counts(chain, samples):
    _, (first, _) = freeze_rescale(chain, samples, batch=100)
    assert (first.low, first.high) == (samples["x"].min(), samples["x"].max())


def test_with_one_batch_nothing_changes_and_then_samples_are_independent(chain, samples):
    frozen, _ = freeze_rescale(chain, samples, batch=20)
    whole = output(frozen, samples)
    np.testing.assert_array_equal(whole, output(chain, samples))
    alone = np.concatenate([output(frozen, {"x": samples["x"][i : i + 1]}) for i in range(20)])
    np.testing.assert_array_equal(alone, whole)
    assert np.unique(whole, axis=0).shape[0] > 5
    differing = np.concatenate([output(chain, {"x": samples["x"][i : i + 1]}) for i in range(20)])
    assert (differing != whole).any()


def test_a_later_encoder_is_frozen_on_what_the_frozen_ones_give(chain, samples):
    """Its input in batches of 5 differs before and after the first one was frozen."""
    frozen, (first, second) = freeze_rescale(chain, samples, batch=5)
    (node,) = [node for node in frozen.proto.graph.node if node.name == second.node]
    only_first = without_scales(frozen, [second.node])
    parts = [{"x": samples["x"][i : i + 5]} for i in range(0, 20, 5)]
    highs = [
        np.mean([run_whole(model, part, node.input[:1])[node.input[0]].max() for part in parts])
        for model in (only_first, chain)
    ]
    assert second.high == pytest.approx(highs[0])
    assert highs[0] != pytest.approx(highs[1])
    assert first.node != second.node


def test_values_within_0_and_1_stay_as_they_are(chain, samples):
    _, (first, _) = freeze_rescale(chain, {"x": samples["x"] * 0.01 + 0.4}, batch=8)
    assert (first.low, first.high) == (0.0, 1.0)


def test_values_outside_the_range_are_clipped(chain, samples):
    frozen, (first, _) = freeze_rescale(chain, samples, batch=20)
    ends = {"x": np.array([[first.low, first.high] * 2], np.float32)}
    beyond = {"x": np.array([[first.low - 5, first.high + 5] * 2], np.float32)}
    np.testing.assert_array_equal(output(frozen, beyond), output(frozen, ends))


def test_freezing_can_be_undone_and_changes_nothing_it_was_given(chain, samples):
    before = chain.to_bytes()
    frozen, scales = freeze_rescale(chain, samples)
    assert chain.to_bytes() == before
    assert frozen.to_bytes() != before
    undone = without_scales(frozen, [scale.node for scale in scales])
    for start in (0, 7):
        part = {"x": samples["x"][start : start + 7]}
        np.testing.assert_array_equal(output(undone, part), output(chain, part))


def test_equal_values_have_no_range(chain, samples):
    with pytest.raises(UsageError, match="HSNN-Q006") as caught:
        freeze_rescale(chain, {"x": np.full_like(samples["x"], 3.0)})
    assert "first" in caught.value.found


@pytest.mark.parametrize("rescale", ["none", "static", "per_sample"])
def test_a_model_without_batch_scales_is_refused(rescale, samples):
    with pytest.raises(UsageError, match="HSNN-Q005"):
        freeze_rescale(hybrid_of(Chain(rescale), samples), samples)


def test_the_cost_is_told(chain, samples):
    labels = output(chain, samples).argmax(1)
    frozen, report = freeze(chain, samples, batch=5, labels=labels)
    before = np.concatenate([output(chain, {"x": samples["x"][i : i + 5]}) for i in range(0, 20, 5)])
    after = output(frozen, samples)
    assert report.accuracy_before == np.mean(before.argmax(1) == labels)
    assert report.accuracy_after == np.mean(after.argmax(1) == labels)
    assert report.agreement == np.mean(before.argmax(1) == after.argmax(1))
    assert report.difference == pytest.approx(np.abs(after - before).max() / np.abs(before).max())
    assert f"{report.accuracy_after:.2%} after" in report.sentence()
    _, unlabelled = freeze(chain, samples, batch=5)
    assert unlabelled.accuracy_after is None
    assert f"{report.agreement:.2%} of 20 samples" in unlabelled.sentence()


def test_labels_have_to_fit(chain, samples):
    with pytest.raises(UsageError, match="HSNN-R110"):
        freeze(chain, samples, batch=5, labels=np.zeros(19, np.int64))


def test_labels_of_a_model_without_classes_are_refused(samples):
    class Image(Chain):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x).reshape(-1, 1, 3)

    hybrid = hybrid_of(Image(), samples)
    with pytest.raises(UsageError, match="HSNN-Q007"):
        freeze(hybrid, samples, batch=5, labels=np.zeros(20, np.int64))
    _, report = freeze(hybrid, samples, batch=5)
    assert report.agreement is None
    assert f"{report.difference:.2%}" in report.sentence()
