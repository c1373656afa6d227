"""Loops over time that write each timestep into a tensor made before."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hsnn import nn as snn
from hsnn.errors import HsnnError
from hsnn.frontends.live import adapt
from hsnn.frontends.torch import from_torch
from support.explicit_neuron import Explicit, assert_same, register_explicit

STEPS = 5


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    register_explicit(monkeypatch)


class Net(nn.Module):
    """Time first, ``write`` says how outputs are collected."""

    def __init__(self, write):
        super().__init__()
        torch.manual_seed(0)
        self.fc, self.neuron, self.write = nn.Linear(6, 4), Explicit(), write
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


def test_writes_of_every_timestep_are_a_stack():
    x = torch.rand(3, STEPS, 6)
    model = snn.KeepOutputs(snn.TimeFirst(Net(forwards)), [0])
    assert_same(model, x)
    hybrid = from_torch(model, (x,))
    assert [node.op_type for node in hybrid.proto.graph.node].count("TrainDecode") == 1


@pytest.mark.parametrize("write", [onto_one, into_a_part, backwards])
def test_other_writes_are_refused(write):
    with pytest.raises(HsnnError, match="HSNN-F092"):
        adapt(snn.KeepOutputs(snn.TimeFirst(Net(write)), [0]), (torch.rand(3, STEPS, 6),))


class Collecting(nn.Module):
    """Batch first; writes what the neurons send into a tensor, which ``moved`` takes to the device of the input."""

    def __init__(self, write, shape, *, moved=False):
        super().__init__()
        torch.manual_seed(0)
        self.fc, self.neuron, self.write, self.shape, self.moved = nn.Linear(6, 4), Explicit(), write, shape, moved
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
    assert_same(model, x)
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
    assert_same(Aliased(to_second, (STEPS, 4)), torch.rand(3, STEPS, 6))


def test_additions_in_place_never_give_another_result():
    with pytest.raises(HsnnError, match=r"HSNN-F09[25]"):
        from_torch(snn.KeepOutputs(snn.TimeFirst(Net(adding)), [0]), (torch.rand(3, STEPS, 6),))
