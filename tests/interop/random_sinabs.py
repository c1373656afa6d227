"""Draws neurons of sinabs, every field other than its default."""

from __future__ import annotations

import random
from typing import Any

import sinabs.layers as sl
from random_hybrids import Drawn, Shape, States, spread
from sinabs.activation import (
    Gaussian,
    Heaviside,
    MaxSpike,
    MembraneReset,
    MembraneSubtract,
    MultiSpike,
    PeriodicExponential,
    SingleSpike,
)
from torch import Tensor, nn

modes = ("batch_first", "merged")
kinds = {
    "batch_first": ("IAF", "LIF", "LIF", "IAFRecurrent", "LIFRecurrent", "readout"),
    "merged": ("IAF", "LIF", "readout"),
}
ONE = {"spike_fn": SingleSpike}


class Doubled(MultiSpike):
    """Sends twice as many spikes."""

    @staticmethod
    def forward(ctx: Any, *args: Any) -> Tensor:
        """Count twice."""
        return 2 * MultiSpike.forward(ctx, *args)


refused = {
    "no spikes at all": ("HSNN-F091", lambda: sl.LIF(tau_mem=3.0, spike_fn=MaxSpike(0))),
    "a spike function of one's own": ("HSNN-F091", lambda: sl.LIF(tau_mem=3.0, spike_fn=Doubled)),
    "min_v_mem above 0": ("HSNN-F091", lambda: sl.LIF(tau_mem=3.0, min_v_mem=0.1)),
    "min_v_mem of a read-out": ("HSNN-F091", lambda: sl.ExpLeak(tau_mem=3.0, min_v_mem=-1.0)),
    "reset to another value": ("HSNN-F091", lambda: sl.IAF(reset_fn=MembraneReset(0.2), **ONE)),
    "reset by another amount": ("HSNN-F091", lambda: sl.IAF(reset_fn=MembraneSubtract(0.4), **ONE)),
    "fixed batch": ("HSNN-F091", lambda: sl.IAFSqueeze(batch_size=2, **ONE)),
    "bias in the feedback": ("HSNN-F091", lambda: sl.IAFRecurrent(nn.Linear(5, 5), **ONE)),
    "convolutional feedback": ("HSNN-F091", lambda: sl.IAFRecurrent(nn.Conv2d(2, 2, 3, padding=1), **ONE)),
    "ALIF": ("HSNN-F090", lambda: sl.ALIF(tau_mem=3.0, tau_adapt=4.0)),
}


def layers(pick: random.Random, synapse: nn.Module, *, mode: str) -> None:
    """Layers of sinabs are ordinary ones."""


def neuron(pick: random.Random, shape: Shape, *, mode: str, timesteps: int, last: bool, kind: str = "") -> Drawn:
    """Draw a neuron."""
    squeezed = {"num_timesteps": timesteps} if mode == "merged" else {}
    name = "Squeeze" if mode == "merged" else ""
    if kind == "readout" or (not kind and last and pick.random() < 0.3):
        options = {"tau_mem": spread(pick, shape, 1.5, 6.0), "norm_input": True, "train_alphas": pick.random() < 0.5}
        module = getattr(sl, f"ExpLeak{name}")(record_states=True, **options, **squeezed)
        return _used(module, mode, timesteps, {"v_mem": "v"}, spikes=False)
    kind = kind or pick.choice([item for item in kinds[mode][:-1] if len(shape) == 1 or "Recurrent" not in item])
    recurrent, kind = kind.endswith("Recurrent"), kind[:3]
    threshold = spread(pick, shape, 0.15, 0.5)
    synaptic = pick.random() < 0.6
    options: dict[str, Any] = {
        "spike_threshold": threshold,
        "spike_fn": pick.choice((MultiSpike, MultiSpike, SingleSpike, MaxSpike(3), MaxSpike())),
        "reset_fn": pick.choice((MembraneReset(), MembraneSubtract(), MembraneSubtract(threshold))),
        "surrogate_grad_fn": pick.choice((Gaussian(), Heaviside(window=0.5), PeriodicExponential())),
        "record_states": True,
    }
    if pick.random() < 0.6:
        options["min_v_mem"] = pick.choice((-0.1, -threshold, -0.5 * spread(pick, shape, 0.15, 0.5)))
    if synaptic:
        options["tau_syn"] = spread(pick, shape, 1.0, 4.0) if kind == "LIF" else 2.5
    if kind == "LIF":
        options |= {"tau_mem": spread(pick, shape, 1.5, 6.0), "norm_input": pick.random() < 0.3}
        options["train_alphas"] = pick.random() < 0.5
    if recurrent:
        feedback = nn.Linear(shape[0], shape[0], bias=False)
        options["rec_connect"] = feedback if pick.random() < 0.5 else nn.Sequential(nn.Flatten(), feedback)
    module = getattr(sl, f"{kind}{'Recurrent' if recurrent else name}")(**options, **squeezed)
    states = {"v_mem": "v"} | ({"i_syn": "u"} if synaptic else {})
    # What sinabs records of recurrent layers is overwritten by its next timestep: their last states are held to ours.
    return _used(module, mode, timesteps, states, recorded=not recurrent)


def _used(
    module: nn.Module, mode: str, timesteps: int, states: dict[str, str], *, spikes: bool = True, recorded: bool = True
) -> Drawn:
    def call(node: Any, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        return node(x), None

    def read(node: Any, output: Tensor) -> States:
        sent = output.unflatten(0, (-1, timesteps)) if mode == "merged" else output
        held = {name: node.recordings[name].transpose(0, 1) for name in states if recorded}
        held |= {} if recorded else {name: getattr(node, name).unsqueeze(0) for name in states}
        return held | ({"s": sent.transpose(0, 1)} if spikes else {})

    def expect(held: States) -> States:
        first = 0 if recorded else timesteps - 1
        return {name: held[source][first:] for name, source in states.items()} | ({"s": held["s"]} if spikes else {})

    return Drawn(module, call, read, expect, spikes=spikes)
