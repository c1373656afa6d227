"""Calibrate a whole plan: run the cut model in float, and keep what each part of it did."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hsnn.ir.plan import Plan
from hsnn.passes.simulation.calibrate import Calibration, calibration_of
from hsnn.passes.simulation.float_run import run_float

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class PlanCalibration:
    """What the cut model did with the calibration samples.

    Attributes:
        ranges: Of each spiking segment.
        cut_spikes: Of each value that crosses: spikes per timestep and sample, mean.
    """

    ranges: Mapping[str, Calibration]
    cut_spikes: Mapping[str, float]


def calibrate_plan(
    plan: Plan, samples: Mapping[str, NDArray[np.generic]], tell: Callable[[int, int], None]
) -> PlanCalibration:
    """Run the cut model in float on all samples and keep what is measured, batch by batch.

    Args:
        plan: A cut model.
        samples: By name of input, batch axis first.
        tell: Told after each batch how many samples are done, and how many there are.
    """
    total = next(iter(samples.values())).shape[0]
    ranges: dict[str, Calibration] = {}
    counts = {cut.value: 0 for cut in plan.cuts}
    last = plan.last_values()
    done = 0
    for batch in run_float(plan, samples, keep=lambda graph: ()):
        for segment in plan.chip_segments:
            name = segment.name
            part = calibration_of(segment.graph, batch.driven[name], batch.simulations[name])
            ranges[name] = ranges[name].merge(part) if name in ranges else part
            done += part.samples if segment is plan.chip_segments[0] else 0
        for value in counts:
            counts[value] += int(np.count_nonzero(batch.values[value][-1:] if value in last else batch.values[value]))
        tell(done, total)
    spikes = {cut.value: counts[cut.value] / (total * cut.timesteps) for cut in plan.cuts}
    return PlanCalibration(ranges, spikes)
