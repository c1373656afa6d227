"""Values of a plain network that depend on no sample: exporters compute shapes and fused weights from constants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from hsnn.frontends.spike.execute import execute

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

_CHANCE = frozenset("RandomNormal RandomUniform RandomNormalLike RandomUniformLike Multinomial Bernoulli".split())


def constant_values(graph: onnx.GraphProto) -> dict[str, Array]:
    """Return the value of every initializer, by name."""
    return {item.name: numpy_helper.to_array(item) for item in graph.initializer}


def fold(graph: onnx.GraphProto, model: onnx.ModelProto) -> None:
    """Make initializers of ``Constant`` nodes, and of what is computed from initializers alone.

    Where ONNX Runtime cannot compute a value, it stays a node.

    Args:
        graph: Main graph of ``model``, in topological order; it is changed.
        model: For its operator sets and functions.
    """
    overridden = {item.name for item in graph.input}
    known = {item.name for item in graph.initializer} - overridden
    inner, outer = list[onnx.NodeProto](), list[onnx.NodeProto]()
    for node in graph.node:
        subgraphs = any(item.type in (item.GRAPH, item.GRAPHS) for item in node.attribute)
        fixed = all(name in known for name in node.input if name) and not subgraphs and node.op_type not in _CHANCE
        (inner if fixed else outer).append(node)
        known.update(name for name in node.output if fixed and name)
    read = {name for node in outer for name in node.input} | {item.name for item in graph.output}
    wanted = [name for node in inner for name in node.output if name in read]
    try:
        found = execute(_alone(graph, model, inner, wanted), {}, wanted) if wanted else []
    except Exception:  # noqa: BLE001 - ONNX Runtime has no base class; what it cannot run, it refuses again later, aloud
        return
    del graph.node[:]
    graph.node.extend(outer)
    graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), name) for name, value in zip(wanted, found, strict=True)
    )


def _alone(
    graph: onnx.GraphProto, model: onnx.ModelProto, nodes: list[onnx.NodeProto], wanted: list[str]
) -> onnx.ModelProto:
    """Return a model of the nodes that depend on no sample."""
    alone = onnx.ModelProto()
    alone.ir_version = model.ir_version
    alone.opset_import.extend(model.opset_import)
    alone.functions.extend(model.functions)
    alone.graph.name = "constants"
    alone.graph.node.extend(nodes)
    reads = {name for node in nodes for name in node.input}
    alone.graph.initializer.extend(item for item in graph.initializer if item.name in reads)
    outputs = [helper.make_empty_tensor_value_info(name) for name in wanted]
    inferred = onnx.shape_inference.infer_shapes(alone, check_type=False)
    types = {item.name: item.type for item in inferred.graph.value_info}
    for item in outputs:
        item.type.CopyFrom(types.get(item.name, helper.make_tensor_type_proto(TensorProto.FLOAT, None)))
    alone.graph.output.extend(outputs)
    return alone
