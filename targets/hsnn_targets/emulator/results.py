"""Memory for the results of a run, and their shape for the caller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hsnn.errors import RunError
from hsnn.ir.integer import ConstantSource, IntegerNetwork, LifPopulation, Neuron, Shape, size
from hsnn.target import SegmentResult
from hsnn_targets.emulator.memory import available_bytes

if TYPE_CHECKING:
    from hsnn_targets.emulator.tables import Int32, Int64


SMALL_BYTES = 16 << 20
"""Results that are not worth asking the system for its free memory: that takes longer than many a run."""


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Where the results of a network lie, found once; offsets are those of a batch of one sample.

    Attributes:
        network: The network.
        trace: Whether spikes and final states of all populations are kept.
        sent_at, final_at: Where each population's part starts, or -1.
        sent, final: Sizes of all parts.
        place: Place of each population among the neurons of the program.
        shapes: Feature shapes of these.
        spiking, traced: Names whose spikes are counted, and whose states are kept.
    """

    network: IntegerNetwork
    trace: bool
    sent_at: Int64
    final_at: Int64
    sent: int
    final: int
    place: Mapping[str, int]
    shapes: tuple[Shape, ...]
    spiking: tuple[str, ...]
    traced: tuple[str, ...]


def lay_out(network: IntegerNetwork, neurons: tuple[Neuron, ...], *, trace: bool) -> Layout:
    """Lay out the results of a network whose program has these neurons in this order."""
    recorded = [n.name in network.outputs or (trace and isinstance(n, LifPopulation)) for n in neurons]
    counts = np.array([size(neuron.shape) for neuron in neurons], np.int64)
    sent_at, sent = _places(counts * network.timesteps, np.array(recorded, bool))
    final_at, final = _places(counts * 2, np.full(len(neurons), trace))
    return Layout(
        network,
        trace,
        sent_at,
        final_at,
        sent,
        final,
        {neuron.name: place for place, neuron in enumerate(neurons)},
        tuple(neuron.shape for neuron in neurons),
        tuple(p.name for p in network.neurons if isinstance(p, LifPopulation)),
        tuple(p.name for p in network.neurons) if trace else (),
    )


class Results:
    """Two flat arrays that the kernels write: what populations sent, and final states.

    Attributes:
        sent, sent_at, final, final_at: See :class:`hsnn_targets.emulator.tables.Run`.
        batch: Samples.
    """

    def __init__(self, layout: Layout, batch: int) -> None:
        self.batch = batch
        self._layout = layout
        self.sent_at, self.final_at = layout.sent_at * max(batch, 1), layout.final_at * max(batch, 1)
        needed = 4 * batch * (layout.sent + layout.final)
        room = available_bytes() if needed > SMALL_BYTES else None
        if room is not None and needed > room:
            raise _too_large(layout.network, batch, needed, room)
        try:
            self.sent = np.zeros(layout.sent * batch, np.int32)
            self.final = np.zeros(layout.final * batch, np.int32)
        except MemoryError as error:
            raise _too_large(layout.network, batch, needed, room) from error

    def gather(self, inputs: Mapping[str, Int32], counts: Int64) -> SegmentResult:
        """Shape the results; ``counts`` are the spikes of each population."""
        layout = self._layout
        place, counted = layout.place, counts.tolist()
        return SegmentResult(
            outputs={name: self._output(name, inputs) for name in layout.network.outputs},
            spikes={name: self._sent(place[name]) for name in layout.spiking} if layout.trace else {},
            current={name: self._final(place[name], 0) for name in layout.traced},
            voltage={name: self._final(place[name], 1) for name in layout.traced},
            spike_counts={name: counted[place[name]] for name in layout.spiking},
        )

    def _output(self, name: str, inputs: Mapping[str, Int32]) -> Int32:
        network, place = self._layout.network, self._layout.place.get(name)
        if place is not None:
            return self._sent(place)
        source = network.source(name)
        if isinstance(source, ConstantSource):
            return np.ones((network.timesteps, self.batch, *source.shape), np.int32)
        return inputs[name]

    def _sent(self, place: int) -> Int32:
        network = self._layout.network
        return self._part(self.sent, self.sent_at[place], (network.timesteps, self.batch, *self._shape(place)))

    def _final(self, place: int, state: int) -> Int32:
        shape = (self.batch, *self._shape(place))
        return self._part(self.final, self.final_at[place] + state * size(shape), shape)

    def _shape(self, place: int) -> Shape:
        return self._layout.shapes[place]

    @staticmethod
    def _part(flat: Int32, start: int, shape: Shape) -> Int32:
        return flat[start : start + size(shape)].reshape(shape)


def _too_large(network: IntegerNetwork, batch: int, needed: int, room: int | None) -> RunError:
    """Say what the results of a batch take, and how many samples would fit."""
    fitting = 0 if room is None else room * batch // needed
    fix = f"run at most {fitting} samples at a time" if fitting else "run smaller batches"
    return RunError(
        "HSNN-R040",
        f"segment {network.name!r} needs {needed >> 20} MiB for the results of {batch} samples",
        allowed="" if room is None else f"{room >> 20} MiB, which are available",
        fix=f"{fix}, or without a trace",
    )


def _places(sizes: Int64, wanted: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> tuple[Int64, int]:
    """Lay parts end to end; returns where each starts (-1 where it is not wanted) and the whole size."""
    taken = np.where(wanted, sizes, 0)
    ends = np.cumsum(taken)
    return np.where(wanted, ends - taken, -1), int(ends[-1]) if ends.size else 0
