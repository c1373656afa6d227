"""Compile an IntegerNetwork into the program and the scratch of the emulator's kernels, once.

Populations are put in the order of their strongly connected components. Long samples are cut into
windows of timesteps, so that what a thread works in stays small for any batch and any number of
timesteps: about ``WINDOW_BYTES``, or one timestep where that takes more, plus the state of one sample
and the spikes that delays still ask for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from hsnn.ir.arithmetic import DECAY_ONE, VOLTAGE_MAX
from hsnn.ir.integer import (
    ConstantSource,
    InputPort,
    IntegerNetwork,
    IntegratorPopulation,
    LifPopulation,
    Neuron,
    Projection,
    size,
)
from hsnn_targets.emulator import tables
from hsnn_targets.emulator.components import components
from hsnn_targets.emulator.groups import Group, group_projections
from hsnn_targets.emulator.heap import Heap
from hsnn_targets.emulator.pack import order_of, pack_projection

if TYPE_CHECKING:
    from hsnn_targets.emulator.tables import Int32, Records

WINDOW_BYTES = 1 << 20
"""What the sums and events of a window may take: about half of a second-level cache."""
SPARE = 8
"""Events that the search for spikes may write past the last one."""

Sender: TypeAlias = "InputPort | ConstantSource | LifPopulation"


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """A compiled network.

    Attributes:
        program: What the kernels read.
        tiles: State (zero) and parameters of all neurons; each thread gets a copy.
        window: Timesteps that are worked on together.
        sums, fired, events, payloads, starts: Elements of scratch.
        neurons: Populations with a state, in the order of the program.
    """

    program: tables.Program
    tiles: Int32
    window: int
    sums: int
    fired: int
    events: int
    payloads: int
    starts: int
    neurons: tuple[Neuron, ...]

    def scratch(self) -> tables.Scratch:
        """Allocate what one thread works in."""
        return tables.Scratch(
            tiles=self.tiles.copy(),
            sums=np.empty(self.sums, np.int32),
            fired=np.empty(self.fired, np.uint8),
            events=np.empty(self.events, np.int32),
            payload=np.empty(self.payloads, np.int32),
            start=np.zeros(self.starts, np.int64),
            counts=np.zeros(len(self.neurons), np.int64),
        )


def plan_network(network: IntegerNetwork) -> Plan:
    """Compile a valid network."""
    live = tuple(p for p in network.projections if p.delay < network.timesteps)
    cycles = _components(network, live)
    neurons = tuple(neuron for cycle in cycles for neuron in cycle)
    groups = tuple(group_projections(network, tuple(p for p in live if p.post == n.name)) for n in neurons)
    senders = tuple(s for s in (*network.inputs, *network.populations) if not isinstance(s, IntegratorPopulation))
    width = max((padded(neuron) for neuron in neurons), default=0)
    sums = max((padded(n) * max(len(g), 1) for n, g in zip(neurons, groups, strict=True)), default=0)
    window = _window(network, senders, 4 * sums + width)
    nodes = _Nodes(live, senders, window)
    weights, lists = Heap(np.int16), Heap(np.int32)
    program = tables.Program(
        components=_component_records(cycles, live),
        populations=_population_records(neurons, groups, nodes, lists),
        groups=_group_records(groups),
        projections=_projection_records(network, groups, nodes, weights, lists),
        nodes=nodes.records(lists),
        weights=weights.flat(),
        tables=lists.flat(),
    )
    return Plan(
        program=program,
        tiles=np.concatenate([np.zeros(0, np.int32), *map(_tiles, neurons)]),
        window=window,
        sums=window * sums,
        fired=window * width,
        events=nodes.events,
        payloads=nodes.payloads,
        starts=nodes.starts,
        neurons=neurons,
    )


def padded(neuron: Neuron) -> int:
    """Neurons of a population, rounded up to whole tiles."""
    return -(-size(neuron.shape) // tables.TILE) * tables.TILE


def _components(network: IntegerNetwork, live: tuple[Projection, ...]) -> tuple[tuple[Neuron, ...], ...]:
    by_name = {neuron.name: neuron for neuron in network.neurons}
    successors = {name: [p.post for p in live if p.pre == name] for name in by_name}
    return tuple(tuple(by_name[name] for name in part) for part in components(successors))


def _window(network: IntegerNetwork, senders: tuple[Sender, ...], population_bytes: int) -> int:
    """Choose how many timesteps are worked on together; ``population_bytes`` is the largest population's."""
    event_bytes = sum(4 * size(s.shape) * (2 if isinstance(s, InputPort) and s.graded else 1) for s in senders)
    return min(max(WINDOW_BYTES // max(population_bytes + event_bytes, 1), 1), network.timesteps)


class _Nodes:
    """Senders of spikes, numbered, with their room in scratch."""

    def __init__(self, live: tuple[Projection, ...], senders: tuple[Sender, ...], window: int) -> None:
        self.number = {sender.name: place for place, sender in enumerate(senders)}
        self.events = self.payloads = self.starts = 0
        self._senders = senders
        self._rows: list[dict[str, int]] = []
        ports = 0
        for sender in senders:
            count, graded = size(sender.shape), isinstance(sender, InputPort) and sender.graded
            history = max((p.delay for p in live if p.pre == sender.name), default=0)
            room = (history + window) * count + SPARE
            self._rows.append(
                {
                    "count": count,
                    "history": history,
                    "events_at": self.events,
                    "payload_at": self.payloads if graded else -1,
                    "start_at": self.starts,
                    "input_at": ports,
                }
            )
            self.events += room
            self.payloads += room if graded else 0
            self.starts += history + window + 1
            ports += count if isinstance(sender, InputPort) else 0

    def records(self, lists: Heap[np.int32]) -> Records:
        """Records of all senders."""
        kinds = {InputPort: tables.PORT, ConstantSource: tables.CONSTANT, LifPopulation: tables.LIF}
        return _records(
            tables.NODE,
            (
                {**row, "kind": kinds[type(sender)], "order_at": lists.add(order_of(sender.shape).inner)}
                for sender, row in zip(self._senders, self._rows, strict=True)
            ),
        )


def _component_records(cycles: tuple[tuple[Neuron, ...], ...], live: tuple[Projection, ...]) -> Records:
    ends = np.cumsum([0, *map(len, cycles)])
    loops = {p.pre for p in live if p.pre == p.post}
    return _records(
        tables.COMPONENT,
        (
            {"first": first, "last": last, "recurrent": len(cycle) > 1 or cycle[0].name in loops}
            for cycle, first, last in zip(cycles, ends[:-1], ends[1:], strict=True)
        ),
    )


def _population_records(
    neurons: tuple[Neuron, ...], groups: tuple[tuple[Group, ...], ...], nodes: _Nodes, lists: Heap[np.int32]
) -> Records:
    tiles = np.cumsum([0, *(padded(neuron) // tables.TILE for neuron in neurons)])
    first_groups = np.cumsum([0, *map(len, groups)])
    return _records(
        tables.POPULATION,
        (
            {
                "node": nodes.number.get(neuron.name, -1),
                "count": size(neuron.shape),
                "first_tile": tiles[place],
                "tiles": tiles[place + 1] - tiles[place],
                "first_group": first_groups[place],
                "groups": len(groups[place]),
                "subtract": isinstance(neuron, LifPopulation) and neuron.reset != "zero",
                "refractory": neuron.refractory if isinstance(neuron, LifPopulation) else 0,
                "order_at": lists.add(order_of(neuron.shape).outer),
            }
            for place, neuron in enumerate(neurons)
        ),
    )


def _group_records(groups: tuple[tuple[Group, ...], ...]) -> Records:
    flat = [group for own in groups for group in own]
    ends = np.cumsum([0, *(len(group.projections) for group in flat)])
    return _records(
        tables.GROUP,
        (
            {"first": first, "last": last, "exponent": group.exponent, "wrap": group.wraps}
            for group, first, last in zip(flat, ends[:-1], ends[1:], strict=True)
        ),
    )


def _projection_records(
    network: IntegerNetwork,
    groups: tuple[tuple[Group, ...], ...],
    nodes: _Nodes,
    weights: Heap[np.int16],
    lists: Heap[np.int32],
) -> Records:
    rows = []
    for projection in (p for own in groups for group in own for p in group.projections):
        pre, post = network.source(projection.pre), network.source(projection.post)
        packed = pack_projection(projection, pre.shape, post.shape)
        rows.append(
            {
                "kind": packed.kind,
                "node": nodes.number[projection.pre],
                "delay": projection.delay,
                "weights_at": weights.add(packed.weights),
                "table_at": lists.add(packed.table),
                "sources": packed.sources,
                "stride": packed.stride,
                "channels": packed.channels,
            }
        )
    return _records(tables.PROJECTION, rows)


def _tiles(neuron: Neuron) -> Int32:
    """State (zero) and parameters of a population, ``(tile, FIELDS, TILE)`` flattened."""
    outer, width = order_of(neuron.shape).outer, padded(neuron)
    fields = np.zeros((tables.FIELDS, width), np.int32)

    def fill(field: int, values: Int32) -> None:
        fields[field, : outer.size] = np.broadcast_to(values, neuron.shape).reshape(-1)[outer]

    fields[tables.THRESHOLD] = VOLTAGE_MAX
    fill(tables.KEEP_U, DECAY_ONE - 1 - neuron.du)
    fill(tables.KEEP_V, DECAY_ONE - neuron.dv)
    fill(tables.BIAS, neuron.bias)
    if isinstance(neuron, LifPopulation):
        fill(tables.THRESHOLD, neuron.threshold)
        if neuron.reset == "subtract":
            fill(tables.AMOUNT, neuron.reset_amount)
    tiled = fields.reshape(tables.FIELDS, -1, tables.TILE).transpose(1, 0, 2)
    return np.ascontiguousarray(tiled).reshape(-1)


def _records(dtype: np.dtype[np.void], rows: Iterable[dict[str, int]]) -> Records:
    listed = list(rows)
    records = np.zeros(len(listed), dtype)
    for place, row in enumerate(listed):
        for name, value in row.items():
            records[name][place] = value
    return records
