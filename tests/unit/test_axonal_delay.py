"""Axonal delays: what each neuron sends arrives its own time later, with biases and resets as they are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from hsnn import nn as snn
from hsnn.compiler import Options, compile
from hsnn.errors import UnsupportedError, UsageError
from hsnn.frontends.torch import from_torch
from hsnn.passes.partition.partition import Partition
from hsnn.passes.rewrite.canonicalize import canonicalize
from hsnn.report.layers import Limits
from hsnn.verify.ladder import verify
from hsnn.verify.segments import compare_segments


class Net(nn.Module):
    def __init__(self, delays):
        super().__init__()
        torch.manual_seed(3)
        self.encode = snn.RateEncode(12, initial=0.5)
        self.conv = snn.TimeDistributed(nn.Conv2d(1, 3, 3))
        self.first = snn.Lif(0.4, voltage_decay=0.2, bias=0.07, reset="subtract")
        self.axons = snn.AxonalDelay(delays)
        self.fc = nn.Linear(3 * 9, 6)
        self.second = snn.Lif(0.3, voltage_decay=0.1, current_decay=0.5, bias=0.02)
        self.decode = snn.RateDecode()

    def forward(self, x):
        spikes = self.axons(self.first(self.conv(self.encode(x))))
        return self.decode(self.second(self.fc(spikes.flatten(2))))


DELAYS = torch.tensor([0, 2, 7]).reshape(3, 1, 1)


def test_layer_delays_each_feature():
    x = torch.rand(9, 2, 4)
    steps = torch.tensor([0, 1, 5, 20])
    y = snn.AxonalDelay(steps)(x)
    for f, d in enumerate(steps.tolist()):
        wanted = torch.cat([torch.zeros(min(d, 9), 2), x[: max(9 - d, 0), :, f]])
        torch.testing.assert_close(y[:, :, f], wanted, rtol=0, atol=0)


@pytest.mark.parametrize("delays", [DELAYS, torch.arange(27).reshape(3, 3, 3) % 5], ids=["channel", "neuron"])
def test_segment_equals_the_whole_model(delays):
    net = Net(delays).eval()
    x = torch.rand(6, 1, 5, 5)
    hybrid = canonicalize(from_torch(net, (x,)))
    plan = Partition()(hybrid)
    (segment,) = plan.chip_segments
    behind = [p for p in segment.graph.projections if p.pre == "first"]
    assert sorted(p.delay for p in behind) == sorted(np.unique(delays.numpy()).tolist())
    agreements = compare_segments(hybrid, plan, {hybrid.inputs[0].name: x.numpy()})
    assert all(item.flipped == 0 and item.spikes != 0 for item in agreements if item.spikes or item.flipped)


@pytest.mark.lava
def test_the_ladder_holds_down_to_lava():
    net = Net(DELAYS).eval()
    samples = np.random.default_rng(0).random((16, 1, 5, 5), np.float32)
    lenient = Limits(min_f1=0.0, max_rate_error=10.0, max_dead=1.0)
    program = compile(net, samples, options=Options(golden_samples=2, limits=lenient))
    report = verify(program, model=net, target="loihi2-sim")
    assert report.passed, report


@pytest.mark.parametrize("delays", [[-1.0], [0.5], [63.0]])
def test_delays_out_of_range_are_refused(delays):
    with pytest.raises(UsageError, match="HSNN-U025"):
        snn.AxonalDelay(torch.tensor(delays))


@pytest.mark.parametrize("delay", [0.5, 63.0])
def test_a_model_whose_delays_were_changed_afterwards_is_refused(delay):
    net = Net(DELAYS).eval()
    net.axons.steps.fill_(delay)
    with pytest.raises(UnsupportedError, match="HSNN-P010"):
        Partition()(canonicalize(from_torch(net, (torch.rand(1, 1, 5, 5),))))
