"""Partition: decide for every operator where it runs, and cut the model there.

Rules:

1. A neuron runs on the chip unless it is pinned to the host.
2. A linear operator on spike trains is part of a synapse if a neuron on the chip follows it.
3. Everything else runs on the host, each with its reason.
4. Neurons joined by synapses form one segment, unless the host must work between them: then what comes
   after is a later segment. So no segment ever waits for itself (it is convex), and parallel branches
   are segments that can run side by side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal, TypeAlias

from hsnn.errors import UnsupportedError, UsageError
from hsnn.ir.hybrid import HybridModel, module_of
from hsnn.ir.plan import ChipSegment, Cut, Placement, Plan, Stage
from hsnn.passes.partition.codings import remarks
from hsnn.passes.partition.extract import extract_model
from hsnn.passes.partition.levels import Levels, assign_levels, group_neurons
from hsnn.passes.partition.lower import ChipNeuron, Origin, drive_of, fixed_scale, lower, neuron_name, source_name
from hsnn.passes.trains.domains import (
    Domains,
    Problem,
    all_operands,
    feature_shape,
    infer_domains,
    kind_of,
    train_operands,
)

if TYPE_CHECKING:
    import onnx_ir as ir

Side: TypeAlias = Literal["host", "chip"]


@dataclass(frozen=True, slots=True)
class Partition:
    """The pass.

    Attributes:
        pins: Pairs of a glob over module paths or node names, and the side to keep them on. The last
            that matches wins.
    """

    pins: tuple[tuple[str, Side], ...] = ()

    def __call__(self, hybrid: HybridModel) -> Plan:
        """Cut a canonical hybrid model.

        Raises:
            UnsupportedError: With every misuse of a spike train, or if nothing is left for the chip.
        """
        graph = hybrid.to_ir().graph
        domains = infer_domains(graph)
        sides = self._sides(graph)
        _raise_problems((*domains.problems, *_impossible_pins(graph, domains, sides)))
        on_chip = _synapse_nodes(graph, domains, sides)
        neurons = _chip_neurons(graph, domains, sides, on_chip)
        if not neurons:
            raise UnsupportedError(
                "HSNN-P020",
                "no neuron of the model runs on the chip",
                allowed="at least one hsnn neuron between an encoder and a decoder",
                fix="add a neuron such as hsnn.nn.Lif, or drop the --pin that keeps it on the host",
            )
        levels = assign_levels(graph, neurons)
        groups = group_neurons(neurons, levels)
        return _assemble(hybrid, graph, domains, _Cutting(neurons, on_chip, sides, levels, groups))

    def _sides(self, graph: ir.Graph) -> Mapping[str, Side]:
        """Side that the user wants, by node name."""
        used: set[str] = set()
        sides: dict[str, Side] = {}
        for node in graph:
            for glob, side in self.pins:
                if any(fnmatchcase(name, glob) for name in (node.name or "", module_of(node)) if name):
                    sides[node.name or ""] = side
                    used.add(glob)
        unused = [glob for glob, _ in self.pins if glob not in used]
        if unused:
            raise UsageError(
                "HSNN-U032",
                f"--pin {unused[0]} matches no module or node",
                fix="hsnn-compile check lists the names",
            )
        return sides


@dataclass(frozen=True, slots=True, eq=False)
class _Cutting:
    """Where everything goes."""

    neurons: tuple[ChipNeuron, ...]
    on_chip: frozenset[str]
    sides: Mapping[str, Side]
    levels: Levels
    groups: tuple[tuple[ChipNeuron, ...], ...]
    """Neurons of each chip segment, in order of level."""

    def chip_values(self) -> frozenset[str]:
        return frozenset(neuron.value for neuron in self.neurons)


def _raise_problems(problems: tuple[Problem, ...]) -> None:
    if problems:
        raise UnsupportedError.joined([UnsupportedError(p.code, p.found, fix=p.fix) for p in problems])


def _impossible_pins(graph: ir.Graph, domains: Domains, sides: Mapping[str, Side]) -> tuple[Problem, ...]:
    """Operators pinned to the chip that no chip can run."""
    return tuple(
        Problem(
            "HSNN-P014",
            node.name or "",
            f"{node.op_type} {node.name!r} is pinned to the chip, but "
            + domains.refusals.get(node.name or "", "it does not work on spike trains"),
            "drop the pin, or replace the operator",
        )
        for node in graph
        if sides.get(node.name or "") == "chip"
        and (node.name in domains.refusals or kind_of(node) in ("encoder", "decoder"))
    )


def _synapse_nodes(graph: ir.Graph, domains: Domains, sides: Mapping[str, Side]) -> frozenset[str]:
    """Linear operators from which a neuron on the chip can be reached through linear operators only."""
    chosen: set[str] = set()
    pending = [node.inputs[0] for node in graph if _is_chip_neuron(node, sides)]
    while pending:
        value = pending.pop()
        node = None if value is None else value.producer()
        if node is None or node.name in chosen or not _can_be_synapse(node, domains, sides):
            continue
        chosen.add(node.name or "")
        pending.extend(operand for _, operand, _ in train_operands(node, domains.trains))
    return frozenset(chosen)


def _can_be_synapse(node: ir.Node, domains: Domains, sides: Mapping[str, Side]) -> bool:
    return (
        node.name in domains.linear
        and sides.get(node.name or "") != "host"
        and not any(train.voltage for _, _, train in train_operands(node, domains.trains))
    )


def _is_chip_neuron(node: ir.Node, sides: Mapping[str, Side]) -> bool:
    return kind_of(node) == "neuron" and sides.get(node.name or "") != "host"


def _chip_neurons(
    graph: ir.Graph, domains: Domains, sides: Mapping[str, Side], on_chip: frozenset[str]
) -> tuple[ChipNeuron, ...]:
    taken: set[str] = set()
    neurons = []
    for node in graph:
        drive = node.inputs[0] if _is_chip_neuron(node, sides) else None
        if drive is not None:
            neurons.append(ChipNeuron(node, neuron_name(node, taken), drive_of(drive, domains, on_chip)))
    return tuple(neurons)


def _assemble(hybrid: HybridModel, graph: ir.Graph, domains: Domains, cutting: _Cutting) -> Plan:
    """Build the segments and tell what crosses between them."""
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
    placements = _placements(graph, domains, cutting, _Stages(names, chip_of, needed))
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


def _needed_on_host(graph: ir.Graph, cutting: _Cutting) -> frozenset[str]:
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


def _values_leaving(graph: ir.Graph, cutting: _Cutting, needed: frozenset[str]) -> frozenset[str]:
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


@dataclass(frozen=True, slots=True)
class _Stages:
    """Names of the stages: of host levels, of chip values, and which nodes the host runs."""

    host: Mapping[int, str]
    chip: Mapping[str, str]
    needed: frozenset[str]


def _placements(graph: ir.Graph, domains: Domains, cutting: _Cutting, stages: _Stages) -> tuple[Placement, ...]:
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


def _neuron_after(cutting: _Cutting) -> dict[str, ChipNeuron]:
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
