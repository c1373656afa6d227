"""The model as a graph to draw: groups of host operators, populations of the chip, and the cuts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeAlias

from hsnn.ir.integer import count_synapses
from hsnn.ir.plan import HostStage
from hsnn.ir.populations import ConstantSource, IntegratorPopulation, sends_spikes
from hsnn.ir.shape import size
from hsnn.program import ChipStage
from hsnn.report.cells import TIMES, compact, count, extent, integer, visible
from hsnn.report.condense import beginning, condense, merge_runs, tally
from hsnn.report.facts import all_synapses, connection_of, kind_of, neurons
from hsnn.report.hybrid_nodes import HybridNode, hybrid_nodes

if TYPE_CHECKING:
    from hsnn.ir.plan import ModelValue
    from hsnn.ir.populations import InputPort, Population
    from hsnn.program import ChipInput, ChipOutput, Program

NodeKind: TypeAlias = Literal["value", "host", "lif", "integrator", "constant", "port", "exit"]
EdgeKind: TypeAlias = Literal["flow", "cut", "synapse", "loop"]

MOST_GROUPS = 36
"""Groups of host operators in the whole graph, if merging can reach it."""
MOST_POPULATIONS = 48
"""Populations in the whole graph, likewise."""


@dataclass(frozen=True, slots=True)
class Node:
    """A box.

    Attributes:
        key: Unique.
        band: Index of the band that it lies in.
        kind: What it stands for.
        label: First line.
        detail: Second line, or an empty string.
        title: What to tell on hovering.
    """

    key: str
    band: int
    kind: NodeKind
    label: str
    detail: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True)
class Edge:
    """An arrow.

    Attributes:
        source, target: Keys of nodes.
        kind: ``flow`` on the host, ``cut`` across the border, ``synapse`` on the chip, ``loop`` for
            synapses that lead back.
        title: What to tell on hovering.
    """

    source: str
    target: str
    kind: EdgeKind
    title: str = ""


@dataclass(frozen=True, slots=True)
class Band:
    """A lane of the drawing: a stage, or the model's inputs or outputs."""

    name: str
    kind: Literal["host", "chip", "value"]
    facts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Graph:
    """What to draw: bands from top to bottom; all edges but loops lead forward in the order of nodes."""

    bands: tuple[Band, ...]
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


def model_graph(program: Program) -> Graph:
    """Build the graph of a program.

    Groups of host operators are told apart, and joined, by the hybrid model. A program without it
    shows each host stage as one box.
    """
    draft = _Draft(program)
    draft.add_values("inputs", program.inputs)
    for stage in program.stages:
        if isinstance(stage, ChipStage):
            draft.add_chip(stage)
        else:
            draft.add_host(stage)
    draft.add_values("outputs", program.outputs)
    return Graph(tuple(draft.bands), tuple(draft.nodes), tuple(draft.edges.values()))


