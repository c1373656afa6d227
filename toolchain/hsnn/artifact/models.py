"""Check the ONNX models of an artifact: they must stand alone and run no code of their own."""

from __future__ import annotations

from collections.abc import Iterable

from hsnn.artifact.onnx_structure import EXTERNAL, Message, read_structure
from hsnn.errors import ArtifactError

HOST_DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")
"""Operator domains that stock ONNX Runtime has."""
_ALONE = "export the model again with its weights inside"

# Numbers of the fields that are asked for.
_GRAPH, _OPSETS, _FUNCTIONS = 7, 8, 25
_INITIALIZERS, _SPARSE_INITIALIZERS, _INPUTS, _OUTPUTS = 5, 15, 11, 12
_NODE_NAME, _OP_TYPE, _DOMAIN = 3, 4, 7
_TENSOR_NAME, _EXTERNAL_DATA, _DATA_LOCATION = 8, 13, 14
_VALUE_NAME, _SPARSE_VALUES = 1, 1
_KEY, _VALUE = 1, 2


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
    if model.parts[_FUNCTIONS]:
        raise ArtifactError(
            "HSNN-A015", f"{name} has local functions", allowed="plain ONNX operators", fix="build the artifact again"
        )
    for node in model.inside("Node"):
        domain = node.text(_DOMAIN)
        if domain not in HOST_DOMAINS:
            raise ArtifactError(
                "HSNN-A015",
                f"{name}: node {node.text(_NODE_NAME)!r} is a {domain}.{node.text(_OP_TYPE)}",
                allowed="operators of " + ", ".join(repr(domain) for domain in HOST_DOMAINS),
                fix="compile the model again, so that spiking operators leave the host",
            )
    (graph,) = model.parts[_GRAPH]
    constants = {tensor.text(_TENSOR_NAME) for tensor in graph.parts[_INITIALIZERS]}
    for sparse in graph.parts[_SPARSE_INITIALIZERS]:
        constants.update(tensor.text(_TENSOR_NAME) for tensor in sparse.parts[_SPARSE_VALUES])
    read = [value.text(_VALUE_NAME) for value in graph.parts[_INPUTS]]
    made = [value.text(_VALUE_NAME) for value in graph.parts[_OUTPUTS]]
    for kind, found, stated in (
        ("inputs", [value for value in read if value not in constants], inputs),
        ("outputs", made, outputs),
    ):
        if sorted(found) != sorted(stated):
            raise ArtifactError(
                "HSNN-A015",
                f"{name} has the {kind} {', '.join(found)}",
                allowed=", ".join(stated),
                fix="build the artifact again",
            )


def check_hybrid_model(data: bytes, name: str) -> None:
    """Check that the hybrid model can be read and needs no other file.

    Raises:
        ArtifactError: ``HSNN-A015``.
    """
    _check_alone(_parse(data, name), name)


def _parse(data: bytes, name: str) -> Message:
    try:
        model = read_structure(data)
    except ValueError as error:
        raise ArtifactError(
            "HSNN-A015", f"{name} is not an ONNX model: {error}", fix="build the artifact again"
        ) from error
    if not model.parts[_OPSETS] or not any(graph.parts[_OUTPUTS] for graph in model.parts[_GRAPH]):
        raise ArtifactError(
            "HSNN-A015", f"{name} is not an ONNX model: it states no opset or no output", fix="build the artifact again"
        )
    return model


def _check_alone(model: Message, name: str) -> None:
    """Refuse weights and compiled blobs that are kept in another file."""
    for tensor in model.inside("Tensor"):
        entries = tensor.parts[_EXTERNAL_DATA]
        if tensor.number(_DATA_LOCATION) == EXTERNAL or entries:
            places = (entry.text(_VALUE) for entry in entries if entry.text(_KEY) == "location")
            raise ArtifactError(
                "HSNN-A015",
                f"{name}: tensor {tensor.text(_TENSOR_NAME)!r} is kept in {next(places, 'another file')!r}",
                fix=_ALONE,
            )
    for node in model.inside("Node"):
        if node.text(_OP_TYPE) == "EPContext":
            raise ArtifactError(
                "HSNN-A015", f"{name}: node {node.text(_NODE_NAME)!r} refers to a compiled blob", fix=_ALONE
            )
