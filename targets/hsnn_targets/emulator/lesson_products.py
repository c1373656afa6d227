"""Learning rules as rows of numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hsnn.ir import learning_arithmetic as rules
from hsnn.ir.learning import BITS, NO_TRACE, LearningRule
from hsnn_targets.emulator import lesson_tables as tables

if TYPE_CHECKING:
    from hsnn.ir.arithmetic import SignMode
    from hsnn_targets.emulator.lesson_tables import Float64, Int64


class RuleArrays(NamedTuple):
    """Fields of the same names of :class:`hsnn_targets.emulator.lesson_tables.Course`."""

    decays: Float64
    impulses: Int64
    products: Int64
    factors: Int64
    ranges: Int64


@dataclass(slots=True)
class RuleTables:
    """The rules of a network's plastic projections, one behind the other."""

    products: list[list[int]] = field(default_factory=list)
    factors: list[list[int]] = field(default_factory=list)
    decays: list[list[float]] = field(default_factory=list)
    impulses: list[list[tuple[int, int]]] = field(default_factory=list)
    ranges: list[list[list[int]]] = field(default_factory=list)

    def add(self, rule: LearningRule, sign_mode: SignMode, *, third_factor: bool) -> tuple[int, int]:
        """Add a rule; returns its first product and how many it has."""
        first = len(self.products)
        for target, product in rule.products:
            row = [0] * (tables.FACTOR_COUNT + 1)
            row[tables.TARGET], row[tables.DEPENDENCY] = tables.TARGETS[target], tables.DEPENDENCIES[product.dependency]
            row[tables.MANTISSA], row[tables.SHIFT_RIGHT] = product.mantissa, rules.product_shift(product)
            row[tables.SHIFT_LEFT] = product.exponent + rules.EXPONENT_OFFSET
            row[tables.FACTORS], row[tables.FACTOR_COUNT] = len(self.factors), len(product.factors)
            self.products.append(row)
            for factor in product.factors:
                bits = BITS[factor.variable]
                code = tables.VARIABLES[factor.variable]
                self.factors.append([code, factor.constant, int(factor.sign), -(1 << bits), (1 << bits) - 1])
        own = (NO_TRACE,) * 3 if third_factor else (rule.y1, rule.y2, rule.y3)
        traces = (rule.x1, rule.x2, *own)
        taus = [trace.tau for trace in traces]
        if third_factor:
            taus[2:] = [rules.THIRD_FACTOR_TAU] * 3
        self.decays.append([rules.decay_factor(tau) for tau in taus])
        self.impulses.append([rules.split_impulse(trace) for trace in traces])
        self.ranges.append(
            [[*rules.accumulator_range(v, sign_mode), *rules.stored_range(v, sign_mode)] for v in ("w", "t", "d")]
        )
        return first, len(self.products) - first

    def arrays(self) -> RuleArrays:
        """All rows as arrays."""
        count = len(self.decays)
        return RuleArrays(
            np.array(self.decays, np.float64).reshape(count, 5),
            np.array(self.impulses, np.int64).reshape(count, 5, 2),
            np.array(self.products, np.int64).reshape(len(self.products), tables.FACTOR_COUNT + 1),
            np.array(self.factors, np.int64).reshape(len(self.factors), tables.HIGH + 1),
            np.array(self.ranges, np.int64).reshape(count, 3, 4),
        )
