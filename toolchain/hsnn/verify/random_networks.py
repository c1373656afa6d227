"""Random integer networks and spikes: what every back end is held against the reference with.

A network is drawn from a seed and a set of features. With all features on it goes where back ends
tend to differ: currents that wrap, voltages that saturate, sums that leave 24 and 32 bits, uneven
branches, loops and delays, every reset, and neurons with parameters of their own.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from hsnn.ir import arithmetic as rules
from hsnn.ir.integer import (
    ConstantSource,
    ConvProjection,
    DenseProjection,
    InputPort,
    IntegerNetwork,
    IntegratorPopulation,
    LifPopulation,
    Projection,
    Reset,
    Shape,
    SparseProjection,
    size,
)
from hsnn.ir.validate import WEIGHT_EXP_MAX, conv_output_shape, validate_network

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Int32 = NDArray[np.int32]

Feature = Literal[
    "conv",
    "sparse",
    "graded",
    "constant",
    "residual",
    "recurrence",
    "delay",
    "bias",
    "per_neuron",
    "odd_threshold",
    "soft_reset",
    "refractory",
    "integrator",
    "extreme",
]

FEATURES: frozenset[Feature] = frozenset(get_args(Feature))
"""Every feature. Without any, a network is dense layers of neurons that Lava's own LIF can hold."""

STOCK: frozenset[Feature] = frozenset({"conv", "sparse", "graded", "residual", "bias", "extreme"})
"""Features that Lava's own processes can hold."""


SIGN_MODES: tuple[rules.SignMode, ...] = ("mixed", "excitatory", "inhibitory")


def random_network(
    seed: int, *, features: Collection[Feature] = FEATURES, timesteps: int | None = None
) -> IntegerNetwork:
    """Draw a small valid network.

    Args:
        seed: Same seed and features, same network.
        features: What the network may contain; each is drawn with some probability.
        timesteps: Timesteps per sample, or None to draw 3 to 12.

    Returns:
        A network of 1 to 2 inputs and 1 to 5 neuron populations with at most a few hundred neurons.
    """
    rng = np.random.default_rng(seed)
    draft = _Draft(rng, frozenset(features))
    _draw_inputs(draft)
    for index in range(int(rng.integers(1, 5))):
        _draw_layer(draft, f"layer{index}")
    if draft.may("integrator", 0.6):
        _draw_readout(draft)
    _draw_loops(draft)
    names = [p.name for p in draft.populations if not isinstance(p, ConstantSource)]
    chosen = [name for name in names[:-1] if rng.random() < 0.3]
    if draft.may("residual", 0.1):
        chosen.append(draft.inputs[0].name)
    network = IntegerNetwork(
        name=f"random{seed}",
        timesteps=int(rng.integers(3, 13)) if timesteps is None else timesteps,
        inputs=tuple(draft.inputs),
        populations=tuple(draft.populations),
        projections=tuple(draft.projections),
        outputs=(*chosen, names[-1]),
    )
    validate_network(network)
    return network


def random_inputs(network: IntegerNetwork, batch: int, seed: int) -> dict[str, Int32]:
    """Draw spikes for every input port: sparse and dense samples, extreme payloads among them.

    Args:
        network: The network to feed.
        batch: Number of samples.
        seed: Same seed, same spikes.

    Returns:
        For each port: int32, shape ``(timestep, batch, *feature)``.
    """
    rng = np.random.default_rng([seed, 0x5EED])
    spikes = {}
    for port in network.inputs:
        shape = (network.timesteps, batch, *port.shape)
        rates = rng.choice([0.1, 0.3, 0.6, 1.0], size=(1, batch) + (1,) * len(port.shape))
        payload = rng.integers(1, port.max_payload, size=shape, endpoint=True)
        payload = np.where(rng.random(shape) < 0.05, port.max_payload, payload)
        if port.signed:
            payload = np.where(rng.random(shape) < 0.5, -payload, payload)
        spikes[port.name] = np.where(rng.random(shape) < rates, payload, 0).astype(np.int32)
    return spikes


@dataclass(slots=True)
class _Draft:
    """A network that is being drawn."""

    rng: np.random.Generator
    features: frozenset[Feature]
    inputs: list[InputPort] = field(default_factory=list)
    populations: list[ConstantSource | LifPopulation | IntegratorPopulation] = field(default_factory=list)
    projections: list[Projection] = field(default_factory=list)

    def may(self, feature: Feature, probability: float) -> bool:
        """Draw whether to use a feature; the draw happens also where the feature is off."""
        return bool(self.rng.random() < probability) and feature in self.features

    def sources(self) -> dict[str, Shape]:
        """Feature shapes of all ports and populations that send spikes."""
        senders = (*self.inputs, *self.populations)
        return {p.name: p.shape for p in senders if not isinstance(p, IntegratorPopulation)}

    def peak(self, name: str) -> int:
        """Largest payload that a source sends."""
        return next((port.max_payload for port in self.inputs if port.name == name), 1)

    def delay(self) -> int:
        """Draw the delay of a projection that leads forward."""
        return int(self.rng.choice([1, 2, 5])) if self.may("delay", 0.25) else 0

    def name(self) -> str:
        """Name of the next projection."""
        return f"projection{len(self.projections)}"


