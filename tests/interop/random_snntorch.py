"""Draws neurons of snnTorch, every field other than its default."""

from __future__ import annotations

import random
from typing import Any

import snntorch as snn
import torch
from random_hybrids import Drawn, Shape, States, spread
from snntorch import surrogate
from torch import Tensor, nn

modes = ("step",)
kinds = {"step": ("Leaky", "Synaptic", "Lapicque", "RLeaky", "RSynaptic", "readout")}
refused = {
    "inhibition": ("HSNN-F091", lambda: snn.Leaky(0.8, inhibition=True)),
    "state_quant": ("HSNN-F091", lambda: snn.Leaky(0.8, state_quant=torch.round)),
    "subtracts at once": ("HSNN-F091", lambda: snn.Synaptic(0.5, 0.8, reset_delay=False)),
    "keeps a negative share": ("HSNN-F091", lambda: snn.Lapicque(beta=0.2)),
    "threshold below 0": ("HSNN-F091", lambda: snn.Leaky(0.8, threshold=-0.5)),
    "Alpha": ("HSNN-F090", lambda: snn.Alpha(alpha=0.9, beta=0.8)),
    "SLSTM": ("HSNN-F090", lambda: snn.SLSTM(4, 4)),
}
SPIKE_GRADS = (
    lambda: surrogate.fast_sigmoid(slope=12),
    lambda: surrogate.sigmoid(slope=7),
    lambda: surrogate.triangular(),
    lambda: surrogate.straight_through_estimator(),
    lambda: surrogate.spike_rate_escape(beta=2, slope=9),
    lambda: surrogate.atan(alpha=1.5),
)


def layers(pick: random.Random, synapse: nn.Module, *, mode: str) -> None:
    """Neurons of snnTorch see one timestep."""


def neuron(pick: random.Random, shape: Shape, *, mode: str, timesteps: int, last: bool, kind: str = "") -> Drawn:
    """Draw a neuron."""
    if kind == "readout" or (not kind and last and pick.random() < 0.3):
        return _readout(pick, shape)
    kind = kind or pick.choice(kinds["step"][:5])
    reset = pick.choice(("subtract", "zero", "zero at once", "none"))
    options: dict[str, Any] = {
        "threshold": spread(pick, shape, 0.15, 0.6),
        "reset_mechanism": reset.split()[0],
        "init_hidden": pick.random() < 0.5,
        "learn_beta": pick.random() < 0.5,
        "learn_threshold": pick.random() < 0.5,
    }
    options["output"] = options["init_hidden"] and pick.random() < 0.5
    options |= {"surrogate_disable": True} if pick.random() < 0.2 else {"spike_grad": pick.choice(SPIKE_GRADS)()}
    if kind == "Lapicque":
        reset = "zero" if reset == "zero at once" else reset
    else:
        options["reset_delay"] = reset != "zero at once"
    module = _made(pick, kind, shape, options)
    if kind == "RSynaptic" and reset == "zero at once":
        # snnTorch drops what it computes for this, and reads the state that is passed to it.
        reset, module.init_hidden, module.output = "zero", False, False
    states = {"mem": "v_in"} | ({"syn": "u"} if "Synaptic" in kind else {})
    factor = getattr(module, "graded_spikes_factor", torch.tensor(1.0)).detach()
    return Drawn(module, *_used(module, kind, states, shape, at_once=reset == "zero at once", factor=factor))


def _made(pick: random.Random, kind: str, shape: Shape, options: dict[str, Any]) -> nn.Module:
    beta = spread(pick, shape, 0.3, 0.95)
    if kind == "Lapicque":
        if pick.random() < 0.5:
            return snn.Lapicque(beta=pick.uniform(0.5, 0.9), time_step=0.8, **options)
        return snn.Lapicque(R=3.0, C=0.8, time_step=0.7, **(options | {"learn_beta": False}))
    if kind in ("Synaptic", "RSynaptic"):
        options |= {"learn_alpha": pick.random() < 0.5}
        decays: tuple[Tensor, ...] = (spread(pick, shape, 0.2, 0.8), beta)
    else:
        decays = (beta,)
    if kind in ("Leaky", "Synaptic"):
        if kind == "Leaky":
            options |= {"graded_spikes_factor": spread(pick, shape, 0.5, 1.5)}
            options |= {"learn_graded_spikes_factor": pick.random() < 0.5}
        return getattr(snn, kind)(*decays, **options)
    options |= {"learn_recurrent": False}
    if pick.random() < 0.5:
        weights = pick.choice((torch.rand(shape) - 0.5, pick.uniform(-0.5, 0.5), spread(pick, shape, -0.4, 0.4)))
        return getattr(snn, kind)(*decays, V=weights, all_to_all=False, **options)
    if len(shape) == 3:
        options |= {"conv2d_channels": shape[0], "kernel_size": pick.choice((3, (1, 3)))}
    else:
        options |= {"linear_features": shape[0]}
    module = getattr(snn, kind)(*decays, **options)
    module.graded_spikes_factor = spread(pick, shape, 0.5, 1.5)  # as a state dict may bring it
    return module


def _readout(pick: random.Random, shape: Shape) -> Drawn:
    """Draw a neuron that is never reset, whose voltage goes out."""
    module = snn.Leaky(spread(pick, shape, 0.4, 0.95), threshold=0.4, reset_mechanism="none")

    def call(node: Any, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        _, voltage = node(x, state)
        return voltage, voltage

    return Drawn(module, call, lambda node, _: {"mem": node.mem}, lambda held: {"mem": held["v"]}, spikes=False)


def _used(module: nn.Module, kind: str, states: dict[str, str], shape: Shape, *, at_once: bool, factor: Tensor) -> Any:
    """Return how a neuron is called, read and expected to be."""
    recurrent = kind in ("RLeaky", "RSynaptic")

    def call(node: Any, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        if node.init_hidden:
            out = node(x)
            return (out[0] if node.output else out), None
        if state is None and recurrent and not node.reset_delay:
            state = (torch.zeros_like(x),) * (len(states) + 1)
        out = node(x, *(state or ()))
        return out[0], (out if recurrent else out[1:])

    def read(node: Any, output: Any) -> States:
        spikes = output[0] if isinstance(output, tuple) else output
        return {"s": spikes} | {name: getattr(node, name) for name in states}

    def expect(held: States) -> States:
        found = {"s": held["s"]} | {name: held[source] for name, source in states.items()}
        if at_once:  # snnTorch's voltage is read behind the reset then, and before it else
            found["mem"] = held["v"]
        found = {name: value.reshape(*value.shape[:2], *shape) for name, value in found.items()}
        return found | {"s": found["s"] * factor}

    return call, read, expect
