"""The integer rules of Loihi's learning engine: the one place where they are written down.

They copy the fixed-point model of Lava's LearningDense (lava-nc 0.10.0,
``magma/core/model/py/connection.py`` and ``magma/core/learning/learning_rule_applier.py``), which calls
itself bit-approximate, including what surprises: a product is shifted right by all bits that its factors
have beyond the accumulator's, so the update is that much smaller than the rule says; one random number an
epoch rounds all synapses of a projection; a trace that gets two spikes in an epoch adds the first to its value
at the start of the epoch.

Also here: what neurons of a :class:`hsnn.ir.plastic.LearnerPopulation` send as the third factor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from hsnn.ir.learning import BITS, IMPULSE_STEPS, Factor, LearningRule, Product, Trace

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hsnn.ir.arithmetic import SignMode

    Int64 = NDArray[np.int64]
    Float64 = NDArray[np.float64]

MANTISSA_BITS: Final = 4
ACCUMULATOR_BITS: Final = 15
ACCUMULATOR_MIN, ACCUMULATOR_MAX = -(1 << 15) - 1, (1 << 15) - 1
"""Lava's lower limit is one below what 16 bits hold; copied."""
STORED_SHIFT: Final = 7
"""A weight or tag enters the accumulator shifted left by this many bits."""
EXPONENT_OFFSET: Final = 7
"""Exponents are at least -7, so a product is shifted left by its exponent and 7."""
TRACE_MAX: Final = 127
RANDOM_STEPS: Final = 128
"""Impulses are rounded with a random whole number below this; their fraction is one of 256, so Lava rounds
fractions of a half and more always up."""
THIRD_FACTOR_TAU: Final = 65535.0
"""Time constant that Lava gives traces that the neuron sends: it lets them decay within the epoch all the same."""
ROUNDING_SEED: Final = 2
"""Seed of the rounding of synaptic variables, whatever the rule says."""
STORED_RANGE: Final[Mapping[str, tuple[int, int]]] = {"t": (-257, 255), "d": (0, 255)}
WEIGHT_RANGE: Final[Mapping[SignMode, tuple[int, int]]] = {
    "mixed": (-256, 255),
    "excitatory": (0, 255),
    "inhibitory": (-255, 0),
}
STABILITY_MAX: Final = 127
STABILITY_ONE: Final = 16
"""A stability of 16 halves what a neuron learns."""
GAIN_BITS: Final = 15


def product_shift(product: Product) -> int:
    """Bits by which a product is shifted right before its exponent counts.

    >>> product_shift(Product("u", factors=(Factor("x1"), Factor("y1"))))
    3
    """
    width = sum(BITS[factor.variable] for factor in product.factors) + MANTISSA_BITS
    return max(0, width - ACCUMULATOR_BITS)


def clip_factor(values: Int64, factor: Factor) -> Int64:
    """Add a factor's constant to its variable, take the sign if wanted, and clip to the factor's bits."""
    total = values.astype(np.int64) + factor.constant
    bits = BITS[factor.variable]
    clipped: Int64 = np.clip(np.sign(total) if factor.sign else total, -(1 << bits), (1 << bits) - 1)
    return clipped


def accumulate(stored: Int64, products: Sequence[Product], lookup: Callable[[str, str], Int64]) -> Int64:
    """Add products to a synaptic variable.

    Args:
        stored: The variable, shape ``(post, pre)``.
        products: What is added, in order; the sum is clipped after each.
        lookup: Gives a variable as its dependency sees it: ``lookup(variable, dependency)``; dependencies
            themselves as 0 and 1. Shapes broadcast to ``(post, pre)``.

    Returns:
        The accumulator, in 1/128.
    """
    total = stored.astype(np.int64) << STORED_SHIFT
    for product in products:
        value = np.broadcast_to(lookup(product.dependency, product.dependency), stored.shape).astype(np.int64)
        for factor in product.factors:
            value = value * clip_factor(lookup(factor.variable, product.dependency), factor)
        value = (value * product.mantissa) >> product_shift(product)
        value = np.clip(value << (product.exponent + EXPONENT_OFFSET), ACCUMULATOR_MIN, ACCUMULATOR_MAX)
        total = np.clip(total + value, ACCUMULATOR_MIN, ACCUMULATOR_MAX)
    return total


def round_stored(accumulator: Int64, draw: float, limits: tuple[int, int], *, floor: int, ceiling: int) -> Int64:
    """Turn an accumulator back into a synaptic variable.

    Args:
        accumulator: In 1/128.
        draw: The epoch's random number in [0, 1); what lies behind the point is rounded up if it is larger.
        limits: Range of the variable.
        floor: Least accumulator before it is rounded: 0 where only positive values are allowed.
        ceiling: Largest accumulator likewise.
    """
    kept = np.clip(accumulator, floor, ceiling)
    rest = kept & ((1 << STORED_SHIFT) - 1)
    up = rest > rounding_level(draw)
    stored: Int64 = np.clip((kept >> STORED_SHIFT) + up, *limits)
    return stored


def rounding_level(draw: float) -> int:
    """Largest rest of 128 that a random number in [0, 1) lets fall."""
    return int(draw * (1 << STORED_SHIFT))


