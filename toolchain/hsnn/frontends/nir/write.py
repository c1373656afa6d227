"""Write the spiking part of a hybrid model as a NIR graph.

What is written is the float model between encoders and decoders, layer by layer, before quantization: NIR is about
equations with real parameters, and its readers train and simulate in float. A compiled artifact holds the same model
beside its integers. Ordinary layers, encoders and decoders are not NIR's; the report names what is left out.

NIR does not hold the length of a timestep, the integrator, how a neuron resets, and whether a voltage that equals the
threshold spikes. The policy under which the fields are to be read (:mod:`hsnn.frontends.nir.policy`) is left in the
graph's metadata, and what one neuron does otherwise in the metadata of its node. hsnn reads both back; others ignore
them.

Layout of recurrent neurons: a graph of its own with the nodes ``input``, ``lif``, ``w_rec`` and ``output``, as
snnTorch 1.0.0 reads it (``import_nir.py``).
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hsnn.errors import HsnnError, UnsupportedError, UsageError
from hsnn.frontends.nir.graph_builder import GraphBuilder, Wire
from hsnn.frontends.nir.policy import POLICY_KEY, TIMESTEPS_KEY, NirPolicy, parse_policy, read_back
from hsnn.frontends.nir.write_layers import Layer, operands, write_layer
from hsnn.frontends.nir.write_neurons import refused, written_neuron
from hsnn.ir.plan import ChipSegment, Plan
from hsnn.passes.partition.chip_neuron import source_name
from hsnn.passes.partition.cutting import Side
from hsnn.passes.partition.partition import Partition
from hsnn.passes.rewrite.canonicalize import canonicalize
from hsnn.passes.trains.domains import Domains, infer_domains
from hsnn.passes.trains.nodes import constant, feature_shape, kind_of, train_operands, view_of

if TYPE_CHECKING:
    import onnx_ir as ir

    from hsnn.ir.hybrid import HybridModel

DT = 1e-4
"""Seconds of a timestep where nobody says otherwise: what snnTorch 1.0.0 and SpikingJelly 2.0.0 take when they read."""


@dataclass(frozen=True, slots=True, eq=False)
class NirExport:
    """What was written.

    Attributes:
        graph: The ``nir.NIRGraph``.
        policy: How it is to be read.
        left_out: Operators that the host runs, ``name (operator)``.
    """

    graph: Any
    policy: NirPolicy
    left_out: tuple[str, ...]

    def to_bytes(self) -> bytes:
        """Return the ``.nir`` file."""
        import nir

        stream = io.BytesIO()
        nir.write(stream, self.graph)
        return stream.getvalue()


def to_nir(
    hybrid: HybridModel, *, policy: NirPolicy | str | None = None, pins: Sequence[tuple[str, Side]] = ()
) -> NirExport:
    """Write the spiking segment of a hybrid model.

    Args:
        hybrid: The model; one spiking segment.
        policy: How whoever reads the file turns it into timesteps: a policy or its text. Neurons that reset or compare
            otherwise are then refused. None for NIR's own equations with a timestep of :data:`DT`, and the resets and
            comparisons of the model.
        pins: As :class:`~hsnn.passes.partition.partition.Partition` takes them.

    Raises:
        UnsupportedError: ``HSNN-F087``, naming every node that NIR cannot say, and what cutting the model raises.
        UsageError: ``HSNN-F084`` for a wrong policy; ``HSNN-F088``, if nir is not installed.
    """
    try:
        import nir
    except ImportError as error:
        raise UsageError("HSNN-F088", "writing NIR files needs h5py and nir", fix="pip install 'hsnn[nir]'") from error
    asked = parse_policy(policy) if isinstance(policy, str) else policy
    hybrid = canonicalize(hybrid)
    plan = Partition(tuple(pins))(hybrid)
    segments = plan.chip_segments
    if len(segments) != 1:
        raise refused(f"the model has {len(segments)} spiking segments", "one, which becomes the file")
    writer = _Writer(hybrid, plan, segments[0], asked)
    builder, chosen = writer.write()
    metadata = {POLICY_KEY: chosen.text(), TIMESTEPS_KEY: str(segments[0].graph.timesteps)}
    graph = nir.NIRGraph(builder.nodes, builder.edges, metadata=metadata, type_check=False)
    left = tuple(f"{item.node} ({item.op})" for item in plan.placements if item.place.startswith("host"))
    return NirExport(graph, chosen, left)


class _Writer:
    """Walks through a segment in dataflow order."""

    def __init__(self, hybrid: HybridModel, plan: Plan, segment: ChipSegment, asked: NirPolicy | None) -> None:
        self._graph = hybrid.to_ir().graph
        self._domains: Domains = infer_domains(self._graph)
        self._segment = segment
        self._members = {item.node for item in plan.placements if item.place == segment.name}
        self._asked = asked
        self._policy = asked or self._policy_of_the_model()
        self._builder = GraphBuilder()
        self._wires: dict[str, Wire] = {}
        self._reasons: list[UnsupportedError] = []
        neurons = [node for node in self._graph if kind_of(node) == "neuron"]
        self._neurons = frozenset(source_name(node, node.op_type) for node in neurons)

    def write(self) -> tuple[GraphBuilder, NirPolicy]:
        for port in self._segment.graph.inputs:
            self._input(port.value, port.name, port.shape, binary=port.binary)
        for node in self._graph:
            if node.name not in self._members:
                continue
            try:
                self._wires[node.outputs[0].name or ""] = self._written(node)
            except UnsupportedError as error:
                self._reasons.append(error)
                self._wires[node.outputs[0].name or ""] = self._stand_in(node)
        if self._reasons:
            raise UnsupportedError.joined(self._reasons)
        for index, value in enumerate(self._segment.outputs):
            self._output(value, "output" if len(self._segment.outputs) == 1 else f"output_{index}")
        return self._builder, self._policy

    def _policy_of_the_model(self) -> NirPolicy:
        """NIR's equations, with the reset and the comparison that the first neuron with a choice has."""
        binary = all(port.binary for port in self._segment.graph.inputs)
        policy = NirPolicy(
            DT, "euler", "value", ">", initial="zero", inputs="binary" if binary else "graded", name="hsnn"
        )
        for node in self._graph:
            if node.name in self._members and kind_of(node) == "neuron":
                try:
                    shape = self._shape(node.outputs[0])
                    policy = replace(policy, **written_neuron("", node, shape, policy).changes)  # type: ignore[arg-type]  # of known names
                except HsnnError:
                    continue  # The walk reports it.
                if "reset" in node.attributes:
                    break
        return policy

    def _shape(self, value: ir.Value) -> tuple[int, ...]:
        return feature_shape(value, self._domains.trains[value.name or ""])

    def _input(self, value: str, name: str, shape: tuple[int, ...], *, binary: bool) -> None:
        import nir

        wanted = "input" if len(self._segment.graph.inputs) == 1 else name
        node = nir.Input({"input": np.array(shape)})
        kind = "binary" if binary else "graded"
        if kind != self._policy.inputs:
            node.metadata = {POLICY_KEY: f"inputs={kind}"}
        self._wires[value] = self._builder.put(wanted, node, Wire((), shape), shape)

    def _output(self, value: str, wanted: str) -> None:
        import nir

        wire = self._wires[value]
        self._builder.put(wanted, nir.Output({"output": np.array(wire.shape)}), wire, wire.shape)

    def _written(self, node: ir.Node) -> Wire:
        name = source_name(node, node.op_type)
        output = node.outputs[0]
        if kind_of(node) == "neuron":
            return self._neuron(name, node)
        if name in self._neurons:  # A part of what became this neuron; the name is the neuron's.
            name = f"{name}.{node.op_type.lower()}"
        wires = {position: self._wires[value.name or ""] for position, value, _ in self._operands(node)}
        view = view_of(node, self._domains.trains, operands(wires))
        made = write_layer(Layer(name, view, wires, self._builder, self._policy.dt))
        alone = len(output.uses()) == 1 and not output.is_graph_output()
        reused = [wire for wire in wires.values() if set(wire.sources) & set(made.sources)]
        return replace(made, private=alone and all(wire.private for wire in reused))

    def _operands(self, node: ir.Node) -> list[tuple[int, ir.Value, Any]]:
        return list(train_operands(node, self._domains.trains))

    def _stand_in(self, node: ir.Node) -> Wire:
        """A wire of the right shape, so that what comes after a node that cannot be written is looked at too."""
        import nir

        shape = self._shape(node.outputs[0])
        return self._builder.put("unwritten", nir.Scale(np.ones(shape)), Wire((), shape), shape)

    def _neuron(self, name: str, node: ir.Node) -> Wire:
        import nir

        drive = node.inputs[0]
        assert drive is not None
        wire, shape = self._wires[drive.name or ""], self._shape(node.outputs[0])
        made = written_neuron(name, node, shape, self._policy, free=self._asked is None)
        if made.drive_bias is not None:
            wire = self._builder.shifted(f"{name}.bias", wire, made.drive_bias)
        written = getattr(nir, made.kind)(**made.fields)
        if self._asked is not None:
            self._require_read(name, made.kind, made.changes)
        changes = {key: value for key, value in made.changes.items() if getattr(self._policy, key) != value}
        if changes:
            written.metadata = {POLICY_KEY: ",".join(f"{key}={value}" for key, value in changes.items())}
        if node.op_type.startswith("Recurrent"):
            return self._recurrent(name, node, written, wire)
        return self._builder.put(name, written, wire, shape)

    def _require_read(self, name: str, kind: str, needed: Mapping[str, str]) -> None:
        """Refuse a neuron that the reader of the policy would take for another."""
        policy = read_back(self._policy, kind)
        for key, value in needed.items():
            if getattr(policy, key) != value:
                reader = self._policy.name or "the policy"
                raise refused(
                    f"{name!r} has {key}={value}, but {reader} reads {key}={getattr(policy, key)}",
                    f"neurons with {key}={getattr(policy, key)}, or a policy with {key}={value}",
                )

    def _recurrent(self, name: str, node: ir.Node, written: Any, wire: Wire) -> Wire:
        import nir

        weights = constant(node.inputs[-1])
        assert weights is not None
        shape = self._shape(node.outputs[0])
        nodes: Mapping[str, Any] = {
            "input": nir.Input({"input": np.array(shape)}),
            "lif": written,
            "w_rec": nir.Linear(np.float32(weights)),
            "output": nir.Output({"output": np.array(shape)}),
        }
        edges = [("input", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")]
        graph = nir.NIRGraph(dict(nodes), edges, metadata={}, type_check=False)
        return self._builder.put(name.removesuffix(".lif"), graph, wire, shape)
