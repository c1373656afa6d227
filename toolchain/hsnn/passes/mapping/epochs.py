"""When synapses learn: where the epochs of a sample end, in timesteps of the hardware.

Lava counts epochs by its own clock, so what is learned depends on when spikes arrive. A sample takes
``period`` timesteps of the hardware, 1 to ``period``. Spikes that a projection carries into a population of depth
``k`` arrive from timestep ``k`` on, those of that population from ``k + 1`` on. The period is the least
multiple of all epochs in which every spike of a sample arrives, with a gap as long as the longest delay.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hsnn.ir.plastic import plastic_projections
from hsnn.ir.populations import ConstantSource
from hsnn.passes.mapping.delays import match_delays
from hsnn.passes.mapping.idle import without_idle_projections

if TYPE_CHECKING:
    from hsnn.ir.integer import IntegerNetwork


@dataclass(frozen=True, slots=True)
class Clock:
    """The hardware's time within a sample.

    Attributes:
        period: Timesteps of the hardware from one sample to the next.
        depth: For every port and population: timesteps by which it is behind the inputs.
    """

    period: int
    depth: Mapping[str, int]


def learning_clock(network: IntegerNetwork) -> Clock:
    """Find the period of a network that learns.

    Raises:
        HsnnError: Of :func:`hsnn.passes.mapping.delays.match_delays`.
    """
    working = without_idle_projections(network)
    timing = match_delays(working)
    constant = {p.name for p in working.populations if isinstance(p, ConstantSource)}
    gap = max((p.delay for p in working.projections if p.pre not in constant), default=0)
    least = network.timesteps + max(gap, timing.deepest)
    epoch = math.lcm(*(p.rule.epoch for p in plastic_projections(working)))
    return Clock(-(-least // epoch) * epoch, timing.depth)
