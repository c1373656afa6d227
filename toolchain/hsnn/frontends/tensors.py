"""The numbers that an ONNX file holds or asks for, before anything relies on them."""

from __future__ import annotations

import math
from collections.abc import Iterator

import onnx
import onnx.numpy_helper

from hsnn.errors import UnsupportedError

MOST_NUMBERS = 1 << 27
"""Numbers that a value may have for each sample: half a gigabyte of float32."""


def check_sizes(graph: onnx.GraphProto) -> None:
    """Check that no value of a graph, its shapes inferred, is too large to compute.

    Raises:
        UnsupportedError: ``HSNN-F100``, naming the value.
    """
    for item in (*graph.input, *graph.value_info, *graph.output):
        extents = [dim.dim_value for dim in item.type.tensor_type.shape.dim if dim.HasField("dim_value")]
        if any(extent < 0 for extent in extents) or math.prod(extents) > MOST_NUMBERS:
            raise UnsupportedError(
                "HSNN-F100",
                f"value {item.name!r} has the extents {' x '.join(map(str, extents))} for one sample",
                allowed=f"at most {MOST_NUMBERS:,} numbers",
            )


def check_tensors(graph: onnx.GraphProto) -> None:
    """Check that every constant of a graph, and of those inside it, has as many numbers as its shape says.

    Raises:
        UnsupportedError: ``HSNN-F021``, naming the constant.
    """
    for name, tensor in _tensors(graph):
        try:
            onnx.numpy_helper.to_array(tensor)
        except Exception as error:  # numpy, protobuf and onnx raise what they like on damaged data
            raise UnsupportedError(
                "HSNN-F021", f"constant {name!r} is damaged: {str(error).partition(chr(10))[0]}", fix="export it again"
            ) from error


def _tensors(graph: onnx.GraphProto) -> Iterator[tuple[str, onnx.TensorProto]]:
    for item in graph.initializer:
        yield item.name, item
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                yield attribute.t.name or node.name or attribute.name, attribute.t
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from _tensors(attribute.g)
            for inner in attribute.graphs:
                yield from _tensors(inner)
