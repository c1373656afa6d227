"""Damaged graphs of ONNX files, hybrid and plain: a coded error or a model, in bounded time and memory."""

from __future__ import annotations

import resource
import time
from contextlib import suppress

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hsnn.errors import HsnnError
from hsnn.frontends.onnx import from_onnx
from hsnn.frontends.spike.convert import SpikeOptions, from_ann
from hsnn.ops import DOMAIN

SECONDS, MEGABYTES, FILES = 5.0, 400, 500
FLOATS = (np.nan, np.inf, -np.inf, 0.0, -1.0, 1e30, 1e-40)
INTEGERS = (-1, 0, 1, 2, 3, 7, 1 << 27, 1 << 31, 1 << 40, -(1 << 62), (1 << 63) - 1)
OPERATORS = (
    "Lif Relu Quantum Conv Reshape RateDecode TrainEncode Loop If RandomNormal Delay Gather SplitTime Constant".split()
)


def chain(nodes, constants, shape, out):
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *shape])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", *out])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid(DOMAIN, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def drawn(*shape):
    return np.random.default_rng(len(shape)).normal(0.2, 0.5, shape).astype(np.float32)


def hybrid():
    one, half, none = (np.float32(value) for value in (1, 0.5, 0))
    lif = {"reset": "subtract", "comparison": ">", "refractory": 1, "decay_input": 0}
    nodes = [
        helper.make_node("TrainEncode", ["x"], ["s"], domain=DOMAIN, timesteps=5, values="binary"),
        helper.make_node("MergeTime", ["s"], ["m"], domain=DOMAIN),
        helper.make_node("Conv", ["m", "w"], ["c"], name="conv", pads=[1, 1, 1, 1]),
        helper.make_node("Flatten", ["c"], ["r"], axis=1),
        helper.make_node("Gemm", ["r", "v"], ["g"], name="fc"),
        helper.make_node("SplitTime", ["g"], ["d"], domain=DOMAIN, timesteps=5),
        helper.make_node("Lif", ["d", "one", "half", "one", "none"], ["f"], domain=DOMAIN, **lif),
        helper.make_node("Delay", ["f"], ["l"], domain=DOMAIN, steps=1),
        helper.make_node("TrainDecode", ["l"], ["y"], domain=DOMAIN),
    ]
    constants = {"w": drawn(2, 1, 3, 3), "v": drawn(32, 3), "one": one, "half": half, "none": none}
    return chain(nodes, constants, (5, 1, 4, 4), (5, 3))


def plain():
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["a"], name="relu1"),
        helper.make_node("Conv", ["a", "u"], ["b"], name="conv2", pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["b", "a"], ["s"]),
        helper.make_node("Clip", ["s", "low", "high"], ["q"], name="relu2"),
        helper.make_node("ReduceMean", ["q", "axes"], ["p"], keepdims=1),
        helper.make_node("Reshape", ["p", "flat"], ["r"]),
        helper.make_node("Gemm", ["r", "v"], ["y"], name="fc"),
    ]
    clip = {"low": np.float32(0), "high": np.float32(6)}
    targets = {"axes": np.array([-1, -2]), "flat": np.array([-1, 2])}
    constants = {"w": drawn(2, 1, 3, 3), "u": drawn(2, 2, 3, 3), "v": drawn(2, 3)} | clip | targets
    return chain(nodes, constants, (1, 4, 4), (3,))


def attribute(item, rng):
    """Change the value of an attribute."""
    if item.type == item.INT:
        item.i = int(rng.choice(INTEGERS))
    elif item.type == item.FLOAT:
        item.f = float(rng.choice(FLOATS))
    elif item.type == item.STRING:
        item.s = (b"zero", b"", b"\xff", b">=", b"graded")[rng.integers(5)]
    elif item.ints:
        item.ints[rng.integers(len(item.ints))] = int(rng.choice(INTEGERS))


