"""Compare each segment of a cut model with the whole hybrid model, on the whole model's own values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hsnn.ir.hybrid import HybridModel
from hsnn.ir.plan import HostStage, Plan, Stage
from hsnn.passes.simulation.float_run import chip_inputs, load_host, made_values
from hsnn.passes.simulation.simulate import simulate
from hsnn.passes.simulation.whole_run import run_whole
from hsnn.verify.difference import Difference

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How one value that leaves a segment agrees.

    Attributes:
        value: Name in the hybrid model.
        relative: Largest difference over the largest value, of values that are no spikes.
        flipped: Spikes that differ; of neurons that count, by how many the counts do.
        spikes: Spikes in the whole model.
        difference: The first that differs, if one does.
    """

    value: str
    relative: float
    flipped: int
    spikes: int
    difference: Difference | None


def compare_segments(hybrid: HybridModel, plan: Plan, samples: Mapping[str, Array]) -> tuple[Agreement, ...]:
    """Run the hybrid model once with every crossing value exposed, then each segment by itself.

    Args:
        hybrid: The model that was cut.
        plan: Its segments.
        samples: Model inputs, batch axis first.
    """
    crossing = tuple(dict.fromkeys(value for stage in plan.stages for value in (*stage.inputs, *stage.outputs)))
    whole = run_whole(hybrid, samples, crossing)
    spiking = {cut.value for cut in plan.cuts}
    agreements: list[Agreement] = []
    for stage in plan.stages:
        for value, found in _run_stage(stage, whole).items():
            agreements.append(_compare(stage.name, value, whole[value], found, spikes=value in spiking))
    return tuple(agreements)


def _run_stage(stage: Stage, whole: Mapping[str, Array]) -> dict[str, Array]:
    if isinstance(stage, HostStage):
        return load_host(stage).run({name: whole[name] for name in stage.inputs})
    driven = chip_inputs(stage, whole)
    return made_values(stage, driven, simulate(stage.graph, driven, keep=None))


def _compare(stage: str, value: str, expected: Array, found: Array, *, spikes: bool) -> Agreement:
    a, b = expected.astype(np.float64), found.astype(np.float64)
    counted = spikes and bool(np.all((a >= 0) & (a == np.rint(a))))
    wrong = a != b if counted else np.abs(a - b) > 1e-5 * max(float(np.abs(a).max(initial=0.0)), 1e-6)
    where = np.argwhere(wrong)
    difference = None
    if where.size:
        index = tuple(int(i) for i in where[0])
        timed = spikes and len(index) > 1
        difference = Difference(
            stage,
            value,
            "spikes" if counted else "value",
            index[0] if timed else None,
            index[1] if timed else index[0],
            index[2:] if timed else index[1:],
            float(a[index]),
            float(b[index]),
        )
    if counted:
        return Agreement(value, 0.0, math.ceil(np.abs(a - b).sum()), int(a.sum()), difference)
    relative = float(np.abs(a - b).max(initial=0.0)) / max(float(np.abs(a).max(initial=0.0)), 1e-6)
    return Agreement(value, relative, 0, 0, difference)
