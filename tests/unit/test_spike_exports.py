"""Plain networks from anywhere: exporters fix the batch, write old operator sets, and compute shapes from constants."""

from __future__ import annotations

import warnings

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from hsnn.errors import HsnnError
from hsnn.frontends.spike.convert import SpikeOptions, conversion, from_ann
from hsnn.frontends.spike.curve import spike_curve
from hsnn.ir.hybrid import module_of


class Block(nn.Module):
    """A residual block with a projection, as ResNets have it."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(6, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8)
        self.conv2, self.bn2, self.relu = nn.Conv2d(8, 8, 3, 1, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU()
        self.down = nn.Sequential(nn.Conv2d(6, 8, 1, 2, bias=False), nn.BatchNorm2d(8))

    def forward(self, x):
        y = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(y)) + self.down(x))


class Net(nn.Module):
    """Batch norm, ReLU6, a residual, pools, dropout and ``view`` with the batch size."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU6(), nn.AvgPool2d(2))
        self.layer1 = Block()
        self.pool, self.drop = nn.AdaptiveAvgPool2d(1), nn.Dropout(0.3)
        self.fc1, self.fc2 = nn.Linear(8, 12), nn.Linear(12, 5)

    def forward(self, x):
        x = self.pool(self.layer1(self.stem(x)))
        x = self.drop(x.view(x.size(0), -1))
        return self.fc2(torch.relu(self.fc1(x)))


DYNAMO, SCRIPT = {"dynamo": True, "verbose": False}, {"dynamo": False, "input_names": ["x"]}
EXPORTS = {
    "dynamo, its defaults": DYNAMO,
    "dynamo, free batch": DYNAMO | {"dynamic_shapes": ({0: torch.export.Dim("n")},)},
    "dynamo, 18": DYNAMO | {"opset_version": 18},
    "script, 11": SCRIPT | {"opset_version": 11},
    "script, 13, free batch": SCRIPT | {"opset_version": 13, "dynamic_axes": {"x": {0: "n"}}},
    "script, 17, unfolded": SCRIPT | {"opset_version": 17, "do_constant_folding": False},
    "script, 20, unfolded, free batch": SCRIPT
    | {"opset_version": 20, "do_constant_folding": False, "dynamic_axes": {"x": {0: "n"}}},
}


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    model = Net()
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.uniform_(part.bias, 0.1, 0.5)
            nn.init.uniform_(part.running_mean, -0.2, 0.2)
            nn.init.uniform_(part.running_var, 0.5, 1.5)
    return model.eval()


def exported(net, path, **options):
    count = 2 if "dynamic_shapes" in options else 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(net, (torch.zeros(count, 1, 8, 8),), path, **options)
    net.eval()
    return path


def samples():
    return {"x": np.random.default_rng(0).uniform(0, 1, (24, 1, 8, 8)).astype(np.float32)}


@pytest.mark.parametrize("options", EXPORTS.values(), ids=EXPORTS)
def test_every_export_is_converted_to_the_same(net, tmp_path, options):
    path = exported(net, tmp_path / "net.onnx", **options)
    curve = spike_curve(path, samples(), SpikeOptions(("*",), 128, 100.0))
    assert curve.points[-1].error < 0.02
    assert curve.points[-1].error < curve.points[2].error / 3
    hybrid = from_ann(path, samples(), SpikeOptions(("*",), 8, 100.0))
    kinds = [node.op_type for node in hybrid.proto.graph.node]
    assert kinds.count("Lif") == 4
    assert kinds.count("DirectEncode") == 1  # All between the first and the last activation are synapses.
    (made,) = ort.InferenceSession(hybrid.to_bytes()).run(None, samples())
    again = from_ann(
        exported(net, tmp_path / "other.onnx", **EXPORTS["script, 13, free batch"]),
        samples(),
        SpikeOptions(("*",), 8, 100.0),
    )
    (other,) = ort.InferenceSession(again.to_bytes()).run(None, samples())
    # A rounded sum may tip a spike over: one of 8 timesteps of one of 12 neurons.
    assert np.count_nonzero(np.abs(made - other) > 1e-4) <= made.size // 10


