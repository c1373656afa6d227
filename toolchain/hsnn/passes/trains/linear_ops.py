"""Which ONNX operators can be synapses: all that are linear over the feature axes, each with its rule."""

from __future__ import annotations

from collections.abc import Mapping

from hsnn.passes.trains.rule import Rule
from hsnn.passes.trains.rules_arithmetic import ARITHMETIC_RULES
from hsnn.passes.trains.rules_layout import LAYOUT_RULES
from hsnn.passes.trains.rules_time import TIME_RULES
from hsnn.passes.trains.rules_windows import WINDOW_RULES

LINEAR_OPS: Mapping[tuple[str, str], Rule] = {**ARITHMETIC_RULES, **LAYOUT_RULES, **WINDOW_RULES, **TIME_RULES}
"""Every operator that can be a synapse, by domain and name."""
