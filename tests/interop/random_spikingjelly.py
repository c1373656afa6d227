"""Draws neurons of SpikingJelly, every field other than its default."""

from __future__ import annotations

import random
from typing import Any

import torch
from random_hybrids import Drawn, Shape, States
from spikingjelly.activation_based import layer, surrogate
from spikingjelly.activation_based import neuron as nodes
from torch import Tensor, nn

modes = ("step", "time_first")
_KINDS = ("IFNode", "LIFNode", "ParametricLIFNode", "SimpleIFNode", "SimpleLIFNode")
kinds = {"step": (*_KINDS, "CUBALIFNode"), "time_first": _KINDS}
refused = {
    "surrogate that does not spike": (
        "HSNN-F091",
        lambda: nodes.IFNode(surrogate_function=surrogate.Sigmoid(spiking=False)),
    ),
    "threshold below the reset": ("HSNN-F091", lambda: nodes.LIFNode(v_threshold=0.1, v_reset=0.2)),
    "QIFNode": ("HSNN-F090", lambda: nodes.QIFNode()),
    "EIFNode": ("HSNN-F090", lambda: nodes.EIFNode()),
    "KLIFNode": ("HSNN-F090", lambda: nodes.KLIFNode()),
    "SynapseFilter": ("HSNN-F090", lambda: layer.SynapseFilter()),
}
SURROGATES = (
    lambda: surrogate.ATan(alpha=3.0),
    lambda: surrogate.PiecewiseQuadratic(alpha=1.5),
    lambda: surrogate.PiecewiseExp(alpha=2.0),
    lambda: surrogate.SoftSign(alpha=3.0),
    lambda: surrogate.Erf(alpha=1.2),
    lambda: surrogate.PiecewiseLeakyReLU(w=0.7, c=0.02),
    lambda: surrogate.SquarewaveFourierSeries(n=3, T_period=6.0),
    lambda: surrogate.S2NN(alpha=3.0, beta=0.8),
    lambda: surrogate.QPseudoSpike(alpha=1.7),
    lambda: surrogate.LeakyKReLU(leak=0.1, k=0.9),
    lambda: surrogate.FakeNumericalGradient(alpha=0.5),
    lambda: surrogate.LogTailedReLU(alpha=0.2),
    lambda: surrogate.Rect(alpha=1.3),
)


def layers(pick: random.Random, synapse: nn.Module, *, mode: str) -> nn.Module | None:
    """Return a synapse in a container of SpikingJelly."""
    if pick.random() < 0.5:
        return layer.SeqToANNContainer(*synapse)
    return None


def neuron(pick: random.Random, shape: Shape, *, mode: str, timesteps: int, last: bool, kind: str = "") -> Drawn:
    """Draw a neuron."""
    soft = pick.random() < 0.5
    options: dict[str, Any] = {
        "v_threshold": pick.uniform(0.2, 0.6),
        "v_reset": None if soft else pick.choice((-0.3, 0.1, 0.15)),
        "surrogate_function": pick.choice(SURROGATES)(),
        "detach_reset": True,
        "step_mode": "m" if mode == "time_first" else "s",
        "store_v_seq": mode == "time_first",
    }
    kind = kind or pick.choice(kinds[mode])
    module = _made(pick, kind, options)
    rest = module.v_reset or 0.0
    states = {"v": "v", "c": "u"} if kind == "CUBALIFNode" else {"v": "v"}

    def call(node: Any, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        return node(x), None

    def read(node: Any, output: Tensor) -> States:
        if mode == "time_first":
            return {"s": output} | ({"v": node.v_seq} if hasattr(node, "v_seq") else {})
        return {"s": output} | {name: torch.as_tensor(getattr(node, name)) for name in states}

    def expect(held: States) -> States:
        found = {"s": held["s"]} | {name: held[source] for name, source in states.items()}
        if mode == "time_first" and not hasattr(module, "v_seq"):
            return {"s": held["s"]}
        return found | {"v": found["v"] + rest}

    return Drawn(module, call, read, expect)


def _made(pick: random.Random, kind: str, options: dict[str, Any]) -> nn.Module:
    decays = {"decay_input": pick.random() < 0.5}
    if kind == "ParametricLIFNode":
        return nodes.ParametricLIFNode(init_tau=pick.uniform(1.2, 3.0), **decays, **options)
    if kind == "LIFNode":
        return nodes.LIFNode(tau=pick.uniform(1.2, 3.0), **decays, **options)
    if kind == "IFNode":
        return nodes.IFNode(**options)
    # The others start at 0, or decay to it.
    hard = None if options["v_reset"] is None else 0.0
    if kind == "CUBALIFNode":
        surrogate_function = options["surrogate_function"]
        kept = {"c_decay": pick.uniform(0.2, 0.8), "v_decay": pick.uniform(0.3, 0.9)}
        return nodes.CUBALIFNode(
            v_threshold=options["v_threshold"], v_reset=hard, surrogate_function=surrogate_function, **kept
        )
    simple = {name: value for name, value in options.items() if name != "store_v_seq"} | {"v_reset": hard}
    if kind == "SimpleIFNode":
        return nodes.SimpleIFNode(**simple)
    return nodes.SimpleLIFNode(tau=pick.uniform(1.2, 3.0), **decays, **(simple | {"v_reset": 0.0}))
