"""Order of host and chip: how often a value has crossed between them.

Host level 0 works on the model's inputs; chip level ``k`` works on results of host levels up to ``k``;
host level ``k + 1`` works on results of chip level ``k``. Stages then run as host 0, chip 0, host 1, ...
and nothing ever waits for a later stage.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hsnn.passes.trains.nodes import all_operands

if TYPE_CHECKING:
    import onnx_ir as ir

    from hsnn.passes.partition.chip_neuron import ChipNeuron


@dataclass(frozen=True, slots=True)
class Levels:
    """In which turn of host or chip everything runs.

    Attributes:
        host: Level at which the host would run each node, by node name.
        chip: Level of each neuron on the chip, by the name of its value.
    """

    host: Mapping[str, int]
    chip: Mapping[str, int]


def assign_levels(graph: ir.Graph, neurons: tuple[ChipNeuron, ...]) -> Levels:
    """Count the crossings before every node and neuron, in dataflow order."""
    by_node = {neuron.node.name: neuron for neuron in neurons}
    host: dict[str, int] = {}
    chip: dict[str, int] = {}
    ready: dict[str, int] = {}
    """Host level from which a value can be read."""
    for node in graph:
        neuron = by_node.get(node.name)
        if neuron is None:
            names = [value.name for value in all_operands(node) if value is not None]
            level = max((ready[value] for value in names if value in ready), default=0)
            host[node.name or ""] = level
            ready.update({output.name or "": level for output in node.outputs})
            continue
        level = max((chip.get(source, ready.get(source, 0)) for source in neuron.sources), default=0)
        chip[neuron.value] = level
        ready[neuron.value] = level + 1
    return Levels(host, chip)


def group_neurons(neurons: tuple[ChipNeuron, ...], levels: Levels) -> tuple[tuple[ChipNeuron, ...], ...]:
    """Group neurons of one level that synapses join, directly or through others."""
    by_value = {neuron.value: neuron for neuron in neurons}
    leader = {neuron.value: neuron.value for neuron in neurons}

    def find(value: str) -> str:
        while leader[value] != value:
            value = leader[value]
        return value

    for neuron in neurons:
        for source in neuron.sources:
            if source in by_value and levels.chip[source] == levels.chip[neuron.value]:
                leader[find(neuron.value)] = find(source)
    groups: dict[str, list[ChipNeuron]] = {}
    for neuron in neurons:
        groups.setdefault(find(neuron.value), []).append(neuron)
    return tuple(tuple(group) for group in sorted(groups.values(), key=lambda group: levels.chip[group[0].value]))
