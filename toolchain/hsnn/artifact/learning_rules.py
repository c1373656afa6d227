"""A learning rule as JSON: its sums as text, so that a reader sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hsnn.ir.learning import LearningRule, Trace
from hsnn.ir.learning_text import format_products, parse_rule

if TYPE_CHECKING:
    from hsnn.artifact import schema_network
    from hsnn.program import Json

VERSION = 1


def encode_rule(rule: LearningRule) -> dict[str, Json]:
    """Describe a valid rule; :func:`decode_rule` gives it back."""
    sums: dict[str, Json] = {name: format_products(getattr(rule, name), rule.decimate) for name in ("dw", "dt", "dd")}
    traces: dict[str, Json] = {name: _trace(getattr(rule, name)) for name in ("x1", "x2", "y1", "y2", "y3")}
    return {"version": VERSION, **sums, **traces, "epoch": rule.epoch, "seed": rule.seed}


def decode_rule(rule: schema_network.Rule) -> LearningRule:
    """Read a rule.

    Raises:
        UsageError: ``HSNN-I010``, if a sum cannot be read.
        UnsupportedError: ``HSNN-I011`` to ``HSNN-I014``, if Loihi cannot express it.
    """
    return parse_rule(
        dw=rule.dw,
        dt=rule.dt,
        dd=rule.dd,
        x1=Trace(rule.x1.impulse, rule.x1.tau),
        x2=Trace(rule.x2.impulse, rule.x2.tau),
        y1=Trace(rule.y1.impulse, rule.y1.tau),
        y2=Trace(rule.y2.impulse, rule.y2.tau),
        y3=Trace(rule.y3.impulse, rule.y3.tau),
        epoch=rule.epoch,
        seed=rule.seed,
    )


def _trace(trace: Trace) -> Json:
    return {"impulse": float(trace.impulse), "tau": float(trace.tau)}
