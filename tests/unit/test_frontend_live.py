"""Neurons of other libraries, shown with one of our own: registered, found, rolled into spike trains, refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import hsnn
from hsnn import nn as snn
from hsnn.errors import HsnnError
from hsnn.frontends.live import LiveNeuron, StateReadout, adapt, has_foreign_neurons
from hsnn.frontends.live.spec import comparison_of
from hsnn.frontends.torch import compare_with_library, compare_with_torch, from_torch
from hsnn.ir.spiking import FloatLif
from hsnn.passes.quantization.quantize_neurons import quantize_neuron
from hsnn.verify.ladder import verify
from support.explicit_neuron import Explicit, register_explicit

STEPS = 5


class Hidden(nn.Module):
    """Keeps its voltage from call to call."""

    def __init__(self, limit=0.5, keep=0.75):
        super().__init__()
        self.limit, self.keep = limit, keep
        self.v = None

    def reset(self):
        self.v = None

    def forward(self, x):
        v = x if self.v is None else self.keep * self.v + x
        spikes = (v > self.limit).to(x.dtype)
        self.v = v - self.limit * spikes
        return spikes


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    register_explicit(monkeypatch)

    @hsnn.register_neuron(Hidden)
    def hidden(neuron):
        return snn.Lif(neuron.limit, voltage_decay=1 - neuron.keep, reset="subtract")


class Net(nn.Module):
    """A loop over time with both."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.first = nn.Linear(6, 5), Hidden()
        self.block = nn.ModuleDict({"fc": nn.Linear(5, 4), "spikes": Explicit()})
        with torch.no_grad():
            self.block["fc"].weight.mul_(4)

    def step(self, x, v):
        return self.block["spikes"](self.block["fc"](self.first(self.stem(x))), v)

    def forward(self, x):
        self.first.reset()
        v, total = None, 0
        for _ in range(STEPS):
            spikes, v = self.step(x, v)
            total = total + spikes
        return total / STEPS


class Lowered(nn.Module):
    """Takes and returns its voltage, which a spike lowers, at once or one timestep late."""

    def __init__(self, *, late):
        super().__init__()
        self.late = late

    def forward(self, x, v):
        v = 0.75 * v + x - (0.5 * (v > 0.5) if self.late else 0)
        spikes = (v > 0.5).to(x.dtype)
        return spikes, v if self.late else v - 0.5 * spikes


class Voltages(nn.Module):
    """Returns spikes and voltages of :class:`Lowered`."""

    def __init__(self, *, late):
        super().__init__()
        torch.manual_seed(0)
        self.fc, self.neuron = nn.Linear(6, 5), Lowered(late=late)

    def forward(self, x):
        v, sent, voltages = torch.zeros(x.shape[0], 5), [], []
        for _ in range(8):
            spikes, v = self.neuron(self.fc(x), v)
            sent.append(spikes)
            voltages.append(v)
        return torch.stack(sent), torch.stack(voltages)


@pytest.mark.lava
@pytest.mark.parametrize("late", [False, True])
def test_a_voltage_that_spikes_lower_is_read_out_on_every_target(late):
    @hsnn.register_neuron(Lowered)
    def lowered(neuron):
        reset = "subtract_late" if neuron.late else "subtract"
        layer, integrator = snn.Lif(0.5, voltage_decay=0.25, reset=reset), snn.LeakyIntegrator(voltage_decay=0.25)
        voltage = StateReadout(integrator, {int(neuron.late): torch.tensor(-0.5)})
        return LiveNeuron(
            (layer, voltage), states=(1,), keeps_state=False, protocol=lambda _, emit: lambda x, v: tuple(emit(x, (v,)))
        )

    net, x = Voltages(late=late), torch.rand(40, 6) * 3
    program = hsnn.compile(net, x.numpy())
    assert [len(stage.network.neurons) for stage in program.chip_stages] == [2]
    report = verify(program, model=net, target="loihi2-sim")
    assert [rung.status for rung in report.rungs] == ["passed"] * 6, report
    with hsnn.Session(program) as session:
        spikes, voltages = session.run(x.numpy()).outputs.values()
    wanted_spikes, wanted = (item.detach().transpose(0, 1).numpy() for item in net(x))
    assert wanted_spikes.any()
    same = (spikes == wanted_spikes).all(axis=1, keepdims=True) & np.ones_like(wanted, bool)
    assert same.mean() > 0.5
    np.testing.assert_allclose(voltages[same], wanted[same], atol=0.05)


def test_a_loop_is_rolled_and_computes_the_same():
    net, x = Net(), torch.rand(6, 6)
    net(x[:2])  # leaves a state behind, which must not matter
    state = net.first.v
    assert has_foreign_neurons(net)
    live = adapt(net, (x,))
    found = compare_with_library(live, (x,))
    assert found.flips == 0
    assert found.max_abs < 1e-6
    assert all(item.spikes > 0 for item in found.neurons)
    assert net.first.v is state
    assert isinstance(net.first, Hidden)

    hybrid = from_torch(net, (x,))
    types = [node.op_type for node in hybrid.proto.graph.node if node.domain == "hsnn"]
    assert types == ["DirectEncode", "Lif", "MergeTime", "SplitTime", "Lif", "WindowSumDecode"]
    assert {node.name for node in hybrid.proto.graph.node} >= {"stem/Gemm", "first/Lif", "block.spikes/Lif"}
    assert {"stem.weight", "block.fc.weight"} <= {item.name for item in hybrid.proto.graph.initializer}
    assert [item.name for item in hybrid.inputs] == ["x"]
    assert compare_with_torch(net, hybrid, (x,)).flips_explained