@pytest.mark.parametrize("options", [DYNAMO, SCRIPT | {"opset_version": 13}], ids=["dynamo", "script"])
def test_activations_are_marked_by_their_module(net, tmp_path, options):
    path = exported(net, tmp_path / "net.onnx", **options)
    hybrid = from_ann(path, samples(), SpikeOptions(("layer1.*",), 4))
    paths = [module_of(node) for node in hybrid.proto.graph.node if node.op_type == "Lif"]
    assert len(paths) == 2
    assert all(item.startswith("layer1.relu") for item in paths)  # TorchScript numbers the calls of one module.
    with pytest.raises(HsnnError, match=r"layer1\.relu") as caught:
        from_ann(path, samples(), SpikeOptions(("layer7.*",), 4))
    assert caught.value.code == "HSNN-U148"


def test_what_computes_as_in_training_is_refused(net, tmp_path):
    training = {"training": torch.onnx.TrainingMode.TRAINING, "do_constant_folding": False, "opset_version": 17}
    path = exported(net, tmp_path / "net.onnx", **SCRIPT, **training)
    with pytest.raises(HsnnError, match="HSNN-F097"):
        from_ann(path, samples(), SpikeOptions(("*",), 4))


def small(nodes, constants=(), shape=("n", 4)):
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in dict(constants).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def test_a_network_that_mixes_samples_is_refused():
    nodes = [
        helper.make_node("ReduceMax", ["x", "first"], ["m"], keepdims=1),
        helper.make_node("Sub", ["x", "m"], ["d"]),
        helper.make_node("Neg", ["d"], ["e"]),
        helper.make_node("Relu", ["e"], ["y"], name="relu"),
    ]
    x = np.random.default_rng(0).uniform(0, 1, (8, 4)).astype(np.float32)
    with pytest.raises(HsnnError, match="HSNN-F099"):
        from_ann(small(nodes, {"first": np.array([0])}, (1, 4)), {"x": x}, SpikeOptions(("*",), 4))
    weight = np.full((4, 4), np.nan, np.float32)
    product = [helper.make_node("MatMul", ["x", "w"], ["z"]), helper.make_node("Relu", ["z"], ["y"])]
    with pytest.raises(HsnnError, match="HSNN-F099"):
        from_ann(small(product, {"w": weight}), {"x": x}, SpikeOptions(("*",), 4))


def test_a_product_of_two_activations_is_no_synapse():
    """The mean of a product over time is not the product of means: both are read as rates."""
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], name="first"),
        helper.make_node("MatMul", ["a", "w"], ["z"]),
        helper.make_node("Relu", ["z"], ["b"], name="second"),
        helper.make_node("Unsqueeze", ["b", "last"], ["column"]),
        helper.make_node("Unsqueeze", ["a", "one"], ["row"]),
        helper.make_node("MatMul", ["column", "row"], ["outer"]),
        helper.make_node("Flatten", ["outer"], ["flat"], axis=1),
        helper.make_node("Relu", ["flat"], ["y"], name="third"),
    ]
    rng = np.random.default_rng(0)
    constants = {"w": rng.uniform(-1, 1, (4, 3)).astype(np.float32), "last": np.array([2]), "one": np.array([1])}
    x = {"x": rng.uniform(0, 1, (16, 4)).astype(np.float32)}
    curve = spike_curve(small(nodes, constants), x, SpikeOptions(("*",), 128, 100.0))
    assert curve.points[-1].error < 0.01


def test_what_spikes_already_is_refused(net, tmp_path):
    hybrid = from_ann(exported(net, tmp_path / "net.onnx", **DYNAMO), samples(), SpikeOptions(("*",), 4))
    with pytest.raises(HsnnError, match="HSNN-U149"):
        conversion(hybrid.proto, samples(), SpikeOptions(("*",), 4))
    assert onnx.load_from_string(hybrid.to_bytes()).opset_import
