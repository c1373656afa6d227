"""Compile an IntegerNetwork into the program and the scratch of the emulator's kernels, once.

Populations are put in the order of their strongly connected components. Long samples are cut into
windows of timesteps, so that what a thread works in stays small for any batch and any number of
timesteps: about ``WINDOW_BYTES``, or ``ROWS`` timesteps where these take more, plus the state of one sample
and the spikes that delays still ask for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from hsnn.ir.arithmetic import DECAY_ONE, VOLTAGE_MAX
from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.populations import (
    AdaptiveLifPopulation,
    LifPopulation,
    Neuron,
    ResonatorPopulation,
    Sender,
    SigmaDeltaPopulation,
    received_shape,
    sends,
)
from hsnn.ir.projections import Projection
from hsnn.ir.shape import part_indices, size
from hsnn_targets.emulator import tables
from hsnn_targets.emulator.components import components
from hsnn_targets.emulator.groups import Group, group_projections
from hsnn_targets.emulator.heap import Heap
from hsnn_targets.emulator.nodes import Nodes, is_graded
from hsnn_targets.emulator.pack import order_of, pack_projection
from hsnn_targets.emulator.planes import Planes, own_planes, shared_plane
from hsnn_targets.emulator.records import make_records
from hsnn_targets.emulator.tables import padded
from hsnn_targets.emulator.vector_plan import Synapses, find_products, plan_vector
from hsnn_targets.emulator.vector_tables import LANES

if TYPE_CHECKING:
    from hsnn_targets.emulator.tables import Int8, Int16, Int32, Records
    from hsnn_targets.emulator.tiers import Tier
    from hsnn_targets.emulator.vector_tables import Vector

WINDOW_BYTES = 1 << 20
"""What the sums and events of a window may take: about half of a second-level cache."""
VECTOR_WINDOWS = 2
"""How many times that it may be with vectors: products leave most of the room for sums and events alone."""
ROWS = 16
"""Timesteps that products like to work on together; a window has no fewer, where that does not take too much:"""
WIDE_BYTES = 256 << 20
"""What the sums and events of so many timesteps may take. Weights and states of large layers come from memory
once for every window, which costs far more than sums that leave the cache."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """A compiled network.

    Attributes:
        program: What the kernels read.
        vector: What only vectors need, or None for the tier ``portable``.
        tiles: State (zero) and parameters of all neurons; each thread gets a copy.
        window: Timesteps that are worked on together.
        sums, fired, events, payloads, starts, nodes: Elements of scratch.
        neurons: Populations with a state, in the order of the program.
        projections: Names of the projections, in the order of the program.
    """

    program: tables.Program
    vector: Vector | None
    tiles: Int32
    window: int
    sums: int
    fired: int
    events: int
    payloads: int
    starts: int
    nodes: int
    neurons: tuple[Neuron, ...]
    projections: tuple[str, ...]

    @property
    def scratch_bytes(self) -> int:
        """Bytes that one thread works in."""
        wide = self.tiles.size + self.sums + self.events + self.payloads
        long = self.starts + self.nodes + len(self.neurons) + 2 * len(self.projections) + 1
        return 4 * wide + self.fired + 8 * long

    def scratch(self) -> tables.Scratch:
        """Allocate what one thread works in, whatever the batch is."""
        told = np.zeros(len(self.neurons) + 1, np.int64)
        return tables.Scratch(
            tiles=self.tiles.copy(),
            sums=np.empty(self.sums, np.int32),
            fired=np.zeros(self.fired, np.uint8),
            events=np.empty(self.events, np.int32),
            payload=np.empty(self.payloads, np.int32),
            start=np.zeros(self.starts, np.int64),
            level=np.zeros(self.nodes, np.int64),
            counts=told[:-1],
            broken=told[-1:],
            told=told,
            ways=np.zeros(2 * len(self.projections), np.int64),
        )


def plan_network(network: IntegerNetwork, *, tier: Tier = "portable", synapses: Synapses = "auto") -> Plan:
    """Compile a valid network.

    Args:
        network: A valid network.
        tier: Kernels that will run it.
        synapses: How synapses run that can be either products or events.
    """
    live = tuple(p for p in network.projections if p.delay < network.timesteps)
    cycles = _components(network, live)
    neurons = tuple(neuron for cycle in cycles for neuron in cycle)
    groups = tuple(group_projections(network, tuple(p for p in live if p.post == n.name)) for n in neurons)
    senders = tuple(s for s in (*network.inputs, *network.populations) if sends(s))
    vectors = tier != "portable"
    looped = {neuron.name for cycle in cycles if _loops(cycle, live) for neuron in cycle}
    products = find_products(network, live, looped=looped, synapses=synapses, tier=tier)

    def planes(window: int) -> Planes:
        read = [p.pre for p in live if p.name in products.of]
        return own_planes(senders, products.of, read, window) if vectors else shared_plane(senders, window)

    sums = max((_sums(n) * max(len(g), 1) for n, g in zip(neurons, groups, strict=True)), default=0)
    window = _window(network, senders, 4 * sums + planes(1).size, vectors=vectors)
    nodes, bytes_ = Nodes(live, senders, window=window), planes(window)
    weights, rows, lists = Heap(np.int16), Heap(np.int8), Heap(np.int32)
    limits = (
        products.sender_limits(tuple(nodes.number), live) if vectors else dict.fromkeys(nodes.number, tables.ALWAYS)
    )
    floors = products.sender_floors(tuple(nodes.number), live)
    program = tables.Program(
        components=_component_records(cycles, live),
        populations=_population_records(neurons, groups, nodes, lists),
        groups=_group_records(groups),
        projections=_projection_records(network, groups, nodes, (weights, rows), lists),
        nodes=make_records(tables.NODE, nodes.records(lists, planes=bytes_.of_sender, limits=limits, floors=floors)),
        weights=weights.flat(),
        bytes=rows.flat(),
        tables=lists.flat(),
    )
    return Plan(
        program=program,
        vector=plan_vector(network, products, bytes_, neurons=neurons, groups=groups, tier=tier) if vectors else None,
        tiles=np.concatenate([np.zeros(0, np.int32), *map(_tiles, neurons)]),
        window=window,
        sums=window * sums + LANES,
        fired=bytes_.size,
        events=nodes.events,
        payloads=nodes.payloads,
        starts=nodes.starts,
        nodes=len(senders),
        neurons=neurons,
        projections=tuple(p.name for own in groups for group in own for p in group.projections),
    )


def _components(network: IntegerNetwork, live: tuple[Projection, ...]) -> tuple[tuple[Neuron, ...], ...]:
    by_name = {neuron.name: neuron for neuron in network.neurons}
    successors = {name: [p.post for p in live if p.pre == name] for name in by_name}
    return tuple(tuple(by_name[name] for name in part) for part in components(successors))


def _window(network: IntegerNetwork, senders: tuple[Sender, ...], other_bytes: int, *, vectors: bool) -> int:
    """Choose how many timesteps are worked on together; ``other_bytes`` is what one takes besides events."""
    event_bytes = sum(4 * size(s.shape) * (2 if is_graded(s) else 1) for s in senders)
    room = WINDOW_BYTES * (VECTOR_WINDOWS if vectors else 1)
    timestep = max(other_bytes + event_bytes, 1)
    window = min(max(room // timestep, min(WIDE_BYTES // timestep, ROWS), 1), network.timesteps)
    return window - window % ROWS if vectors and ROWS < window < network.timesteps else window


def _loops(cycle: tuple[Neuron, ...], live: tuple[Projection, ...]) -> bool:
    return len(cycle) > 1 or any(p.pre == p.post == cycle[0].name for p in live)


def _component_records(cycles: tuple[tuple[Neuron, ...], ...], live: tuple[Projection, ...]) -> Records:
    ends = np.cumsum([0, *map(len, cycles)])
    return make_records(
        tables.COMPONENT,
        (
            {"first": first, "last": last, "recurrent": _loops(cycle, live)}
            for cycle, first, last in zip(cycles, ends[:-1], ends[1:], strict=True)
        ),
    )


def _population_records(
    neurons: tuple[Neuron, ...], groups: tuple[tuple[Group, ...], ...], nodes: Nodes, lists: Heap[np.int32]
) -> Records:
    tiles = [padded(size(neuron.shape)) // tables.TILE for neuron in neurons]
    # Adaptive neurons have more state, in as many tiles again behind their own.
    room = [count * (1 + isinstance(n, AdaptiveLifPopulation)) for count, n in zip(tiles, neurons, strict=True)]
    first_tiles = np.cumsum([0, *room])
    first_groups = np.cumsum([0, *map(len, groups)])
    return make_records(
        tables.POPULATION,
        (
            {
                "node": nodes.number.get(neuron.name, -1),
                "count": size(neuron.shape),
                "first_tile": first_tiles[place],
                "tiles": tiles[place],
                "sums": _sums(neuron),
                "parts_at": lists.add(_parts(neuron)),
                "first_group": first_groups[place],
                "groups": len(groups[place]),
                "subtract": isinstance(neuron, LifPopulation) and neuron.reset != "zero",
                "refractory": neuron.refractory if isinstance(neuron, LifPopulation) else 0,
                "order_at": lists.add(order_of(neuron.shape).outer),
                **_model(neuron),
            }
            for place, neuron in enumerate(neurons)
        ),
    )


def _sums(neuron: Neuron) -> int:
    """Room for the sums of one timestep."""
    return padded(size(neuron.shape)) * (2 if isinstance(neuron, ResonatorPopulation) else 1)


def _parts(neuron: Neuron) -> Int32:
    """Sums of the real, then of the imaginary parts of resonators, in the kernels' order, padded to whole tiles."""
    if not isinstance(neuron, ResonatorPopulation):
        return np.zeros(0, np.int32)
    outer, inner = order_of(neuron.shape).outer, order_of(received_shape(neuron)).inner
    places = np.zeros((2, padded(outer.size)), np.int32)
    places[:, : outer.size] = inner[part_indices(neuron.shape).reshape(2, -1)[:, outer]]
    return places.reshape(-1)