def accumulator_range(variable: str, sign_mode: SignMode) -> tuple[int, int]:
    """Range to which an accumulator is clipped before it is rounded."""
    low = 0 if variable == "d" or (variable == "w" and sign_mode == "excitatory") else ACCUMULATOR_MIN
    return low, 0 if variable == "w" and sign_mode == "inhibitory" else ACCUMULATOR_MAX


def stored_range(variable: str, sign_mode: SignMode) -> tuple[int, int]:
    """Range of a synaptic variable."""
    return WEIGHT_RANGE[sign_mode] if variable == "w" else STORED_RANGE[variable]


def decay_factor(tau: float) -> float:
    """What is left of a trace after a timestep; 0 without a time constant."""
    return float(np.exp(-1 / np.float64(tau))) if tau else 0.0


def decay_trace(values: Int64, tau: float, draw: float) -> Int64:
    """Let traces decay by one timestep.

    Args:
        values: Traces, 0 to 127, of any shape.
        tau: Time constant in timesteps; 0 forgets everything.
        draw: The epoch's random number, in [0, 1), which rounds all of them.

    Returns:
        Traces of the same shape: ``values * exp(-1 / tau)``, rounded up where its fraction is above ``draw``.
    """
    if not tau:
        return np.zeros_like(values)
    left = decay_factor(tau) * values
    whole = np.floor(left)
    decayed: Int64 = (whole + (draw < left - whole)).astype(np.int64)
    return decayed


def add_impulse(values: Int64, trace: Trace, draw: int) -> Int64:
    """Add an impulse to traces and clip them to 0 to 127.

    Args:
        values: Traces, of any shape.
        trace: Whose impulse it is; see :func:`split_impulse`.
        draw: A random whole number, 0 to 127; the impulse's fraction, in 1/256, counts as one if it is above.
    """
    whole, fraction = split_impulse(trace)
    grown: Int64 = np.clip(values + whole + (draw < fraction), 0, TRACE_MAX)
    return grown


def split_impulse(trace: Trace) -> tuple[int, int]:
    """Split an impulse into a whole number and 1/256."""
    whole = int(np.floor(trace.impulse))
    return whole, round((trace.impulse - whole) * IMPULSE_STEPS)


class EpochDraws(NamedTuple):
    """Random numbers of some epochs; the first axis of each counts them.

    Attributes:
        rounding: For all synaptic variables, in [0, 1).
        decay: For the decay of presynaptic and postsynaptic traces, shape ``(epoch, 2)``, in [0, 1).
        impulse: For the last impulse of an epoch, likewise, whole numbers below 128.
        early: For a postsynaptic impulse before the last, at every timestep, shape ``(epoch, timestep)``.
    """

    rounding: Float64
    decay: Float64
    impulse: Int64
    early: Int64


class RandomStreams:
    """The random numbers of one learning projection, in Lava's order.

    Lava's generators draw once when they are made. Those of traces draw twice in every timestep, that
    of synaptic variables once in every epoch.

    Args:
        rule: Gives seed and timesteps per epoch.
        epochs: Epochs that lie behind.
    """

    def __init__(self, rule: LearningRule, epochs: int) -> None:
        self._steps = rule.epoch
        self._rounding = np.random.default_rng(ROUNDING_SEED)
        self._decay = [np.random.default_rng(rule.seed + offset) for offset in (0, 2)]
        self._impulse = [np.random.default_rng(rule.seed + offset) for offset in (1, 3)]
        self._rounding.random(1)
        for generator in self._decay:
            generator.random(1)
        for generator in self._impulse:
            generator.integers(0, RANDOM_STEPS, size=1)
        while epochs > 0:  # in parts, so that memory stays bounded
            self.draw(min(epochs, 4096))
            epochs -= 4096

    def draw(self, epochs: int) -> EpochDraws:
        """Draw for the next epochs."""
        shape = (epochs, self._steps, 2)
        decay = [generator.random(shape)[:, -1, 1] for generator in self._decay]
        impulse = [generator.integers(0, RANDOM_STEPS, size=shape) for generator in self._impulse]
        return EpochDraws(
            self._rounding.random(epochs),
            np.stack(decay, axis=1),
            np.stack([numbers[:, -1, 1] for numbers in impulse], axis=1),
            np.ascontiguousarray(impulse[1][:, :, 0]),
        )


GAINS: Final[Int64] = np.round((1 << GAIN_BITS) * 2.0 ** (-np.arange(STABILITY_ONE) / STABILITY_ONE)).astype(np.int64)
"""``2^15 * 2^(-s/16)`` for ``s`` of 0 to 15, rounded."""


def third_factor(amount: int, stability: int) -> int:
    """What a neuron of some stability sends for a reward or penalty: ``amount * 2^(-stability/16)``, rounded down.

    Args:
        amount: 0 to 127.
        stability: 0 to 127.

    >>> [third_factor(64, s) for s in (0, 8, 16, 17)]
    [64, 45, 32, 30]
    """
    return int(amount * int(GAINS[stability % STABILITY_ONE])) >> (GAIN_BITS + stability // STABILITY_ONE)
