"""How torch models are called: time first, one timestep a call, some of the outputs; and loops that write in place."""

from __future__ import annotations

import argparse

import numpy as np
import pytest
import torch
from torch import nn

import hsnn
from hsnn import nn as snn
from hsnn.cli import main
from hsnn.commands.calling import Time, indices, time
from hsnn.errors import HsnnError
from hsnn.frontends.live import LiveNeuron, adapt
from hsnn.frontends.torch import compare_with_library, from_torch

STEPS = 5


class Spiking(nn.Module):
    """Takes and returns its voltage."""

    def forward(self, x, state=None):
        v = x if state is None else 0.5 * state + x
        spikes = (v >= 1).to(x.dtype)
        return spikes, v * (1 - spikes)


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    monkeypatch.setattr("hsnn.frontends.live.registry._REGISTERED", {})

    @hsnn.register_neuron(Spiking)
    def spiking(neuron):
        def protocol(_, emit):
            return lambda x, state=None: tuple(emit(x, () if state is None else (state,)))

        layer = snn.Lif(1.0, voltage_decay=0.5, comparison=">=")
        return LiveNeuron((layer, None), states=(1,), keeps_state=False, protocol=protocol)


class Net(nn.Module):
    """Time first, ``write`` says how outputs are collected."""

    def __init__(self, write):
        super().__init__()
        torch.manual_seed(0)
        self.fc, self.neuron, self.write = nn.Linear(6, 4), Spiking(), write
        with torch.no_grad():
            self.fc.weight.mul_(4)

    def forward(self, x):
        state, out = None, torch.zeros(x.shape[0], x.shape[1], 4)
        for t in range(x.shape[0]):
            spikes, state = self.neuron(self.fc(x[t]), state)
            self.write(out, t, spikes)
        return out, state


def forwards(out, t, spikes):
    out[t] = spikes


def backwards(out, t, spikes):
    out[out.shape[0] - 1 - t, :, :] = spikes


def onto_one(out, t, spikes):
    out[0] = spikes


def into_a_part(out, t, spikes):
    out[t, :, :2] = spikes[:, :2]


def adding(out, t, spikes):
    out[t] += spikes


def network():
    """What the command line names: returns spikes and a state, time first."""
    return Net(forwards).eval()


class Step(nn.Module):
    """One timestep."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.fc, self.neuron = nn.Linear(6, 4), Spiking()

    def forward(self, x, state=None):
        return self.neuron(4 * self.fc(x), state)


def step():
    """What the command line names: one timestep, with its state."""
    return Step().eval()


def same(model, x):
    found = compare_with_library(adapt(model, (x,)), (x,))
    assert found.flips == 0
    assert found.max_abs < 1e-6
    assert all(item.spikes > 0 for item in found.neurons)


def test_writes_of_every_timestep_are_a_stack():
    x = torch.rand(3, STEPS, 6)
    model = snn.KeepOutputs(snn.TimeFirst(Net(forwards)), [0])
    same(model, x)
    hybrid = from_torch(model, (x,))
    assert [node.op_type for node in hybrid.proto.graph.node].count("TrainDecode") == 1


@pytest.mark.parametrize("write", [onto_one, into_a_part, backwards])
def test_other_writes_are_refused(write):
    with pytest.raises(HsnnError, match="HSNN-F092"):
        adapt(snn.KeepOutputs(snn.TimeFirst(Net(write)), [0]), (torch.rand(3, STEPS, 6),))


class Collecting(nn.Module):
    """Batch first, with the axis of time in front of, between or behind the features; ``moved`` says where it is made."""

    def __init__(self, write, shape, *, moved=False):
        super().__init__()
        torch.manual_seed(0)
        self.fc, self.neuron, self.write, self.shape, self.moved = nn.Linear(6, 4), Spiking(), write, shape, moved
        with torch.no_grad():
            self.fc.weight.mul_(4)

    def forward(self, x):
        state, out = None, torch.zeros(x.shape[0], *self.shape)
        out = out.to(x.device) if self.moved else out
        for t in range(x.shape[1]):
            spikes, state = self.neuron(self.fc(x[:, t]), state)
            self.write(out, t, spikes)
        return out


def to_second(out, t, spikes):
    out[:, t] = spikes


def to_second_of_three(out, t, spikes):
    out[:, t, :] = spikes


def to_third(out, t, spikes):
    out[:, :, t] = spikes


def to_last(out, t, spikes):
    out[..., t] = spikes


@pytest.mark.parametrize("moved", [False, True])
@pytest.mark.parametrize(
    ("write", "shape"),
    [(to_second, (STEPS, 4)), (to_second_of_three, (STEPS, 4)), (to_third, (4, STEPS)), (to_last, (4, STEPS))],
)
def test_writes_along_any_axis_are_a_stack(write, shape, moved):
    x, model = torch.rand(3, STEPS, 6), Collecting(write, shape, moved=moved)
    same(model, x)
    assert from_torch(model, (x,)).outputs[0].shape[1:] == (STEPS, 4)


class Aliased(Collecting):
    """Reads what was written under another name of the same tensor."""

    def forward(self, x):
        made, state = torch.zeros(x.shape[0], *self.shape), None
        moved = made.to(x.device)
        for t in range(x.shape[1]):
            spikes, state = self.neuron(self.fc(x[:, t]), state)
            self.write(moved, t, spikes)
        return made + 2 * moved


def test_another_name_of_the_tensor_holds_what_was_written():
    same(Aliased(to_second, (STEPS, 4)), torch.rand(3, STEPS, 6))


def test_additions_in_place_never_give_another_result():
    with pytest.raises(HsnnError, match=r"HSNN-F09[25]"):
        from_torch(snn.KeepOutputs(snn.TimeFirst(Net(adding)), [0]), (torch.rand(3, STEPS, 6),))


def test_the_loop_hands_a_state_on():
    x = torch.rand(3, 6)
    over = snn.OverTime(Step(), timesteps=STEPS, outputs="sum")
    same(over, x)
    module, state, total = over.module, None, 0
    for _ in range(STEPS):
        spikes, state = module(x, state)
        total = total + spikes
    torch.testing.assert_close(over(x), total)


def test_what_fails_by_itself_says_where():
    with pytest.raises(HsnnError, match=r"HSNN-F010.*'module\.fc'"):
        adapt(snn.TimeFirst(network()), (torch.rand(3, STEPS, 7),))


class Squeezed(nn.Module):
    """Splits batch and time by numbers that it keeps, as sinabs's squeezed layers do."""

    def __init__(self):
        super().__init__()
        self.batch_size, self.num_timesteps = 2, -1

    def forward(self, x):
        train = x.reshape(self.batch_size, self.num_timesteps, *x.shape[1:])
        return train.cumsum(1).flatten(0, 1)