def _model(neuron: Neuron) -> dict[str, int]:
    """Fields of a population that only neurons of its kind have."""
    if isinstance(neuron, ResonatorPopulation):
        return {"model": tables.IZHIKEVICH if neuron.firing == "izhikevich" else tables.PHASE}
    if not isinstance(neuron, SigmaDeltaPopulation):
        adapts = isinstance(neuron, AdaptiveLifPopulation)
        return {"model": tables.ADAPTIVE if adapts else tables.INTEGRATE_FIRE}
    return {
        "model": tables.SIGMA_DELTA,
        "message_shift": neuron.message_shift,
        "accumulate": neuron.accumulate,
        "rectify": neuron.rectify,
        "keep_rest": neuron.keep_rest,
    }


def _group_records(groups: tuple[tuple[Group, ...], ...]) -> Records:
    flat = [group for own in groups for group in own]
    ends = np.cumsum([0, *(len(group.projections) for group in flat)])
    return make_records(
        tables.GROUP,
        (
            {"first": first, "last": last, "exponent": group.exponent, "wrap": group.wraps}
            for group, first, last in zip(flat, ends[:-1], ends[1:], strict=True)
        ),
    )


def _projection_records(
    network: IntegerNetwork,
    groups: tuple[tuple[Group, ...], ...],
    nodes: Nodes,
    heaps: tuple[Heap[np.int16], Heap[np.int8]],
    lists: Heap[np.int32],
) -> Records:
    rows = []
    for projection in (p for own in groups for group in own for p in group.projections):
        pre, post = network.source(projection.pre), network.source(projection.post)
        packed = pack_projection(projection, pre.shape, received_shape(post))
        rows.append(
            {
                "kind": packed.kind,
                "node": nodes.number[projection.pre],
                "delay": projection.delay,
                "weights_at": _add(packed.weights, *heaps),
                "table_at": lists.add(packed.table),
                "sources": packed.sources,
                "stride": packed.stride,
                "channels": packed.channels,
                "bytes": packed.weights.dtype == np.int8,
                "scale": packed.scale,
            }
        )
    return make_records(tables.PROJECTION, rows)


