"""Memory for the results of a run, and their shape for the caller."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from hsnn.errors import RunError
from hsnn.ir.integer import ConstantSource, IntegerNetwork, LifPopulation, Neuron, size
from hsnn.target import SegmentResult
from hsnn_targets.emulator.memory import available_bytes

if TYPE_CHECKING:
    from hsnn_targets.emulator.tables import Int32, Int64


class Results:
    """Two flat arrays that the kernels write: what populations sent, and final states.

    Attributes:
        sent, sent_at, final, final_at: See :class:`hsnn_targets.emulator.tables.Run`.
        batch: Samples.
    """

    def __init__(self, network: IntegerNetwork, neurons: tuple[Neuron, ...], *, batch: int, trace: bool) -> None:
        recorded = [n.name in network.outputs or (trace and isinstance(n, LifPopulation)) for n in neurons]
        counts = np.array([size(neuron.shape) for neuron in neurons], np.int64)
        self.batch = batch
        self._network, self._neurons, self._trace = network, neurons, trace
        self.sent_at, sent = _places(counts * (network.timesteps * batch), np.array(recorded, bool))
        self.final_at, final = _places(counts * (2 * batch), np.full(len(neurons), trace))
        needed, room = 4 * (sent + final), available_bytes()
        if room is not None and needed > room:
            raise _too_large(network, batch, needed, room)
        try:
            self.sent, self.final = np.zeros(sent, np.int32), np.zeros(final, np.int32)
        except MemoryError as error:
            raise _too_large(network, batch, needed, room) from error

    def gather(self, inputs: Mapping[str, Int32], counts: Int64) -> SegmentResult:
        """Shape the results; ``counts`` are the spikes of each population."""
        place_of = {neuron.name: place for place, neuron in enumerate(self._neurons)}
        sent = {name: self._sent(place) for name, place in place_of.items() if self.sent_at[place] >= 0}
        spiking = [p.name for p in self._network.neurons if isinstance(p, LifPopulation)]
        traced = [p.name for p in self._network.neurons] if self._trace else []
        return SegmentResult(
            outputs={name: self._output(name, sent, inputs) for name in self._network.outputs},
            spikes={name: sent[name] for name in spiking if self._trace},
            current={name: self._final(place_of[name], 0) for name in traced},
            voltage={name: self._final(place_of[name], 1) for name in traced},
            spike_counts={name: int(counts[place_of[name]]) for name in spiking},
        )

    def _output(self, name: str, sent: Mapping[str, Int32], inputs: Mapping[str, Int32]) -> Int32:
        source = self._network.source(name)
        if isinstance(source, ConstantSource):
            return np.ones((self._network.timesteps, self.batch, *source.shape), np.int32)
        return sent[name] if name in sent else inputs[name]

    def _sent(self, place: int) -> Int32:
        shape = (self._network.timesteps, self.batch, *self._neurons[place].shape)
        return self.sent[self.sent_at[place] :][: size(shape)].reshape(shape)

    def _final(self, place: int, state: int) -> Int32:
        shape = (self.batch, *self._neurons[place].shape)
        start = self.final_at[place] + state * size(shape)
        return self.final[start : start + size(shape)].reshape(shape)


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
