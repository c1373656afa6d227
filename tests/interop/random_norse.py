"""Draws neurons of Norse, every field other than its default."""

from __future__ import annotations

import random
from typing import Any

import norse.torch as norse
import torch
from norse.torch.functional.iaf import IAFParameters
from norse.torch.functional.leaky_integrator import LIParameters
from norse.torch.functional.leaky_integrator_box import LIBoxParameters
from norse.torch.functional.lif import LIFParameters
from norse.torch.functional.lif_box import LIFBoxParameters
from norse.torch.functional.lif_refrac import LIFRefracParameters
from norse.torch.functional.reset import reset_subtract, reset_value
from norse.torch.module.leaky_integrator_box import LIBoxCell
from norse.torch.module.lif_box import LIFBoxCell
from random_hybrids import Drawn, Shape, States, spread
from torch import Tensor, nn

modes = ("step", "time_first")
kinds = {
    "step": ("LIF", "IAF", "Box", "Refrac", "Recurrent", "RefracRecurrent", "readout"),
    "time_first": ("LIF", "IAF", "Recurrent", "RefracRecurrent", "readout"),
}
METHODS = ("heavi_erfc", "tanh", "heaviside", "triangle", "circ")


def _lif(**changed: Any) -> nn.Module:
    values = {name: torch.as_tensor(value) for name, value in changed.items() if name != "method"}
    return norse.LIFCell(LIFParameters(**(changed | values)))


refused = {
    "starts elsewhere than at its reset": ("HSNN-F091", lambda: _lif(v_leak=0.1)),
    "adjoint": ("HSNN-F091", lambda: _lif(method="adjoint")),
    "method that Norse does not have": ("HSNN-F091", lambda: _lif(method="tent")),
    "loses more than everything": ("HSNN-F091", lambda: _lif(tau_mem_inv=1500.0)),
    "threshold at the reset": ("HSNN-F091", lambda: _lif(v_th=0.0)),
    "subtracts, with a leak": (
        "HSNN-F091",
        lambda: LIFBoxCell(LIFBoxParameters(v_leak=torch.tensor(0.1), reset_method=reset_subtract)),
    ),
    "waits for longer than hsnn does": (
        "HSNN-F091",
        lambda: norse.LIFRefracCell(LIFRefracParameters(rho_reset=torch.tensor(65.0))),
    ),
    "LSNN": ("HSNN-F090", lambda: norse.LSNNCell()),
    "Izhikevich": ("HSNN-F090", lambda: norse.IzhikevichCell(norse.functional.izhikevich.tonic_spiking)),
}


def layers(pick: random.Random, synapse: nn.Module, *, mode: str) -> nn.Module | None:
    """Return a synapse in a container of Norse."""
    return norse.Lift(synapse) if pick.random() < 0.5 else None


def neuron(pick: random.Random, shape: Shape, *, mode: str, timesteps: int, last: bool, kind: str = "") -> Drawn:
    """Draw a neuron."""
    dt = pick.choice((0.0005, 0.002))
    if kind == "readout" or (not kind and last and pick.random() < 0.35):
        return _readout(pick, shape, mode, dt)
    kind = kind or pick.choice([item for item in kinds[mode][:-1] if len(shape) == 1 or "Recurrent" not in item])
    rest = torch.tensor(pick.choice((-0.3, 0.1)))
    if mode == "step" and kind in ("LIF", "IAF", "Box"):  # others start every neuron at one potential
        rest = rest + spread(pick, shape, -0.05, 0.0)
    common = {
        "v_th": spread(pick, shape, 0.15, 0.4),
        "v_reset": rest,
        "method": pick.choice(METHODS),
        "alpha": torch.tensor(pick.uniform(20.0, 50.0)),
    }
    memory = spread(pick, shape, 0.2, 0.8) / dt
    synaptic = pick.choice((spread(pick, shape, 0.2, 0.8), torch.tensor(1.0))) / dt
    if kind == "IAF":
        module = _timed(mode, "IAF")(IAFParameters(**common), dt=dt)
        return _used(module, mode, {"v": lambda held: held["v"] + rest})
    if kind == "Box":
        soft = pick.random() < 0.5
        rest = torch.zeros(()) if soft else rest
        changed = {"v_leak": rest, "reset_method": reset_subtract if soft else reset_value}
        module = LIFBoxCell(LIFBoxParameters(tau_mem_inv=memory, **(common | changed)), dt=dt)
        return _used(module, mode, {"v": lambda held: held["v"] + rest})
    p: Any = LIFParameters(tau_syn_inv=synaptic, tau_mem_inv=memory, v_leak=rest, **common)
    kept = 1 - dt * synaptic
    states = {"v": lambda held: held["v"] + rest, "i": lambda held: kept * held["u"]}
    if kind.startswith("Refrac"):
        p = LIFRefracParameters(p, torch.tensor(pick.choice((1.0, 1.6, 2.0))))
    if kind in ("LIF", "Refrac"):
        return _used(_timed(mode, "LIF" if kind == "LIF" else "LIFRefrac")(p, dt=dt), mode, states)
    size = shape[0]
    weights = {"input_weights": torch.rand(size, size), "recurrent_weights": torch.rand(size, size) - 0.5}
    options = weights | {"autapses": pick.random() < 0.5}
    module = _timed(mode, f"LIF{kind}")(size, size, p=p, dt=dt, **options)
    return _used(module, mode, states)


def _timed(mode: str, name: str) -> Any:
    return getattr(norse, name if mode == "time_first" else f"{name}Cell")


def _readout(pick: random.Random, shape: Shape, mode: str, dt: float) -> Drawn:
    """Draw an integrator whose voltage goes out."""
    rest, memory = pick.choice((-0.3, 0.2)), torch.tensor(pick.uniform(0.2, 0.8) / dt)
    voltage = {"v": lambda held: held["v"] + rest}
    if mode == "step" and pick.random() < 0.4:
        module = LIBoxCell(LIBoxParameters(tau_mem_inv=memory, v_leak=torch.tensor(rest)), dt=dt)
        return _used(module, mode, voltage, spikes=False)
    synaptic = torch.tensor(pick.uniform(0.2, 0.8) / dt)
    p = LIParameters(tau_syn_inv=synaptic, tau_mem_inv=memory, v_leak=torch.tensor(rest))
    states = voltage | {"i": lambda held: (1 - dt * synaptic) * held["u"]}
    if mode == "step" and len(shape) == 1 and pick.random() < 0.5:
        return _used(norse.LILinearCell(*shape, *shape, p, dt=dt), mode, states, spikes=False)
    return _used(_timed(mode, "LI")(p, dt=dt), mode, states, spikes=False)


def _used(module: nn.Module, mode: str, states: dict[str, Any], *, spikes: bool = True) -> Drawn:
    if hasattr(module, "record_states"):
        module.record_states = True

    def call(node: Any, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        return node(x, state)

    def read(node: Any, output: Any) -> States:
        state = getattr(output[1], "lif", output[1])
        held = {name: getattr(state, name) for name in states}
        return held | ({"s": output[0]} if spikes else {})

    def expect(held: States) -> States:
        return {name: of(held) for name, of in states.items()} | ({"s": held["s"]} if spikes else {})

    return Drawn(module, call, read, expect, spikes=spikes)