def _draw_inputs(draft: _Draft) -> None:
    rng = draft.rng
    for index in range(int(rng.integers(1, 3))):
        image = draft.may("conv", 0.7)
        low, high = (4, 9) if image else (2, 14)
        shape = tuple(int(n) for n in rng.integers(low, high, size=2 if image else 1))
        shape = (int(rng.integers(1, 4)), *shape) if image else shape
        peak, signed = 1, False
        if draft.may("graded", 0.4):
            peak = int(rng.choice([7, 255, 32767, rules.VOLTAGE_MAX if "extreme" in draft.features else 127]))
            signed = bool(rng.random() < 0.5)
        draft.inputs.append(InputPort(f"input{index}", shape, peak, signed))
    if draft.may("constant", 0.5):
        draft.populations.append(ConstantSource("constant", (int(rng.integers(1, 3)),)))


def _draw_layer(draft: _Draft, name: str) -> None:
    """Append LIF neurons and what leads to them."""
    rng = draft.rng
    sources = draft.sources()
    forward = [source for source in sources if source != "constant"]
    pre = forward[-1] if rng.random() < 0.7 else str(rng.choice(forward))
    if len(sources[pre]) == 3 and rng.random() < 0.8:
        draft.projections.append(_draw_conv(draft, pre, name, sources[pre]))
        shape = conv_output_shape(draft.projections[-1], sources[pre])  # type: ignore[arg-type]  # just drawn
    else:
        shape = (int(rng.integers(1, 20)),)
        draft.projections.append(_draw_flat(draft, pre, name, sources[pre], shape))
    others = [source for source in sources if source != pre]
    for other in others:
        if draft.may("residual", 0.35) or (other == "constant" and rng.random() < 0.5):
            draft.projections.append(_draw_flat(draft, other, name, sources[other], shape))
    draft.populations.append(_draw_lif(draft, name, shape))


def _draw_readout(draft: _Draft) -> None:
    rng = draft.rng
    sources = draft.sources()
    pre, shape = list(sources)[-1], (int(rng.integers(1, 8)),)
    draft.projections.append(_draw_flat(draft, pre, "readout", sources[pre], shape))
    du, dv, mant, exp = _draw_dynamics(draft, shape)
    draft.populations.append(IntegratorPopulation("readout", shape, du, dv, mant, exp))


def _draw_loops(draft: _Draft) -> None:
    """Add projections that lead back, with delays long enough for one timestep per projection."""
    spiking = [p for p in draft.populations if isinstance(p, LifPopulation)]
    for index, population in enumerate(spiking):
        if draft.may("recurrence", 0.35):
            delay = int(draft.rng.choice([1, 1, 2, 4]))
            draft.projections.append(
                _draw_flat(draft, population.name, population.name, population.shape, population.shape, delay=delay)
            )
        if index and draft.may("recurrence", 0.2):
            target = spiking[index - 1]
            delay = int(draft.rng.integers(len(spiking), len(spiking) + 3))
            draft.projections.append(
                _draw_flat(draft, population.name, target.name, population.shape, target.shape, delay=delay)
            )


def _draw_flat(
    draft: _Draft, pre: str, post: str, pre_shape: Shape, post_shape: Shape, *, delay: int | None = None
) -> DenseProjection | SparseProjection:
    """Draw synapses between flattened populations, dense or sparse."""
    rng, pre_size, post_size = draft.rng, size(pre_shape), size(post_shape)
    wait = draft.delay() if delay is None else delay
    exponent = _draw_weight_exp(draft, pre)
    if not draft.may("sparse", 0.35):
        mode = SIGN_MODES[int(rng.choice(3, p=[0.6, 0.2, 0.2]))]
        bits = int(rng.choice([8, 8, 6, 4, 1]))
        weights = rules.truncate_weights(_draw_weights(draft, (post_size, pre_size)), mode, bits)
        return DenseProjection(draft.name(), pre, post, weights.astype(np.int16), exponent, wait, mode, bits)
    kept = rng.random((post_size, pre_size)) < rng.choice([0.0, 0.1, 0.5], p=[0.05, 0.45, 0.5])
    data = rules.truncate_weights(_draw_weights(draft, (int(kept.sum()),)), "mixed").astype(np.int16)
    indptr = np.concatenate([[0], np.cumsum(kept.sum(axis=1))]).astype(np.int32)
    indices = np.nonzero(kept)[1].astype(np.int32)
    return SparseProjection(draft.name(), pre, post, data, indices, indptr, exponent, wait)