def test_merged_time_frees_the_batch():
    x, squeezed = torch.rand(3, STEPS, 4), Squeezed()
    merged = snn.MergedTime(nn.Sequential(squeezed), timesteps=STEPS)
    torch.testing.assert_close(merged(x), x.cumsum(1))
    assert squeezed.batch_size == 2
    with pytest.raises(HsnnError, match="HSNN-U022"):
        merged(torch.rand(3, STEPS + 1, 4))
    with pytest.raises(HsnnError, match="HSNN-U021"):
        snn.MergedTime(squeezed, timesteps=0)


def test_outputs_that_are_not_there():
    for keep in ([], [-1]):
        with pytest.raises(HsnnError, match="HSNN-U021"):
            snn.KeepOutputs(network(), keep)
    with pytest.raises(HsnnError, match="HSNN-U022"):
        snn.KeepOutputs(network(), [2])(torch.rand(STEPS, 3, 6))
    with pytest.raises(HsnnError, match="HSNN-U022"):
        snn.KeepOutputs(nn.Linear(6, 4), [0])(torch.rand(3, 6))
    both = snn.KeepOutputs(network(), [1, 0])(torch.rand(STEPS, 3, 6))
    assert [item.ndim for item in both] == [2, 3]


def test_how_time_is_written():
    assert time("first") == Time("first")
    assert time("steps=8,inputs=train") == Time("steps", 8, {"inputs": "train"})
    assert time("merged=8") == Time("merged", 8)
    assert indices("0,2") == (0, 2)
    for text in (
        "",
        "last",
        "steps",
        "steps=0",
        "steps=-1",
        "steps=4,inputs=x",
        "steps=4,steps=5",
        "merged=4,inputs=train",
        "steps=4,more=1",
    ):
        with pytest.raises(argparse.ArgumentTypeError):
            time(text)
    for text in ("", "-1", "a", "0,"):
        with pytest.raises(argparse.ArgumentTypeError):
            indices(text)


def test_the_command_line_compiles_both(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    loose = ["--limit", "f1=0,rate=10,dead=1,voltage=10"]
    factories = {"test_calling:network": Net(forwards).eval(), "test_calling:step": Step().eval()}
    monkeypatch.setattr("hsnn.frontends.torch.load_factory", lambda text: factories[text])
    rng = np.random.default_rng(0)
    np.save("trains.npy", rng.uniform(0, 1, (6, STEPS, 6)).astype(np.float32))
    np.save("values.npy", rng.uniform(0, 1, (6, 6)).astype(np.float32))
    first = ["test_calling:network", "--calibration", "trains.npy", "-o", "first.hsnn", *loose]
    assert main(first) == 3
    assert "--time first" in capsys.readouterr().err
    assert main([*first, "--time", "first"]) == 3
    assert "--outputs 0" in capsys.readouterr().err
    assert main([*first, "--time", "first", "--outputs", "0"]) == 0
    checked = ["--target", "emulator", "--model", "test_calling:network", "--time", "first", "--outputs", "0"]
    assert main(["verify", "first.hsnn", *checked]) == 0
    one = ["test_calling:step", "--calibration", "values.npy", "-o", "step.hsnn", *loose]
    assert main(one) == 3
    assert "--time steps=16" in capsys.readouterr().err
    assert main([*one, "--time", f"steps={STEPS},outputs=train"]) == 0
    assert hsnn.load("step.hsnn").outputs[0].shape[1:] == (STEPS, 4)
    capsys.readouterr()
    (tmp_path / "net.onnx").write_bytes(b"")
    assert main(["check", "net.onnx", "--time", "first"]) == 2
    assert "HSNN-U153" in capsys.readouterr().err


class Drawing(Step):
    """Encodes its input by chance, as snnTorch's ``spikegen.rate`` does."""

    def forward(self, x, state=None):
        return super().forward(torch.bernoulli(x.clamp(0, 1)), state)


class ByValue(Step):
    """Takes an extent from a tensor."""

    def forward(self, x, state=None):
        count = torch.ones(2, dtype=torch.int64).tolist()[0]
        return super().forward(x.repeat(count, 1), state)


@pytest.mark.parametrize(("kind", "code"), [(Drawing, "HSNN-F012"), (ByValue, "HSNN-F01")])
def test_what_follows_from_no_input_is_refused(kind, code):
    with pytest.raises(HsnnError, match=code):
        adapt(snn.OverTime(kind(), timesteps=STEPS), (torch.rand(3, 6),))
