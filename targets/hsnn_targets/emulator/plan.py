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

from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.populations import CountingLifPopulation, Neuron, Sender, received_shape, sends
from hsnn.ir.projections import Projection
from hsnn.ir.shape import size
from hsnn_targets.emulator import tables
from hsnn_targets.emulator.components import components
from hsnn_targets.emulator.groups import Group, group_projections
from hsnn_targets.emulator.heap import Heap, aligned
from hsnn_targets.emulator.nodes import Nodes, is_graded
from hsnn_targets.emulator.pack import pack_projection, packed_bytes
from hsnn_targets.emulator.planes import Planes, own_planes, shared_plane
from hsnn_targets.emulator.population_records import population_records, sum_places, tiles_of
from hsnn_targets.emulator.records import make_records
from hsnn_targets.emulator.vector_plan import Products, Synapses, find_products, plan_vector

if TYPE_CHECKING:
    from hsnn_targets.emulator.tables import Int8, Int16, Int32, Records
    from hsnn_targets.emulator.tiers import Tier
    from hsnn_targets.emulator.vector_tables import Vector

WINDOW_BYTES = 1 << 20
"""What the sums and events of a window may take: about half of a second-level cache."""
VECTOR_WINDOWS = 2
"""How many times that it may be with vectors: products leave most of the room for sums and events alone."""
ROWS = 16
"""Timesteps that products like to work on together; a window has no fewer, and none so few that its synapses take more
bytes than its sums and events, where that does not take too much:"""
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
        told, tiles = np.zeros(len(self.neurons) + 1, np.int64), aligned(self.tiles.size, np.int32)
        tiles[:] = self.tiles
        return tables.Scratch(
            tiles=tiles,
            sums=aligned(self.sums, np.int32),
            fired=aligned(self.fired, np.uint8),
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

    kept = products.kept(live)

    def planes(window: int) -> Planes:
        return own_planes(senders, products.of, kept, window) if vectors else shared_plane(senders, window)

    widths = tuple(_sums(neuron, own, products) for neuron, own in zip(neurons, groups, strict=True))
    sums = max((width * max(len(own), 1) for width, own in zip(widths, groups, strict=True)), default=0)
    loaded = sum(packed_bytes(projection, products=False) for projection in live)
    window = _window(network, senders, 4 * sums + planes(1).size, loaded, vectors=vectors)
    nodes, bytes_ = Nodes(live, senders, window=window), planes(window)
    weights, rows, lists = Heap(np.int16), Heap(np.int8), Heap(np.int32)
    limits = (
        products.sender_limits(tuple(nodes.number), live, cut=window < network.timesteps)
        if vectors
        else dict.fromkeys(nodes.number, tables.ALWAYS)
    )
    floors = products.sender_floors(tuple(nodes.number), live)
    program = tables.Program(
        components=_component_records(cycles, live),
        populations=population_records(neurons, groups, widths, nodes, lists),
        groups=_group_records(groups),
        projections=_projection_records(network, groups, nodes, (weights, rows), lists, tier),
        nodes=make_records(
            tables.NODE, nodes.records(lists, planes=bytes_.of_sender, kept=kept, limits=limits, floors=floors)
        ),
        weights=weights.flat(),
        bytes=rows.flat(),
        tables=lists.flat(),
    )
    return Plan(
        program=program,
        vector=plan_vector(network, products, bytes_, neurons=neurons, groups=groups, tier=tier) if vectors else None,
        tiles=np.concatenate([np.zeros(0, np.int32), *map(tiles_of, neurons)]),
        window=window,
        sums=window * sums,
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


def _window(
    network: IntegerNetwork, senders: tuple[Sender, ...], other_bytes: int, loaded: int, *, vectors: bool
) -> int:
    """Choose how many timesteps are worked on together.

    Args:
        network: The network.
        senders: Those of its ports and populations that send events.
        other_bytes: What a timestep takes besides events.
        loaded: Bytes of all synapses, which a window goes through once.
        vectors: Whether a vector tier runs it.
    """
    event_bytes = sum(4 * size(s.shape) * (2 if is_graded(s) else 1) for s in senders)
    room = WINDOW_BYTES * (VECTOR_WINDOWS if vectors else 1)
    timestep = max(other_bytes + event_bytes, 1)
    least = max(ROWS, loaded // timestep)
    window = min(max(room // timestep, min(WIDE_BYTES // timestep, least), 1), network.timesteps)
    return window - window % ROWS if vectors and ROWS < window < network.timesteps else window


def _sums(neuron: Neuron, groups: tuple[Group, ...], products: Products) -> int:
    """Room for the sums of one timestep in each group, so that those of the next are out of reach."""
    found = [products.of.get(projection.name) for group in groups for projection in group.projections]
    return max(sum_places(neuron), *(tables.padded(product.reached) for product in found if product is not None), 0)


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
    tier: Tier,
) -> Records:
    rows = []
    for projection in (p for own in groups for group in own for p in group.projections):
        pre, post = network.source(projection.pre), network.source(projection.post)
        counts = nodes.graded[projection.pre] and isinstance(pre, CountingLifPopulation)
        graded = nodes.graded[projection.pre] and not counts
        packed = pack_projection(projection, pre.shape, received_shape(post), graded=graded, tier=tier)
        rows.append(
            {
                "kind": packed.kind,
                "node": nodes.number[projection.pre],
                "delay": projection.delay,
                "weights_at": _add(packed.weights, *heaps),
                "table_at": lists.add(packed.table),
                "sources": packed.sources,
                "stride": packed.stride,
                "stripe": packed.stripe,
                "channels": packed.channels,
                "bytes": packed.weights.dtype == np.int8,
                "scale": packed.scale,
                "counts": counts,
            }
        )
    return make_records(tables.PROJECTION, rows)


def _add(weights: Int8 | Int16, shorts: Heap[np.int16], bytes_: Heap[np.int8]) -> int:
    """Put weights where those of their kind are."""
    if weights.dtype == np.int8:
        return bytes_.add(cast("Int8", weights))
    return shorts.add(cast("Int16", weights))