def _draw_conv(draft: _Draft, pre: str, post: str, pre_shape: Shape) -> ConvProjection:
    rng = draft.rng
    channels, height, width = pre_shape
    groups = channels if rng.random() < 0.3 else 1
    out_channels = groups * int(rng.integers(1, 4))
    kernel_h, kernel_w = int(rng.integers(1, min(height, 3) + 1)), int(rng.integers(1, min(width, 3) + 1))
    spans = [(extent - 1) // max(kernel - 1, 1) for extent, kernel in ((height, kernel_h), (width, kernel_w))]
    dilation = tuple(int(rng.integers(1, max(1, min(2, span)) + 1)) for span in spans)
    raw = _draw_weights(draft, (out_channels, channels // groups, kernel_h, kernel_w))
    return ConvProjection(
        draft.name(),
        pre,
        post,
        rules.truncate_weights(raw, "mixed").astype(np.int16),
        stride=(int(rng.integers(1, 3)), int(rng.integers(1, 3))),
        padding=(int(rng.integers(0, 3)), int(rng.integers(0, 3))),
        dilation=(dilation[0], dilation[1]),
        groups=groups,
        weight_exp=_draw_weight_exp(draft, pre),
        delay=draft.delay(),
    )


def _draw_weights(draft: _Draft, shape: Shape) -> Int32:
    """Draw raw weights, a little positive on average so that neurons fire; clipped later."""
    if draft.may("extreme", 0.15):
        return draft.rng.choice([-256, 255, 0], size=shape).astype(np.int32)
    return draft.rng.normal(20, 90, size=shape).astype(np.int32)


def _draw_weight_exp(draft: _Draft, pre: str) -> int:
    if draft.may("extreme", 0.15):
        return int(draft.rng.integers(8, WEIGHT_EXP_MAX + 1))
    return int(draft.rng.integers(0, 4)) if draft.peak(pre) < 128 else 0


def _draw_lif(draft: _Draft, name: str, shape: Shape) -> LifPopulation:
    rng = draft.rng
    du, dv, mant, exp = _draw_dynamics(draft, shape)
    drive = sum(draft.peak(p.pre) << (p.weight_exp + 6) for p in draft.projections if p.post == name)
    own = shape if draft.may("per_neuron", 0.3) else ()
    scale = float(rng.choice([2, 25, 120]))
    threshold = np.minimum(rng.uniform(0.3, 1.0, size=own) * drive * scale, rules.VOLTAGE_MAX).astype(np.int64)
    if not draft.may("odd_threshold", 0.4) and own == ():
        threshold = np.minimum(threshold >> 6, rules.STOCK_VTH_MAX) << 6
    reset: Reset = "zero"
    if draft.may("soft_reset", 0.35):
        reset = "subtract" if rng.random() < 0.7 else "none"
    amount = threshold if reset == "subtract" else np.zeros(())
    return LifPopulation(
        name,
        shape,
        du,
        dv,
        np.asarray(threshold, np.int32),
        mant,
        exp,
        reset,
        np.asarray(amount, np.int32),
        int(rng.integers(1, 5)) if draft.may("refractory", 0.3) else 0,
    )


def _draw_dynamics(draft: _Draft, shape: Shape) -> tuple[Int32, Int32, Int32, int]:
    """Draw ``du, dv, bias_mant, bias_exp``."""
    rng = draft.rng
    own = shape if draft.may("per_neuron", 0.25) else ()
    du = rng.choice([4095, 4095, 2048, 512, 0], size=own)
    dv = rng.choice([0, 0, 128, 1024, 4095], size=own)
    if draft.may("per_neuron", 0.2):
        du, dv = np.full(own, -1), np.full(own, rules.DECAY_ONE)
    mant = np.zeros(shape, np.int32)
    if draft.may("bias", 0.5):
        mant = rng.integers(rules.BIAS_MANT_MIN, rules.BIAS_MANT_MAX, size=shape, endpoint=True).astype(np.int32)
    exp = int(rng.integers(0, rules.BIAS_EXP_MAX + 1))
    return np.asarray(du, np.int32), np.asarray(dv, np.int32), mant, exp


def summarize(network: IntegerNetwork) -> Mapping[str, int]:
    """Count what a network contains, for test reports and coverage of the generator."""
    lifs = [p for p in network.populations if isinstance(p, LifPopulation)]
    return {
        "dense": sum(isinstance(p, DenseProjection) for p in network.projections),
        "sparse": sum(isinstance(p, SparseProjection) for p in network.projections),
        "conv": sum(isinstance(p, ConvProjection) for p in network.projections),
        "delayed": sum(p.delay > 0 for p in network.projections),
        "loops": sum(p.pre == p.post for p in network.projections),
        "graded": sum(port.graded for port in network.inputs),
        "soft": sum(p.reset != "zero" for p in lifs),
        "refractory": sum(p.refractory > 0 for p in lifs),
        "own parameters": sum(p.du.ndim > 0 or p.threshold.ndim > 0 for p in lifs),
        "integrators": sum(isinstance(p, IntegratorPopulation) for p in network.populations),
    }