def constant(item, rng):
    """Change numbers, shape, type or place of a constant."""
    match rng.integers(5):
        case 0:
            array = np.array(numpy_helper.to_array(item))
            array.reshape(-1)[rng.integers(array.size)] = rng.choice(INTEGERS if array.dtype.kind == "i" else FLOATS)
            item.CopyFrom(numpy_helper.from_array(array, item.name))
        case 1:
            item.dims.append(int(rng.choice(INTEGERS)))
        case 2:
            item.data_type = int(rng.integers(0, 24))
        case 3:
            array = np.resize(numpy_helper.to_array(item), tuple(rng.integers(0, 4, rng.integers(0, 4))))
            item.CopyFrom(numpy_helper.from_array(array, item.name))
        case _:
            item.data_location = TensorProto.EXTERNAL
            for key, value in (("location", rng.choice(["/etc/passwd", "../x", "gone", ""])), ("length", "-1")):
                entry = item.external_data.add()
                entry.key, entry.value = key, str(value)


def value(item, rng):
    """Change what an input or output says of itself."""
    tensor = item.type.tensor_type
    match rng.integers(4):
        case 0:
            tensor.shape.dim[rng.integers(len(tensor.shape.dim))].dim_value = int(rng.choice(INTEGERS))
        case 1:
            tensor.elem_type = int(rng.integers(0, 24))
        case 2:
            tensor.ClearField("shape")
        case _:
            item.name = str(rng.choice(["w", "a", "gone"]))


def mutate(model, rng):
    """Change one thing: a cycle, an edge to nowhere, an operator, an attribute, a number, a size, a version."""
    graph = model.graph
    node = graph.node[rng.integers(len(graph.node))]
    names = ["gone", "", *(name for item in graph.node for name in (*item.input, *item.output))]
    match rng.integers(12):
        case 0 | 1:
            node.input[rng.integers(len(node.input))] = names[rng.integers(len(names))]
        case 2:
            node.output[0] = names[rng.integers(len(names))]
        case 3:
            node.op_type = str(rng.choice(OPERATORS))
        case 4:
            node.domain = str(rng.choice(["", DOMAIN, "evil"]))
        case 5 | 6:
            if node.attribute:
                attribute(node.attribute[rng.integers(len(node.attribute))], rng)
        case 7:
            del node.attribute[: rng.integers(2)]
        case 8 | 9:
            with suppress(ValueError, TypeError):  # It was damaged before.
                constant(graph.initializer[rng.integers(len(graph.initializer))], rng)
        case 10:
            value((graph.input[0], graph.output[0])[rng.integers(2)], rng)
        case _:
            entry = model.opset_import[rng.integers(len(model.opset_import))]
            entry.version = int(rng.choice([0, 1, 9, 13, 21, 99]))


def spiking(path):
    return from_ann(path, {"x": drawn(6, 1, 4, 4)}, SpikeOptions(("*",), 4))


@pytest.mark.parametrize(
    ("whole", "load", "expected"),
    [
        (hybrid, from_onnx, {"HSNN-F021", "HSNN-F023", "HSNN-F027", "HSNN-F028", "HSNN-F030", "HSNN-F031"}),
        (plain, spiking, {"HSNN-F020", "HSNN-F021", "HSNN-F030", "HSNN-F098", "HSNN-F099", "HSNN-F100"}),
    ],
)
def test_graphs_are_changed(tmp_path, whole, load, expected):
    path = tmp_path / "net.onnx"
    onnx.save(whole(), path)
    load(path)
    before, outcomes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, []
    for seed in range(FILES):
        rng, model = np.random.default_rng(seed), whole()
        for _ in range(rng.integers(1, 3)):
            mutate(model, rng)
        path.write_bytes(model.SerializeToString())
        start = time.monotonic()
        try:
            load(path)
            outcomes.append("loaded")
        except HsnnError as error:
            outcomes.append(error.code)
        assert time.monotonic() - start < SECONDS, seed
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before < MEGABYTES
    assert expected <= set(outcomes), sorted(set(outcomes))
    assert FILES // 20 < outcomes.count("loaded") < FILES // 2


def test_a_delay_beyond_all_sizes_is_refused():
    model = hybrid()
    (steps,) = (item for node in model.graph.node if node.op_type == "Delay" for item in node.attribute)
    steps.i = 1 << 31  # ONNX Runtime would end the whole process
    with pytest.raises(HsnnError, match="HSNN-F023"):
        from_onnx(model)
