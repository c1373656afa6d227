"""Build the plan of a cut: its segments in order, what crosses between them, and where every operator went."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from hsnn.ir.hybrid import HybridModel
from hsnn.ir.plan import ChipSegment, Cut, Plan, Stage
from hsnn.passes.partition.chip_neuron import ChipNeuron, fixed_scale, source_name
from hsnn.passes.partition.cutting import Cutting
from hsnn.passes.partition.extract import extract_model
from hsnn.passes.partition.lower import Origin, lower
from hsnn.passes.partition.reasons import StageNames, placements_of
from hsnn.passes.trains.domains import Domains
from hsnn.passes.trains.nodes import all_operands, feature_shape, kind_of

if TYPE_CHECKING:
    import onnx_ir as ir


def assemble(hybrid: HybridModel, graph: ir.Graph, domains: Domains, cutting: Cutting) -> Plan:
    """Build the segments and tell what crosses between them.

    Args:
        hybrid: The model.
        graph: Its graph, nodes in dataflow order.
        domains: Types of its values.
        cutting: Where everything goes.
    """
    values = {output.name: output for node in graph for output in node.outputs if output.name}
    needed = _needed_on_host(graph, cutting)
    stages: list[Stage] = []
    names: dict[int, str] = {}
    chip_of: dict[str, str] = {}
    leaving = _values_leaving(graph, cutting, needed)
    for level in range(max(cutting.levels.host.values(), default=0) + 1):
        nodes = tuple(node for node in graph if node.name in needed and cutting.levels.host[node.name] == level)
        segment = extract_model(hybrid, nodes, wanted=leaving, name=f"host.{len(names)}")
        if segment is not None:
            names[level] = segment.name
            stages.append(segment)
        for group in cutting.groups:
            if cutting.levels.chip[group[0].value] == level:
                name = f"chip.{sum(isinstance(stage, ChipSegment) for stage in stages)}"
                chip_of.update({neuron.value: name for neuron in group})
                stages.append(_chip_segment(name, group, domains, values, leaving))
    placements = placements_of(graph, domains, cutting, StageNames(names, chip_of, needed))
    cuts = _cuts(tuple(stages), domains, values)
    return Plan(tuple(stages), placements, cuts, hybrid.inputs, hybrid.outputs)


def _chip_segment(
    name: str,
    group: tuple[ChipNeuron, ...],
    domains: Domains,
    values: Mapping[str, ir.Value],
    leaving: frozenset[str],
) -> ChipSegment:
    inside = {neuron.value for neuron in group}
    sources = {source for neuron in group for source in neuron.sources}
    shapes = {source: feature_shape(values[source], domains.trains[source]) for source in sources - inside}
    makers = {source: values[source].producer() for source in shapes}
    origins = {source: _origin(makers[source], source, shape) for source, shape in shapes.items()}
    outputs = [neuron.value for neuron in group if neuron.value in leaving]
    return ChipSegment(name, lower(name, group, domains=domains, origins=origins, outputs=outputs))


def _origin(maker: ir.Node | None, source: str, shape: tuple[int, ...]) -> Origin:
    name = source_name(maker, source)
    return Origin(shape, name, None if maker is None else fixed_scale(maker, name))


def _needed_on_host(graph: ir.Graph, cutting: Cutting) -> frozenset[str]:
    """Nodes that the host must run: what outputs and chip inputs depend on, up to the chip's results."""
    chip_values = cutting.chip_values()
    pending = list(graph.outputs)
    by_name = {output.name: output for node in graph for output in node.outputs}
    pending += [by_name[source] for neuron in cutting.neurons for source in neuron.sources if source in by_name]
    needed: set[str] = set()
    while pending:
        value = pending.pop()
        node = value.producer()
        if node is None or value.name in chip_values or node.name in needed:
            continue
        needed.add(node.name or "")
        pending.extend(operand for operand in all_operands(node) if operand is not None)
    return frozenset(needed)


def _values_leaving(graph: ir.Graph, cutting: Cutting, needed: frozenset[str]) -> frozenset[str]:
    """Values that another stage, or the caller, reads."""
    levels, chip_values = cutting.levels, cutting.chip_values()
    leaving = {value.name or "" for value in graph.outputs}
    segment = {neuron.value: index for index, group in enumerate(cutting.groups) for neuron in group}
    for neuron in cutting.neurons:
        leaving |= {source for source in neuron.sources if segment.get(source) != segment[neuron.value]}
    for node in graph:
        if node.name not in needed:
            continue
        for operand in all_operands(node):
            producer = None if operand is None else operand.producer()
            if operand is None or producer is None:
                continue
            elsewhere = producer.name in needed and levels.host[producer.name] != levels.host[node.name]
            if operand.name in chip_values or elsewhere:
                leaving.add(operand.name or "")
    return frozenset(leaving)


def _cuts(stages: tuple[Stage, ...], domains: Domains, values: Mapping[str, ir.Value]) -> tuple[Cut, ...]:
    """Every value that goes from one stage to another with a chip on either end."""
    producer = {value: stage for stage in stages for value in stage.outputs}
    cuts = []
    for stage in stages:
        for value in stage.inputs:
            source = producer.get(value)
            if source is None or not (isinstance(source, ChipSegment) or isinstance(stage, ChipSegment)):
                continue
            train = domains.trains[value]
            shape = feature_shape(values[value], train)
            timesteps = 1 if _last_is_read(values[value]) else train.timesteps
            cuts.append(Cut(value, source.name, stage.name, shape, timesteps))
    return tuple(cuts)


def _last_is_read(value: ir.Value) -> bool:
    """Whether all that is made of a value is its last timestep."""
    readers = [use.node for use in value.uses()]
    return (
        bool(readers)
        and not value.is_graph_output()
        and all(
            kind_of(node) == "decoder"
            and node.op_type == "MembraneDecode"
            and node.attributes["mode"].as_string() == "last"
            for node in readers
        )
    )
