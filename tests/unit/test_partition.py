"""Where operators go, why, and what is refused."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from hsnn import nn as snn
from hsnn.errors import UnsupportedError, UsageError
from hsnn.frontends.torch import from_torch
from hsnn.ir.plan import ChipSegment, HostStage, Plan
from hsnn.passes.partition.partition import Partition
from hsnn.passes.rewrite.canonicalize import canonicalize
from hsnn.passes.simulation.float_run import run_float

T = 4


class Branches(nn.Module):
    """Two parallel spiking branches, one of them around a max pooling, a sequence after them, and skips."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.encode = snn.RateEncode(timesteps=T)
        self.conv1 = snn.TimeDistributed(nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)))
        self.lif1 = snn.Lif(voltage_decay=0.5, current_decay=1.0)
        self.pool = snn.TimeDistributed(nn.MaxPool2d(2))
        self.conv2 = snn.TimeDistributed(nn.Conv2d(4, 4, 3, padding=1))
        self.lif2 = snn.Lif(voltage_decay=0.5, current_decay=1.0)
        self.decode = snn.RateDecode()
        self.direct = snn.DirectEncode(timesteps=2 * T)
        self.fc = nn.Linear(256, 6)
        self.read = snn.LeakyIntegrator(voltage_decay=0.25, current_decay=0.5)
        self.membrane = snn.MembraneDecode(mode="max")
        self.again = snn.GradedEncode(timesteps=3, step=0.125)
        self.lif3 = snn.Lif(voltage_decay=0.0, current_decay=1.0)
        self.sum = snn.WindowSumDecode(start=0, stop=3)

    def forward(self, x):
        features = self.stem(x)
        left = self.decode(self.lif2(self.conv2(self.pool(self.lif1(self.conv1(self.encode(features)))))))
        right = self.membrane(self.read(self.fc(self.direct(features.flatten(1)))))
        joined = right + left.flatten(1)[:, :6]
        return self.sum(self.lif3(self.again(torch.sigmoid(joined)))) + joined


@pytest.fixture(scope="module")
def branches():
    torch.manual_seed(0)
    model = Branches().eval()
    return model, canonicalize(from_torch(model, (torch.rand(2, 1, 8, 8),)))


def places(plan: Plan) -> dict[str, str]:
    return {placement.module: placement.place for placement in plan.placements if placement.op.startswith("hsnn")}


def codes(plan: Plan) -> dict[str, str]:
    return {placement.op: placement.code for placement in plan.placements if placement.code}


def test_segments_come_in_an_order_in_which_they_can_run(branches):
    _, hybrid = branches
    plan = Partition()(hybrid)
    known = {item.name for item in plan.inputs}
    for stage in plan.stages:
        assert set(stage.inputs) <= known, stage.name
        known |= set(stage.outputs)
    assert {item.name for item in plan.outputs} <= known


def test_neurons_joined_by_synapses_share_a_segment_and_others_do_not(branches):
    where = places(Partition()(branches[1]))
    assert len({where["lif1"], where["lif2"], where["read"], where["lif3"]}) == 4
    assert all(where[name].startswith("chip.") for name in ("lif1", "lif2", "read", "lif3"))


def test_max_pooling_stays_on_the_host_with_its_reason(branches):
    plan = Partition()(branches[1])
    (pool,) = (placement for placement in plan.placements if placement.op == "MaxPool")
    assert pool.place.startswith("host.")
    assert pool.code == "HSNN-P007"
    assert "max pooling" in pool.reason
    assert "average" in pool.fix


@pytest.mark.parametrize(
    "pins",
    [
        (),
        (("lif2", "host"),),
        (("conv2*", "host"),),
        (("lif*", "host"),),
        (("*", "host"), ("lif1", "chip")),
        (("read", "host"), ("lif3", "host")),
    ],
    ids=str,
)
def test_cut_model_equals_whole_model_however_it_is_cut(branches, pins):
    model, hybrid = branches
    x = np.random.default_rng(1).random((5, 1, 8, 8)).astype(np.float32)
    session = onnxruntime.InferenceSession(hybrid.to_bytes(), providers=["CPUExecutionProvider"])
    (whole,) = session.run(None, {hybrid.inputs[0].name: x})
    plan = Partition(pins)(hybrid)
    (batch,) = run_float(plan, {hybrid.inputs[0].name: x})
    np.testing.assert_allclose(batch.values[hybrid.outputs[0].name], whole, rtol=1e-5, atol=1e-5)
    with torch.no_grad():
        np.testing.assert_allclose(whole, model(torch.from_numpy(x)).numpy(), rtol=1e-4, atol=1e-5)


def test_host_segments_are_plain_onnx(branches):
    import onnx

    for stage in Partition()(branches[1]).stages:
        if isinstance(stage, HostStage):
            model = onnx.load_from_string(stage.model)
            onnx.checker.check_model(model, full_check=True)
            assert not model.functions
            assert {node.domain for node in model.graph.node} <= {""}


def test_loops_in_host_segments_state_their_shapes(branches):
    """ONNX Runtime 1.23, the last for Python 3.10, refuses a Scan whose body does not."""
    import onnx

    plan = Partition((("lif2", "host"),))(branches[1])
    models = [onnx.load_from_string(stage.model) for stage in plan.stages if isinstance(stage, HostStage)]
    scans = [node for model in models for node in model.graph.node if node.op_type == "Scan"]
    assert scans
    for node in scans:
        body = next(attribute.g for attribute in node.attribute if attribute.name == "body")
        for value in body.output:
            assert value.type.tensor_type.HasField("shape"), (node.name, value.name)