class _Draft:
    """A graph that is being built, one stage after the other."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.hybrid = hybrid_nodes(program.hybrid)
        self.bands: list[Band] = []
        self.nodes: list[Node] = []
        self.edges: dict[tuple[str, str, EdgeKind], Edge] = {}
        self.maker: dict[str, str] = {}
        """Key of the node that makes a value of the hybrid model."""
        self.cuts = {(cut.value, cut.target): cut for cut in program.cuts}
        self.chips = {stage.name for stage in program.chip_stages}

    def add_values(self, name: str, values: Iterable[ModelValue]) -> None:
        """Add the model's inputs or outputs."""
        self.bands.append(Band(name, "value"))
        for value in values:
            key = f"{name}/{value.name}"
            title = f"{visible(value.name)}: {value.dtype} of shape {extent(value.shape)}"
            self._node(key, "value", visible(value.name), extent(value.shape), title)
            if name == "inputs":
                self.maker[value.name] = key
            elif value.name in self.maker:
                self._value(self.maker[value.name], key, value.name)

    def add_host(self, stage: HostStage) -> None:
        """Add groups of operators, or one box for all of them if the hybrid model is not there."""
        placed = [item for item in self.program.placements if item.place == stage.name]
        known = bool(placed) and all(item.node in self.hybrid for item in placed)
        self.bands.append(Band(visible(stage.name), "host", (count(len(placed), "operator"),) if placed else ()))
        if not known:
            ops = tally([visible(item.op) for item in placed])
            key = f"{stage.name}/all"
            self._node(key, "host", visible(stage.name), ops, ops)
            self._flow([HybridNode(stage.reads, stage.makes)], key)
            return
        share = max(4, MOST_GROUPS // len(self.program.host_stages))
        for index, run in enumerate(condense(placed, most=share)):
            key = f"{stage.name}/{index}"
            ops = tally([visible(item.op).removeprefix("hsnn.") for item in run.operators])
            label = visible(run.module) or visible(run.operators[0].node)
            reasons = "; ".join(visible(reason) for reason in run.reasons)
            title = "\n".join(filter(None, (label, ops, reasons)))
            self._node(key, "host", label, "" if ops == label else ops, title)
            self._flow([self.hybrid[item.node] for item in run.operators], key)

    def _flow(self, nodes: Iterable[HybridNode], key: str) -> None:
        """Draw what a box reads, then note what it makes."""
        for node in nodes:
            for value in node.reads:
                source = self.maker.get(value)
                if source is not None and source != key:
                    self._value(source, key, value)
            self.maker.update({value: key for value in node.makes})

    def add_chip(self, stage: ChipStage) -> None:
        """Add ports, populations, synapses, and what leaves."""
        network = stage.network
        facts = (
            f"{network.timesteps} timesteps",
            count(neurons(network), "neuron"),
            f"{compact(all_synapses(network))} synapses",
        )
        self.bands.append(Band(visible(stage.name), "chip", facts))
        box = {port.port: self._port(stage, port) for port in stage.inputs}
        share = max(4, MOST_POPULATIONS // len(self.chips))
        for label, items in _merged(network.populations, share):
            key = f"{stage.name}/population {items[0].name}"
            box.update({item.name: key for item in items})
            self._population(key, label, items)
        order = {item.name: index for index, item in enumerate((*network.inputs, *network.populations))}
        for link in network.projections:
            loop = order[link.pre] >= order[link.post]
            if box[link.pre] != box[link.post] or loop:
                title = (
                    f"{visible(link.name)}: {connection_of(link)}, {compact(count_synapses(network, link))} synapses"
                )
                delay = f", delay {link.delay}" if link.delay else ""
                self._edge(box[link.pre], box[link.post], "loop" if loop else "synapse", title + delay)
        for output in stage.outputs:
            self._exit(stage, output, box[output.population])

    def _port(self, stage: ChipStage, port: ChipInput) -> str:
        key = f"{stage.name}/port {port.port}"
        item = stage.network.source(port.port)
        title = f"{kind_of(item)} {visible(port.port)}: {extent(item.shape)}, {stage.network.timesteps} timesteps"
        self._node(key, "port", f"{extent(item.shape)} {TIMES} {stage.network.timesteps} steps", "", title)
        if port.value in self.maker:
            self._edge(self.maker[port.value], key, "cut", self._cut_title(port.value, stage.name))
        return key

    def _population(self, key: str, label: str, items: tuple[Population, ...]) -> None:
        number = sum(size(item.shape) for item in items)
        if len(items) == 1:
            detail = f"{kind_of(items[0])} · {extent(items[0].shape)}"
            label = items[0].name
        else:
            detail = f"{len(items)} {TIMES} {kind_of(items[0])} · {compact(number)}"
            label = label or f"{items[0].name} … {items[-1].name}"
        title = "\n".join((visible(label), detail, count(number, "neuron")))
        self._node(key, _node_kind(items[0]), visible(label), detail, title)

    def _exit(self, stage: ChipStage, output: ChipOutput, source: str) -> None:
        key = f"{stage.name}/exit {output.value}"
        item = stage.network.source(output.population)
        what = "spikes" if sends_spikes(item) else kind_of(item)
        label = f"{extent(item.shape)} {TIMES} {stage.network.timesteps} steps"
        self._node(key, "exit", label, "", f"{what} of {visible(output.population)} leave as {visible(output.value)}")
        self._edge(source, key, "synapse", "")
        self.maker[output.value] = key

    def _cut_title(self, value: str, target: str) -> str:
        cut = self.cuts.get((value, target))
        if cut is None:
            return visible(value)
        return f"{visible(value)}: {extent(cut.shape)}, {integer(size(cut.shape) * cut.timesteps)} values a sample"

    def _node(self, key: str, kind: NodeKind, label: str, detail: str, title: str) -> None:
        self.nodes.append(Node(key, len(self.bands) - 1, kind, label, detail, title))

    def _value(self, source: str, target: str, value: str) -> None:
        """Draw a value on its way to the host or to the caller."""
        from_chip = source.split("/")[0] in self.chips
        self._edge(source, target, "cut" if from_chip else "flow", visible(value))

    def _edge(self, source: str, target: str, kind: EdgeKind, title: str) -> None:
        self.edges.setdefault((source, target, kind), Edge(source, target, kind, title))


def _merged(populations: Sequence[Population], most: int) -> tuple[tuple[str, tuple[Population, ...]], ...]:
    """Merge successive populations of one module until few enough are left; at last those of one kind."""
    deepest = max((item.name.count(".") + 1 for item in populations), default=1)
    runs: tuple[tuple[str, tuple[Population, ...]], ...] = ()
    for depth in range(deepest, -1, -1):
        cut = partial(_name_beginning, depth=depth)
        runs = merge_runs(populations, name=cut, same=_node_kind)
        if len(runs) <= most:
            break
    return runs


def _name_beginning(item: Population, *, depth: int) -> str:
    return beginning(item.name, depth)


def _node_kind(item: InputPort | Population) -> NodeKind:
    if isinstance(item, ConstantSource):
        return "constant"
    return "integrator" if isinstance(item, IntegratorPopulation) else "lif"
