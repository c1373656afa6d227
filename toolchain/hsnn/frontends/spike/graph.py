"""Rewriting the graph of a plain network: marked activations become neurons, what lies between them synapses."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from hsnn.frontends.spike.constants import constant_values
from hsnn.frontends.spike.plain import add_record
from hsnn.ir.hybrid import MODULE_KEY, RECORD_KEY, module_of
from hsnn.ops import DOMAIN, OPSET_VERSION

LINEAR = frozenset(
    "Conv Gemm MatMul Add Sub AveragePool GlobalAveragePool ReduceMean BatchNormalization Flatten Reshape Concat "
    "Identity Dropout".split()
)
"""Operators that may stand between two marked activations as synapses, where :func:`is_linear` agrees."""
_SUMS = frozenset(("Add", "Sub", "Concat"))
"""Operators that are linear in all of their inputs at once."""

_INTEGRATE_AND_FIRE = {"reset": "subtract", "comparison": ">=", "refractory": 0, "decay_input": 0}


class Converter:
    """Rewrites a graph: values are tensors, or trains where neurons follow."""

    def __init__(
        self, model: onnx.ModelProto, thresholds: Mapping[str, float], timesteps: int, record: Mapping[str, str]
    ) -> None:
        self._model, self._thresholds, self._timesteps, self._record = model, thresholds, timesteps, record
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._trains: dict[str, str] = {}
        self._decoded: set[str] = set()
        self._fixed = {item.name for item in model.graph.initializer}
        self._constants_of_model = constant_values(model.graph)
        self._wanted = self._values_before_neurons()

    def model(self) -> onnx.ModelProto:
        """The rewritten model, with a record of thresholds and timesteps."""
        for node in self._model.graph.node:
            if node.output[0] in self._thresholds:
                self._neuron(node)
            elif node.output[0] in self._wanted and any(name in self._trains for name in node.input):
                self._synapse(node)
            else:
                for name in _reads(node):
                    self._tensor(name)
                self._nodes.append(node)
        for item in self._model.graph.output:
            self._tensor(item.name)
        result = onnx.ModelProto()
        result.CopyFrom(self._model)
        del result.graph.node[:]
        result.graph.node.extend(self._nodes)
        result.graph.initializer.extend(self._constants.values())
        result.opset_import.append(helper.make_opsetid(DOMAIN, OPSET_VERSION))
        record = {
            **self._record,
            "spike_timesteps": str(self._timesteps),
            "spike_thresholds": json.dumps(dict(self._thresholds)),
        }
        add_record(result, {f"{RECORD_KEY}{key}": value for key, value in record.items()})
        return result

    def _values_before_neurons(self) -> set[str]:
        """Values that linear operators turn into the input of a marked activation."""
        makers = {node.output[0]: node for node in self._model.graph.node}
        pending = [node.input[0] for node in self._model.graph.node if node.output[0] in self._thresholds]
        found: set[str] = set()
        while pending:
            name = pending.pop()
            maker = makers.get(name)
            if maker is None or name in found or name in self._thresholds:
                continue
            if self._is_linear(maker):
                found.add(name)
                pending.extend(item for item in maker.input if item not in self._fixed)
        return found

    def _is_linear(self, node: onnx.NodeProto) -> bool:
        """Tell whether a node does the same linear thing to every sample, so that it may do it to every timestep."""
        if node.op_type not in LINEAR or node.domain or len([name for name in node.output if name]) != 1:
            return False
        if node.op_type not in _SUMS and any(name and name not in self._fixed for name in node.input[1:]):
            return False  # A product of two values, a shape that depends on the samples.
        axis = next((item.i for item in node.attribute if item.name == "axis"), 1)
        axes = self._constants_of_model.get(node.input[1]) if node.op_type == "ReduceMean" and node.input[1:] else None
        if node.op_type == "ReduceMean":
            return axes is not None and axes.size > 0 and bool((axes > 0).all())
        return axis == 1 if node.op_type == "Flatten" else axis > 0

    def _neuron(self, node: onnx.NodeProto) -> None:
        threshold = self._thresholds[node.output[0]]
        drive, module = self._train(node.input[0]), module_of(node) or node.name
        title = node.output[0]
        parameters = [
            self._constant(f"{title}/{key}", value)
            for key, value in (
                ("current_decay", 1.0),
                ("voltage_decay", 0.0),
                ("threshold", threshold),
                ("bias", threshold / (2 * self._timesteps)),
            )
        ]
        self._add("Lif", [drive, *parameters], f"{title}/spikes", module, **_INTEGRATE_AND_FIRE)
        scaled = [f"{title}/spikes", self._constant(f"{title}/scale", threshold)]
        self._trains[title] = self._add("Mul", scaled, f"{title}/train", module)

    def _synapse(self, node: onnx.NodeProto) -> None:
        """The same operator at every timestep."""
        inputs = [name if not name or name in self._fixed else self._merged(name) for name in node.input]
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        del copy.input[:]
        copy.input.extend(inputs)
        copy.output[0] = f"{node.output[0]}/merged"
        self._nodes.append(copy)
        split = {"timesteps": self._timesteps}
        title = node.output[0]
        self._trains[title] = self._add("SplitTime", [copy.output[0]], f"{title}/train", module_of(node), **split)

    def _merged(self, name: str) -> str:
        train = self._train(name)
        title = f"{train}/merge"
        if not any(node.output[0] == title for node in self._nodes):
            self._add("MergeTime", [train], title, "")
        return title

    def _train(self, name: str) -> str:
        if name not in self._trains:
            title = f"{name}/encoded"
            self._trains[name] = self._add("DirectEncode", [name], title, "", timesteps=self._timesteps)
            self._decoded.add(name)
        return self._trains[name]

    def _tensor(self, name: str) -> None:
        """Make the value itself, as a rate, where a train is all there is."""
        if name in self._trains and name not in self._decoded:
            self._decoded.add(name)
            node = helper.make_node("RateDecode", [self._trains[name]], [name], f"{name}/rate", domain=DOMAIN)
            self._nodes.append(node)

    def _add(self, op: str, inputs: Sequence[str], title: str, module: str, **attributes: Any) -> str:
        domain = "" if op == "Mul" else DOMAIN
        node = helper.make_node(op, list(inputs), [title], name=title, domain=domain, **attributes)
        helper.set_model_props(node, {MODULE_KEY: module})
        self._nodes.append(node)
        return title

    def _constant(self, name: str, value: float) -> str:
        self._constants[name] = numpy_helper.from_array(np.array(value, np.float32), name)
        return name


def _reads(node: onnx.NodeProto) -> list[str]:
    names = [name for name in node.input if name]
    for attribute in node.attribute:
        if attribute.HasField("g"):
            names += [name for inner in attribute.g.node for name in _reads(inner)]
    return names
