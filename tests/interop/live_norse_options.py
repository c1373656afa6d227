"""Norse's neurons parameter by parameter, and its containers, as 1.1.0 has them."""

from __future__ import annotations

import norse.torch as norse
import torch
from live_models import TIMESTEPS, Loop, all_refused, assert_equal
from live_norse import LIBRARY, Sequence, cell, linear, parameters
from norse.torch.functional.iaf import IAFParameters
from norse.torch.functional.leaky_integrator import LIParameters
from norse.torch.functional.lif_box import LIFBoxParameters
from norse.torch.functional.lif_refrac import LIFRefracParameters
from norse.torch.functional.reset import reset_subtract
from norse.torch.module.coba_lif import CobaLIFCell
from norse.torch.module.lif_box import LIFBoxCell
from registry import EXACT, REFUSED, construct
from torch import nn

METHODS = ("super", "heaviside", "triangle", "tanh", "circ", "heavi_erfc")


def loop(*cells):
    """One cell after the other, each in front of a LIF cell that fires easily."""
    for item in cells:
        assert_equal(Loop(item, norse.LIFCell(parameters(v_th=0.02)), cell))


def lif(**changed):
    return norse.LIFCell(parameters(**changed))


def refractory(rho_reset, **changed):
    return LIFRefracParameters(parameters(**changed), torch.as_tensor(rho_reset))


@construct(LIBRARY, "`tau_syn_inv`, `tau_mem_inv`, `v_th`: a number or one for each neuron; `dt`", EXACT)
def rates():
    torch.manual_seed(0)
    each = {"tau_syn_inv": 200 + 600 * torch.rand(5), "tau_mem_inv": 200 + 600 * torch.rand(5)}
    loop(lif(v_th=0.1 + 0.2 * torch.rand(5), **each), norse.LIFCell(parameters(**each), dt=0.0007))


@construct(
    LIBRARY, "`dt * tau_mem_inv` or `dt * tau_syn_inv` above 1", REFUSED, code="HSNN-F091", note="more than all is lost"
)
def too_fast():
    all_refused(loop, lif(tau_mem_inv=1500.0), lif(tau_syn_inv=1500.0), norse.LIFCell(parameters(), dt=0.1))


@construct(LIBRARY, "`v_leak` equal to `v_reset`, for each neuron too, any sign", EXACT)
def elsewhere():
    loop(lif(v_leak=-0.3, v_reset=-0.3, v_th=-0.1), lif(v_leak=0.4, v_reset=0.4, v_th=0.5))
    each = torch.tensor([-0.2, 0.1, 0.0, 0.3, -0.4])
    loop(LIFBoxCell(LIFBoxParameters(torch.tensor(400.0), each, each + 0.2, each)))


@construct(
    LIBRARY, "`v_leak` other than 0 with `reset_subtract`", REFUSED, code="HSNN-F091", note="hsnn starts at 0 then"
)
def subtracts_elsewhere():
    loop(LIFBoxCell(LIFBoxParameters(v_leak=torch.tensor(0.1), reset_method=reset_subtract)))


@construct(LIBRARY, "`v_th` that is not above `v_reset`", REFUSED, code="HSNN-F091", note="every timestep would spike")
def low_threshold():
    all_refused(loop, lif(v_th=0.0), norse.IAFCell(IAFParameters(v_th=torch.tensor(-0.1))))


@construct(LIBRARY, f"`method`: {', '.join(METHODS)}; `alpha`, which acts on gradients alone", EXACT)
def methods():
    loop(*(lif(method=method, alpha=30.0) for method in METHODS))


@construct(
    LIBRARY,
    "`method`: adjoint, tent, logistic, circ_dist and others",
    REFUSED,
    code="HSNN-F091",
    note="another function; Norse 1.1.0 lacks them, or draws spikes at random",
)
def other_methods():
    all_refused(loop, *(lif(method=method) for method in ("adjoint", "tent", "logistic", "circ_dist")))


@construct(
    LIBRARY,
    "`reset_method` of one's own",
    REFUSED,
    code="HSNN-F091",
    note="`reset_value` and `reset_subtract` are known",
)
def own_reset():
    loop(LIFBoxCell(LIFBoxParameters(reset_method=lambda z, v, reset, th: v - z * reset)))


@construct(LIBRARY, "recurrent cells and modules: `input_weights`, `recurrent_weights`, `autapses`, `dt`", EXACT)
def recurrent_options():
    torch.manual_seed(1)
    weights = {"input_weights": torch.rand(4, 5), "recurrent_weights": torch.rand(4, 4) - 0.5}
    module = norse.LIFRecurrent(5, 4, parameters(v_th=0.05), autapses=True, dt=0.0008, **weights)
    assert_equal(Sequence(linear(6, 5), norse.LIF(parameters(v_th=0.05)), module))


