"""Operators in a model: functions attached, several uses, shapes, and what is refused."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from hsnn.errors import UnsupportedError
from hsnn.ops import DOMAIN, OPS
from hsnn.ops.functions import attach_functions, function_proto, inline_functions
from hsnn.ops.shapes import infer_shapes
from hsnn.ops.spec import Attribute

LIF = {"reset": "zero", "comparison": ">", "refractory": 0, "decay_input": 0}
PARAMETERS = {"du": 1.0, "dv": 0.0, "one": 1.0, "none": 0.0}


def hsnn(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs, outputs, name=outputs[0], domain=DOMAIN, **attributes)


def model(nodes, *, opset=20, output="y", shape=("batch", 3)):
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.array(value, np.float32), name) for name, value in PARAMETERS.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def two_lifs():
    """The same operator twice, with other attributes, and a residual around one."""
    lif = ["du", "dv", "one", "none"]
    return model(
        [
            hsnn("RateEncode", ["x"], ["s"], timesteps=6, scale=1.0, initial=0.0, silent=0),
            hsnn("Lif", ["s", *lif], ["a"], **LIF),
            hsnn("Lif", ["s", *lif], ["b"], **{**LIF, "comparison": ">=", "reset": "subtract", "refractory": 1}),
            helper.make_node("Add", ["a", "b"], ["both"]),
            helper.make_node("Mul", ["both", "one"], ["sum"]),
            hsnn("WindowSumDecode", ["sum"], ["y"], start=0, stop=6),
        ]
    )


def test_one_graph_uses_an_operator_twice_with_other_attributes():
    complete = attach_functions(two_lifs())
    onnx.checker.check_model(complete, full_check=True)
    x = np.array([[1.0, 0.5, 0.0]] * 4, np.float32)
    # one spike a step: > 1 needs two of them and fires three times; >= 1 fires, then skips one step.
    expected = np.array([[3 + 3, 1 + 3, 0]] * 4, np.float32)
    for batch in (1, 4):
        for each in (complete, inline_functions(two_lifs())):
            session = ort.InferenceSession(each.SerializeToString(), providers=["CPUExecutionProvider"])
            np.testing.assert_array_equal(session.run(None, {"x": x[:batch]})[0], expected[:batch])


def test_exactly_the_used_functions_are_attached_and_the_model_is_not_changed():
    given = two_lifs()
    before = given.SerializeToString()
    complete = attach_functions(given)
    assert given.SerializeToString() == before
    assert sorted(item.name for item in complete.functions) == ["Lif", "RateEncode", "WindowSumDecode"]
    assert {(item.domain, item.version) for item in complete.opset_import} == {("", 20), (DOMAIN, 1)}
    assert attach_functions(complete) == complete


def test_functions_of_other_domains_stay():
    given = two_lifs()
    given.functions.append(
        onnx.parser.parse_function('<domain: "mine", opset_import: ["": 20]> F (x) => (y) {y = Abs (x)}')
    )
    assert "F" in [item.name for item in attach_functions(given).functions]


def test_an_operator_inside_a_subgraph_is_found():
    body = helper.make_graph(
        [hsnn("Delay", ["x"], ["z"], steps=0)],
        "then",
        [],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["batch", 3])],
    )
    condition = helper.make_node("Constant", [], ["yes"], value=helper.make_tensor("c", TensorProto.BOOL, [], [True]))
    branch = helper.make_node("If", ["yes"], ["y"], then_branch=body, else_branch=body)
    assert [item.name for item in attach_functions(model([condition, branch])).functions] == ["Delay"]


@pytest.mark.parametrize("opset", [19, 24])
def test_other_versions_of_the_onnx_operator_set_are_refused(opset):
    with pytest.raises(UnsupportedError, match="HSNN-F030"):
        attach_functions(model([hsnn("Delay", ["x"], ["y"], steps=0)], opset=opset))


@pytest.mark.parametrize("opset", [20, 21, 22, 23])
def test_functions_are_valid_in_every_version_that_is_allowed(opset):
    given = two_lifs()
    given.opset_import[0].version = opset
    complete = attach_functions(given)
    onnx.checker.check_model(complete, full_check=True)
    session = ort.InferenceSession(complete.SerializeToString(), providers=["CPUExecutionProvider"])
    y = session.run(None, {"x": np.ones((2, 3), np.float32)})[0]
    np.testing.assert_array_equal(y, np.full((2, 3), 6))


def test_an_unknown_operator_is_named():
    with pytest.raises(UnsupportedError, match=r"HSNN-F031.*Liff"):
        attach_functions(model([hsnn("Liff", ["x"], ["y"])]))


def test_the_caller_cannot_damage_a_function():
    function_proto("Lif").node[0].op_type = "Broken"
    assert function_proto("Lif").node[0].op_type == "Constant"


def test_shapes_follow_through_hsnn_operators():
    shaped = infer_shapes(two_lifs())
    found = {
        item.name: [dim.dim_value or dim.dim_param for dim in item.type.tensor_type.shape.dim]
        for item in shaped.graph.value_info
    }
    assert found == {name: [6, "batch", 3] for name in ("s", "a", "b", "both", "sum")}


def test_shapes_of_every_rule():
    def shape(op, given, **attributes):
        return OPS[op].output_shape(given, attributes)

    assert shape("RateEncode", ("batch", 3), timesteps=4) == (4, "batch", 3)
    assert shape("BitPlaneEncode", (2, 3), planes=8) == (8, 2, 3)
    assert shape("Lif", (4, None, 3)) == (4, None, 3)
    assert shape("RateDecode", (4, "batch", 3)) == ("batch", 3)
    assert shape("MergeTime", (4, "batch", 3)) == ("4*batch", 3)
    assert shape("MergeTime", (4, None, 3)) == (None, 3)
    assert shape("MergeTime", (4, 5, 3)) == (20, 3)
    assert shape("SplitTime", ("4*batch", 3), timesteps=4) == (4, "batch", 3)
    assert shape("SplitTime", ("rows", 3), timesteps=4) == (4, None, 3)
    assert shape("SplitTime", (8, 3), timesteps=4) == (4, 2, 3)


def test_which_outputs_are_binary():
    def binary(op, *, given=True, **attributes):
        return OPS[op].is_binary(attributes, input_binary=given)

    assert binary("RateEncode")
    assert binary("Lif", given=False)
    assert binary("BitPlaneEncode", floor_lsb=1)
    assert not binary("BitPlaneEncode", floor_lsb=0)
    assert not binary("GradedEncode")
    assert not binary("LeakyIntegrator")
    assert binary("Delay", given=True)
    assert not binary("MergeTime", given=False)


@pytest.mark.parametrize(
    ("attribute", "good", "bad"),
    [
        (Attribute("a", "int", minimum=1, maximum=3), [1, 3], [0, 4, 1.0, "1", True]),
        (Attribute("a", "float", above=0, below=1), [0.5, 1e-30], [0.0, 1.0, 1e-50, float("nan"), 0.999999999, 1]),
        (Attribute("a", "float"), [-1.0, 0.0], [float("inf"), 1e39]),
        (Attribute("a", "string", choices=("x", "y")), ["x"], ["z", 1]),
        (Attribute("a", "string"), ["anything"], [0.0]),
    ],
)
def test_attributes_accept_what_they_say(attribute, good, bad):
    assert all(attribute.accepts(value) for value in good)
    assert not any(attribute.accepts(value) for value in bad)
    assert attribute.allowed


def test_no_function_has_attribute_defaults_so_nothing_is_guessed():
    for name, op in OPS.items():
        function = function_proto(name)
        assert not function.attribute_proto
        assert list(function.attribute) == [item.name for item in op.attributes]
        assert list(function.input) == list(op.inputs)


def test_the_table_needs_no_library():
    code = "import sys, hsnn.ops, hsnn.ir.hybrid; print(*{'onnx', 'torch', 'onnx_ir', 'onnxscript'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not done.stdout.strip()
