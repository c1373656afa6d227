"""Rules of operators that leave features alone: delays, and what hands a train on."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hsnn.ir.arithmetic import DELAY_MAX
from hsnn.ir.shape import size
from hsnn.passes.trains.affine import Affine
from hsnn.passes.trains.linear import selection
from hsnn.passes.trains.rule import NotLinearError, Rule, View


def _same(view: View) -> Affine:
    return view.spikes()


def _delay(view: View) -> Affine:
    return view.spikes().delayed(view.int_attribute("steps", 0))


def _axonal_delay(view: View) -> Affine:
    """Split into the neurons of each delay, and delay each part: one projection for every delay."""
    value = view.spikes()
    steps = view.feature_constant(1)
    if not np.all((steps >= 0) & (steps < DELAY_MAX) & (steps == np.floor(steps))):
        raise NotLinearError(f"its delays are not whole numbers from 0 to {DELAY_MAX - 1}", mixes_time=True)
    each = np.broadcast_to(steps, value.shape)
    index = np.arange(size(value.shape)).reshape(value.shape)
    found = [int(delay) for delay in np.unique(each)]
    if len(found) == 1:
        return value.delayed(found[0])
    parts = [value.then(selection(value.shape, np.where(each == delay, index, -1))).delayed(delay) for delay in found]
    total = parts[0]
    for part in parts[1:]:
        total = total.plus(part)
    return total


TIME_RULES: Mapping[tuple[str, str], Rule] = {
    ("", "Dropout"): _same,
    ("", "Identity"): _same,
    ("hsnn", "AxonalDelay"): _axonal_delay,
    ("hsnn", "Delay"): _delay,
    ("hsnn", "MergeTime"): _same,
    ("hsnn", "SplitTime"): _same,
}
