"""Freeing the batch of a plain network that was exported for one number of samples."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.shape_inference
from onnx import numpy_helper

_FREE = "batch"

Extent = int | str | None
"""A number, a name, or what does not follow."""


def fixed_batch(model: onnx.ModelProto) -> int | None:
    """Return how many samples a network takes at once, or ``None`` if that is free."""
    inputs = _sample_inputs(model.graph)
    extents = {_extents(item.type)[0] for item in inputs if _extents(item.type)}
    return next((item for item in extents if isinstance(item, int) and item > 0), None)


def free_batch(model: onnx.ModelProto) -> None:
    """Let a network take any number of samples, in place.

    Reshapes that keep the batch in front say so with 0, *as it is*, whatever number an exporter wrote and however it
    computed it. Shapes inside are open afterwards. Axes of means count from the front.
    """
    graph = model.graph
    inputs = _sample_inputs(graph)
    batch = {_extents(item.type)[0] for item in inputs if _extents(item.type)} - {None}
    shapes = _inferred(model)
    for node in graph.node:
        if node.domain:
            continue
        if node.op_type == "Reshape":
            _free_reshape(graph, node, shapes, batch)
        elif node.op_type in ("ReduceMean", "Concat"):
            _count_from_front(graph, node, len(shapes.get(node.input[0], ())))
    _drop_unused(graph)
    fixed = {item.name for item in graph.initializer}
    for item in (*graph.input, *graph.output):
        if item.name not in fixed and item.type.tensor_type.shape.dim:
            item.type.tensor_type.shape.dim[0].dim_param = _FREE
    del graph.value_info[:]
    stated = {item.name: item for item in onnx.shape_inference.infer_shapes(model, data_prop=True).graph.output}
    for item in graph.output:
        if not item.type.tensor_type.HasField("shape"):
            item.CopyFrom(stated[item.name])


def _sample_inputs(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    fixed = {item.name for item in graph.initializer}
    return [item for item in graph.input if item.name not in fixed]


def _extents(kind: onnx.TypeProto) -> tuple[Extent, ...]:
    return tuple(
        dim.dim_value if dim.HasField("dim_value") else dim.dim_param or None for dim in kind.tensor_type.shape.dim
    )


def _inferred(model: onnx.ModelProto) -> dict[str, tuple[Extent, ...]]:
    inferred = onnx.shape_inference.infer_shapes(model, check_type=False, data_prop=True).graph
    stated = (*inferred.input, *inferred.value_info, *inferred.output)
    return {item.name: _extents(item.type) for item in stated if item.type.tensor_type.HasField("shape")}


def _free_reshape(
    graph: onnx.GraphProto, node: onnx.NodeProto, shapes: dict[str, tuple[Extent, ...]], batch: set[Extent]
) -> None:
    before, after = shapes.get(node.input[0], ()), shapes.get(node.output[0], ())
    rest = [item if isinstance(item, int) else -1 for item in after[1:]]
    keeps = bool(before and after) and before[0] in batch and after[0] == before[0]
    if not keeps or rest.count(-1) > 1 or 0 in rest:
        return
    name = f"{node.output[0]}/any_batch"
    graph.initializer.append(numpy_helper.from_array(np.array([0, *rest], np.int64), name))
    node.input[1] = name
    kept = [item for item in node.attribute if item.name != "allowzero"]
    del node.attribute[:]
    node.attribute.extend(kept)


def _count_from_front(graph: onnx.GraphProto, node: onnx.NodeProto, rank: int) -> None:
    for item in node.attribute:
        if rank and item.name == "axis" and item.i < 0:
            item.i += rank
    if node.op_type != "ReduceMean" or len(node.input) < 2 or not rank:
        return
    found = next((item for item in graph.initializer if item.name == node.input[1]), None)
    if found is not None:
        axes = numpy_helper.to_array(found)
        name = f"{node.output[0]}/axes"
        graph.initializer.append(numpy_helper.from_array(np.where(axes < 0, axes + rank, axes), name))
        node.input[1] = name


def _drop_unused(graph: onnx.GraphProto) -> None:
    """Drop nodes that nothing reads any more: the arithmetic of shapes."""
    read = {item.name for item in graph.output}
    kept = list[onnx.NodeProto]()
    for node in reversed(graph.node):
        if read.intersection(node.output):
            kept.append(node)
            read.update(node.input)
            read.update(name for item in node.attribute if item.HasField("g") for name in _names(item.g))
    del graph.node[:]
    graph.node.extend(reversed(kept))
    used = [item for item in graph.initializer if item.name in read]
    del graph.initializer[:]
    graph.initializer.extend(used)


def _names(graph: onnx.GraphProto) -> set[str]:
    found = {name for node in graph.node for name in node.input} | {item.name for item in graph.output}
    return found.union(
        *(_names(item.g) for node in graph.node for item in node.attribute if item.HasField("g")), set[str]()
    )