def _add(weights: Int8 | Int16, shorts: Heap[np.int16], bytes_: Heap[np.int8]) -> int:
    """Put weights where those of their kind are."""
    if weights.dtype == np.int8:
        return bytes_.add(cast("Int8", weights))
    return shorts.add(cast("Int16", weights))


def _tiles(neuron: Neuron) -> Int32:
    """State (zero) and parameters of a population, ``(tile, FIELDS, TILE)`` flattened."""
    outer, width = order_of(neuron.shape).outer, padded(size(neuron.shape))
    fields = np.zeros((tables.FIELDS, width), np.int32)

    def fill(field: int, values: Int32) -> None:
        fields[field, : outer.size] = np.broadcast_to(values, neuron.shape).reshape(-1)[outer]

    if isinstance(neuron, ResonatorPopulation):
        fields[tables.THRESHOLD] = np.iinfo(np.int32).max  # neurons that only fill a tile hear sums of others
        fill(tables.KEEP_U, neuron.cos_decay)
        fill(tables.KEEP_V, neuron.sin_decay)
        fill(tables.THRESHOLD, neuron.threshold)
        return _tiled(fields)
    fields[tables.THRESHOLD] = VOLTAGE_MAX
    fill(tables.BIAS, neuron.bias)
    if isinstance(neuron, SigmaDeltaPopulation):
        fill(tables.THRESHOLD, neuron.threshold)
    else:
        fill(tables.KEEP_U, DECAY_ONE - 1 - neuron.du)
        fill(tables.KEEP_V, DECAY_ONE - neuron.dv)
    if isinstance(neuron, LifPopulation):
        fill(tables.THRESHOLD, neuron.threshold)
        if neuron.reset == "subtract":
            fill(tables.AMOUNT, neuron.reset_amount)
    if not isinstance(neuron, AdaptiveLifPopulation):
        return _tiled(fields)
    fill(tables.AMOUNT, neuron.threshold_step)
    own = _tiled(fields)
    fields = np.zeros_like(fields)
    fill(tables.KEEP_U, DECAY_ONE - neuron.threshold_decay)
    fill(tables.KEEP_V, DECAY_ONE - neuron.refractory_decay)
    return np.concatenate([own, _tiled(fields)])


def _tiled(fields: Int32) -> Int32:
    """Cut ``(FIELDS, neuron)`` into tiles."""
    return np.ascontiguousarray(fields.reshape(tables.FIELDS, -1, tables.TILE).transpose(1, 0, 2)).reshape(-1)
