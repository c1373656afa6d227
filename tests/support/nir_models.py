"""Random hybrid models of what NIR has: neurons, synapses, joins and delays, every parameter drawn."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper

from hsnn.frontends.nir.emit import Emitter
from hsnn.frontends.onnx import from_onnx
from hsnn.ir.shape import size
from hsnn.ops import DOMAIN, OPSET_VERSION
from hsnn.ops.functions import DEFAULT_OPSET
from hsnn.passes.partition.partition import Partition
from hsnn.passes.rewrite.canonicalize import canonicalize

T = 7


class Net:
    """A hybrid model in the making."""

    def __init__(self, seed, *, binary=False):
        self.rng = np.random.default_rng(seed)
        self.emit = Emitter(T, 1e-4)
        self.binary = binary
        self.inputs, self.outputs = [], []

    def constant(self, array):
        return self.emit.constant("c", np.asarray(array))

    def op(self, op, inputs, **attributes):
        return self.emit.node(op, inputs, op.lower(), "", **attributes)

    def input(self, *shape):
        name = self.emit.unique("x")
        self.inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", T, *shape]))
        return self.op("TrainEncode", [name], timesteps=T, values="binary" if self.binary else "graded")

    def output(self, value, *shape):
        made = self.op("TrainDecode", [value])
        self.outputs.append(helper.make_tensor_value_info(made, TensorProto.FLOAT, ["batch", T, *shape]))

    def model(self):
        graph = helper.make_graph(
            self.emit.nodes, "hybrid", self.inputs, self.outputs, list(self.emit.constants.values())
        )
        opsets = [helper.make_opsetid("", DEFAULT_OPSET), helper.make_opsetid(DOMAIN, OPSET_VERSION)]
        return from_onnx(helper.make_model(graph, opset_imports=opsets, ir_version=10))

    def normal(self, *shape, scale=1.0):
        return self.constant(self.rng.normal(0, scale, shape))

    def neuron(self, value, shape, kind=None, **changes):
        """Spiking neurons of one of the kinds that NIR has, every parameter and attribute at random."""
        rng, pick = self.rng, self.rng.choice
        kind = kind or str(pick(["IF", "LIF", "CubaLIF", "Threshold"]))
        reset, refractory = [("zero", 0), ("zero", 1), ("subtract", 0), ("subtract_late", 0)][rng.integers(4)]
        if kind == "Threshold":
            reset, refractory = "none", 0
        current = rng.uniform(0.1, 0.9, shape) if kind.startswith("Cuba") else 1.0
        voltage = {"IF": 0.0, "Threshold": 1.0}.get(kind, rng.uniform(0.1, 0.9, shape))
        decays_input = int(kind != "IF" and rng.random() < 0.5)
        bias = self.bias(shape, by_channel=kind == "IF") * (kind != "Threshold" or rng.random() < 0.5)
        parameters = [current, voltage, rng.uniform(0.3, 1.0, shape), bias]
        return self.emit.node(
            changes.pop("op", "Lif"),
            [value, *map(self.constant, parameters), *changes.pop("more", [])],
            "spikes",
            f"{kind.lower()}.{len(self.emit.nodes)}",
            **{
                "reset": reset,
                "comparison": str(pick([">", ">="])),
                "refractory": refractory,
                "decay_input": decays_input,
                **changes,
            },
        )

    def bias(self, shape, *, by_channel):
        """Random constants; NIR adds them to an integrator's input, one number per channel."""
        drawn = self.rng.normal(0, 0.05, (shape[0], *(1,) * (len(shape) - 1)) if by_channel else shape)
        return np.broadcast_to(drawn, shape)

    def reader(self, value, shape):
        kind = str(self.rng.choice(["I", "LI", "CubaLI"]))
        u = self.rng.uniform
        current = u(0.1, 0.9, shape) if kind == "CubaLI" else 1.0
        voltage = 0.0 if kind == "I" else u(0.1, 0.9, shape)
        bias = self.bias(shape, by_channel=kind == "I")
        decays_input = int(kind != "I" and self.rng.random() < 0.5)
        return self.op(
            "LeakyIntegrator", [value, *map(self.constant, (current, voltage, bias))], decay_input=decays_input
        )

    def merged(self, op, value, constants, **options):
        return self.emit.merged(op, op.lower(), value, constants, options)


