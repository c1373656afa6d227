"""Nodes that leave their operand as it is go; what only looks like them stays."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from hsnn.ir.hybrid import wrap
from hsnn.passes.rewrite.canonicalize import canonicalize

X = np.array([[-2.5, -1.0, 0.0, 0.5, 3.0]], np.float32)
ONE, TWO = np.array(1.0, np.float32), np.array(2.0, np.float32)


def model(*nodes, constant=ONE):
    """A graph from ``x`` to ``y``, both ``(batch, 5)``, with the constant ``c``."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 5]) for name in "xy"]
    made = [helper.make_node(op, list(inputs), [output]) for op, inputs, output in nodes]
    graph = helper.make_graph(made, "g", ends[:1], ends[1:], [numpy_helper.from_array(constant, "c")])
    return wrap(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10))


SIGN, SIZE = ("Sign", "x", "s"), ("Abs", "x", "a")
FOUND = {
    "power of one": [("Pow", "xc", "p"), ("Neg", "p", "y")],
    "at the output": [("Neg", "x", "n"), ("Pow", "nc", "y")],
    "sign times size": [SIGN, SIZE, ("Mul", "sa", "m"), ("Neg", "m", "y")],
    "size times sign, kept above 0": [SIGN, SIZE, ("Relu", "a", "r"), ("Mul", "rs", "m"), ("Neg", "m", "y")],
}
STAYS = {
    "size of another": [("Neg", "x", "n"), SIGN, ("Exp", "x", "e"), ("Abs", "e", "a"), ("Mul", "sa", "y")],
    "sign of a sign": [SIGN, ("Abs", "s", "a"), ("Sign", "a", "t"), ("Mul", "ta", "y")],
    "one to a power": [("Pow", "cx", "y")],
    "sign without size": [SIGN, ("Mul", "sx", "y")],
    "size without sign": [SIZE, ("Relu", "a", "r"), ("Mul", "rx", "y")],
}


def run(proto):
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": X})[0]


def kinds(hybrid):
    return [node.op_type for node in hybrid.proto.graph.node]


@pytest.mark.parametrize("name", FOUND)
def test_goes(name):
    before = model(*FOUND[name])
    after = canonicalize(before)
    assert kinds(after) == ["Neg"]
    onnx.checker.check_model(after.proto)
    np.testing.assert_array_equal(run(after.proto), run(before.proto))


@pytest.mark.parametrize("name", STAYS)
def test_stays(name):
    before = model(*STAYS[name])
    after = canonicalize(before)
    assert kinds(after)[-1] == kinds(before)[-1] != "Identity"
    np.testing.assert_array_equal(run(after.proto), run(before.proto))


def test_another_power_stays():
    after = canonicalize(model(("Pow", "xc", "y"), constant=TWO))
    assert "Pow" in kinds(after)
