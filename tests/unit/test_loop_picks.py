"""Loops over time that take one timestep after another out of a tensor, and what they must not take."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hsnn.errors import HsnnError
from hsnn.frontends.live import adapt
from support.explicit_neuron import Explicit, assert_same, register_explicit

STEPS = 5
PICKS = {
    "select": ((STEPS, 6), lambda x: [x[:, t] for t in range(x.shape[1])]),
    "unbind": ((STEPS, 6), lambda x: x.unbind(1)),
    "slice and squeeze": ((STEPS, 6), lambda x: [x[:, t : t + 1].squeeze(1) for t in range(STEPS)]),
    "slice and select": ((STEPS, 6), lambda x: [x[:, t : t + 1][:, 0] for t in range(STEPS)]),
    "narrow": ((STEPS, 6), lambda x: [x.narrow(1, t, 1).squeeze(1) for t in range(STEPS)]),
    "chunk": ((STEPS, 6), lambda x: [part.squeeze(-2) for part in x.chunk(STEPS, 1)]),
    "split": ((STEPS, 6), lambda x: [part.squeeze(0) for part in x.transpose(0, 1).split(1)]),
    "last axis": ((6, STEPS), lambda x: [x[..., t] for t in range(STEPS)]),
    "last axis, unbind": ((6, STEPS), lambda x: x.unbind(-1)),
    "last axis, as many as features": ((6, 6), lambda x: x.unbind(2)),
    "last axis, split": ((6, STEPS), lambda x: [part.squeeze(2) for part in x.split(1, 2)]),
}


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    register_explicit(monkeypatch)


class Picking(nn.Module):
    """``pick`` gives the timesteps, ``use`` says what is done with each."""

    def __init__(self, pick, use=lambda model, spikes, t: spikes):
        super().__init__()
        torch.manual_seed(0)
        self.fc, self.neuron, self.pick, self.use = nn.Linear(6, 4), Explicit(), pick, use
        self.weights = nn.ParameterList(torch.rand(4) for _ in range(STEPS))
        with torch.no_grad():
            self.fc.weight.mul_(4)

    def forward(self, x):
        state, total = None, 0
        for t, step in enumerate(self.pick(x)):
            spikes, state = self.neuron(self.fc(step), state)
            total = total + self.use(self, spikes, t)
        return total


@pytest.mark.parametrize("way", PICKS)
def test_ways_to_take_a_timestep(way):
    shape, pick = PICKS[way]
    assert_same(Picking(pick), torch.rand(3, *shape))


@pytest.mark.parametrize(
    ("shape", "pick"),
    [
        ((2, STEPS, 6), lambda x: x.unbind(2)),
        ((STEPS, 6), lambda x: x.flip(1).unbind(1)[1:]),
        ((STEPS, 6), lambda x: [x[:, t : t + 1].squeeze(1) for t in reversed(range(STEPS))]),
    ],
)
def test_other_axes_and_orders_are_refused(shape, pick):
    with pytest.raises(HsnnError, match="HSNN-F092"):
        adapt(Picking(pick), (torch.rand(3, *shape),))


def test_weights_for_each_timestep_are_named():
    model = Picking(PICKS["select"][1], lambda model, spikes, t: spikes * model.weights[t])
    with pytest.raises(HsnnError, match=r"HSNN-F092.*'weights.0' at the first timestep and 'weights.1'") as caught:
        adapt(model, (torch.rand(3, STEPS, 6),))
    assert "torch.stack" in caught.value.fix
    model = Picking(PICKS["select"][1], lambda model, spikes, t: spikes * model.fc.weight[:, t])
    with pytest.raises(HsnnError, match=r"HSNN-F092.*weights of shape \(4, 6\)"):
        adapt(model, (torch.rand(3, 6, 6),))
