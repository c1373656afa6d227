"""A network loaded in a worker: spikes go through ring files, so many samples pass without recompiling."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.populations import Neuron, sends
from hsnn.ir.validate_batch import Inputs, validate_inputs, widen
from hsnn.target import Progress, SegmentResult
from hsnn_targets.lava.blueprint import STATE_FILE, Blueprint
from hsnn_targets.lava.layout import from_lava, lava_shape, to_lava
from hsnn_targets.lava.populations import part_name
from hsnn_targets.lava.schedule import Schedule
from hsnn_targets.lava.supervisor import Worker

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Int32 = NDArray[np.int32]


@dataclass(slots=True)
class _Batch:
    """One run: what goes in and what has come out so far."""

    size: int
    first_period: int
    inputs: Mapping[str, Int32]
    sent: dict[str, Int32] = field(default_factory=dict)
    """For each population whose spikes are wanted: ``(timestep, batch, *feature)``."""
    counts: dict[str, int] = field(default_factory=dict)
    states: dict[str, tuple[Int32, Int32]] = field(default_factory=dict)
    """Final current and voltage of the last sample, each ``(1, *feature)``."""


class LavaExecutable:
    """A network that runs on Lava.

    Lava's clock never stops between runs: a run takes a whole number of periods and lets the last sample
    drain, so the next one begins at a border between samples.

    Args:
        network: The network as it was given.
        schedule: Its schedule.
        blueprint: Its processes; their files are created here.
        timeout: Seconds without a sign of life after which a run is given up.
        board: Whether it goes to a board.
    """

    def __init__(
        self,
        network: IntegerNetwork,
        schedule: Schedule,
        blueprint: Blueprint,
        *,
        timeout: float,
        board: bool = False,
    ) -> None:
        self._network = network
        self._schedule = schedule
        self._reads_state = not board
        self._periods = 0
        self._worker = Worker(timeout=timeout)
        try:
            blueprint.save(self._worker.directory)
            feeds = {ring.file: ring.open(self._worker.directory) for ring in blueprint.feeds}
            self._feeds = {r.name: feeds[r.file] for r in blueprint.feeds if r.content is None}
            self._records = {ring.name: ring.open(self._worker.directory) for ring in blueprint.records}
            built = self._worker.request("build", board=board)
        except BaseException:
            self._worker.close()
            raise
        self.versions: Mapping[str, str] = built["versions"]
        """Versions of Python, lava-nc and numpy in the worker."""
        self.processes: Mapping[int, str] = {int(pid): name for pid, name in built["processes"].items()}
        """What Lava's processes compute, by process id."""

    def run(self, inputs: Inputs, *, trace: bool = False, progress: Progress | None = None) -> SegmentResult:
        """Run one batch; with ``trace``, final states are those of the last sample.

        Raises:
            RunError: ``HSNN-R020`` to ``HSNN-R023``; the network is closed then.
            UsageError: ``HSNN-R001``, if the inputs do not fit.
        """
        batch = _Batch(validate_inputs(self._network, inputs), self._periods, widen(inputs))
        self._allocate(batch, everything=trace)
        try:
            for first, periods in self._chunks(batch.size):
                self._fill(batch, first, periods)
                self._advance(batch, first, periods, read=trace and self._reads_state)
                finished = self._collect(batch, first, periods)
                if progress is not None and finished:
                    progress(finished)
        except BaseException:
            self.close()
            raise
        return self._result(batch, trace=trace)

    def read(self, variables: Sequence[tuple[str, str]]) -> list[NDArray[np.int64]]:
        """Read variables of processes, each as ``(part, variable)``, after a run.

        Raises:
            RunError: ``HSNN-R020`` to ``HSNN-R023``.
        """
        self._worker.request("read", variables=[list(pair) for pair in variables])
        with np.load(self._worker.directory / STATE_FILE, allow_pickle=False) as values:
            return [np.asarray(values[str(index)]) for index in range(len(variables))]

    def close(self) -> None:
        """Kill the worker; may be called twice."""
        self._worker.close()
        self._feeds, self._records = {}, {}

    def _chunks(self, size: int) -> Iterator[tuple[int, int]]:
        """Split a batch with its drain into ``(first period, periods)``, as many as the rings hold."""
        total = size + self._schedule.lag
        for first in range(0, total, self._schedule.chunk):
            yield first, min(self._schedule.chunk, total - first)

    def _slots(self, batch: _Batch, samples: range) -> NDArray[np.intp]:
        return (np.arange(samples.start, samples.stop) + batch.first_period) % self._schedule.slots

    def _fill(self, batch: _Batch, first: int, periods: int) -> None:
        """Write the inputs of some periods; those of the drain are zero."""
        present = range(first, max(first, min(first + periods, batch.size)))
        drain = range(present.stop, first + periods)
        for name, ring in self._feeds.items():
            shape = self._network.source(name).shape
            spikes = batch.inputs[name][:, present.start : present.stop]
            ring[self._slots(batch, present)] = to_lava(spikes.swapaxes(0, 1), shape)
            ring[self._slots(batch, drain)] = 0

    def _advance(self, batch: _Batch, first: int, periods: int, *, read: bool) -> None:
        """Run some periods and read the states of populations that finish the last sample on the way."""
        step, end = first * self._schedule.period, (first + periods) * self._schedule.period
        for stop, names in self._final_steps(batch.size) if read else ():
            if step < stop <= end:
                self._worker.request("run", steps=stop - step)
                step = stop
                self._read_states(batch, names)
        if step < end:
            self._worker.request("run", steps=end - step)
        self._periods += periods

    def _final_steps(self, size: int) -> list[tuple[int, list[str]]]:
        """When populations finish the last sample, in physical timesteps of the run, earliest first."""
        stops: dict[int, list[str]] = {}
        for neuron in self._network.neurons:
            step = (size - 1) * self._schedule.period + self._schedule.final_step(neuron.name)
            stops.setdefault(step, []).append(neuron.name)
        return sorted(stops.items())

    def _read_states(self, batch: _Batch, names: list[str]) -> None:
        self._worker.request("state", parts=[part_name(name) for name in names])
        with np.load(self._worker.directory / STATE_FILE, allow_pickle=False) as states:
            for index, name in enumerate(names):
                shape = self._network.source(name).shape
                current, voltage = (
                    np.ascontiguousarray(from_lava(states[f"{index}/{key}"].reshape(1, *lava_shape(shape)), shape))
                    for key in ("u", "v")
                )
                batch.states[name] = (current, voltage)

    def _collect(self, batch: _Batch, first: int, periods: int) -> int:
        """Take what finished samples have sent; returns how many have finished."""
        lag = self._schedule.lag
        finished = range(max(0, first - lag), min(batch.size, first + periods - lag))
        if not finished:
            return 0
        for name, ring in self._records.items():
            rows = ring[self._slots(batch, finished)]
            if name in batch.counts:
                batch.counts[name] += int(np.count_nonzero(rows))
            if name in batch.sent:
                spikes = from_lava(rows, self._network.source(name).shape).swapaxes(0, 1)
                batch.sent[name][:, finished.start : finished.stop] = spikes
        return len(finished)

    def _allocate(self, batch: _Batch, *, everything: bool) -> None:
        for name in self._records:
            neuron = self._network.source(name)
            spiking = sends(neuron)
            if spiking:
                batch.counts[name] = 0
            if name in self._network.outputs or (spiking and everything):
                batch.sent[name] = np.zeros((self._network.timesteps, batch.size, *neuron.shape), np.int32)

    def _result(self, batch: _Batch, *, trace: bool) -> SegmentResult:
        sent = {**batch.inputs, **batch.sent}
        states = {n.name: batch.states.get(n.name, _no_states(n)) for n in self._network.neurons} if trace else {}
        spiking: dict[str, Any] = {name: batch.sent[name] for name in batch.counts} if trace else {}
        return SegmentResult(
            outputs={name: sent[name] for name in self._network.outputs},
            spikes=spiking,
            current={name: state[0] for name, state in states.items()},
            voltage={name: state[1] for name, state in states.items()},
            spike_counts=batch.counts,
        )


def _no_states(neuron: Neuron) -> tuple[Int32, Int32]:
    """States of no sample: a board does not show them."""
    nothing = np.zeros((0, *neuron.shape), np.int32)
    return nothing, nothing
