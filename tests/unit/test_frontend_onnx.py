"""Hybrid .onnx files of others: completed where they say enough, refused where they do not."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from hsnn.errors import UnsupportedError, UsageError
from hsnn.frontends.onnx import from_onnx
from hsnn.ir.hybrid import module_of
from hsnn.ops import DOMAIN
from hsnn.ops.functions import attach_functions, function_proto

VALUES = {"du": 1.0, "dv": 0.5, "threshold": [0.5, 0.25], "bias": 0.0}
LIF = {"reset": "zero", "comparison": ">", "refractory": 0, "decay_input": 0}
RATE = {"timesteps": 4, "scale": 1.0, "initial": 0.0, "silent": 0}


def hsnn(op, inputs, output, name="", /, **attributes):
    return helper.make_node(op, inputs, [output], name=name, domain=DOMAIN, **attributes)


def model(nodes=None, *, values=None, shape=("n", 3), opset=20, hsnn_opset=1, kind=TensorProto.FLOAT):
    """Encoder, dense layer, neurons, decoder, without names, functions or shapes inside."""
    nodes = nodes or [
        hsnn("RateEncode", ["x"], "s", **RATE),
        helper.make_node("MatMul", ["s", "w"], ["a"]),
        hsnn("Lif", ["a", *VALUES], "h", **LIF),
        hsnn("RateDecode", ["h"], "y"),
    ]
    arrays = {name: np.array(value, np.float32) for name, value in {**VALUES, **(values or {})}.items()}
    arrays["w"] = np.linspace(-1, 1, 6, dtype=np.float32).reshape(3, 2)
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, None])],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    imports = [helper.make_opsetid("", opset)]
    imports += [helper.make_opsetid(DOMAIN, hsnn_opset)] if hsnn_opset else []
    return helper.make_model(graph, opset_imports=imports, ir_version=10)


def run(proto, x):
    return ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]


def test_a_bare_model_is_completed():
    given = model()
    before = given.SerializeToString()
    hybrid = from_onnx(given)
    assert given.SerializeToString() == before
    onnx.checker.check_model(hybrid.proto, full_check=True)
    assert {name: hybrid.shapes[name] for name in "sahy"} == {
        "s": (4, None, 3),
        "a": (4, None, 2),
        "h": (4, None, 2),
        "y": (None, 2),
    }
    names = [node.name for node in hybrid.proto.graph.node]
    assert all(names)
    assert len(set(names)) == 4
    assert all(module_of(node) == "" for node in hybrid.proto.graph.node)
    assert run(hybrid.proto, np.ones((2, 3), np.float32)).shape == (2, 2)


def test_a_file_is_read_and_reading_is_stable(tmp_path):
    path = tmp_path / "net.onnx"
    onnx.save(attach_functions(model()), path)
    hybrid = from_onnx(path)
    assert from_onnx(hybrid.proto).to_bytes() == hybrid.to_bytes()
    assert from_onnx(str(path)).shapes == hybrid.shapes


def test_constants_become_initializers():
    constants = [
        helper.make_node("Constant", [], ["one"], value_float=1.0),
        helper.make_node("Constant", [], ["t"], value=numpy_helper.from_array(np.array([0.5, 0.5], np.float32))),
        helper.make_node("Constant", [], ["shape"], value_ints=[4, -1, 2]),
    ]
    nodes = [
        *constants,
        hsnn("RateEncode", ["x"], "s", **RATE),
        helper.make_node("MatMul", ["s", "w"], ["m"]),
        helper.make_node("Reshape", ["m", "shape"], ["a"]),
        hsnn("Lif", ["a", "one", "one", "t", "bias"], "h", **LIF),
        hsnn("RateDecode", ["h"], "y"),
    ]
    hybrid = from_onnx(model(nodes))
    assert "Constant" not in [node.op_type for node in hybrid.proto.graph.node]
    found = {item.name: numpy_helper.to_array(item) for item in hybrid.proto.graph.initializer}
    assert found["one"].shape == ()
    assert found["shape"].tolist() == [4, -1, 2]


def test_shapes_follow_through_merge_split_and_two_segments():
    nodes = [
        hsnn("RateEncode", ["x"], "s", **RATE),
        hsnn("MergeTime", ["s"], "m"),
        helper.make_node("MatMul", ["m", "w"], ["a"]),
        hsnn("SplitTime", ["a"], "p", timesteps=4),
        hsnn("Lif", ["p", *VALUES], "h", **LIF),
        hsnn("RateDecode", ["h"], "z"),
        helper.make_node("Relu", ["z"], ["r"]),
        hsnn("DirectEncode", ["r"], "e", timesteps=7),
        hsnn("LeakyIntegrator", ["e", "du", "dv", "bias"], "v", decay_input=1),
        hsnn("MembraneDecode", ["v"], "y", mode="max"),
    ]
    shapes = from_onnx(model(nodes)).shapes
    assert (shapes["m"], shapes["p"], shapes["z"]) == ((None, 3), (4, None, 2), (None, 2))
    assert (shapes["e"], shapes["v"], shapes["y"]) == ((7, None, 2), (7, None, 2), (None, 2))


def changed_node(index, **changes):
    """The plain model with attributes of one node changed; None removes one."""
    given = model()
    node = given.graph.node[index]
    kept = {item.name: helper.get_attribute_value(item) for item in node.attribute} | changes
    del node.attribute[:]
    node.attribute.extend(helper.make_attribute(name, value) for name, value in kept.items() if value is not None)
    node.name = "suspect"
    return given


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (changed_node(2, reset=None), "lacks reset"),
        (changed_node(2, leak=0.5), "unknown leak"),
        (changed_node(2, reset="soft"), "reset.*soft"),
        (changed_node(2, refractory=2.0), "refractory"),
        (changed_node(0, scale=1), "scale"),
        (changed_node(0, timesteps=0), "timesteps"),
        (changed_node(0, timesteps=[4]), "timesteps"),
    ],
)
def test_attributes_that_are_wrong(given, says):
    with pytest.raises(UnsupportedError, match=f"HSNN-F023.*{says}") as caught:
        from_onnx(given)
    assert "'suspect'" in caught.value.found


def test_a_missing_input_of_a_node():
    given = model()
    given.graph.node[2].input.pop()
    with pytest.raises(UnsupportedError, match=r"HSNN-F023.*4 inputs"):
        from_onnx(given)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"dv": 1.5}, "voltage_decay"),
        ({"du": -0.1}, "current_decay"),
        ({"threshold": 0.0}, "threshold"),
        ({"threshold": [1.0, 1.0, 1.0]}, "shape"),
        ({"bias": float("nan")}, "finite"),
    ],
)
def test_parameters_that_are_wrong(values, says):
    with pytest.raises(UnsupportedError, match=f"HSNN-F028.*{says}"):
        from_onnx(model(values=values))


def test_a_parameter_that_is_computed():
    nodes = list(model().graph.node)
    nodes.insert(0, helper.make_node("Abs", ["du"], ["computed"]))
    nodes[3].input[1] = "computed"
    with pytest.raises(UnsupportedError, match=r"HSNN-F028.*computed"):
        from_onnx(model(nodes))


@pytest.mark.parametrize("window", [(3, 5), (2, 2)])
def test_a_window_beyond_the_timesteps(window):
    nodes = list(model().graph.node)
    nodes[-1] = hsnn("WindowSumDecode", ["h"], "y", start=window[0], stop=window[1])
    with pytest.raises(UnsupportedError, match="HSNN-F028"):
        from_onnx(model(nodes))


def test_more_silent_than_timesteps():
    with pytest.raises(UnsupportedError, match=r"HSNN-F028.*silent"):
        from_onnx(changed_node(0, silent=5))


def test_spikes_without_an_encoder_have_no_time():
    nodes = [hsnn("Lif", ["x", *VALUES], "h", **LIF), hsnn("RateDecode", ["h"], "y")]
    with pytest.raises(UnsupportedError, match="HSNN-F028"):
        from_onnx(model(nodes, shape=("n", 2)))


def test_other_versions_of_the_operator_set():
    for version in (None, 2):
        with pytest.raises(UnsupportedError, match="HSNN-F022"):
            from_onnx(model(hsnn_opset=version))
    with pytest.raises(UnsupportedError, match="HSNN-F030"):
        from_onnx(model(opset=17))


def test_an_unknown_operator():
    nodes = [*model().graph.node[:3], hsnn("Vote", ["h"], "y")]
    with pytest.raises(UnsupportedError, match=r"HSNN-F031.*Vote"):
        from_onnx(model(nodes))


def test_an_operator_inside_a_branch():
    branch = helper.make_graph(
        [hsnn("Delay", ["h"], "d", steps=1)],
        "branch",
        [],
        [helper.make_tensor_value_info("d", TensorProto.FLOAT, [4, "n", 2])],
    )
    nodes = [
        *model().graph.node[:3],
        helper.make_node("Constant", [], ["yes"], value=helper.make_tensor("c", TensorProto.BOOL, [], [True])),
        helper.make_node("If", ["yes"], ["e"], name="choice", then_branch=branch, else_branch=branch),
        hsnn("RateDecode", ["e"], "y"),
    ]
    with pytest.raises(UnsupportedError, match=r"HSNN-F029.*choice.*Delay"):
        from_onnx(model(nodes))


def test_an_operator_with_another_meaning():
    given = attach_functions(model())
    (lif,) = (item for item in given.functions if item.name == "Lif")
    next(node for node in lif.node if node.op_type == "Sub").input.reverse()
    with pytest.raises(UnsupportedError, match=r"HSNN-F024.*hsnn\.Lif"):
        from_onnx(given)


def test_a_private_function_in_our_domain():
    given = model()
    mine = function_proto("Delay")
    mine.name = "Mine"
    given.functions.append(mine)
    with pytest.raises(UnsupportedError, match=r"HSNN-F024.*Mine"):
        from_onnx(given)


def test_names_and_comments_in_a_function_are_no_other_meaning():
    given = attach_functions(model())
    for function in given.functions:
        function.doc_string = "as exported"
        for index, node in enumerate(function.node):
            node.name, node.doc_string = f"n{index}", "comment"
    assert from_onnx(given).to_bytes() == from_onnx(model()).to_bytes()


def test_nothing_is_spiking():
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    with pytest.raises(UnsupportedError, match="HSNN-F025"):
        from_onnx(model(nodes))


@pytest.mark.parametrize("shape", [(2, 3), ()])
def test_a_fixed_batch(shape):
    with pytest.raises(UnsupportedError, match=r"HSNN-F026.*'x'"):
        from_onnx(model(shape=shape))


def test_a_feature_shape_that_is_not_known():
    with pytest.raises(UnsupportedError, match=r"HSNN-F02[78]"):
        from_onnx(model(shape=("n", "features")))


def test_double_precision():
    with pytest.raises(UnsupportedError, match=r"HSNN-F0(21|28)"):
        from_onnx(model(kind=TensorProto.DOUBLE))


def test_a_model_that_is_not_valid():
    given = model()
    given.graph.node[1].input[0] = "nowhere"
    with pytest.raises(UnsupportedError, match=r"HSNN-F021.*nowhere"):
        from_onnx(given)


@pytest.mark.parametrize("content", [None, b"", b"text, not protobuf", b"\x08\x0a"])
def test_files_that_are_no_models(tmp_path, content):
    path = tmp_path / "net.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=r"HSNN-F020.*net\.onnx"):
        from_onnx(path)
