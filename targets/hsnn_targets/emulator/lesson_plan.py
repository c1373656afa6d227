"""From an integer network that learns to the flat arrays of its kernels, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hsnn.ir import learning_arithmetic as rules
from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.plastic import (
    LearnerPopulation,
    PlasticProjection,
    has_third_factor,
    label_ports,
    learners,
    plastic_projections,
    with_parts,
)
from hsnn.ir.populations import ConstantSource, LifPopulation, Neuron, ResonatorPopulation, SigmaDeltaPopulation
from hsnn.ir.projections import ConvProjection, Projection
from hsnn.ir.shape import size
from hsnn.passes.mapping.epochs import Clock, learning_clock
from hsnn_targets.emulator import lesson_tables as tables
from hsnn_targets.emulator.lesson_matrix import as_matrix
from hsnn_targets.emulator.lesson_products import RuleArrays, RuleTables

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hsnn_targets.emulator.lesson_tables import Course, Memory

RESETS: Mapping[str, int] = {"zero": tables.ZERO, "subtract": tables.SUBTRACT, "none": tables.NONE}


@dataclass(slots=True)
class Plan:
    """Where everything of a network is.

    Attributes:
        network: A valid network.
        clock: The hardware's time.
        senders: For each port and population but label ports: first column of what it sends.
        starts: For each neuron population: its first neuron.
        weight_at: For each projection: its first weight.
        course: What the kernels read.
    """

    network: IntegerNetwork
    clock: Clock = field(init=False)
    senders: dict[str, int] = field(init=False, default_factory=dict)
    starts: dict[str, int] = field(init=False, default_factory=dict)
    weight_at: dict[str, int] = field(init=False, default_factory=dict)
    course: Course = field(init=False)
    _weights: list[NDArray[np.int32]] = field(init=False, default_factory=list)
    _width: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        network = self.network
        self.clock = learning_clock(network)
        labels = label_ports(network)
        for item in (*network.inputs, *network.populations):
            if item.name not in labels:
                self.senders[item.name] = self._width
                self._width += size(item.shape)
        neurons = 0
        for neuron in network.neurons:
            self.starts[neuron.name] = neurons
            neurons += size(neuron.shape)
        projections = self._projections()
        plastics, products = self._plastics()
        self.course = tables.Course(
            _table([self._population(neuron) for neuron in network.neurons], tables.MARGIN + 1),
            np.concatenate([_parameters(neuron) for neuron in network.neurons], axis=1),
            projections,
            plastics,
            products.decays,
            products.impulses,
            products.products,
            products.factors,
            products.ranges,
            rules.GAINS.copy(),
            np.array([network.timesteps, self.clock.period], np.int64),
        )

    @property
    def columns(self) -> int:
        """Columns of what is sent."""
        return self._width

    def memory(self) -> Memory:
        """State of the network as it is, with scratch memory."""
        network, plastics = self.network, plastic_projections(self.network)
        neurons = self.course.parameters.shape[1]
        tags = [tag.T.ravel() for p in plastics for tag in (p.tag, p.tag_delay)]
        traces = [traces.ravel() for p in plastics for traces in (p.pre_traces, p.post_traces)]
        minds = np.zeros((2, neurons), np.int64)
        for p in learners(network):
            at = slice(self.starts[p.name], self.starts[p.name] + size(p.shape))
            minds[0, at], minds[1, at] = p.stability.ravel(), p.recruited.ravel()
        progress = np.zeros((len(plastics), 4), np.int64)
        progress[:, tables.EPOCHS] = [p.epochs for p in plastics]
        widest = max((size(n.shape) for n in network.neurons), default=1)
        epoch = max((p.rule.epoch for p in plastics), default=1)
        pre = max((p.weights.shape[1] for p in plastics), default=1)
        return tables.Memory(
            np.concatenate([np.zeros(0, np.int32), *self._weights]),
            np.concatenate([np.zeros(0, np.int32), *tags]),
            np.concatenate([np.zeros(0, np.int32), *traces]),
            np.zeros(sum(sum(p.weights.shape) for p in plastics), np.int32),
            minds,
            progress,
            np.zeros((3, neurons), np.int32),
            np.zeros((len(network.neurons), 2), np.int64),
            np.zeros((network.timesteps + 1, 3, neurons), np.int64),
            np.zeros((network.timesteps, self._width), np.int32),
            np.zeros(widest, np.int64),
            np.zeros(widest, np.int64),
            np.zeros((epoch + 1, 2, pre), np.int64),
            np.zeros((epoch + 1, 3, widest), np.int64),
            np.zeros(widest, np.int64),
        )

    def network_of(self, memory: Memory) -> IntegerNetwork:
        """The network with what a lesson has left in memory."""
        plastics = plastic_projections(self.network)
        projections = {p.name: self._learned(p, k, memory) for k, p in enumerate(plastics)}
        populations = {}
        for p in learners(self.network):
            at = slice(self.starts[p.name], self.starts[p.name] + size(p.shape))
            stability, recruited = (row[at].reshape(p.shape).astype(np.int32) for row in memory.minds)
            populations[p.name] = replace(p, stability=stability, recruited=recruited)
        return with_parts(self.network, projections, populations)

    def _learned(self, projection: PlasticProjection, index: int, memory: Memory) -> PlasticProjection:
        row = self.course.plastics[index]
        post, pre = projection.weights.shape

        def cut(array: NDArray[np.int32], first: int, rows: int, width: int) -> NDArray[np.int32]:
            return array[first : first + rows * width].reshape(rows, width).copy()

        tags = int(row[tables.P_TAGS])
        return replace(
            projection,
            weights=np.ascontiguousarray(cut(memory.weights, int(row[tables.P_WEIGHTS]), pre, post).T.astype(np.int16)),
            tag=np.ascontiguousarray(cut(memory.tags, tags, pre, post).T),
            tag_delay=np.ascontiguousarray(cut(memory.tags, tags + pre * post, pre, post).T),
            pre_traces=cut(memory.traces, int(row[tables.P_X]), 2, pre),
            post_traces=cut(memory.traces, int(row[tables.P_Y]), 3, post),
            epochs=int(memory.progress[index, tables.EPOCHS]),
        )

    def _population(self, neuron: Neuron) -> list[int]:
        row = [0] * (tables.MARGIN + 1)
        row[tables.START], row[tables.COUNT] = self.starts[neuron.name], size(neuron.shape)
        row[tables.SENT], row[tables.KIND] = self.senders[neuron.name], tables.INTEGRATOR
        if isinstance(neuron, LifPopulation):
            row[tables.KIND], row[tables.RESET] = tables.LIF, RESETS[neuron.reset]
            row[tables.REFRACTORY] = neuron.refractory
        if isinstance(neuron, LearnerPopulation):
            row[tables.KIND], row[tables.WIDTH] = tables.LEARNER, neuron.shape[1]
            row[tables.LABEL] = label_ports(self.network).index(neuron.label)
            row[tables.REWARD], row[tables.PENALTY] = neuron.reward, neuron.penalty
            row[tables.UP], row[tables.DOWN] = neuron.stability_up, neuron.stability_down
            row[tables.MARGIN] = neuron.recruit_margin
        return row

    def _projections(self) -> NDArray[np.int64]:
        """Rows of all projections; lays out their weights on the way."""
        plastic = {p.name: k for k, p in enumerate(plastic_projections(self.network))}
        rows, first = [], 0
        for k, neuron in enumerate(self.network.neurons):
            for projection in self.network.into(neuron.name):
                weights = self._matrix(projection)
                self.weight_at[projection.name] = first
                self._weights.append(np.ascontiguousarray(weights.T.astype(np.int32)).ravel())
                row = [0] * (tables.PLASTIC + 1)
                row[tables.PRE_SENT], row[tables.PRE_COUNT] = self.senders[projection.pre], weights.shape[1]
                row[tables.POST], row[tables.WEIGHTS] = k, first
                row[tables.EXPONENT], row[tables.DELAY] = projection.weight_exp, projection.delay
                row[tables.WRAP24] = int(isinstance(projection, ConvProjection))
                row[tables.PLASTIC] = plastic.get(projection.name, -1)
                rows.append(row)
                first += weights.size
        return _table(rows, tables.PLASTIC + 1)

    def _matrix(self, projection: Projection) -> NDArray[Any]:
        source, target = self.network.source(projection.pre), self.network.source(projection.post)
        return as_matrix(projection, source.shape, target.shape)

    def _plastics(self) -> tuple[NDArray[np.int64], RuleArrays]:
        rows, products = [], RuleTables()
        tag_at = trace_at = spiked_at = 0
        for p in plastic_projections(self.network):
            post, pre = p.weights.shape
            third = has_third_factor(self.network, p)
            row = [0] * (tables.P_MAY_SKIP + 1)
            row[tables.P_PRE_SENT], row[tables.P_PRE] = self.senders[p.pre], pre
            row[tables.P_POST_SENT], row[tables.P_POST] = self.senders[p.post], post
            row[tables.P_NEURONS], row[tables.P_DEPTH] = self.starts[p.post], self.clock.depth[p.post]
            row[tables.P_EPOCH], row[tables.P_DECIMATE] = p.rule.epoch, p.rule.decimate
            row[tables.P_THIRD], row[tables.P_WEIGHTS] = int(third), self.weight_at[p.name]
            row[tables.P_TAGS], row[tables.P_X], row[tables.P_Y] = tag_at, trace_at, trace_at + 2 * pre
            row[tables.P_PRE_SPIKED], row[tables.P_POST_SPIKED] = spiked_at, spiked_at + pre
            first, count = products.add(p.rule, p.sign_mode, third_factor=third)
            row[tables.P_PRODUCTS], row[tables.P_PRODUCT_COUNT] = first, count
            # A tag of -257 does not even stay what it is: the accumulator holds no such value.
            row[tables.P_MAY_SKIP] = int(not p.rule.dt)
            rows.append(row)
            tag_at, trace_at, spiked_at = tag_at + 2 * pre * post, trace_at + 2 * pre + 3 * post, spiked_at + pre + post
        return _table(rows, tables.P_MAY_SKIP + 1), products.arrays()


def constants(network: IntegerNetwork) -> tuple[ConstantSource, ...]:
    """The constant sources."""
    return tuple(p for p in network.populations if isinstance(p, ConstantSource))


def _table(rows: list[list[int]], width: int) -> NDArray[np.int64]:
    return np.array(rows, np.int64).reshape(len(rows), width)


def _parameters(neuron: Neuron) -> NDArray[np.int32]:
    if isinstance(neuron, SigmaDeltaPopulation | ResonatorPopulation):
        raise TypeError("networks that learn have no sigma-delta neurons and resonators; validate_network refuses them")
    threshold, amount = (
        (neuron.threshold, neuron.reset_amount) if isinstance(neuron, LifPopulation) else (np.zeros((), np.int32),) * 2
    )
    rows = (
        4096 - (neuron.du.astype(np.int64) + 1),
        4096 - neuron.dv.astype(np.int64),
        threshold,
        neuron.bias,
        amount,
    )
    return np.stack([np.broadcast_to(row, neuron.shape).ravel() for row in rows]).astype(np.int32)