def dense(seed):
    """A chain with a skip, a loop, delays, a slice, a concatenation and a subtraction."""
    net = Net(seed, binary=bool(seed % 2))
    x = net.input(5)
    drive = net.op("Add", [net.op("MatMul", [x, net.normal(5, 6)]), net.normal(6, scale=0.2)])
    drive = net.op("Delay", [drive], steps=int(net.rng.integers(1, 3)))
    first = net.neuron(drive, (6,), str(net.rng.choice(["LIF", "CubaLIF"])), op="RecurrentLif", more=[net.normal(6, 6)])
    gemm = net.merged("Gemm", first, [net.normal(4, 6), net.normal(4, scale=0.2)], transB=1, alpha=0.7, beta=1.3)
    skip = net.op("Mul", [net.op("Neg", [net.op("MatMul", [x, net.normal(5, 4)])]), net.normal(4)])
    second = net.neuron(net.op("Sub", [gemm, skip]), (4,))
    late = net.op("AxonalDelay", [second, net.constant(net.rng.integers(0, 3, 4).astype(np.float32))])
    part = net.op("Slice", [late, *(net.constant(np.array(i, np.int64)) for i in ([0], [3], [2], [2]))])
    both = net.op("Concat", [part, first], axis=2)
    third = net.neuron(net.op("Add", [both, net.normal(8, scale=0.2)]), (8,))
    scaled = net.op("Div", [third, net.constant(2.0 ** net.rng.integers(-2, 2, 8))])
    net.output(net.reader(net.op("MatMul", [scaled, net.normal(8, 3)]), (3,)), 3)
    net.output(second, 4)
    return net.model()


def image(seed):
    """Convolution with everything, batch norm, pools, a residual, flattening."""
    net = Net(seed)
    pick = net.rng.choice
    x = net.input(2, 7, 8)
    same = seed % 3 == 0
    pads, strides = ([0, 1, 1, 1], (1, 1)) if same else ([1, 0, 1, 0], (2, 1))
    kernel = (2, 2) if same else (3, 2)
    conv = net.merged(
        "Conv", x, [net.normal(4, 1, *kernel), net.normal(4, scale=0.2)],
        kernel_shape=kernel, pads=pads, strides=strides, dilations=(1, 2), group=2,
    )  # fmt: skip
    height, width = (7, 8) if same else (4, 6)
    # Factors that float32 holds exactly: batch norm is one factor in NIR, and four numbers before.
    statistics = [
        net.rng.integers(4, 9, 4) / 8,
        *(net.rng.integers(-4, 5, (2, 4)) / 16),
        4.0 ** net.rng.integers(-1, 2, 4),
    ]
    normed = net.merged("BatchNormalization", conv, list(map(net.constant, statistics)), epsilon=0.0)
    first = net.neuron(normed, (4, height, width), str(pick(["IF", "LIF", "Threshold"])))
    mixed = net.merged("Conv", first, [net.normal(4, 4, 1, 1)], kernel_shape=(1, 1))
    second = net.neuron(net.op("Add", [mixed, first]), (4, height, width), str(pick(["LIF", "CubaLIF"])))
    pool = net.merged(
        "AveragePool", second, [], kernel_shape=(2, 3), strides=(1, 2), pads=[1, 1, 1, 1], count_include_pad=1
    )
    after = (4, height + 1, (width - 1) // 2 + 1)
    if net.rng.random() < 0.5:
        pool = net.op("Mul", [pool, net.constant(np.float32(6.0))])
    if net.rng.random() < 0.5:
        flat = net.op("Reshape", [pool, net.constant(np.array([0, 0, size(after)], np.int64))])
    else:
        flat = net.op("ReduceMean", [pool, net.constant(np.array([3, 4], np.int64))], keepdims=0)
        after = (4,)
    net.output(net.reader(net.op("MatMul", [flat, net.normal(size(after), 3)]), (3,)), 3)
    return net.model()


def line(seed):
    """One-dimensional convolution, and a product on the last of two axes."""
    net = Net(seed)
    x = net.input(2, 9)
    conv = net.merged(
        "Conv", x, [net.normal(4, 1, 3)], kernel_shape=(3,), pads=[1, 1], strides=(2,), dilations=(1,), group=2
    )  # fmt: skip
    first = net.neuron(conv, (4, 5))
    net.output(net.reader(net.op("MatMul", [first, net.normal(5, 3)]), (4, 3)), 4, 3)
    return net.model()


BUILDS = {"dense": dense, "image": image, "line": line}


def segment(hybrid):
    (found,) = Partition()(canonicalize(hybrid)).chip_segments
    return found.graph


def driven(graph, seed):
    rng = np.random.default_rng(seed)
    return {
        port.name: (rng.random((T, 5, *port.shape)) < 0.4).astype(np.float64)
        if port.binary
        else rng.normal(size=(T, 5, *port.shape))
        for port in graph.inputs
    }


def neurons(kind, **changes):
    net = Net(0)
    spikes = net.neuron(net.op("MatMul", [net.input(3), net.normal(3, 4)]), (4,), kind, **changes)
    net.output(spikes, 4)
    return net.model()
