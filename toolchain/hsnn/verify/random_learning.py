"""Random learning rules and networks that learn, for property tests of every back end that has a learning engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from hsnn.ir import learning_arithmetic as learning
from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.learning import (
    BITS,
    EXPONENT_MAX,
    EXPONENT_MIN,
    NO_TRACE,
    SYNAPTIC,
    Factor,
    LearningRule,
    Product,
    Trace,
    Variable,
    validate_rule,
)
from hsnn.ir.plastic import LearnerPopulation, PlasticProjection
from hsnn.ir.populations import InputPort, LifPopulation
from hsnn.ir.shape import size
from hsnn.ir.validate import validate_network

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hsnn.ir.arithmetic import SignMode

    Int32 = NDArray[np.int32]

SIGN_MODES: tuple[SignMode, ...] = ("mixed", "mixed", "excitatory", "inhibitory")


def random_rule(rng: np.random.Generator, *, third_factor: bool = False, epoch: int | None = None) -> LearningRule:
    """Draw a rule that Loihi can express.

    Args:
        rng: Source of everything random.
        third_factor: Whether the neurons send ``y1`` to ``y3``, so that the rule has no traces of its own there.
        epoch: Timesteps per epoch, or None to draw 1 to 9.
    """
    sums = [
        _draw_sum(rng) if present else () for present in (rng.random() < 0.95, rng.random() < 0.4, rng.random() < 0.4)
    ]
    if not any(sums):
        sums[0] = _draw_sum(rng)
    counts = any(product.dependency == "u" for products in sums for product in products)
    y1, y2, y3 = (NO_TRACE if third_factor else _draw_trace(rng) for _ in range(3))
    rule = LearningRule(
        sums[0],
        sums[1],
        sums[2],
        int(rng.integers(0, 4)) if counts else 0,
        _draw_trace(rng),
        _draw_trace(rng),
        y1,
        y2,
        y3,
        epoch=int(rng.integers(1, 10)) if epoch is None else epoch,
        seed=int(rng.integers(0, 1 << 20)),
    )
    validate_rule(rule)
    return rule


def random_lesson_network(seed: int, *, timesteps: int | None = None) -> IntegerNetwork:
    """Draw a small valid network that learns: a hidden layer or none, plastic synapses into LIF neurons or learners.

    Args:
        seed: Same seed, same network.
        timesteps: Timesteps per sample, or None to draw 3 to 8.
    """
    rng = np.random.default_rng([seed, 0x1EA2])
    graded = bool(rng.random() < 0.3)
    ports = [InputPort("input0", (int(rng.integers(2, 10)),), 15 if graded else 1, graded and bool(rng.random() < 0.5))]
    populations: list[LifPopulation] = []
    projections: list[PlasticProjection] = []
    source, width = "input0", size(ports[0].shape)
    if rng.random() < 0.4:
        hidden = (int(rng.integers(2, 8)),) if rng.random() < 0.7 else (2, 1, 3)
        populations.append(_draw_lif(rng, "hidden", hidden, width))
        projections.append(_draw_plastic(rng, "first", source, "hidden", (size(hidden), width), third_factor=False))
        source, width = "hidden", size(hidden)
    teaches = bool(rng.random() < 0.6)
    shape = (int(rng.integers(2, 4)), int(rng.integers(1, 4)))
    if teaches:
        ports.append(InputPort("label", (1,), shape[0]))
        populations.append(_draw_learners(rng, "top", shape, width))
    else:
        populations.append(_draw_lif(rng, "top", shape, width))
    projections.append(_draw_plastic(rng, "last", source, "top", (size(shape), width), third_factor=teaches))
    if source == "hidden" and rng.random() < 0.5:
        skip = (size(shape), size(ports[0].shape))
        projections.append(_draw_plastic(rng, "skip", "input0", "top", skip, third_factor=teaches))
    network = IntegerNetwork(
        f"lesson{seed}",
        int(rng.integers(3, 9)) if timesteps is None else timesteps,
        tuple(ports),
        tuple(populations),
        tuple(projections),
        ("top",),
    )
    validate_network(network)
    return network


def _draw_sum(rng: np.random.Generator) -> tuple[Product, ...]:
    return tuple(_draw_product(rng) for _ in range(int(rng.integers(1, 4))))


def _draw_product(rng: np.random.Generator) -> Product:
    dependency = str(rng.choice(["x0", "y0", "u"]))
    factors: list[Factor] = []
    for _ in range(int(rng.integers(0, 4))):
        factor = _draw_factor(rng)
        if sum(BITS[f.variable] for f in (*factors, factor)) <= 26:
            factors.append(factor)
    mantissa = int(rng.choice([-7, -3, -2, -1, 1, 1, 2, 5, 7]))
    # Most products land near the size of a weight; some saturate.
    shift = learning.product_shift(Product("u", 1, 0, tuple(factors)))
    exponent = int(np.clip(rng.integers(-4, 5) + shift - 3 * len(factors), EXPONENT_MIN, EXPONENT_MAX))
    return Product(dependency, mantissa, exponent, tuple(factors))  # type: ignore[arg-type]  # drawn from the literals


def _draw_factor(rng: np.random.Generator) -> Factor:
    variable = cast("Variable", str(rng.choice([*BITS])))
    synaptic = variable in SYNAPTIC
    constant = 0
    if rng.random() < 0.3:
        constant = 2 * int(rng.integers(-128, 128)) if synaptic else int(rng.integers(-128, 128))
    return Factor(variable, constant, synaptic and bool(rng.random() < 0.3))


def _draw_trace(rng: np.random.Generator) -> Trace:
    impulse = float(rng.choice([0.0, 1.0, 16.0, 30.25, 63.5, 127.0, int(rng.integers(0, 127 * 256)) / 256]))
    return Trace(impulse, float(rng.choice([0.0, 1.0, 3.0, 10.5, 200.0, 65535.0])))


def _draw_plastic(
    rng: np.random.Generator, name: str, pre: str, post: str, shape: tuple[int, int], *, third_factor: bool
) -> PlasticProjection:
    mode = SIGN_MODES[int(rng.integers(len(SIGN_MODES)))]
    low, high = learning.stored_range("w", mode)
    fresh = rng.random() < 0.6
    return PlasticProjection(
        name,
        pre,
        post,
        rng.integers(low, high, size=shape, endpoint=True).astype(np.int16),
        int(rng.integers(0, 3)),
        sign_mode=mode,
        rule=random_rule(rng, third_factor=third_factor, epoch=int(rng.choice([1, 2, 4, 5, 12]))),
        tag=_draw_state(rng, learning.STORED_RANGE["t"], shape, fresh=fresh),
        tag_delay=_draw_state(rng, learning.STORED_RANGE["d"], shape, fresh=fresh),
        pre_traces=_draw_state(rng, (0, learning.TRACE_MAX), (2, shape[1]), fresh=fresh),
        post_traces=_draw_state(rng, (0, learning.TRACE_MAX), (3, shape[0]), fresh=fresh),
        epochs=0 if fresh else int(rng.integers(0, 50)),
    )


def _draw_state(rng: np.random.Generator, limits: tuple[int, int], shape: tuple[int, ...], *, fresh: bool) -> Int32:
    drawn = rng.integers(*limits, size=shape, endpoint=True).astype(np.int32)
    return np.zeros_like(drawn) if fresh else drawn


def _draw_lif(rng: np.random.Generator, name: str, shape: tuple[int, ...], fan_in: int) -> LifPopulation:
    threshold = int(rng.integers(0, 60 * fan_in)) << 6
    zero = np.zeros((), np.int32)
    return LifPopulation(
        name,
        shape,
        np.asarray(rng.choice([4095, 2048]), np.int32),
        np.asarray(rng.choice([0, 512, 4096]), np.int32),
        np.asarray(threshold, np.int32),
        np.asarray(rng.integers(-100, 200), np.int32) if rng.random() < 0.3 else zero,
        4,
    )


def _draw_learners(rng: np.random.Generator, name: str, shape: tuple[int, int], fan_in: int) -> LearnerPopulation:
    plain = _draw_lif(rng, name, shape, fan_in)
    known = bool(rng.random() < 0.4)
    return LearnerPopulation(
        name,
        shape,
        plain.du,
        plain.dv,
        plain.threshold if rng.random() < 0.5 else rng.integers(0, 4000 * fan_in, size=shape).astype(np.int32),
        plain.bias_mant,
        plain.bias_exp,
        "none",
        label="label",
        reward=int(rng.integers(0, 128)),
        penalty=int(rng.integers(0, 128)),
        stability_up=int(rng.integers(0, 40)),
        stability_down=int(rng.integers(0, 40)),
        recruit_margin=int(rng.choice([0, 64 * 50, 64 * 500])),
        stability=_draw_state(rng, (0, learning.STABILITY_MAX), shape, fresh=not known),
        recruited=_draw_state(rng, (0, 1), shape, fresh=not known),
    )
