"""Plain ONNX networks with marked activations: thresholds, what becomes what, and accuracy against timesteps."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import hsnn
from hsnn.cli import main
from hsnn.compiler import Options, compile
from hsnn.errors import UnsupportedError, UsageError
from hsnn.frontends.spike.convert import SpikeOptions, from_ann
from hsnn.frontends.spike.curve import SpikeCurve, SpikePoint, spike_curve, with_curve
from hsnn.frontends.spike.plain import prepared, run
from hsnn.report.html import render
from hsnn.report.layers import Limits
from hsnn.report.spike_curve import curve_svg
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
    x, labels = samples("calibration", 128)
    curve = spike_curve(ann[0], {"x": x}, SpikeOptions(("*",), 64), labels)
    points = curve.points
    assert [item.timesteps for item in points] == [1, 2, 4, 8, 16, 32, 64]
    assert points[-1].error < points[2].error / 4
    assert points[-1].error < 0.02
    assert points[-1].agreement >= 0.98
    assert curve.accuracy == pytest.approx(np.mean(plain(ann[1], x).argmax(1) == labels))
    assert points[0].accuracy < points[-1].accuracy
    assert points[-1].accuracy >= curve.accuracy - 0.02
    assert SpikeCurve.from_json(curve.to_json()) == curve


def test_fewest_timesteps_that_suffice():
    def enough(accuracy, *points):
        made = tuple(SpikePoint(1 << index, *point) for index, point in enumerate(points))
        return SpikeCurve(made, accuracy, 100).enough

    assert enough(None, (0.1,), (0.021,), (0.02,), (0.001,)) == 4
    assert enough(None, (0.1, 0.98), (0.1, 0.99), (0.001, 1.0)) == 2
    assert enough(0.9, (0.1, 0.5, 0.88), (0.1, 0.5, 0.895), (0.001, 1.0, 0.9)) == 2
    assert enough(0.9, (0.1, 1.0, 0.5), (0.1, 1.0, 0.6)) == 2  # none suffice: the most


def test_the_report_draws_the_curve(ann):
    x, labels = samples("calibration", 32)
    options = SpikeOptions(("layer0*",), 4)
    curve = spike_curve(ann[0], {"x": x}, options, labels)
    program = compile(with_curve(from_ann(ann[0], {"x": x}, options), curve), x, options=Options(limits=LENIENT))
    drawing = ET.fromstring(curve_svg(curve))
    lines = [item for item in drawing if item.tag.endswith("polyline")]
    assert [len(line.get("points").split()) for line in lines] == [3, 3, 3]
    page = render(program)
    assert page.count("<polyline") == 3
    assert "Spikes instead of values" in page
    assert "--spike &#39;layer0*&#39;" in page
    assert "--spike-timesteps 4" in page
    unlabelled = spike_curve(ann[0], {"x": x}, options)
    assert curve_svg(unlabelled).count("<polyline") == 2


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
    with pytest.raises(UnsupportedError, match="HSNN-F098"):
        from_ann(ann[0], {"x": x[:, :5]}, SpikeOptions(("*",)))
    dead = onnx.ModelProto()
    dead.CopyFrom(ann[0])
    dead.graph.initializer[1].CopyFrom(numpy_helper.from_array(np.full(40, -1e3, np.float32), "b0"))
    with pytest.raises(UnsupportedError, match="HSNN-F089"):
        from_ann(dead, {"x": x}, SpikeOptions(("*",)))


def test_one_command_from_a_plain_network_to_an_artifact(ann, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    onnx.save(ann[0], "ann.onnx")
    x, labels = samples("calibration", 50)
    np.savez("samples.npz", x=x, labels=labels)
    spike = ["--spike", "layer*", "--spike-timesteps", "16", "--spike-plot", "curve.svg", "--label-key", "labels"]
    loose = ["--limit", "f1=0,rate=10,dead=1,voltage=10"]
    assert main(["ann.onnx", *spike, *loose, "--calibration", "samples.npz", "-o", "ann.hsnn"]) == 0
    assert "Spikes instead of values" in capsys.readouterr().out
    assert (tmp_path / "curve.svg").read_text().startswith("<svg")
    curve = SpikeCurve.from_json(hsnn.load("ann.hsnn").metadata.options["import"]["spike_curve"])
    assert [point.timesteps for point in curve.points] == [1, 2, 4, 8, 16]
    assert curve.points[-1].agreement > 0.9
    assert curve.points[-1].accuracy > 0.9
    assert main(["net:make", *spike, "--calibration", "samples.npz"]) == 2
    assert "HSNN-U149" in capsys.readouterr().err


def test_the_fewest_timesteps_are_found_where_asked_for(ann, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    onnx.save(ann[0], "ann.onnx")
    np.savez("samples.npz", x=samples("calibration", 50)[0])
    arguments = ["--spike", "layer*", "--spike-timesteps", "auto", "--limit", "f1=0,rate=10,dead=1,voltage=10"]
    assert main(["ann.onnx", *arguments, "--calibration", "samples.npz", "-o", "ann.hsnn", "--json"]) == 0
    record = hsnn.load("ann.hsnn").metadata.options["import"]
    curve = SpikeCurve.from_json(record["spike_curve"])
    assert record["spike_timesteps"] == str(curve.enough)
    assert 4 <= curve.enough < 256
    assert curve.points[-1].timesteps == 256
    capsys.readouterr()


def residual(reshape=False):
    """A residual block with a branch, as exporters with a fixed batch write it: every kind of reader of a train."""
    rng = np.random.default_rng(3)
    sizes = {"w0": (4, 1, 3, 3), "w1": (4, 4, 3, 3), "w2": (4, 4, 3, 3), "w3": (4, 4, 1, 1), "w4": (5, 4 * 16)}
    constants = [
        numpy_helper.from_array((rng.normal(0, 1, s) * np.sqrt(2 / np.prod(s[1:]))).astype(np.float32), n)
        for n, s in sizes.items()
    ]
    constants.append(numpy_helper.from_array(np.array([1, 64], np.int64), "flat"))
    pads = {"pads": [1, 1, 1, 1]}
    nodes = [
        helper.make_node("Conv", ["x", "w0"], ["z0"], **pads),
        helper.make_node("Relu", ["z0"], ["a0"], name="stem.relu"),
        helper.make_node("Conv", ["a0", "w1"], ["z1"], **pads),
        helper.make_node("Relu", ["z1"], ["a1"], name="block.relu1"),
        helper.make_node("Conv", ["a1", "w2"], ["z2"], **pads),
        helper.make_node("Conv", ["a0", "w3"], ["z3"]),
        helper.make_node("Add", ["z2", "z3"], ["sum1"]),
        helper.make_node("Add", ["sum1", "a0"], ["sum"]),
        helper.make_node("Relu", ["sum"], ["a2"], name="block.relu2"),
        helper.make_node("Sigmoid", ["a1"], ["gate"]),
        helper.make_node("Mul", ["a2", "gate"], ["gated"]),
        helper.make_node("Reshape", ["gated", "flat"], ["rows"])
        if reshape
        else helper.make_node("Flatten", ["gated"], ["rows"]),
        helper.make_node("Gemm", ["rows", "w4"], ["y"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "residual",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 5])],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.mark.parametrize("reshape", [False, True])
@pytest.mark.parametrize("globs", [("*",), ("stem*",), ("block*",), ("block.relu2",), ("stem*", "block.relu1")])
def test_branches_and_residuals(globs, reshape):
    model = residual(reshape)
    x = np.random.default_rng(0).uniform(0, 1, (24, 1, 4, 4)).astype(np.float32)
    curve = spike_curve(model, {"x": x}, SpikeOptions(globs, 128, 100.0))
    assert curve.points[-1].error < 0.03
    assert curve.points[-1].error < curve.points[2].error / 3
    hybrid = from_ann(model, {"x": x}, SpikeOptions(globs, 16, 100.0))
    program = compile(hybrid, x, options=Options(limits=LENIENT, golden_samples=2))
    exact = run(prepared(model, {"x": x}), {"x": x}, [])[0]
    with hsnn.Session(program, target="emulator") as session:
        made = session.run(x).output
    assert float(np.abs(made - exact).mean()) < 0.15 * float(np.abs(exact).max())
