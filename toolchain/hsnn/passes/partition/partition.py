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
from typing import TYPE_CHECKING

from hsnn.errors import UnsupportedError, UsageError
from hsnn.ir.hybrid import HybridModel, module_of
from hsnn.ir.plan import Plan
from hsnn.passes.partition.assemble import assemble
from hsnn.passes.partition.chip_neuron import ChipNeuron, drive_of, neuron_name
from hsnn.passes.partition.cutting import Cutting, Side
from hsnn.passes.partition.levels import assign_levels, group_neurons
from hsnn.passes.trains.domains import Domains, Problem, infer_domains
from hsnn.passes.trains.nodes import kind_of, train_operands

if TYPE_CHECKING:
    import onnx_ir as ir


@dataclass(frozen=True, slots=True)
class Partition:
    """The pass from a canonical hybrid model to a plan.

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
        return assemble(hybrid, graph, domains, Cutting(neurons, on_chip, sides, levels, groups))

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
