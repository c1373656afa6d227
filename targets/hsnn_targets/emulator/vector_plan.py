"""Plan what the vector tiers add to a program: products, and the kernel of each population's neurons."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np

from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.populations import LifPopulation, Neuron, sends_spikes
from hsnn.ir.projections import Projection
from hsnn.ir.shape import size
from hsnn_targets.emulator.costs import events_limit
from hsnn_targets.emulator.dynamics import dynamics_of
from hsnn_targets.emulator.groups import Group
from hsnn_targets.emulator.heap import Heap
from hsnn_targets.emulator.planes import Planes
from hsnn_targets.emulator.records import make_records
from hsnn_targets.emulator.tables import ALWAYS, padded
from hsnn_targets.emulator.tiers import Tier
from hsnn_targets.emulator.tile_shapes import SHORTEST_PIECE, tile_shapes
from hsnn_targets.emulator.vector_pack import Product, pack_product
from hsnn_targets.emulator.vector_tables import LANES, LAYER, PRODUCT, VECTORS, Vector

Synapses: TypeAlias = Literal["auto", "products", "events"]
"""How synapses run: by measured activity, or always the same way where there are two."""
SYNAPSES: tuple[Synapses, ...] = get_args(Synapses)


@dataclass(frozen=True, slots=True, eq=False)
class Products:
    """Projections that can run as products.

    Attributes:
        of: Product of each of them.
        limits: Events in a timestep up to which events are preferred.
    """

    of: Mapping[str, Product]
    limits: Mapping[str, int]

    def sender_limits(self, senders: Collection[str], live: Sequence[Projection], *, cut: bool) -> dict[str, int]:
        """Events of each sender up to which any of its projections may ask for them; -1 for never.

        Args:
            senders: Their names.
            live: Projections that deliver anything.
            cut: Whether a sample is cut into windows: what is delayed may ask for the events of an earlier one.
        """
        limits = dict.fromkeys(senders, -1)
        for projection in live:
            limit = ALWAYS if cut and projection.delay else self.limits.get(projection.name, ALWAYS)
            limits[projection.pre] = max(limits[projection.pre], limit)
        return limits

    def sender_floors(self, senders: Collection[str], live: Sequence[Projection]) -> dict[str, int]:
        """Events of each sender above which the first of its projections runs as a product; -1 for always."""
        floors = dict.fromkeys(senders, ALWAYS)
        for projection in live:
            floor = -1 if projection.delay and projection.name in self.of else self.limits.get(projection.name, ALWAYS)
            floors[projection.pre] = min(floors[projection.pre], floor)
        return floors

    def kept(self, live: Sequence[Projection]) -> dict[str, int]:
        """Timesteps before a window of which each sender's bytes are asked for, where they are at all."""
        kept: dict[str, int] = {}
        for projection in live:
            if projection.name in self.of:
                kept[projection.pre] = max(kept.get(projection.pre, 0), projection.delay)
        return kept


NO_PRODUCTS = Products({}, {})


def find_products(
    network: IntegerNetwork, live: Sequence[Projection], *, looped: Collection[str], synapses: Synapses, tier: Tier
) -> Products:
    """Find the projections that can run as products.

    Args:
        network: A valid network.
        live: Its projections that deliver anything.
        looped: Populations that run timestep by timestep, where a product has nothing to gain.
        synapses: Whether products are to be preferred, avoided, or chosen by activity.
        tier: Kernels that will run them.
    """
    if synapses == "events" or tier == "portable":
        return NO_PRODUCTS
    found = {p.name: (p, pack_product(network, p, tier)) for p in live if p.post not in looped}
    products = {name: product for name, (_, product) in found.items() if product is not None}
    limits = {name: -1 for name in products}
    if synapses == "auto":
        limits = {
            name: max(events_limit(found[name][0], product, size(network.source(found[name][0].pre).shape), tier), -1)
            for name, product in products.items()
        }
    return Products(products, limits)


def plan_vector(
    network: IntegerNetwork,
    products: Products,
    planes: Planes,
    *,
    neurons: Sequence[Neuron],
    groups: Sequence[tuple[Group, ...]],
    tier: Tier,
) -> Vector:
    """Lay out what the kernels of a tier read; ``groups`` are those of each of the ``neurons``."""
    weights, taps = Heap(np.int8), Heap(np.int32)
    rows = [
        _product_row(network, projection, products, planes, weights, taps, tier)
        for own in groups
        for group in own
        for projection in group.projections
    ]
    layers = [
        {
            "dynamics": dynamics_of(network, neuron, tuple(p for group in own for p in group.projections)),
            "fused": isinstance(neuron, LifPopulation) and sends_spikes(neuron) and _fuses(own, products),
        }
        for neuron, own in zip(neurons, groups, strict=True)
    ]
    return VECTORS[tier](make_records(LAYER, layers), make_records(PRODUCT, rows), weights.flat(), taps.flat())


def _fuses(groups: tuple[Group, ...], products: Products) -> bool:
    """Whether every tile's input is one sum of products of whole blocks."""
    if len(groups) != 1 or groups[0].wraps:
        return False
    parts = [products.of.get(projection.name) for projection in groups[0].projections]
    return all(part is not None and (part.pixels == 1 or part.lanes % LANES == 0) for part in parts)


def _product_row(
    network: IntegerNetwork,
    projection: Projection,
    products: Products,
    planes: Planes,
    weights: Heap[np.int8],
    taps: Heap[np.int32],
    tier: Tier,
) -> dict[str, int]:
    product = products.of.get(projection.name)
    if product is None:
        return {}
    sent = padded(size(network.source(projection.pre).shape))
    return {
        "taps": product.taps.size,
        "taps_at": taps.add(product.taps),
        "piece": product.piece,
        "shapes_at": taps.add(tile_shapes(product.piece)) if tier == "amx" and product.piece >= SHORTEST_PIECE else -1,
        "weights_at": weights.add(product.weights),
        "chunk": product.chunk,
        "chunks": -(-product.taps.size // product.chunk),
        "scale": product.scale,
        "limit": products.limits[projection.name],
        "lanes": product.lanes,
        "blocks": product.blocks,
        "pixels": product.pixels,
        "columns": product.columns,
        "step_y": product.step_y,
        "step_x": product.step_x,
        "plane_at": planes.of_frame.get(projection.name, planes.of_sender[projection.pre] - projection.delay * sent),
        "plane_stride": padded(product.frame) if product.frame else sent,
        "lines": product.lines,
        "line": product.line,
        "line_stride": product.line_stride,
        "first": product.first,
    }
