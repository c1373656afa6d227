"""The text form of learning rules: Lava's, without what Lava misreads.

::

    sum      =  [+-] product  { (+|-) product }
    product  =  part { * part }
    part     =  number | 2^exponent | dependency | variable
              | (variable +- number) | (number +- variable) | (+-number) | sgn(variable +- number)

Numbers multiply up to the coefficient. The first of ``x0``, ``y0`` and ``u0`` to ``u9`` is what the product
depends on. Blanks do not count.

Source: lava-nc 0.10.0, ``magma/core/learning/symbolic_equation.py`` and ``product_series.py``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, cast

from hsnn.errors import UnsupportedError, UsageError
from hsnn.ir.learning import (
    EXPONENT_MAX,
    MANTISSA_MAX,
    NO_TRACE,
    SYNAPTIC,
    Dependency,
    Factor,
    LearningRule,
    Product,
    Trace,
    Variable,
    check_factor,
    check_scale,
    validate_rule,
)

_VARIABLE: Final = "x[012]|y[0123]|w|d|t"
_POWER = re.compile(r"2\^([+-]?\d+)")
_NUMBER = re.compile(r"\d+")
_EPOCHS = re.compile(r"u(\d+)")
_PLAIN = re.compile(_VARIABLE)
_SIGNED = re.compile(r"\(([+-]?)(\d+)\)")
_SUM = re.compile(rf"(sgn)?\(([+-]?)(?:({_VARIABLE})(?:([+-])(\d+))?|(\d+)([+-])({_VARIABLE}))\)")
_TARGETS: Final = ("dw", "dt", "dd")
_DECIMAL = re.compile(r"\d\.|\.\d")


def parse_rule(
    *,
    dw: str = "",
    dt: str = "",
    dd: str = "",
    x1: Trace = NO_TRACE,
    x2: Trace = NO_TRACE,
    y1: Trace = NO_TRACE,
    y2: Trace = NO_TRACE,
    y3: Trace = NO_TRACE,
    epoch: int = 1,
    seed: int = 1,
) -> LearningRule:
    """Read a rule whose sums are text.

    Args:
        dw: Sum of products for the weight, or an empty string.
        dt: The same for the tag.
        dd: The same for the delay.
        x1: First presynaptic trace.
        x2: Second presynaptic trace.
        y1: First postsynaptic trace.
        y2: Second postsynaptic trace.
        y3: Third postsynaptic trace.
        epoch: Timesteps of the hardware per epoch, 1 to 63.
        seed: Seed of the rounding of traces.

    Raises:
        UsageError: ``HSNN-I010``, if a text is no sum of products.
        UnsupportedError: ``HSNN-I011`` to ``HSNN-I014``, if Loihi cannot express the rule.

    >>> rule = parse_rule(dw="2^-2*x0*y1*(w-16) - 3*u1*x1", x1=Trace(16, 10), epoch=8)
    >>> rule.decimate, rule.dw[1]
    (1, Product(dependency='u', mantissa=-3, exponent=0, factors=(Factor(variable='x1', constant=0, sign=False),)))
    >>> format_products(rule.dw, rule.decimate)
    '2^-2*x0*y1*(w-16) - 3*2^0*u1*x1'
    """
    found: set[int] = set()
    sums = [
        _parse_sum(text, target, found) if text.strip() else ()
        for target, text in zip(_TARGETS, (dw, dt, dd), strict=True)
    ]
    if len(found) > 1:
        raise UnsupportedError(
            "HSNN-I011",
            f"a learning rule has {' and '.join(f'u{k}' for k in sorted(found))}",
            allowed="one u for all products of a rule",
        )
    rule = LearningRule(sums[0], sums[1], sums[2], min(found, default=0), x1, x2, y1, y2, y3, epoch, seed)
    validate_rule(rule)
    return rule


def format_products(products: Sequence[Product], decimate: int = 0) -> str:
    """Write products as Lava reads them, or an empty string if there are none."""
    text = ""
    for product in products:
        sign = ("- " if text else "-") if product.mantissa < 0 else ("+ " if text else "")
        text += (" " if text else "") + sign + _format_product(product, decimate)
    return text


def _format_product(product: Product, decimate: int) -> str:
    size = abs(product.mantissa)
    scale = f"2^{product.exponent}" if size == 1 else f"{size}*2^{product.exponent}"
    dependency = f"u{decimate}" if product.dependency == "u" else product.dependency
    return "*".join([scale, dependency, *map(_format_factor, product.factors)])


def _format_factor(factor: Factor) -> str:
    body = factor.variable + (f"{factor.constant:+d}" if factor.constant else "")
    if factor.sign:
        return f"sgn({body})"
    return f"({body})" if factor.constant else body


def _parse_sum(text: str, target: str, found: set[int]) -> tuple[Product, ...]:
    plain = re.sub(r"\s", "", text)
    if _DECIMAL.search(plain):
        raise UnsupportedError(
            "HSNN-I012", f"{target} has a decimal fraction in {text!r}", allowed="whole numbers and powers 2^e"
        )
    products = []
    for sign, body in _split(plain, text):
        draft = _Draft(f"the product {body!r} of {target}", mantissa=sign)
        for part in _parts(body):
            draft.take(part)
        products.append(draft.finish(found))
    return tuple(products)


def _split(plain: str, text: str) -> list[tuple[int, str]]:
    """Cut a sum at the signs outside brackets that do not belong to an exponent."""
    pieces: list[tuple[int, str]] = []
    depth, start, sign = 0, 0, 1
    for place, letter in enumerate(plain):
        depth += (letter == "(") - (letter == ")")
        if letter in "+-" and depth == 0 and plain[max(place - 1, 0)] != "^":
            if place > start:
                pieces.append((sign, plain[start:place]))
            elif place:
                raise _unreadable(plain[place - 1 :], text)
            start, sign = place + 1, -1 if letter == "-" else 1
    if depth or start >= len(plain):
        raise _unreadable(plain[start:] or plain[-1:], text)
    return [*pieces, (sign, plain[start:])]


def _parts(body: str) -> list[str]:
    return body.split("*")


@dataclass(slots=True)
class _Draft:
    """A product that is being read."""

    where: str
    mantissa: int
    exponent: int = 0
    dependency: Dependency | None = None
    decimate: int | None = None
    factors: list[Factor] = field(default_factory=list)

    def take(self, part: str) -> None:
        """Add one part."""
        if match := _POWER.fullmatch(part):
            self.exponent += int(match[1])
        elif _NUMBER.fullmatch(part):
            self.mantissa *= int(part)
        elif match := _SIGNED.fullmatch(part):
            self.mantissa *= int(match[1] + match[2])
        elif match := _EPOCHS.fullmatch(part):
            self._take_epochs(match[1])
        elif _PLAIN.fullmatch(part):
            self._take_variable(cast("Variable", part))
        elif match := _SUM.fullmatch(part):
            self._take_sum(match)
        else:
            raise _refused(part, self.where)

    def _take_epochs(self, digits: str) -> None:
        if len(digits) > 1:
            raise UnsupportedError(
                "HSNN-I011",
                f"{self.where} has u{digits}",
                allowed="u0 to u9: Lava reads one digit and multiplies by the rest",
            )
        if self.dependency is not None:
            raise UnsupportedError(
                "HSNN-I011",
                f"{self.where} has u{digits} behind {self.dependency}, where Lava ignores it",
                allowed="u first",
                fix="write u first; x0 and y0 may follow as factors",
            )
        self.dependency, self.decimate = "u", int(digits)

    def _take_variable(self, name: Variable) -> None:
        if name in ("x0", "y0") and self.dependency is None:
            self.dependency = cast("Dependency", name)
        else:
            self.factors.append(Factor(name))

    def _take_sum(self, match: re.Match[str]) -> None:
        signum, lead, first, operator, constant, number, infix, second = match.groups()
        negative = (lead == "-") if first else (infix == "-")
        value = int((operator or "+") + (constant or "0")) if first else int((lead or "+") + number)
        if negative and signum:
            raise _refused(match[0], self.where)
        # -(v) + c is -(v - c): the sign goes to the coefficient.
        self.mantissa, value = (-self.mantissa, -value) if negative else (self.mantissa, value)
        self.factors.append(Factor(cast("Variable", first or second), value, bool(signum)))

    def finish(self, found: set[int]) -> Product:
        """Check the product and make it plain."""
        if self.dependency is None:
            raise UnsupportedError(
                "HSNN-I011",
                f"{self.where} depends on no spike and no epoch",
                allowed="x0, y0 or u0 to u9 in every product",
                fix="multiply it by x0, y0 or u0",
            )
        if self.decimate is not None:
            found.add(self.decimate)
        mantissa, exponent = self.mantissa, self.exponent
        while abs(mantissa) > MANTISSA_MAX and mantissa % 2 == 0 and exponent < EXPONENT_MAX:
            mantissa, exponent = mantissa // 2, exponent + 1
        check_scale(mantissa, exponent, self.where)
        for factor in self.factors:
            check_factor(factor, self.where)
        return Product(self.dependency, mantissa, exponent, tuple(self.factors))


def _refused(part: str, where: str) -> Exception:
    """Say what is wrong with a part: Loihi cannot express it, or nobody can read it."""
    names = re.findall(_VARIABLE, part)
    if part.startswith(("(", "sgn(")) and (len(names) > 1 or part.startswith("sgn(")):
        return UnsupportedError(
            "HSNN-I013",
            f"{where} has the factor {part!r}",
            allowed=f"one variable and one number in brackets, sgn of {', '.join(SYNAPTIC)} and a number",
            fix="multiply it out into several products",
        )
    return _unreadable(part, where)


def _unreadable(part: str, where: str) -> UsageError:
    return UsageError(
        "HSNN-I010",
        f"{part!r} in {where} cannot be read",
        allowed="products joined by + and -, of numbers, 2^e, x0, y0, u0 to u9, x1, x2, y1 to y3, w, d, t, "
        "(variable +- number) and sgn(w), joined by *",
    )
