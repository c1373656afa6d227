"""Plain ONNX networks with marked activations: thresholds, what becomes what, and accuracy against timesteps."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import hsnn
from hsnn.cli import main
from hsnn.compiler import Options, compile
from hsnn.errors import UnsupportedError, UsageError
from hsnn.frontends.spike import SpikeOptions, curve_svg, error_over_time, from_ann
from hsnn.report.layers import Limits
from hsnn_models import data

LENIENT = Limits(min_f1=0.0, max_rate_error=10.0, max_dead=1.0, max_voltage_error=10.0, max_saturation=0.05)


def trained():
    """A network of 64, 40, 30 and 10 units for digits, trained by gradient descent in numpy: ``(weight, bias)``."""
    rng = np.random.default_rng(0)
    train = data.digits("train")
    x, labels = train.images.reshape(len(train.images), -1).astype(np.float64), np.eye(10)[train.labels]
    widths = (x.shape[1], 40, 30, 10)
    layers = [[rng.normal(0, np.sqrt(2 / a), (a, b)), np.zeros(b)] for a, b in zip(widths, widths[1:], strict=False)]  # noqa: RUF007 - a pair of widths
    moments = [[np.zeros_like(item) for item in layer] for layer in layers]
    for step in range(1200):
        pick = rng.integers(0, len(x), 100)
        values = [x[pick]]
        for weight, bias in layers[:-1]:
            values.append(np.maximum(values[-1] @ weight + bias, 0))
        logits = values[-1] @ layers[-1][0] + layers[-1][1]
        odds = np.exp(logits - logits.max(1, keepdims=True))
        back = (odds / odds.sum(1, keepdims=True) - labels[pick]) / 100
        rate = 0.2 if step < 900 else 0.05
        for index in (2, 1, 0):
            grads = [values[index].T @ back, back.sum(0)]
            back = back @ layers[index][0].T * (values[index] > 0)
            for part in (0, 1):
                moments[index][part] = 0.9 * moments[index][part] + grads[part]
                layers[index][part] -= rate * moments[index][part]
    return layers


def network(layers):
    """The same as an ONNX model with a fixed batch of one, as exporters like to write it."""
    nodes, constants, value = [], [], "x"
    for index, (weight, bias) in enumerate(layers):
        constants += [
            numpy_helper.from_array(a.astype(np.float32), f"{n}{index}") for n, a in (("w", weight), ("b", bias))
        ]
        nodes.append(helper.make_node("Gemm", [value, f"w{index}", f"b{index}"], [f"z{index}"], name=f"fc{index}"))
        value = f"z{index}"
        if index < len(layers) - 1:
            nodes.append(helper.make_node("Relu", [value], [f"a{index}"], name=f"layer{index}.relu"))
            value = f"a{index}"
    graph = helper.make_graph(
        nodes,
        "ann",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, layers[0][0].shape[0]])],
        [helper.make_tensor_value_info(value, TensorProto.FLOAT, [1, 10])],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.fixture(scope="module")
def ann():
    layers = trained()
    return network(layers), layers


def samples(split, count):
    found = data.digits(split)
    images = found.images[:count]
    return images.reshape(len(images), -1).astype(np.float32), found.labels[:count]


def plain(layers, x):
    for weight, bias in layers[:-1]:
        x = np.maximum(x @ weight + bias, 0)
    return x @ layers[-1][0] + layers[-1][1]


def test_a_digits_network_keeps_its_accuracy(ann):
    model, layers = ann
    x, _ = samples("calibration", 128)
    hybrid = from_ann(model, {"x": x}, SpikeOptions(("layer*",), 32))
    assert [node.op_type for node in hybrid.proto.graph.node].count("Lif") == 2
    program = compile(hybrid, x, options=Options(limits=LENIENT, golden_samples=2))
    assert program.metadata.options["import"]["spike_timesteps"] == "32"
    images, labels = samples("test", 200)
    with hsnn.Session(program, target="emulator") as session:
        scores = session.run(images).output
    exact = float(np.mean(plain(layers, images).argmax(1) == labels))
    assert exact > 0.9
    assert float(np.mean(scores.argmax(1) == labels)) >= exact - 0.015


def test_error_falls_with_timesteps(ann):
    x, _ = samples("calibration", 128)
    curve = error_over_time(ann[0], {"x": x}, SpikeOptions(("*",), 64))
    assert [item.timesteps for item in curve] == [1, 2, 4, 8, 16, 32, 64]
    assert curve[-1].error < curve[2].error / 4
    assert curve[-1].error < 0.02
    assert curve[-1].agreement >= 0.98
    page = curve_svg(curve)
    assert page.count("<polyline") == 2
    assert ">64</text>" in page


def test_only_what_is_marked_spikes_and_the_rest_reads_rates(ann):
    x, _ = samples("calibration", 64)
    hybrid = from_ann(ann[0], {"x": x}, SpikeOptions(("layer0.*",), 16))
    kinds = [node.op_type for node in hybrid.proto.graph.node]
    assert kinds.count("Lif") == kinds.count("Relu") == kinds.count("RateDecode") == 1


def test_thresholds_are_percentiles(ann):
    x, _ = samples("calibration", 64)
    hybrid = from_ann(ann[0], {"x": x}, SpikeOptions(("layer0.*",), 16, percentile=90.0))
    (node,) = (node for node in hybrid.proto.graph.node if node.op_type == "Lif")
    constants = {item.name: numpy_helper.to_array(item) for item in hybrid.proto.graph.initializer}
    first = np.maximum(x @ ann[1][0][0] + ann[1][0][1], 0)
    assert constants[node.input[3]] == pytest.approx(np.percentile(first, 90.0), rel=1e-5)
    assert constants[node.input[4]] == pytest.approx(np.percentile(first, 90.0) / 32, rel=1e-5)


def test_what_is_refused(ann):
    x, _ = samples("calibration", 16)
    for options in (SpikeOptions(("head*",)), SpikeOptions(("*",), 0), SpikeOptions(("*",), 8, 0.0)):
        with pytest.raises(UsageError, match="HSNN-U148"):
            from_ann(ann[0], {"x": x}, options)
    dead = onnx.ModelProto()
    dead.CopyFrom(ann[0])
    dead.graph.initializer[1].CopyFrom(numpy_helper.from_array(np.full(40, -1e3, np.float32), "b0"))
    with pytest.raises(UnsupportedError, match="HSNN-F089"):
        from_ann(dead, {"x": x}, SpikeOptions(("*",)))


def test_one_command_from_a_plain_network_to_an_artifact(ann, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    onnx.save(ann[0], "ann.onnx")
    np.savez("samples.npz", x=samples("calibration", 50)[0])
    spike = ["--spike", "layer*", "--spike-timesteps", "16", "--spike-plot", "curve.svg"]
    loose = ["--limit", "f1=0,rate=10,dead=1,voltage=10"]
    assert main(["ann.onnx", *spike, *loose, "--calibration", "samples.npz", "-o", "ann.hsnn", "--json"]) == 0
    capsys.readouterr()
    assert (tmp_path / "curve.svg").read_text().startswith("<svg")
    recorded = hsnn.load("ann.hsnn").metadata.options["import"]
    points = json.loads(recorded["spike_error"])
    assert [point[0] for point in points] == [1, 2, 4, 8, 16]
    assert points[-1][2] > 0.9
    assert main(["net:make", *spike, "--calibration", "samples.npz"]) == 2
    assert "HSNN-U149" in capsys.readouterr().err
