"""Shapes of every value of a model: those of ONNX, and those of the hsnn operators between them."""

from __future__ import annotations

import onnx
import onnx.shape_inference

from hsnn.ops import DOMAIN, OPS, OPSET_VERSION
from hsnn.ops.spec import AttributeValue, Dim

_SMALL = 1024
"""Elements up to which an initializer's values may matter to a shape."""


def infer_shapes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with a shape for every value of its main graph that one follows for.

    ONNX infers one stretch between hsnn operators at a time; the shape of each hsnn output follows from the
    operator's own rule. A number that the model states for an
    axis is kept.

    Args:
        model: hsnn nodes have all their attributes.
    """
    skeleton = _without_weights(model)
    while True:
        skeleton = onnx.shape_inference.infer_shapes(skeleton, check_type=False, data_prop=True)
        if not _fill_hsnn_outputs(skeleton):
            break
    result = onnx.ModelProto()
    result.CopyFrom(model)
    _take_shapes(result, skeleton)
    return result


def known_types(graph: onnx.GraphProto) -> dict[str, onnx.TypeProto]:
    """Return the type of every value whose shape is stated, initializers included."""
    types = {
        item.name: onnx.helper.make_tensor_type_proto(item.data_type, list(item.dims)) for item in graph.initializer
    }
    for item in (*graph.input, *graph.value_info, *graph.output):
        if item.type.tensor_type.HasField("shape"):
            types[item.name] = item.type
    return types


def node_attributes(node: onnx.NodeProto) -> dict[str, AttributeValue]:
    """Return the attributes of an hsnn node as numbers and strings."""
    values = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
    return {
        name: value.decode(errors="replace") if isinstance(value, bytes) else value for name, value in values.items()
    }


def _without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the main graph alone, large initializers as inputs: what shapes depend on, and quick to copy."""
    skeleton = onnx.ModelProto()
    skeleton.ir_version = model.ir_version
    skeleton.opset_import.extend(item for item in model.opset_import if item.domain != DOMAIN)
    skeleton.opset_import.append(onnx.helper.make_opsetid(DOMAIN, OPSET_VERSION))
    graph = skeleton.graph
    graph.name = model.graph.name
    graph.node.extend(model.graph.node)
    graph.input.extend(model.graph.input)
    graph.output.extend(model.graph.output)
    graph.value_info.extend(model.graph.value_info)
    inputs = {item.name for item in model.graph.input}
    for item in model.graph.initializer:
        if _elements(item) <= _SMALL:
            graph.initializer.append(item)
        elif item.name not in inputs:
            graph.input.append(onnx.helper.make_tensor_value_info(item.name, item.data_type, list(item.dims)))
    return skeleton


def _elements(tensor: onnx.TensorProto) -> int:
    count = 1
    for extent in tensor.dims:
        count *= extent
    return count


def _fill_hsnn_outputs(model: onnx.ModelProto) -> bool:
    types = known_types(model.graph)
    found = False
    for node in model.graph.node:
        if node.domain != DOMAIN or node.op_type not in OPS or node.input[0] not in types:
            continue
        tensor = types[node.input[0]].tensor_type
        if len(tensor.shape.dim) < OPS[node.op_type].least_rank:
            continue
        shape = OPS[node.op_type].output_shape(_dims(types[node.input[0]]), node_attributes(node))
        name = node.output[0]
        if name in types and not _says_more(shape, _dims(types[name])):
            continue
        info = onnx.helper.make_tensor_value_info(name, tensor.elem_type, shape)
        _state(model.graph, info)
        types[name] = info.type
        found = True
    return found


def _dims(type_: onnx.TypeProto) -> tuple[Dim, ...]:
    return tuple(_dim(dim) for dim in type_.tensor_type.shape.dim)


def _says_more(shape: tuple[Dim, ...], stated: tuple[Dim, ...]) -> bool:
    """Tell whether a shape has a number where the stated one has none."""
    return len(shape) == len(stated) and any(
        isinstance(dim, int) and not isinstance(other, int) for dim, other in zip(shape, stated, strict=True)
    )


def _dim(dim: onnx.TensorShapeProto.Dimension) -> Dim:
    if dim.HasField("dim_value"):
        return int(dim.dim_value)
    return str(dim.dim_param) or None


def _take_shapes(model: onnx.ModelProto, skeleton: onnx.ModelProto) -> None:
    known = known_types(skeleton.graph)
    stated = known_types(model.graph)
    for node in model.graph.node:
        for name in node.output:
            if name in known and (name not in stated or _says_more(_dims(known[name]), _dims(stated[name]))):
                _state(model.graph, onnx.helper.make_value_info(name, known[name]))


def _state(graph: onnx.GraphProto, info: onnx.ValueInfoProto) -> None:
    for place in (graph.output, graph.value_info):
        for item in place:
            if item.name == info.name:
                item.type.CopyFrom(info.type)
                return
    graph.value_info.append(info)
