"""Parts of random networks: projections and populations, drawn one at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from hsnn.ir import arithmetic as rules
from hsnn.ir.populations import (
    AdaptiveLifPopulation,
    CountingLifPopulation,
    InputPort,
    LifPopulation,
    Population,
    Reset,
    ResonatorPopulation,
    SigmaDeltaPopulation,
    largest_payload,
    sends,
)
from hsnn.ir.projections import ConvProjection, DenseProjection, Projection, SparseProjection
from hsnn.ir.shape import Shape, size
from hsnn.ir.validate import WEIGHT_EXP_MAX

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
    "sigma_delta",
    "adaptive",
    "counting",
    "resonator",
    "extreme",
]

SIGN_MODES: tuple[rules.SignMode, ...] = ("mixed", "excitatory", "inhibitory")


@dataclass(slots=True)
class Draft:
    """A network that is being drawn."""

    rng: np.random.Generator
    features: frozenset[Feature]
    inputs: list[InputPort] = field(default_factory=list)
    populations: list[Population] = field(default_factory=list)
    projections: list[Projection] = field(default_factory=list)

    def may(self, feature: Feature, probability: float) -> bool:
        """Draw whether to use a feature; the draw happens also where the feature is off."""
        return bool(self.rng.random() < probability) and feature in self.features

    def sources(self) -> dict[str, Shape]:
        """Feature shapes of all ports and populations that send spikes."""
        senders = (*self.inputs, *self.populations)
        return {p.name: p.shape for p in senders if sends(p)}

    def peak(self, name: str) -> int:
        """Largest payload that a source sends."""
        return next((largest_payload(p)[0] for p in (*self.inputs, *self.populations) if p.name == name), 1)

    def delay(self) -> int:
        """Draw the delay of a projection that leads forward."""
        return int(self.rng.choice([1, 2, 5])) if self.may("delay", 0.25) else 0

    def name(self) -> str:
        """Name of the next projection."""
        return f"projection{len(self.projections)}"


def draw_flat(
    draft: Draft, pre: str, post: str, pre_shape: Shape, post_shape: Shape, *, delay: int | None = None
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


def draw_conv(draft: Draft, pre: str, post: str, pre_shape: Shape) -> ConvProjection:
    """Draw a convolution of a ``(C, H, W)`` source: groups, strides, padding, dilation."""
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


def _draw_weights(draft: Draft, shape: Shape) -> Int32:
    """Draw raw weights, a little positive on average so that neurons fire; clipped later."""
    if draft.may("extreme", 0.15):
        return draft.rng.choice([-256, 255, 0], size=shape).astype(np.int32)
    return draft.rng.normal(20, 90, size=shape).astype(np.int32)


def _draw_weight_exp(draft: Draft, pre: str) -> int:
    if draft.may("extreme", 0.15):
        return int(draft.rng.integers(8, WEIGHT_EXP_MAX + 1))
    return int(draft.rng.integers(0, 4)) if draft.peak(pre) < 128 else 0


def draw_lif(draft: Draft, name: str, shape: Shape) -> LifPopulation:
    """Draw neurons whose thresholds fit the projections drawn onto them before."""
    rng = draft.rng
    du, dv, mant, exp = draw_dynamics(draft, shape)
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


def draw_dynamics(draft: Draft, shape: Shape) -> tuple[Int32, Int32, Int32, int]:
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


def draw_sigma_delta(draft: Draft, name: str, shape: Shape) -> SigmaDeltaPopulation:
    """Draw sigma-delta neurons, or delta neurons; some thresholds are 0, some above what ever comes."""
    rng = draft.rng
    own = shape if draft.may("per_neuron", 0.3) else ()
    accumulate = bool(rng.random() < 0.75)
    scale = float(rng.choice([0.0, 100.0, 20_000.0, 5_000_000.0]))
    threshold = (rng.uniform(0.0, 1.0, size=own) * scale).astype(np.int32)
    bias = np.zeros((), np.int32)
    if accumulate and draft.may("bias", 0.5):
        bias = rng.integers(-100_000, 100_000, size=shape).astype(np.int32)
    return SigmaDeltaPopulation(
        name,
        shape,
        np.asarray(threshold, np.int32),
        bias,
        message_shift=int(rng.choice([0, 3, 6, 12])),
        accumulate=accumulate,
        rectify=accumulate and bool(rng.random() < 0.6),
        keep_rest=bool(rng.random() < 0.5),
    )


def draw_counting(draft: Draft, name: str, shape: Shape) -> CountingLifPopulation:
    """Draw neurons that count: to any number or a few, or not at all; with a floor or without."""
    rng = draft.rng
    plain = draw_lif(draft, name, shape)
    threshold = plain.threshold // int(rng.choice([1, 8, 200]))
    reset: Reset = "zero" if rng.random() < 0.3 else "subtract"
    taken = threshold + int(rng.choice([0, 1, 1]))
    own = shape if draft.may("per_neuron", 0.3) else ()
    floor = rng.uniform(0.0, 1.0, size=own) * float(rng.choice([0, 1_000, 300_000, rules.VOLTAGE_MAX]))
    return CountingLifPopulation(
        name,
        shape,
        plain.du,
        plain.dv,
        np.asarray(threshold, np.int32),
        plain.bias_mant,
        plain.bias_exp,
        reset,
        np.asarray(taken if reset == "subtract" else np.zeros(()), np.int32),
        plain.refractory,
        max_spikes=int(rng.choice([1, 2, 7, rules.VOLTAGE_MAX])),
        v_min=np.asarray(-floor, np.int32),
    )


def draw_adaptive(draft: Draft, name: str, shape: Shape) -> AdaptiveLifPopulation:
    """Draw adaptive neurons; some states wrap."""
    rng = draft.rng
    plain = draw_lif(draft, name, shape)
    own = shape if draft.may("per_neuron", 0.3) else ()
    decays = [rng.choice([0, 40, 512, 4096], size=own).astype(np.int32) for _ in range(2)]
    step = (rng.uniform(0.0, 1.0, size=own) * float(rng.choice([0, 1_000, 1_000_000]))).astype(np.int32)
    return AdaptiveLifPopulation(
        name,
        shape,
        plain.du,
        plain.dv,
        plain.threshold,
        plain.bias_mant,
        plain.bias_exp,
        "none",
        threshold_decay=np.asarray(decays[0], np.int32),
        refractory_decay=np.asarray(decays[1], np.int32),
        threshold_step=np.asarray(step, np.int32),
    )


def draw_resonators(draft: Draft, name: str, shape: Shape) -> ResonatorPopulation:
    """Draw resonators of this feature shape, most of which turn by up to a right angle; some states saturate."""
    rng = draft.rng
    drive = sum(draft.peak(p.pre) << (p.weight_exp + 6) for p in draft.projections if p.post == name)
    own = shape if draft.may("per_neuron", 0.3) else ()
    angle = 2 * np.pi / rng.uniform(2.0, 24.0, size=own)
    kept = rng.choice([0.0, 0.5, 0.9, 4095 / 4096, 1.0], size=own) * rules.DECAY_ONE
    scale = float(rng.choice([0, 2, 25, 120]))
    threshold = np.minimum(rng.uniform(0.3, 1.0, size=own) * drive * scale, rules.VOLTAGE_MAX).astype(np.int32)
    return ResonatorPopulation(
        name,
        shape,
        np.asarray(np.rint(kept * np.cos(angle)), np.int32),
        np.asarray(np.rint(kept * np.sin(angle)), np.int32),
        np.asarray(threshold, np.int32),
        "phase" if rng.random() < 0.5 else "izhikevich",
    )