def test_a_loop_around_a_model_of_one_timestep():
    torch.manual_seed(0)
    one = nn.Sequential(nn.Linear(6, 4), Hidden(0.3))
    x = (torch.rand(3, STEPS, 6) > 0.5).float()
    hybrid = from_torch(snn.OverTime(one, timesteps=STEPS, inputs="train", outputs="train"), (x,))
    encode = next(node for node in hybrid.proto.graph.node if node.op_type == "TrainEncode")
    assert {item.name: item.s or item.i for item in encode.attribute} == {"timesteps": STEPS, "values": b"binary"}
    assert hybrid.proto.graph.node[-1].op_type == "TrainDecode"
    one[1].reset()
    with torch.no_grad():
        expected = snn.OverTime(one, timesteps=STEPS, inputs="train", outputs="train")(x)
    assert expected.shape == (3, STEPS, 4)


class Variant(Net):
    def __init__(self, run):
        super().__init__()
        self.run = run

    def forward(self, x):
        return self.run(self, x)


def other_at_times(net, x):
    return sum(net.first(net.stem(x) * (t + 1)) for t in range(STEPS))


def no_state(net, x):
    return sum(net.block["spikes"](net.block["fc"](net.stem(x)))[0] for _ in range(STEPS))


def reads_voltage(net, x):
    v = None
    for _ in range(STEPS):
        _, v = net.step(x, v)
    return v


def not_from_zero(net, x):
    v = torch.ones(x.shape[0], 4)
    for _ in range(STEPS):
        spikes, v = net.step(x, v)
    return spikes


def feedback(net, x):
    spikes = torch.zeros(x.shape[0], 5)
    for _ in range(STEPS):
        spikes = net.first(net.stem(x) + spikes)
    return spikes


def resets_in_between(net, x):
    sent = []
    for t in range(STEPS):
        if t == 2:
            net.first.reset()
        sent.append(net.first(net.stem(x)))
    return torch.stack(sent, 1)


def no_loop(net, x):
    return net.first(net.stem(x))


@pytest.mark.parametrize(
    ("run", "code"),
    [
        (other_at_times, "HSNN-F092"),
        (feedback, "HSNN-F092"),
        (no_loop, "HSNN-F092"),
        (no_state, "HSNN-F093"),
        (reads_voltage, "HSNN-F093"),
        (not_from_zero, "HSNN-F093"),
        (resets_in_between, "HSNN-F095"),
    ],
)
def test_what_is_not_understood_is_refused(run, code):
    with pytest.raises(HsnnError) as caught:
        from_torch(Variant(run), (torch.rand(4, 6),))
    assert caught.value.code == code
    assert "Hidden" in str(caught.value) or "Explicit" in str(caught.value) or "Variant" in str(caught.value)


def test_a_layer_alone_does_not_say_how_states_are_passed():
    hsnn.register_neuron(Explicit)(lambda neuron: snn.Lif(1.0, voltage_decay=0.5, comparison=">="))
    with pytest.raises(HsnnError, match=r"HSNN-F096: a Explicit is called with 2 arguments") as caught:
        adapt(Net().eval(), (torch.rand(2, 6),))
    assert "LiveNeuron with a protocol" in caught.value.fix


def test_registering():
    with pytest.raises(HsnnError, match="HSNN-F096"):
        hsnn.register_neuron(3)

    @hsnn.register_neuron(f"{Hidden.__module__}.{Hidden.__qualname__}")
    def wrong(_):
        return nn.ReLU()

    with pytest.raises(HsnnError, match="HSNN-F096"):
        from_torch(Net(), (torch.rand(2, 6),))


@pytest.mark.parametrize(
    ("fires", "expected"), [(lambda x: (x > 0).float(), ">"), (lambda x: (x >= 0).float(), ">="), (torch.sigmoid, None)]
)
def test_a_spike_function_is_asked_how_it_compares(fires, expected):
    if expected:
        assert comparison_of(fires, 1.0) == expected
        return
    with pytest.raises(HsnnError, match="HSNN-F091"):
        comparison_of(fires, 1.0)


def test_a_late_reset_by_subtraction_keeps_its_amount_in_integers():
    """v' = 0.5 v + x - threshold where it fired: with threshold 1 the amount is 2 at once."""
    net = nn.Sequential(
        snn.DirectEncode(6),
        snn.TimeDistributed(nn.Linear(2, 2, bias=False)),
        snn.Lif(1.0, voltage_decay=0.5, reset="subtract_late", comparison=">="),
        snn.TrainDecode(),
    )
    with torch.no_grad():
        net[1].module.weight.copy_(torch.eye(2))
    x = torch.tensor([[1.0, 0.75], [0.5, 1.5]])
    expected = []
    v = s = torch.zeros_like(x)
    for _ in range(6):
        v = 0.5 * v + x - s
        s = (v >= 1).float()
        expected.append(s)
    np.testing.assert_array_equal(net(x).detach().numpy(), torch.stack(expected, 1).numpy())
    decay, threshold = np.array([0.5, 0.75]), np.array([1.0, 0.5])
    late = FloatLif("n", (2,), "s", np.ones(()), decay, threshold, np.zeros(()), "subtract", ">=", 0)
    late = replace(late, reset_amount=threshold / (1 - decay))
    neuron, _ = quantize_neuron(late, 640.0)
    assert neuron.reset == "subtract"
    np.testing.assert_array_equal(neuron.reset_amount, [2 * 640, 2 * 640])
    np.testing.assert_array_equal(neuron.threshold, [639, 319])


def test_a_late_reset_needs_a_memory():
    with pytest.raises(HsnnError, match="HSNN-U023"):
        snn.Lif(voltage_decay=1.0, reset="subtract_late")