def test_pins_move_neurons_and_the_last_match_wins(branches):
    where = places(Partition((("lif*", "host"), ("lif1", "chip")))(branches[1]))
    assert where["lif1"].startswith("chip.")
    assert where["lif2"].startswith("host.")


def test_pin_that_matches_nothing_is_refused(branches):
    with pytest.raises(UsageError, match=r"HSNN-U032.*nothing_like_it"):
        Partition((("nothing_like_it", "host"),))(branches[1])


def test_pin_to_the_chip_of_what_no_chip_can_do_is_refused(branches):
    with pytest.raises(UnsupportedError, match=r"HSNN-P014.*MaxPool"):
        Partition((("pool*", "chip"),))(branches[1])


def test_model_with_all_neurons_on_the_host_is_refused(branches):
    with pytest.raises(UnsupportedError, match="HSNN-P020"):
        Partition((("*", "host"),))(branches[1])


def test_cuts_name_shape_and_timesteps(branches):
    plan = Partition()(branches[1])
    crossing = {(cut.source, cut.target): cut for cut in plan.cuts}
    first = next(cut for (source, _), cut in crossing.items() if source == "host.0" and cut.timesteps == T)
    assert first.shape == (4, 8, 8)
    for cut in plan.cuts:
        assert cut.source.startswith("chip.") or cut.target.startswith("chip.")


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encode = snn.RateEncode(timesteps=T)
        self.fc1, self.lif1 = nn.Linear(6, 6), snn.Lif()
        self.fc2, self.lif2 = nn.Linear(6, 6), snn.Lif()
        self.fc3, self.lif3 = nn.Linear(6, 6), snn.Lif()
        self.decode = snn.RateDecode()

    def forward(self, x):
        first = self.lif1(self.fc1(self.encode(x)))
        second = self.lif2(self.fc2(first))
        return self.decode(self.lif3(self.fc3(first + second)) + first)


def test_residuals_inside_a_segment_stay_on_the_chip_and_the_last_sum_on_the_host():
    plan = Partition()(canonicalize(from_torch(Residual().eval(), (torch.rand(2, 6),))))
    (chip,) = plan.chip_segments
    into = [projection.pre for projection in chip.graph.into("lif3")]
    assert sorted(into) == ["lif1", "lif2"]
    assert set(chip.graph.outputs) == {"lif1", "lif3"}
    sums = [placement for placement in plan.placements if placement.op == "Add" and placement.code]
    assert [placement.code for placement in sums] == ["HSNN-P002"]


def test_host_between_two_neurons_of_a_chain_splits_the_segment():
    class Detour(Residual):
        def forward(self, x):
            first = self.lif1(self.fc1(self.encode(x)))
            gate = self.encode(torch.sigmoid(self.decode(first)))
            return self.decode(self.lif2(self.fc2(first + gate)))

    plan = Partition()(canonicalize(from_torch(Detour().eval(), (torch.rand(2, 6),))))
    names = [type(stage).__name__ for stage in plan.stages]
    assert names == ["HostStage", "ChipSegment", "HostStage", "ChipSegment", "HostStage"]
    second = plan.chip_segments[1]
    assert len(second.graph.inputs) == 2


def refused(forward) -> UnsupportedError:
    class Wrong(Residual):
        pass

    Wrong.forward = forward
    with pytest.raises(UnsupportedError) as caught:
        Partition()(canonicalize(from_torch(Wrong().eval(), (torch.rand(2, 6),))))
    return caught.value


@pytest.mark.parametrize(
    ("code", "words", "forward"),
    [
        ("HSNN-P010", "ReduceMean", lambda self, x: self.lif1(self.fc1(self.encode(x))).mean(0)),
        ("HSNN-P010", "time or batch", lambda self, x: self.lif1(self.encode(x)).transpose(0, 1).sum(1)),
        ("HSNN-P010", "computed tensor", lambda self, x: self.decode(self.lif1(self.encode(x) * x))),
        ("HSNN-P011", "gets a tensor", lambda self, x: self.decode(self.lif1(self.fc1(x)[None]))),
        ("HSNN-F028", "Encode", lambda self, x: self.decode(self.decode(self.lif1(self.encode(self.encode(x)))))),
    ],
    ids=["mean over time", "transposed time", "times a tensor", "neuron on a tensor", "encoder on spikes"],
)
def test_misuse_of_spike_trains_is_refused(code, words, forward):
    error = refused(forward)
    assert code in {error.code, *(reason.code for reason in error.reasons)}
    assert words in error.found
    assert error.fix or error.allowed


def test_trains_of_different_timesteps_do_not_mix():
    class Mixed(Residual):
        def __init__(self) -> None:
            super().__init__()
            self.other = snn.RateEncode(timesteps=T + 1)
            self.lif4 = snn.Lif()

        def forward(self, x):
            return self.decode(self.lif1(torch.cat([self.encode(x), self.other(x)[:T]], dim=2)))

    with pytest.raises(UnsupportedError, match="HSNN-P01"):
        Partition()(canonicalize(from_torch(Mixed().eval(), (torch.rand(2, 6),))))


def test_every_problem_is_told_at_once():
    def forward(self, x):
        spikes = self.lif1(self.fc1(self.encode(x)))
        return spikes.mean(0) + self.lif2(spikes).amax(0)

    error = refused(forward)
    assert len(error.reasons) == 2
    assert all(isinstance(reason, UnsupportedError) for reason in error.reasons)


def test_chip_segment_names_ports_after_modules(branches):
    ports = {
        port.name
        for stage in Partition()(branches[1]).stages
        if isinstance(stage, ChipSegment)
        for port in stage.graph.inputs
    }
    assert {"encode", "direct", "again"} <= ports