@construct(LIBRARY, "LIFRefracCell, LIFRefracRecurrent, LIFRefracRecurrentCell: `rho_reset` up to 64 timesteps", EXACT)
def waiting():
    torch.manual_seed(1)
    loop(*(norse.LIFRefracCell(refractory(rho, v_th=0.05)) for rho in (0.0, 1.0, 1.5, 3.0)))
    loop(norse.LIFRefracRecurrentCell(5, 5, refractory(2.0, v_th=0.05, v_leak=-0.1, v_reset=-0.1)))
    assert_equal(Sequence(linear(6, 5), norse.LIFRefracRecurrent(5, 4, refractory(1.0, v_th=0.05))))


@construct(
    LIBRARY,
    "`rho_reset` above 64, or another for each neuron",
    REFUSED,
    code="HSNN-F091",
    note="one refractory time for all",
)
def waiting_longer():
    all_refused(
        loop, *(norse.LIFRefracCell(refractory(rho)) for rho in (65.0, torch.tensor([1.0, 2.0, 1.0, 1.0, 1.0])))
    )


@construct(LIBRARY, "LILinearCell; LICell, LIBoxCell and LI with a leak potential", EXACT)
def integrators():
    torch.manual_seed(0)
    readout = norse.LILinearCell(5, 4, LIParameters(torch.tensor(300.0), torch.tensor(200.0), torch.tensor(0.2)))
    model = Loop(lif(), readout, cell, hidden=5)
    model.fc2 = nn.Identity()
    assert_equal(model)


@construct(LIBRARY, "SequentialState in SequentialState, cells in it called in a loop with their states", EXACT)
def nested():
    class Steps(nn.Module):
        def __init__(self):
            super().__init__()
            inner = norse.SequentialState(linear(5, 5), norse.LIFBoxCell(LIFBoxParameters(v_th=torch.tensor(0.05))))
            self.net = norse.SequentialState(linear(6, 5), lif(v_th=0.05), inner)

        def forward(self, x):
            state, total = None, 0
            for _ in range(TIMESTEPS):
                out, state = self.net(x, state)
                total = total + out
            return total

    assert_equal(Steps())


@construct(LIBRARY, "SequentialState with `return_hidden=True`, spikes of each layer over time returned", EXACT)
def hidden_layers():
    class Hidden(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            layers = linear(6, 5), norse.LIF(parameters(v_th=0.05)), linear(5, 4), norse.LIF(parameters(v_th=0.05))
            self.net = norse.SequentialState(*layers, return_hidden=True)

        def forward(self, x):
            (_, one, _, two), _ = self.net(x.unsqueeze(0).repeat(TIMESTEPS, 1, 1))
            return one.mean(0), two.mean(0)

    torch.manual_seed(1)
    x = torch.rand(5, 6)
    assert_equal(Hidden(), x=x)


@construct(LIBRARY, "Lift around a cell, which then keeps its state over time", EXACT)
def lifted_cells():
    class Lifted(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.one, self.two = linear(6, 5), norse.Lift(lif(v_th=0.05)), norse.Lift(norse.LICell())

        def forward(self, x):
            spikes, _ = self.one(self.fc(x.unsqueeze(0).repeat(TIMESTEPS, 1, 1)))
            voltages, _ = self.two(spikes)
            return voltages[-1]

    assert_equal(Lifted())


@construct(
    LIBRARY,
    "RecurrentSequential, which feeds a layer's output back to its input",
    REFUSED,
    code="HSNN-F092",
    note="use LIFRecurrent",
)
def recurrent_sequential():
    class Steps(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = norse.RecurrentSequential(linear(6, 6), lif(v_th=0.05))

        def forward(self, x):
            state, total = None, 0
            for _ in range(TIMESTEPS):
                out, state = self.net(x, state)
                total = total + out
            return total

    assert_equal(Steps())


@construct(
    LIBRARY,
    "LSNN, LIFAdEx, LIFEx, LIFMC, Izhikevich and CobaLIF, cells, modules and recurrent forms",
    REFUSED,
    code="HSNN-F090",
    note="no equation of hsnn; `hsnn.register_neuron`",
)
def others():
    izhikevich = norse.IzhikevichCell(norse.functional.izhikevich.tonic_spiking)
    cells = norse.LSNNCell(), norse.LIFAdExCell(), norse.LIFExCell(), norse.LIFMCRecurrentCell(5, 5), izhikevich
    all_refused(loop, *cells, norse.LSNNRecurrentCell(5, 5), norse.LIFAdExRefracCell(), CobaLIFCell(5, 5))
