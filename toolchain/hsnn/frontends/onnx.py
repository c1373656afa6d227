"""From a hybrid .onnx file, of hsnn or of anybody who follows the operator set, to a hybrid model."""

from __future__ import annotations

import os

from hsnn.errors import UnsupportedError
from hsnn.ir.hybrid import HybridModel, read_model
from hsnn.libraries import named_if_missing
from hsnn.ops import DOMAIN, OPS, OPSET_VERSION

with named_if_missing():
    import onnx
    import onnx.checker
    import onnx.helper
    import onnx.numpy_helper

    from hsnn.frontends.finish import finish
    from hsnn.frontends.tensors import check_tensors
    from hsnn.ops.functions import MIX, function_proto, onnx_opset


def from_onnx(source: str | os.PathLike[str] | onnx.ModelProto) -> HybridModel:
    """Read and check a hybrid ONNX model.

    The functions of the hsnn operators are attached where they are missing, nodes without a name get one, and
    ``Constant`` nodes become initializers.

    Args:
        source: A file, or a model, which is not changed.

    Raises:
        UsageError: ``HSNN-F020``, if the file is missing or no ONNX model.
        UnsupportedError: ``HSNN-F021``, if a constant is damaged; ``HSNN-F022``, if the hsnn operator set has another
            version; ``HSNN-F024``, if the model brings its own, different meaning of an hsnn operator; those of
            :func:`~hsnn.frontends.finish.finish`.
    """
    given = source if isinstance(source, onnx.ModelProto) else read_model(os.fspath(source))
    check_tensors(given.graph)
    _check_opset(given)
    _check_functions(given)
    model = onnx.ModelProto()
    model.CopyFrom(given)
    _lift_constants(model.graph)
    _name_nodes(model.graph)
    return finish(model)


def _check_opset(model: onnx.ModelProto) -> None:
    versions = [item.version for item in model.opset_import if item.domain == DOMAIN]
    uses = any(node.domain == DOMAIN for node in model.graph.node)
    if (versions or uses) and versions != [OPSET_VERSION]:
        found = f"version {versions[0]}" if versions else "no version"
        raise UnsupportedError(
            "HSNN-F022",
            f"the model imports {found} of the operator set {DOMAIN!r}",
            allowed=f"version {OPSET_VERSION}",
            fix="update hsnn, or export the model again",
        )


def _check_functions(model: onnx.ModelProto) -> None:
    opset = onnx_opset(model)
    for function in model.functions:
        if function.domain != DOMAIN:
            continue
        known = function.name in OPS or function.name == MIX
        if not known or _meaning(function) != _meaning(function_proto(function.name, opset=opset)):
            raise UnsupportedError(
                "HSNN-F024",
                f"the model defines {DOMAIN}.{function.name} in its own way",
                allowed=f"the operators of {DOMAIN!r} version {OPSET_VERSION} as they are",
                fix="put other operators into a domain of your own",
            )


def _meaning(function: onnx.FunctionProto) -> bytes:
    """Return what a function computes: names of nodes and texts for people left out."""
    bare = onnx.FunctionProto()
    bare.CopyFrom(function)
    bare.ClearField("doc_string")
    bare.ClearField("metadata_props")
    bare.ClearField("value_info")
    bare.ClearField("opset_import")
    _strip(bare.node)
    return bytes(bare.SerializeToString(deterministic=True))


def _strip(nodes: object) -> None:
    for node in nodes:  # type: ignore[attr-defined]  # a repeated field of protobuf has no type
        node.ClearField("name")
        node.ClearField("doc_string")
        node.ClearField("metadata_props")
        if not node.domain:
            node.ClearField("domain")
        attributes = sorted(node.attribute, key=lambda item: str(item.name))
        del node.attribute[:]
        node.attribute.extend(attributes)
        for attribute in node.attribute:
            attribute.ClearField("doc_string")
            if attribute.type == onnx.AttributeProto.GRAPH:
                attribute.g.ClearField("value_info")
                attribute.g.ClearField("doc_string")
                _strip(attribute.g.node)


def _lift_constants(graph: onnx.GraphProto) -> None:
    kept = []
    for node in graph.node:
        liftable = node.op_type == "Constant" and not node.domain and len(node.attribute) == len(node.output) == 1
        tensor = _constant(node) if liftable else None
        if tensor is None:
            kept.append(node)
        else:
            tensor.name = node.output[0]
            graph.initializer.append(tensor)
    del graph.node[:]
    graph.node.extend(kept)


def _constant(node: onnx.NodeProto) -> onnx.TensorProto | None:
    """Return the tensor of a Constant node, or None for strings and sparse tensors."""
    attribute = node.attribute[0]
    value = onnx.helper.get_attribute_value(attribute)
    types = {
        "value_float": onnx.TensorProto.FLOAT,
        "value_floats": onnx.TensorProto.FLOAT,
        "value_int": onnx.TensorProto.INT64,
        "value_ints": onnx.TensorProto.INT64,
    }
    if attribute.name == "value":
        tensor = onnx.TensorProto()
        tensor.CopyFrom(value)
        return tensor
    if attribute.name not in types:
        return None
    several = attribute.name.endswith("s")
    values = list(value) if several else [value]
    return onnx.helper.make_tensor(node.output[0], types[attribute.name], [len(values)] if several else [], values)


def _name_nodes(graph: onnx.GraphProto) -> None:
    used = {node.name for node in graph.node if node.name}
    seen: set[str] = set()
    for node in graph.node:
        if node.name and node.name not in seen:
            seen.add(node.name)
            continue
        base, count = node.name or node.op_type, 0
        while not node.name or node.name in used:
            count += 1
            node.name = f"{base}_{count}"
        used.add(node.name)
        seen.add(node.name)
