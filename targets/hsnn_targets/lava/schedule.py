"""Turn aligned time into Lava's: periods, windows, and how many samples are under way at once.

A population of depth ``k`` works on sample ``n`` in the physical timesteps ``n * period + k + 1`` to
``n * period + k + timesteps``. Between two samples lies a gap as long as the longest delay, in which
delayed spikes of one sample land without reaching the next; without delays there is no gap.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.plastic import needs_learning_engine
from hsnn.ir.populations import ConstantSource, InputPort, sends_spikes
from hsnn.ir.shape import size
from hsnn.passes.mapping.delays import Timing, match_delays
from hsnn.passes.mapping.epochs import learning_clock
from hsnn_targets.lava.clock import Window

if TYPE_CHECKING:
    from hsnn.ir.populations import Population

RING_BYTES = 1 << 26
"""What the ring files of a network may hold, unless a single sample needs more."""
SLOTS_MAX = 64


@dataclass(frozen=True, slots=True)
class Schedule:
    """The clock of a network on Lava.

    Attributes:
        timing: Depths and extra delays.
        timesteps: Timesteps per sample.
        period: Physical timesteps from one sample to the next.
        slots: Samples that the ring files hold.
    """

    timing: Timing
    timesteps: int
    period: int
    slots: int

    @property
    def lag(self) -> int:
        """Periods after its own until the last spike of a sample has left the network."""
        return -(-(self.timing.deepest + self.timesteps) // self.period) - 1

    @property
    def chunk(self) -> int:
        """Periods that may run before outputs have to be collected."""
        return self.slots - self.lag

    def window(self, name: str) -> Window:
        """Window of a port or population."""
        return Window(self.period, self.timesteps, self.timing.depth[name])

    def final_step(self, name: str) -> int:
        """Physical timesteps from the start of a sample's period to the end of a population's window."""
        return self.timing.depth[name] + self.timesteps


def make_schedule(network: IntegerNetwork) -> Schedule:
    """Schedule a network.

    Raises:
        HsnnError: Of :func:`hsnn.passes.mapping.delays.match_delays`.
    """
    timing = match_delays(network)
    constant = {p.name for p in network.populations if isinstance(p, ConstantSource)}
    gap = max((p.delay for p in network.projections if p.pre not in constant), default=0)
    learns = needs_learning_engine(network)
    period = learning_clock(network).period if learns else network.timesteps + gap
    draft = Schedule(timing, network.timesteps, period, slots=0)
    fitting = RING_BYTES // sample_bytes(network) - draft.lag
    return replace(draft, slots=draft.lag + max(1, min(SLOTS_MAX, fitting)))


def sample_bytes(network: IntegerNetwork) -> int:
    """Bytes that one sample takes in all ring files."""
    recorded = (*network.inputs, *network.neurons)
    return network.timesteps * sum(size(item.shape) * np.dtype(ring_dtype(item)).itemsize for item in recorded) or 1


def ring_dtype(item: InputPort | Population) -> str:
    """Element type in which a ring file keeps what a port or population sends."""
    if isinstance(item, InputPort):
        return "int32" if item.graded else "uint8"
    return "uint8" if sends_spikes(item) else "int32"
