"""Say of every operator where it went and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hsnn.ir.hybrid import module_of
from hsnn.ir.plan import Placement
from hsnn.passes.partition.chip_neuron import ChipNeuron
from hsnn.passes.partition.codings import remarks
from hsnn.passes.partition.cutting import Cutting, Side
from hsnn.passes.trains.domains import Domains
from hsnn.passes.trains.nodes import kind_of, train_operands

if TYPE_CHECKING:
    import onnx_ir as ir


@dataclass(frozen=True, slots=True)
class StageNames:
    """Names of the stages: of host levels, of chip values, and which nodes the host runs."""

    host: Mapping[int, str]
    chip: Mapping[str, str]
    needed: frozenset[str]


def placements_of(graph: ir.Graph, domains: Domains, cutting: Cutting, stages: StageNames) -> tuple[Placement, ...]:
    """Say of every operator that runs at all in which stage it does, with code, reason and fix."""
    following = _neuron_after(cutting)
    coded = remarks(graph, domains.trains)
    placements = []
    for node in graph:
        name = node.name or ""
        place, why = "", ("", "", "")
        op = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
        if name in following:
            neuron = following[name]
            place, why = stages.chip[neuron.value], ("", f"part of the synapses of {neuron.name}", "")
        elif node.outputs[0].name in stages.chip:
            place, why = stages.chip[node.outputs[0].name or ""], ("", "neurons", "")
        elif name in stages.needed:
            place = stages.host[cutting.levels.host[name]]
            why = _reason(node, domains, cutting.sides)
            if name in coded:
                why = (coded[name].code, coded[name].reason, coded[name].fix)
        if not place or node.op_type == "Constant":
            continue
        placements.append(Placement(name, op, module_of(node), place, *why))
    return tuple(placements)


def _neuron_after(cutting: Cutting) -> dict[str, ChipNeuron]:
    """For each synapse node: the first neuron that it leads to."""
    after: dict[str, ChipNeuron] = {}
    for neuron in cutting.neurons:
        pending = [neuron.node.inputs[0]]
        while pending:
            value = pending.pop()
            node = None if value is None else value.producer()
            if node is None or node.name not in cutting.on_chip or node.name in after:
                continue
            after[node.name or ""] = neuron
            pending.extend(node.inputs)
    return after


def _reason(node: ir.Node, domains: Domains, sides: Mapping[str, Side]) -> tuple[str, str, str]:
    """Code, sentence and fix of an operator on the host."""
    name = node.name or ""
    if kind_of(node) == "encoder":
        return "", "encodes tensors as spikes", ""
    if kind_of(node) == "decoder":
        return "", "decodes spikes to tensors", ""
    if kind_of(node) == "structure":
        return "", "carries spikes to operators on the host", ""
    if sides.get(name) == "host":
        return "HSNN-P001", "pinned to the host", "drop the --pin"
    if name in domains.refusals:
        if node.op_type == "MaxPool":
            return "HSNN-P007", "Loihi has no max pooling", "use average pooling, or keep it on the host"
        return "HSNN-P004", f"not a synapse: {domains.refusals[name]}", "use a linear layer, or keep it on the host"
    if any(train.voltage for _, _, train in train_operands(node, domains.trains)):
        return "HSNN-P003", "works on voltages, which synapses cannot carry", "use a spiking neuron before it"
    if name in domains.linear:
        return "HSNN-P002", "no neuron on the chip follows", "put a neuron after it, such as hsnn.nn.LeakyIntegrator"
    return "", "works on tensors", ""
