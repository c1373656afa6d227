"""Learning rules as data: what a synapse of Loihi can compute from traces, as sums of products.

Three variables of a synapse can learn, the weight ``w``, the tag ``t`` and the delay ``d``. At the end of
every epoch each adds up its products::

    z  <-  z + sum of  mantissa * 2^exponent * dependency * factor * factor * ...

A dependency says when a product counts: ``x0`` if the presynaptic neuron has spiked in this epoch, ``y0`` if
the postsynaptic one has, ``u`` in every ``2^k``-th epoch. A factor is a trace, a synaptic variable or a
spike, with a constant added if wanted, or the sign of a synaptic variable. Traces of the presynaptic side
(``x1``, ``x2``) grow by an impulse with every spike and decay; those of the postsynaptic side (``y1`` to
``y3``) do the same, or are the third factor: values that the postsynaptic neuron itself sends.

The arithmetic is in ``hsnn.ir.learning_arithmetic``, the text form in ``hsnn.ir.learning_text``. Limits are
those of Loihi's learning engine as lava-nc 0.10.0 has them (``magma/core/learning``); what Lava would take
and misunderstand (two digits of ``u``, products that leave 32 bits) is refused, too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeAlias

from hsnn.errors import UnsupportedError

Variable: TypeAlias = Literal["x0", "x1", "x2", "y0", "y1", "y2", "y3", "w", "d", "t"]
Dependency: TypeAlias = Literal["x0", "y0", "u"]
Target: TypeAlias = Literal["dw", "dt", "dd"]

BITS: Final = {"x0": 1, "y0": 1, "x1": 7, "x2": 7, "y1": 7, "y2": 7, "y3": 7, "w": 9, "d": 9, "t": 9}
"""Bits of each variable in a product, without the sign of traces (``FACTOR_TO_WIDTH_DICT``)."""
SYNAPTIC: Final = ("w", "d", "t")
MANTISSA_MIN, MANTISSA_MAX = -8, 7
EXPONENT_MIN, EXPONENT_MAX = -7, 8
DECIMATE_MAX = 9
"""Largest ``k`` of ``u_k``: Lava reads one digit."""
EPOCH_MAX = 63
IMPULSE_MAX = 127
IMPULSE_STEPS = 256
"""An impulse is a multiple of 1/256; the fraction is rounded at random."""
TAU_MAX = (1 << 16) - 1
SEED_MAX = (1 << 31) - 5
"""Largest seed: four generators use it and the three after it."""
_INT32 = 1 << 31


class Factor(NamedTuple):
    """One factor of a product.

    Attributes:
        variable: What is multiplied.
        constant: Added to the variable before; even for ``w``, ``d`` and ``t``.
        sign: Whether only the sign of the sum counts, -1, 0 or 1; for ``w``, ``d`` and ``t``.
    """

    variable: Variable
    constant: int = 0
    sign: bool = False


class Product(NamedTuple):
    """One product: ``mantissa * 2^exponent * dependency * factors``.

    Attributes:
        dependency: When it counts; traces are taken at the last spike that it names, or for ``u`` at the end
            of the epoch.
        mantissa: -8 to 7, not 0; -8 only with exponent 8.
        exponent: -7 to 8.
        factors: In any number that 32 bits can hold.
    """

    dependency: Dependency
    mantissa: int = 1
    exponent: int = 0
    factors: tuple[Factor, ...] = ()


class Trace(NamedTuple):
    """How a trace follows spikes.

    Attributes:
        impulse: Added with every spike, 0 to 127 in steps of 1/256.
        tau: Time constant of the decay in timesteps, 0 to 65535; with 0 nothing is left after a timestep.
    """

    impulse: float = 0.0
    tau: float = 0.0


NO_TRACE: Final = Trace()
"""A trace that stays 0."""


@dataclass(frozen=True, slots=True)
class LearningRule:
    """What the synapses of a projection do at the end of an epoch.

    Attributes:
        dw, dt, dd: Products for weight, tag and delay; at least one has some. In Lava and here ``d`` is a
            second tag: spikes are not delayed by it.
        decimate: ``k`` of ``u_k``, 0 to 9: products with ``u`` count in every ``2^k``-th epoch.
        x1, x2: Presynaptic traces.
        y1, y2, y3: Postsynaptic traces. All zero where the neuron sends them itself.
        epoch: Timesteps of the hardware per epoch, 1 to 63.
        seed: Seed of the rounding of traces.
    """

    dw: tuple[Product, ...] = ()
    dt: tuple[Product, ...] = ()
    dd: tuple[Product, ...] = ()
    decimate: int = 0
    x1: Trace = NO_TRACE
    x2: Trace = NO_TRACE
    y1: Trace = NO_TRACE
    y2: Trace = NO_TRACE
    y3: Trace = NO_TRACE
    epoch: int = 1
    seed: int = 1

    @property
    def products(self) -> Iterator[tuple[Target, Product]]:
        """All products with what they change."""
        for product in self.dw:
            yield "dw", product
        for product in self.dt:
            yield "dt", product
        for product in self.dd:
            yield "dd", product


def validate_rule(rule: LearningRule) -> None:
    """Check that Loihi can express a rule.

    Raises:
        UnsupportedError: ``HSNN-I011`` for what a product depends on, ``HSNN-I012`` for a coefficient,
            ``HSNN-I013`` for a factor, ``HSNN-I014`` for traces, epoch and seed, or a rule without products.
    """
    for target, product in rule.products:
        where = f"a product of {target}"
        _check_dependency(product, where)
        check_scale(product.mantissa, product.exponent, where)
        for factor in product.factors:
            check_factor(factor, where)
        _check_width(product, where)
    for name in ("x1", "x2", "y1", "y2", "y3"):
        _check_trace(getattr(rule, name), name)
    if not any(True for _ in rule.products):
        raise UnsupportedError("HSNN-I014", "a learning rule has no product", allowed="one of dw, dt and dd at least")
    _check_number(rule.epoch, "epoch", 1, EPOCH_MAX)
    _check_number(rule.decimate, "k of u_k", 0, DECIMATE_MAX if _counts_epochs(rule) else 0)
    _check_number(rule.seed, "seed", 0, SEED_MAX)


def check_scale(mantissa: int, exponent: int, where: str) -> None:
    """Check a coefficient ``mantissa * 2^exponent``.

    Raises:
        UnsupportedError: ``HSNN-I012``.
    """
    fits = MANTISSA_MIN <= mantissa <= MANTISSA_MAX and mantissa and EXPONENT_MIN <= exponent <= EXPONENT_MAX
    if not fits or (mantissa == MANTISSA_MIN and exponent != EXPONENT_MAX):
        raise UnsupportedError(
            "HSNN-I012",
            f"{where} has the coefficient {mantissa} * 2^{exponent}",
            allowed="a whole number of -7 to 7, but not 0, times 2^-7 to 2^8; also -8 * 2^8",
            fix="write it as m*2^e; several products of the same factors add up",
        )


def check_factor(factor: Factor, where: str) -> None:
    """Check one factor.

    Raises:
        UnsupportedError: ``HSNN-I013``.
    """
    if factor.variable not in BITS:
        raise UnsupportedError("HSNN-I013", f"{where} has a factor {factor.variable!r}", allowed=", ".join(BITS))
    synaptic = factor.variable in SYNAPTIC
    if factor.sign and not synaptic:
        raise UnsupportedError("HSNN-I013", f"{where} has sgn of {factor.variable!r}", allowed="sgn of w, d or t")
    low, high, step = (-256, 254, 2) if synaptic else (-128, 127, 1)
    if not low <= factor.constant <= high or factor.constant % step:
        raise UnsupportedError(
            "HSNN-I013",
            f"{where} adds {factor.constant} to {factor.variable!r}",
            allowed="-128 to 127, and for w, d and t an even number of -256 to 254",
        )


def _check_dependency(product: Product, where: str) -> None:
    if product.dependency not in ("x0", "y0", "u"):
        raise UnsupportedError(
            "HSNN-I011", f"{where} depends on {product.dependency!r}", allowed="x0, y0 or u and a digit"
        )


def _check_width(product: Product, where: str) -> None:
    """Lava multiplies in 32 bits and wraps unseen; widths bound what a product can reach."""
    width = sum(BITS[factor.variable] for factor in product.factors)
    if abs(product.mantissa) << width >= _INT32:
        raise UnsupportedError(
            "HSNN-I013",
            f"{where} multiplies {len(product.factors)} factors of {width} bits and {product.mantissa}",
            allowed="31 bits, of which a trace takes 7 and w, d and t take 9",
            fix="leave out a factor",
        )


def _check_trace(trace: Trace, name: str) -> None:
    impulse, tau = trace
    if not (0 <= impulse <= IMPULSE_MAX and float(impulse * IMPULSE_STEPS).is_integer()):
        raise UnsupportedError(
            "HSNN-I014", f"the impulse of {name} is {impulse}", allowed=f"0 to {IMPULSE_MAX} in steps of 1/256"
        )
    if not (math.isfinite(tau) and 0 <= tau <= TAU_MAX):
        raise UnsupportedError("HSNN-I014", f"the time constant of {name} is {tau}", allowed=f"0 to {TAU_MAX}")


def _counts_epochs(rule: LearningRule) -> bool:
    return any(product.dependency == "u" for _, product in rule.products)


def _check_number(value: int, name: str, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise UnsupportedError(
            "HSNN-I014", f"{name} of a learning rule is {value!r}", allowed=f"a whole number, {low} to {high}"
        )
