"""Records and tiles of populations: what the kernels read of neurons, and where their states lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hsnn.ir.arithmetic import DECAY_ONE, VOLTAGE_MAX
from hsnn.ir.populations import (
    AdaptiveLifPopulation,
    CountingLifPopulation,
    LifPopulation,
    Neuron,
    ResonatorPopulation,
    SigmaDeltaPopulation,
    received_shape,
    sends,
)
from hsnn.ir.shape import part_indices, size
from hsnn_targets.emulator import tables
from hsnn_targets.emulator.groups import Group
from hsnn_targets.emulator.heap import Heap
from hsnn_targets.emulator.nodes import Nodes, is_graded
from hsnn_targets.emulator.pack import order_of
from hsnn_targets.emulator.records import make_records
from hsnn_targets.emulator.tables import padded

if TYPE_CHECKING:
    from hsnn_targets.emulator.tables import Int32, Records


def population_records(
    neurons: tuple[Neuron, ...],
    groups: tuple[tuple[Group, ...], ...],
    sums: tuple[int, ...],
    nodes: Nodes,
    lists: Heap[np.int32],
) -> Records:
    """Make the record of every population, with its room for ``sums``; what is listed in it is added to ``lists``."""
    tiles = [padded(size(neuron.shape)) // tables.TILE for neuron in neurons]
    # Adaptive neurons and those that count have more fields, in as many tiles again behind their own.
    more = AdaptiveLifPopulation | CountingLifPopulation
    room = [count * (1 + isinstance(n, more)) for count, n in zip(tiles, neurons, strict=True)]
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
                "sums": sums[place],
                "parts_at": lists.add(_parts(neuron)),
                "first_group": first_groups[place],
                "groups": len(groups[place]),
                "subtract": isinstance(neuron, LifPopulation) and neuron.reset != "zero",
                "refractory": neuron.refractory if isinstance(neuron, LifPopulation) else 0,
                "order_at": lists.add(order_of(neuron.shape).outer),
                "graded": sends(neuron) and is_graded(neuron),
                **_model(neuron),
            }
            for place, neuron in enumerate(neurons)
        ),
    )


def sum_places(neuron: Neuron) -> int:
    """Room that the neurons need for the sums of one timestep."""
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
    if isinstance(neuron, CountingLifPopulation):
        return {"model": tables.COUNTING, "max_spikes": neuron.max_spikes}
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


def tiles_of(neuron: Neuron) -> Int32:
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
    if not isinstance(neuron, AdaptiveLifPopulation | CountingLifPopulation):
        return _tiled(fields)
    if isinstance(neuron, AdaptiveLifPopulation):
        fill(tables.AMOUNT, neuron.threshold_step)
    own = _tiled(fields)
    fields = np.zeros_like(fields)
    if isinstance(neuron, CountingLifPopulation):
        fill(tables.THRESHOLD, neuron.v_min)
        return np.concatenate([own, _tiled(fields)])
    fill(tables.KEEP_U, DECAY_ONE - neuron.threshold_decay)
    fill(tables.KEEP_V, DECAY_ONE - neuron.refractory_decay)
    return np.concatenate([own, _tiled(fields)])


def _tiled(fields: Int32) -> Int32:
    """Cut ``(FIELDS, neuron)`` into tiles."""
    return np.ascontiguousarray(fields.reshape(tables.FIELDS, -1, tables.TILE).transpose(1, 0, 2)).reshape(-1)
