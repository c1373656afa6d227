"""Norse inside a torch model."""

from __future__ import annotations

import norse.torch as norse
import random_norse
import torch
from live_models import TIMESTEPS, Loop, assert_equal
from norse.torch.functional.leaky_integrator import LIParameters
from norse.torch.functional.lif import LIFParameters
from norse.torch.functional.lif_box import LIFBoxParameters
from norse.torch.functional.reset import reset_subtract
from norse.torch.module.lif_box import LIFBoxCell
from random_check import assert_same
from random_hybrids import RandomHybrid
from registry import EXACT, REFUSED, construct
from torch import nn

from hsnn.nn import OverTime, TimeFirst

LIBRARY = "Norse 1.1.0, live modules"


def parameters(**changed):
    values = {"tau_syn_inv": 300.0, "tau_mem_inv": 400.0, "v_leak": 0.0, "v_th": 0.2, "v_reset": 0.0} | changed
    return LIFParameters(
        **{n: value if isinstance(value, str) else torch.as_tensor(value) for n, value in values.items()}
    )


def cell(neuron, x, state):
    return neuron(x, state)


class Sequence(nn.Module):
    """A SequentialState on ``(timestep, batch, *feature)``, the mean over time."""

    def __init__(self, *modules):
        super().__init__()
        self.net = norse.SequentialState(*modules)

    def forward(self, x):
        out, _ = self.net(x.unsqueeze(0).repeat(TIMESTEPS, *(1,) * x.ndim))
        return out.mean(0)


def linear(features, out):
    torch.manual_seed(0)
    module = nn.Linear(features, out)
    with torch.no_grad():
        module.weight.mul_(4.0)
    return module


@construct(LIBRARY, "LIFCell in a loop, its update order (the voltage sees the current before it decays)", EXACT)
def leaky_cell():
    assert_equal(Loop(norse.LIFCell(parameters()), norse.LIFCell(parameters(v_th=0.1), dt=0.002), cell))


@construct(LIBRARY, "LIF and LI in a SequentialState with Lift, other leak and reset potentials", EXACT)
def sequential():
    model = Sequence(
        norse.Lift(nn.Conv2d(1, 3, 3)),
        norse.LIF(parameters(v_leak=-0.2, v_reset=-0.2, v_th=0.0)),
        nn.Flatten(2),
        linear(108, 5),
        norse.LIF(parameters(tau_syn_inv=1000.0)),
        norse.LI(LIParameters(torch.tensor(250.0), torch.tensor(150.0), torch.tensor(0.1))),
    )
    assert_equal(model, shape=(1, 8, 8))


@construct(LIBRARY, "a model of `(timestep, batch, *feature)` in `hsnn.nn.TimeFirst`; `voltages[t] = v`", EXACT)
def time_first():
    class Tutorial(nn.Module):
        """As Norse's tutorial on MNIST writes its convolutional network."""

        def __init__(self):
            super().__init__()
            self.conv, self.fc = nn.Conv2d(1, 3, 3), linear(27, 6)
            self.lif0, self.lif1 = norse.LIFCell(parameters()), norse.LIFCell(parameters(v_th=0.1))
            self.out = norse.LILinearCell(6, 4)

        def forward(self, x):
            s0 = s1 = so = None
            voltages = torch.zeros(x.shape[0], x.shape[1], 4, device=x.device, dtype=x.dtype)
            for ts in range(x.shape[0]):
                z, s0 = self.lif0(3 * self.conv(x[ts]), s0)
                z = nn.functional.max_pool2d(z, 2, 2) * 10
                z, s1 = self.lif1(self.fc(z.view(-1, 27)), s1)
                voltages[ts, :, :], so = self.out(z, so)
            return voltages

    torch.manual_seed(0)
    assert_equal(TimeFirst(Tutorial()), shape=(TIMESTEPS, 1, 8, 8))


@construct(LIBRARY, "a SequentialState of one timestep in `hsnn.nn.OverTime`, which hands its state on", EXACT)
def over_time():
    torch.manual_seed(0)
    model = norse.SequentialState(linear(6, 5), norse.LIFCell(parameters()), linear(5, 4), norse.LICell())
    assert_equal(OverTime(model, timesteps=TIMESTEPS, outputs="last"))


@construct(LIBRARY, "LIFBoxCell, reset to a value and by subtraction; LICell", EXACT)
def box():
    soft = LIFBoxParameters(tau_mem_inv=torch.tensor(300.0), v_th=torch.tensor(0.3), reset_method=reset_subtract)
    hard = LIFBoxParameters(torch.tensor(600.0), torch.tensor(0.1), torch.tensor(0.4), torch.tensor(0.1))
    assert_equal(Loop(LIFBoxCell(soft), LIFBoxCell(hard), cell))
    assert_equal(Loop(LIFBoxCell(hard), norse.LICell(LIParameters()), cell))


@construct(LIBRARY, "LIFRecurrent and LIFRecurrentCell", EXACT)
def recurrent():
    torch.manual_seed(3)
    assert_equal(
        Sequence(linear(6, 5), norse.LIFRecurrent(5, 4, parameters(v_th=0.05)), norse.LIF(parameters(v_th=0.02)))
    )
    pair = norse.LIFRecurrentCell(5, 5, parameters(v_th=0.05)), norse.LIFCell(parameters(v_th=0.05))
    assert_equal(Loop(*pair, cell))


@construct(LIBRARY, "IAF and IAFCell", EXACT)
def integrate():
    assert_equal(Loop(norse.IAFCell(), norse.IAFCell(), cell))


@construct(
    LIBRARY,
    "random hybrids of LIF, IAF, LIFBox, LIFRefrac, LIFRecurrent, LI, LIBox, cells and modules: "
    "no field at its default, states over time too",
    EXACT,
)
def drawn_at_random():
    assert_same(RandomHybrid(100, random_norse))


@construct(
    LIBRARY,
    "state that starts at another potential than the reset",
    REFUSED,
    code="HSNN-F091",
    note="hsnn starts at the reset",
)
def other_start():
    assert_equal(Loop(norse.LIFCell(parameters(v_leak=0.1)), norse.LIFCell(parameters()), cell))


@construct(
    LIBRARY,
    "cells that are not given the state of the timestep before",
    REFUSED,
    code="HSNN-F093",
    note="their state would be lost",
)
def lost_state():
    assert_equal(Loop(norse.LIFCell(parameters()), norse.LIFCell(parameters()), lambda cell, x, _: cell(x)))


@construct(
    LIBRARY,
    "final states as outputs of the model",
    REFUSED,
    code="HSNN-F093",
    note="hsnn sends spikes and read-out voltages only",
)
def final_states():
    class States(Sequence):
        def forward(self, x):
            return self.net(x.unsqueeze(0).repeat(TIMESTEPS, *(1,) * x.ndim))

    assert_equal(States(linear(6, 4), norse.LIF(parameters())))
