"""Run networks that learn, sample by sample; with the rules of ``machine`` and those of ``synapses``.

Aligned time goes on as in any run. The hardware's time, in which epochs are counted, runs beside it: what a
plastic projection delivers at aligned timestep ``t`` arrives at its population's depth later, so all epochs
that end before are closed first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.plastic import (
    LearnerPopulation,
    PlasticProjection,
    has_third_factor,
    learners,
    plastic_projections,
    with_parts,
)
from hsnn.ir.populations import ConstantSource, LifPopulation, Neuron
from hsnn.ir.shape import size
from hsnn.ir.validate_batch import Inputs, validate_inputs, widen
from hsnn.learning import Learned
from hsnn.passes.mapping.epochs import Clock, learning_clock
from hsnn.target import Progress, SegmentResult
from hsnn_targets.reference.dynamics import State, deliver, rest, step, total_activation
from hsnn_targets.reference.learner import Competition
from hsnn_targets.reference.synapses import PlasticSynapses

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Int32 = NDArray[np.int32]
    Int64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class LearningReference:
    """A network with parts that learn; each run and each lesson starts from it."""

    network: IntegerNetwork

    def run(self, inputs: Inputs, *, trace: bool = False, progress: Progress | None = None) -> SegmentResult:
        """Run one batch without learning; see :class:`hsnn.target.Executable`."""
        return _Lesson(self.network, learns=False).take(inputs, trace=trace, progress=progress)

    def learn(self, inputs: Inputs, *, trace: bool = False, progress: Progress | None = None) -> Learned:
        """Learn from samples in order; see :class:`hsnn.learning.Learner`."""
        lesson = _Lesson(self.network, learns=True)
        result = lesson.take(inputs, trace=trace, progress=progress)
        return Learned(lesson.network(), result)

    def close(self) -> None:
        """Do nothing: there is nothing to release."""


@dataclass(slots=True)
class _Sample:
    """One sample that is under way; arrays of states have a batch of 1."""

    inputs: Mapping[str, Int32]
    states: dict[str, State]
    contests: dict[str, Competition]
    third: dict[str, list[Int64]] = field(default_factory=dict)
    """What each learner population sent as third factor at every timestep so far."""
    clocks: dict[str, int] = field(default_factory=dict)
    """Timestep of the hardware that each plastic projection has reached."""


class _Lesson:
    """A network, what it has learned so far, and what it has done."""

    def __init__(self, network: IntegerNetwork, *, learns: bool) -> None:
        self._network, self._learns = network, learns
        self._clock: Clock = learning_clock(network)
        self._synapses = {
            p.name: PlasticSynapses(p, third_factor=has_third_factor(network, p)) for p in plastic_projections(network)
        }
        self._minds = {p.name: (p.stability.astype(np.int64), p.recruited.astype(np.int64)) for p in learners(network)}

    def take(self, inputs: Inputs, *, trace: bool, progress: Progress | None) -> SegmentResult:
        """Run samples in order."""
        batch, given = validate_inputs(self._network, inputs), widen(inputs)
        done = []
        for index in range(batch):
            done.append(self._sample({name: array[:, index : index + 1] for name, array in given.items()}))
            if progress is not None:
                progress(1)
        sent = {n.name: np.concatenate([np.stack(s[n.name].sent) for s in done], axis=1) for n in self._network.neurons}
        spiking = [p.name for p in self._network.neurons if isinstance(p, LifPopulation)]
        return SegmentResult(
            outputs={name: sent[name] if name in sent else given[name] for name in self._network.outputs},
            spikes={name: sent[name] for name in spiking} if trace else {},
            current={name: np.concatenate([s[name].u for s in done]) for name in sent} if trace else {},
            voltage={name: np.concatenate([s[name].v for s in done]) for name in sent} if trace else {},
            spike_counts={name: int(sent[name].sum()) for name in spiking},
        )

    def network(self) -> IntegerNetwork:
        """The network with what it has learned."""
        projections = {p.name: _projection(p, self._synapses[p.name]) for p in plastic_projections(self._network)}
        populations = {
            p.name: replace(
                p,
                stability=self._minds[p.name][0].astype(np.int32),
                recruited=self._minds[p.name][1].astype(np.int32),
            )
            for p in learners(self._network)
        }
        return with_parts(self._network, projections, populations)

    def _sample(self, inputs: Mapping[str, Int32]) -> dict[str, State]:
        states = {p.name: rest((1, *p.shape)) for p in self._network.neurons}
        contests = {}
        for p in learners(self._network):
            mind = self._minds[p.name] if self._learns else tuple(array.copy() for array in self._minds[p.name])
            contests[p.name] = Competition(p, *mind)
        sample = _Sample(inputs, states, contests, {name: [] for name in contests}, dict.fromkeys(self._synapses, 0))
        for t in range(self._network.timesteps):
            for neuron in self._network.neurons:
                self._advance(sample, neuron, t)
        for projection in plastic_projections(self._network) if self._learns else ():
            self._catch_up(sample, projection, self._clock.period)
        return states

    def _advance(self, sample: _Sample, neuron: Neuron, t: int) -> None:
        """Compute one population at one aligned timestep."""
        state = sample.states[neuron.name]
        parts = []
        for projection in self._network.into(neuron.name):
            if t < projection.delay:
                continue
            now = projection
            if isinstance(projection, PlasticProjection):
                if self._learns:
                    self._catch_up(sample, projection, self._clock.depth[neuron.name] + t - 1)
                now = replace(projection, weights=self._synapses[projection.name].stored["w"].astype(np.int16))
            parts.append(deliver(now, self._sent(sample, projection.pre, t - projection.delay), neuron.shape))
        sent = step(neuron, state, total_activation(parts, (1, *neuron.shape)))
        if isinstance(neuron, LearnerPopulation):
            contest = sample.contests[neuron.name]
            sent = contest.step(state.v[0], int(sample.inputs[neuron.label][t, 0, 0]))[None]
            sample.third[neuron.name].append(contest.sent.copy())
        state.sent.append(sent)

    def _sent(self, sample: _Sample, name: str, t: int) -> Int32:
        source = self._network.source(name)
        if isinstance(source, ConstantSource):
            return np.ones((1, *source.shape), np.int32)
        return sample.states[name].sent[t] if name in sample.states else sample.inputs[name][t]

    def _catch_up(self, sample: _Sample, projection: PlasticProjection, until: int) -> None:
        """Let a projection see the hardware's timesteps up to one of them."""
        depth = self._clock.depth[projection.post]
        post = size(self._network.source(projection.post).shape)
        for moment in range(sample.clocks[projection.name] + 1, until + 1):
            arriving = self._spikes(sample, projection.pre, moment - depth)
            third = np.zeros((3, post), np.int64)
            if projection.post in sample.third and moment > depth:
                told = sample.third[projection.post]
                third = told[min(moment - depth, self._network.timesteps) - 1]
            self._synapses[projection.name].advance(
                arriving, self._spikes(sample, projection.post, moment - depth - 1), third
            )
            sample.clocks[projection.name] = moment

    def _spikes(self, sample: _Sample, name: str, t: int) -> NDArray[np.bool_]:
        """Which neurons spiked at an aligned timestep; none outside the sample."""
        if not 0 <= t < self._network.timesteps:
            return np.zeros(size(self._network.source(name).shape), np.bool_)
        return np.asarray(self._sent(sample, name, t) != 0).reshape(-1)


def _projection(projection: PlasticProjection, synapses: PlasticSynapses) -> PlasticProjection:
    """A projection with what its synapses have learned."""
    return replace(
        projection,
        weights=synapses.stored["w"].astype(np.int16),
        tag=synapses.stored["t"].astype(np.int32),
        tag_delay=synapses.stored["d"].astype(np.int32),
        pre_traces=synapses.pre_traces.astype(np.int32),
        post_traces=synapses.post_traces.astype(np.int32),
        epochs=synapses.epochs,
    )
