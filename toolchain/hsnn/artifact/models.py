"""Check the ONNX models of an artifact: they must stand alone and run no code of their own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from hsnn.errors import ArtifactError

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, TensorProto

HOST_DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")
"""Operator domains that stock ONNX Runtime has."""
_ALONE = "export the model again with its weights inside"


def check_host_model(data: bytes, name: str, *, inputs: Iterable[str], outputs: Iterable[str]) -> None:
    """Check the model of a host stage.

    Args:
        data: Serialized model.
        name: Name of the file, for errors.
        inputs: Values that the stage reads: the graph's inputs, initializers apart.
        outputs: Values that the stage makes: the graph's outputs.

    Raises:
        ArtifactError: ``HSNN-A015``, if it is not a model, is not plain ONNX, refers to another file,
            or has other inputs or outputs.
    """
    model = _parse(data, name)
    _check_alone(model, name)
    if model.functions:
        raise ArtifactError("HSNN-A015", f"{name} has local functions", allowed="plain ONNX operators")
    for node in _nodes(model.graph):
        if node.domain not in HOST_DOMAINS:
            raise ArtifactError(
                "HSNN-A015",
                f"{name}: node {node.name!r} is a {node.domain}.{node.op_type}",
                allowed="operators of " + ", ".join(repr(domain) for domain in HOST_DOMAINS),
                fix="compile the model again, so that spiking operators leave the host",
            )
    constants = {tensor.name for tensor in model.graph.initializer}
    constants.update(tensor.values.name for tensor in model.graph.sparse_initializer)
    for kind, found, stated in (
        ("inputs", [value.name for value in model.graph.input if value.name not in constants], inputs),
        ("outputs", [value.name for value in model.graph.output], outputs),
    ):
        if sorted(found) != sorted(stated):
            raise ArtifactError("HSNN-A015", f"{name} has the {kind} {', '.join(found)}", allowed=", ".join(stated))


def check_hybrid_model(data: bytes, name: str) -> None:
    """Check that the hybrid model can be read and needs no other file.

    Raises:
        ArtifactError: ``HSNN-A015``.
    """
    _check_alone(_parse(data, name), name)


def _parse(data: bytes, name: str) -> ModelProto:
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # it ships no types

    try:
        model = onnx.load_model_from_string(data)
    except DecodeError as error:
        raise ArtifactError("HSNN-A015", f"{name} is not an ONNX model: {error}") from error
    if not model.opset_import or not model.graph.output:
        raise ArtifactError("HSNN-A015", f"{name} is not an ONNX model: it states no opset or no output")
    return model


def _check_alone(model: ModelProto, name: str) -> None:
    """Refuse weights and compiled blobs that are kept in another file."""
    from onnx import TensorProto

    for tensor in _tensors(model):
        if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
            where = next((entry.value for entry in tensor.external_data if entry.key == "location"), "another file")
            raise ArtifactError("HSNN-A015", f"{name}: tensor {tensor.name!r} is kept in {where!r}", fix=_ALONE)
    for node in _all_nodes(model):
        if node.op_type == "EPContext":
            raise ArtifactError("HSNN-A015", f"{name}: node {node.name!r} refers to a compiled blob", fix=_ALONE)


def _all_nodes(model: ModelProto) -> Iterator[NodeProto]:
    yield from _nodes(model.graph)
    for function in model.functions:
        for node in function.node:
            yield from _with_bodies(node)


def _nodes(graph: GraphProto) -> Iterator[NodeProto]:
    """Nodes of a graph and of everything nested in it."""
    for node in graph.node:
        yield from _with_bodies(node)


def _with_bodies(node: NodeProto) -> Iterator[NodeProto]:
    yield node
    for body in _bodies(node):
        yield from _nodes(body)


def _bodies(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _tensors(model: ModelProto) -> Iterator[TensorProto]:
    """Every tensor of a model, wherever ONNX allows one."""
    nodes = list(_all_nodes(model))
    trained = [graph for info in model.training_info for graph in (info.initialization, info.algorithm)]
    graphs = [model.graph, *trained, *(body for node in nodes for body in _bodies(node))]
    for graph in graphs:
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
    for attribute in (attribute for node in nodes for attribute in node.attribute):
        yield from (attribute.t, *attribute.tensors)
        for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
            yield from (sparse.values, sparse.indices)
    for function in model.functions:
        yield from (attribute.t for attribute in function.attribute_proto)
