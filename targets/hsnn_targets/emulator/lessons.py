"""Run networks that learn on the emulator: samples one after the other, each in one call of a kernel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.learning_arithmetic import STORED_SHIFT, RandomStreams
from hsnn.ir.plastic import label_ports, plastic_projections
from hsnn.ir.populations import LifPopulation
from hsnn.ir.shape import size
from hsnn.ir.validate_batch import Inputs, validate_inputs, widen
from hsnn.learning import Learned
from hsnn.target import Progress, SegmentResult
from hsnn_targets.emulator import lesson_tables as tables
from hsnn_targets.emulator.kernel import Kernel
from hsnn_targets.emulator.lesson_plan import Plan, constants

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Int32 = NDArray[np.int32]

take_sample = Kernel("hsnn_targets.emulator.lesson_kernels", "take_sample")
CHUNK = 64
"""Samples for which random numbers are drawn at a time."""


@dataclass(slots=True)
class LearningEmulator:
    """A planned network with parts that learn; each run and each lesson starts from it.

    Attributes:
        network: A valid network.
    """

    network: IntegerNetwork
    _plan: Plan = field(init=False)

    def __post_init__(self) -> None:
        self._plan = Plan(self.network)

    def run(self, inputs: Inputs, *, trace: bool = False, progress: Progress | None = None) -> SegmentResult:
        """Run one batch without learning; see :class:`hsnn.target.Executable`."""
        return self._take(inputs, self._plan.memory(), learns=False, trace=trace, progress=progress)

    def learn(self, inputs: Inputs, *, trace: bool = False, progress: Progress | None = None) -> Learned:
        """Learn from samples in order; see :class:`hsnn.learning.Learner`."""
        memory = self._plan.memory()
        result = self._take(inputs, memory, learns=True, trace=trace, progress=progress)
        return Learned(self._plan.network_of(memory), result)

    def close(self) -> None:
        """Do nothing: there is nothing to release."""

    def _take(
        self,
        inputs: Inputs,
        memory: tables.Memory,
        *,
        learns: bool,
        trace: bool,
        progress: Progress | None,
    ) -> SegmentResult:
        """Take samples in order."""
        batch, inputs = validate_inputs(self.network, inputs), widen(inputs)
        record = _Record(self._plan, batch, trace=trace)
        streams = [RandomStreams(p.rule, p.epochs) for p in plastic_projections(self.network)] if learns else []
        for source in constants(self.network):
            first = self._plan.senders[source.name]
            memory.sent[:, first : first + size(source.shape)] = 1
        minds = memory.minds.copy()
        for start in range(0, batch, CHUNK):
            stop = min(start + CHUNK, batch)
            chances = self._draw(streams, stop - start, memory)
            for index in range(start, stop):
                labels = self._feed(inputs, index, memory)
                take_sample(labels, learns, self._plan.course, memory, chances)
                if not learns:
                    memory.minds[:] = minds
                record.add(index, memory)
            if progress is not None:
                progress(stop - start)
        return record.result(inputs)

    def _feed(self, inputs: Mapping[str, Int32], index: int, memory: tables.Memory) -> Int32:
        """Lay down what the ports send in one sample; returns labels, shape ``(timestep, port)``."""
        labels = label_ports(self.network)
        timesteps = self.network.timesteps
        for port in self.network.inputs:
            if port.name not in labels:
                first = self._plan.senders[port.name]
                memory.sent[:, first : first + size(port.shape)] = inputs[port.name][:, index].reshape(timesteps, -1)
        told = [inputs[name][:, index, 0] for name in labels]
        return np.stack(told, axis=1) if told else np.zeros((timesteps, 1), np.int32)

    def _draw(self, streams: list[RandomStreams], samples: int, memory: tables.Memory) -> tables.Chances:
        """Draw for some samples and set where each projection's numbers begin."""
        parts, draw, early = [], 0, 0
        for index, (p, stream) in enumerate(zip(plastic_projections(self.network), streams, strict=False)):
            drawn = stream.draw(samples * self._plan.clock.period // p.rule.epoch)
            memory.progress[index, tables.DRAW], memory.progress[index, tables.EARLY] = draw, early
            parts.append(drawn)
            draw, early = draw + drawn.rounding.size, early + drawn.early.size
        return tables.Chances(
            np.concatenate(
                [np.zeros(0, np.int64), *((d.rounding * (1 << STORED_SHIFT)).astype(np.int64) for d in parts)]
            ),
            np.concatenate([np.zeros((0, 2)), *(d.decay for d in parts)]),
            np.concatenate([np.zeros((0, 2), np.int64), *(d.impulse for d in parts)]),
            np.concatenate([np.zeros(0, np.int64), *(d.early.ravel() for d in parts)]),
        )


class _Record:
    """What is kept of each sample."""

    def __init__(self, plan: Plan, batch: int, *, trace: bool) -> None:
        self._plan, self._trace = plan, trace
        neurons = plan.network.neurons
        self._spiking = [p.name for p in neurons if isinstance(p, LifPopulation)]
        wanted = [p for p in neurons if p.name in plan.network.outputs or (trace and p.name in self._spiking)]
        self._sent = {p.name: np.zeros((plan.network.timesteps, batch, *p.shape), np.int32) for p in wanted}
        self._counts = dict.fromkeys(self._spiking, 0)
        states = neurons if trace else ()
        self._u = {p.name: np.zeros((batch, *p.shape), np.int32) for p in states}
        self._v = {p.name: np.zeros((batch, *p.shape), np.int32) for p in states}

    def add(self, index: int, memory: tables.Memory) -> None:
        """Keep one sample."""
        for neuron in self._plan.network.neurons:
            name, count = neuron.name, size(neuron.shape)
            sent = memory.sent[:, self._plan.senders[name] : self._plan.senders[name] + count]
            if name in self._counts:
                self._counts[name] += int(sent.sum())
            if name in self._sent:
                self._sent[name][:, index] = sent.reshape(-1, *neuron.shape)
            if self._trace:
                at = slice(self._plan.starts[name], self._plan.starts[name] + count)
                self._u[name][index] = memory.states[tables.U, at].reshape(neuron.shape)
                self._v[name][index] = memory.states[tables.V, at].reshape(neuron.shape)

    def result(self, inputs: Mapping[str, Int32]) -> SegmentResult:
        """The result of all samples."""
        outputs = {
            name: self._sent[name] if name in self._sent else inputs[name] for name in self._plan.network.outputs
        }
        spikes = {name: self._sent[name] for name in self._spiking} if self._trace else {}
        return SegmentResult(outputs, spikes, self._u, self._v, self._counts)
