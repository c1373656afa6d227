"""The structure of ONNX models without onnx: what onnx itself finds, in whole files and in damaged ones."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import pytest
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper, numpy_helper

from hsnn.artifact.onnx_structure import DEPTH_MAX, EXTERNAL, read_structure
from hsnn.artifact.wire import read_fields


def tensor(name):
    return numpy_helper.from_array(np.arange(3, dtype=np.float32), name)


def sparse(name):
    return helper.make_sparse_tensor(tensor(name), numpy_helper.from_array(np.arange(3), f"{name} at"), [9])


def everywhere():
    """A model with nodes and tensors in every place that ONNX has for them."""
    body = helper.make_graph([helper.make_node("Constant", [], ["c"], value=tensor("in a body"))], "body", [], [])
    nodes = [
        helper.make_node("If", ["x"], ["y"], name="branch", then_branch=body, else_branch=body),
        helper.make_node("Lif", ["x"], ["z"], domain="hsnn", several=[tensor("one"), tensor("two")], bodies=[body]),
        helper.make_node("Constant", [], ["k"], sparse_value=sparse("sparse attribute")),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "graph",
        [value("x", TensorProto.FLOAT, [None, 3])],
        [value("y", TensorProto.FLOAT, ["batch", 3])],
        [tensor("weight")],
        sparse_initializer=[sparse("sparse weight")],
    )
    function = helper.make_function("mine", "F", ["a"], ["b"], [nodes[2]], [helper.make_opsetid("", 17)], ["p"])
    function.attribute_proto.append(helper.make_attribute("default", tensor("default")))
    model = helper.make_model(graph, functions=[function], opset_imports=[helper.make_opsetid("", 17)])
    training = model.training_info.add()
    training.algorithm.CopyFrom(body)
    training.initialization.initializer.append(tensor("start"))
    far = model.graph.initializer.add(name="far", data_location=TensorProto.EXTERNAL)
    far.external_data.add(key="location", value="weights.bin")
    return model


def text(value):
    """A damaged name is bytes in onnx."""
    return value if isinstance(value, str) else str(value, "utf-8", "replace")


def found_by_onnx(message, nodes, tensors):
    """Collect every node and tensor by descending into every field, whatever its meaning."""
    if isinstance(message, onnx.NodeProto):
        nodes.append((text(message.name), text(message.op_type), text(message.domain)))
    if isinstance(message, TensorProto):
        tensors.append((text(message.name), message.data_location == EXTERNAL, len(message.external_data)))
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in [value] if hasattr(value, "ListFields") else value:
                found_by_onnx(part, nodes, tensors)
    return nodes, tensors


def found_here(data):
    model = read_structure(data)
    nodes = [(node.text(3), node.text(4), node.text(7)) for node in model.inside("Node")]
    return nodes, [(item.text(8), item.number(14) == EXTERNAL, len(item.parts[13])) for item in model.inside("Tensor")]


def equal(left, right):
    return all(Counter(ours) == Counter(theirs) for ours, theirs in zip(left, right, strict=True))


def test_everything_is_found_wherever_it_is():
    model = everywhere()
    data = model.SerializeToString()
    found = found_here(data)
    assert equal(found, found_by_onnx(model, [], []))
    names = {"in a body", "one", "two", "weight", "default", "start", "far", "sparse weight at"}
    assert names <= {name for name, _, _ in found[1]}
    assert ("far", True, 1) in found[1]
    (graph,) = read_structure(data).parts[7]
    assert [value.text(1) for value in (*graph.parts[11], *graph.parts[12])] == ["x", "y"]


def test_damaged_models_are_refused_or_read_as_onnx_reads_them():
    whole = np.frombuffer(everywhere().SerializeToString(), np.uint8)
    rng = np.random.default_rng(0)
    both = 0
    for _ in range(3000):
        data = whole[: rng.integers(1, whole.size + 1)].copy() if rng.random() < 0.2 else whole.copy()
        places = rng.integers(0, data.size, rng.integers(1, 4))
        data[places] = rng.integers(0, 256, places.size)
        try:
            ours = found_here(data.tobytes())
        except ValueError:
            continue
        try:
            theirs = found_by_onnx(onnx.load_model_from_string(data.tobytes()), [], [])
        except (DecodeError, UnicodeDecodeError):
            continue
        assert equal(ours, theirs)
        both += 1
    assert both > 500


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x01",  # field 0
        b"\x3a\x05abc",  # five bytes announced, three there
        b"\x08" + b"\xff" * 11,  # a number without an end
        b"\x0b",  # a group
        b"\x38\x01",  # a graph that is a number
        b"\x3a\x00\x3a\x00",  # two graphs
    ],
)
def test_what_is_no_model(data):
    with pytest.raises(ValueError):
        read_structure(data)


def test_nesting_has_an_end():
    data = b""
    for number in (7, *(1, 5, 6) * (DEPTH_MAX // 3 + 1))[::-1]:
        length = len(data)
        varint = bytes([length & 0x7F | 0x80, length >> 7]) if length > 127 else bytes([length])
        data = bytes([number << 3 | 2]) + varint + data
    with pytest.raises(ValueError):
        read_structure(data)


def test_bytes_are_views_and_fixed_numbers_are_passed_over():
    data = b"\x0a\x03abc" + b"\x15abcd" + b"\x19abcdefgh" + b"\x20\x96\x01"
    fields = read_fields(memoryview(data))
    assert fields == {1: [b"abc"], 4: [150]}
    assert fields[1][0].obj is data
