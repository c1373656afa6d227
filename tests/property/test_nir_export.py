"""Hybrid models written as NIR and read back: the same spikes, states and integers, bit for bit."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from hsnn.errors import UnsupportedError, UsageError

nir = pytest.importorskip("nir")

from hsnn.frontends.nir.build import from_nir  # noqa: E402 - needs nir
from hsnn.frontends.nir.emit import Emitter  # noqa: E402
from hsnn.frontends.nir.policy import PRESETS, NirPolicy  # noqa: E402
from hsnn.frontends.nir.write import to_nir  # noqa: E402
from hsnn.frontends.onnx import from_onnx  # noqa: E402
from hsnn.ir.projections import ConvProjection, SparseProjection  # noqa: E402
from hsnn.ir.shape import size  # noqa: E402
from hsnn.ops import DOMAIN, OPSET_VERSION  # noqa: E402
from hsnn.ops.functions import DEFAULT_OPSET  # noqa: E402
from hsnn.passes.partition.partition import Partition  # noqa: E402
from hsnn.passes.quantization.quantize import QuantizeOptions, quantize  # noqa: E402
from hsnn.passes.rewrite.canonicalize import canonicalize  # noqa: E402
from hsnn.passes.simulation.calibrate import calibration_of  # noqa: E402
from hsnn.passes.simulation.simulate import simulate  # noqa: E402
from hsnn.passes.trains.linear import ConvMap, as_matrix  # noqa: E402
from support.onnx_states import states_over_time  # noqa: E402

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


def round_trip(hybrid, tmp_path):
    export = to_nir(hybrid)
    path = tmp_path / "network.nir"
    path.write_bytes(export.to_bytes())
    return export, from_nir(path)


def matrix(projection, shapes):
    """A projection as a dense matrix of whole numbers."""
    if isinstance(projection, ConvProjection):
        pre, post = shapes[projection.pre], shapes[projection.post]
        flat = [shape if len(shape) == 3 else (shape[0], 1, shape[1]) for shape in (pre, post)]
        (top, left) = projection.padding
        conv = ConvMap(
            projection.weights.astype(np.float64), *flat, projection.stride, (top, left, top, left),
            projection.dilation, projection.groups,
        )  # fmt: skip
        return as_matrix((conv,)).toarray() * 2.0**projection.weight_exp
    if isinstance(projection, SparseProjection):
        whole = np.zeros((len(projection.indptr) - 1, size(shapes[projection.pre])))
        rows = np.repeat(np.arange(whole.shape[0]), np.diff(projection.indptr))
        np.add.at(whole, (rows, projection.indices), projection.data.astype(np.float64))
        return whole * 2.0**projection.weight_exp
    return projection.weights * 2.0**projection.weight_exp


def assert_same_integers(ours, theirs):
    """Two networks are one: neurons in every field, synapses as matrices, by delay and source."""
    place = [{item.name: index for index, item in enumerate((*n.inputs, *n.populations))} for n in (ours, theirs)]
    for a, b in zip(ours.populations, theirs.populations, strict=True):
        assert type(a) is type(b)
        for item in fields(a):
            if item.name == "name" or (item.name == "reset" and np.all(np.asarray(a.dv) == 4096)):
                continue  # What forgets everything in a timestep has nothing to reset.
            np.testing.assert_array_equal(getattr(a, item.name), getattr(b, item.name), err_msg=f"{a.name} {item.name}")
    sums = []
    for network, places in zip((ours, theirs), place, strict=True):
        shapes = {item.name: getattr(item, "shape", (1,)) for item in (*network.inputs, *network.populations)}
        total = {}
        for link in network.projections:
            key = (places[link.pre], places[link.post], link.delay)
            total[key] = total.get(key, 0.0) + matrix(link, shapes)
        sums.append(total)
    assert sums[0].keys() == sums[1].keys()
    for key, found in sums[0].items():
        np.testing.assert_array_equal(found, sums[1][key], err_msg=str(key))


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("seed", range(6))
def test_what_is_written_and_read_back_is_the_same(build, seed, tmp_path):
    hybrid = BUILDS[build](seed)
    export, back = round_trip(hybrid, tmp_path)
    graphs = segment(hybrid), segment(back)
    runs, networks = [], []
    for graph in graphs:
        inputs = driven(graph, seed)
        run = simulate(graph, inputs)
        runs.append(run)
        networks.append(quantize(graph, calibration_of(graph, inputs, run), QuantizeOptions(margin=4.0)).network)
    spikes = 0
    for ours, theirs in zip(graphs[0].neurons, graphs[1].neurons, strict=True):
        for kept in ("spikes", "voltages"):
            a, b = getattr(runs[0], kept), getattr(runs[1], kept)
            assert (ours.name in a) == (theirs.name in b)
            if ours.name in a:
                np.testing.assert_allclose(a[ours.name], b[theirs.name], rtol=1e-6, atol=1e-6)
                spikes += np.count_nonzero(a[ours.name])
    assert spikes > 0
    assert_same_integers(*networks)
    assert all("Train" in item for item in export.left_out)


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("seed", range(3))
def test_neurons_hold_the_same_states_over_time(build, seed, tmp_path):
    """Currents as they go into the voltage, voltages before and behind every reset, of every neuron."""
    hybrid = canonicalize(BUILDS[build](seed))
    _, back = round_trip(hybrid, tmp_path)
    runs = []
    for model in (hybrid, back):
        ports = zip(model.inputs, driven(segment(hybrid), seed).values(), strict=True)
        feeds = {info.name: np.ascontiguousarray(array.swapaxes(0, 1), np.float32) for info, array in ports}
        runs.append(states_over_time(model, feeds))
    pairs = list(zip(runs[0][0], runs[1][0], strict=True))
    same = np.ones(5, np.bool_)  # samples without a spike that fell on the other side of its threshold
    for (node, ours), (_, theirs) in pairs:
        if node.op_type != "LeakyIntegrator":
            same &= (ours["s"] == theirs["s"]).swapaxes(0, 1).reshape(5, -1).all(axis=1)
    assert same.sum() >= 4
    compared = set()
    for (node, ours), (other, theirs) in pairs:
        for name, (a, b) in held_alike((node, ours, hybrid), (other, theirs, back)).items():
            assert_close(a[:, same], b[:, same], f"{node.name} {name}")
            compared.add(name)
    assert {"into the voltage", "v", "margin"} <= compared


def held_alike(*sides):
    """Pair what both sides hold by name.

    A bias may go into the input or into the voltage. What has no memory holds nothing: there only the distance from
    the threshold counts, of which a bias may be a part.
    """
    (node, states, model), (other, others, back) = sides
    pairs = {}
    if not np.all(value(model, node.input[2]) == 1.0):
        bias = 3 if node.op_type == "LeakyIntegrator" else 4
        into = [held["driven"] + value(owner, item.input[bias]) for item, held, owner in sides]
        pairs = {"into the voltage": into} | {
            name: (states[name], others[name]) for name in ("v_in", "v") if name in states
        }
    if node.op_type != "LeakyIntegrator":
        levels = value(model, node.input[3]), value(back, other.input[3])
        pairs["margin"] = (states["v_in"] - levels[0], others["v_in"] - levels[1])
    return pairs


def value(model, name):
    return next(numpy_helper.to_array(item) for item in model.proto.graph.initializer if item.name == name)


def assert_close(a, b, what):
    np.testing.assert_allclose(b, a, rtol=0, atol=1e-5 * max(1.0, np.abs(a).max()), err_msg=what)


def test_every_type_of_node_is_written(tmp_path):
    used = set()
    for seed in range(8):
        for build in BUILDS.values():
            graph = to_nir(build(seed)).graph
            nested = [node for node in graph.nodes.values() if isinstance(node, nir.NIRGraph)]
            used |= {type(node).__name__ for one in (graph, *nested) for node in one.nodes.values()}
    assert used == {name for name in nir.ir.__all__ if name[0].isupper()} - {"NIRNode"}


def test_equal_models_give_equal_files_that_nir_reads_with_its_own_checks(tmp_path):
    export, _ = round_trip(dense(2), tmp_path)
    assert export.to_bytes() == to_nir(dense(2)).to_bytes()
    graph = nir.read(tmp_path / "network.nir")
    assert graph.metadata["hsnn_timesteps"] == str(T)
    assert "comparison=" in graph.metadata["hsnn_policy"]


def neurons(kind, **changes):
    net = Net(0)
    spikes = net.neuron(net.op("MatMul", [net.input(3), net.normal(3, 4)]), (4,), kind, **changes)
    net.output(spikes, 4)
    return net.model()


PLAIN = {"reset": "zero", "refractory": 0, "comparison": ">", "decay_input": 0}
POLICIES = [
    NirPolicy(
        dt, integrator, reset, comparison, synapse=synapse, gain=gain, integrate=integrate, tau=tau, initial="zero"
    )
    for dt, integrator, reset, comparison, synapse, gain, integrate, tau in (
        (1e-3, "exact", "value", ">", "jump", "one", "one", "times_dt"),
        (0.5, "euler", "subtract", ">=", "ode", "decay", "one", "times_dt"),
        (2.0, "exact", "zero_next", ">", "jump", "decay", "dt", "seconds"),
        (1e-4, "euler", "subtract_next", ">=", "ode", "one", "dt", "seconds"),
    )
]


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.reset)
@pytest.mark.parametrize("kind", ["IF", "LIF", "CubaLIF"])
def test_a_file_for_a_reader_says_the_same_to_that_reader(kind, policy, tmp_path):
    reset, refractory = {
        "value": ("zero", 0),
        "subtract": ("subtract", 0),
        "zero_next": ("zero", 1),
        "subtract_next": ("subtract_late", 0),
    }[policy.reset]
    hybrid = neurons(kind, reset=reset, refractory=refractory, comparison=policy.comparison)
    path = tmp_path / "network.nir"
    path.write_bytes(to_nir(hybrid, policy=policy).to_bytes())
    graphs = segment(hybrid), segment(from_nir(path, timesteps=T, policy=policy))
    a, b = (next(iter(simulate(graph, driven(graph, 1)).spikes.values())) for graph in graphs)
    np.testing.assert_array_equal(a, b)
    assert 0 < a.mean() < 1


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_writes_what_it_says_or_names_the_neuron(name):
    hybrid = neurons("LIF", **PLAIN)
    preset = PRESETS[name]
    if (preset.reset, preset.comparison) == ("value", ">") and preset.initial != "leak":
        assert to_nir(hybrid, policy=name).policy.text() == preset.text()
        return
    with pytest.raises(UnsupportedError, match="HSNN-F087: 'lif"):
        to_nir(hybrid, policy=name)


@pytest.mark.parametrize(
    ("kind", "changes", "named"),
    [
        ("LIF", {"refractory": 3}, "refractory"),
        ("LIF", {"reset": "none"}, "resets by 'none'"),
        ("Threshold", {"reset": "zero", "refractory": 2}, "refractory"),
    ],
)
def test_what_nir_cannot_say_is_refused_by_name(kind, changes, named):
    with pytest.raises(UnsupportedError, match=f"HSNN-F087.*{kind.lower()}.*{named}"):
        to_nir(neurons(kind, **{**PLAIN, **changes}))


def test_operators_that_nir_lacks_are_refused_all_at_once():
    net = Net(0)
    x = net.input(2, 4, 4)
    turned = net.op("Transpose", [x], perm=[0, 1, 3, 2, 4])
    padded = net.merged("Conv", turned, [net.normal(3, 4, 2, 2)], kernel_shape=(2, 2), pads=[0, 1, 0, 0])
    net.output(net.neuron(padded, (3, 1, 4), "LIF", **{**PLAIN, "refractory": 7}), 3, 1, 4)
    with pytest.raises(UnsupportedError) as caught:
        to_nir(net.model())
    for found in ("'transpose' (Transpose)", "'conv' pads", "refractory time of 7"):
        assert found in str(caught.value)


def test_the_policy_and_the_timesteps_of_a_file_that_hsnn_wrote_may_be_overruled(tmp_path):
    path = tmp_path / "network.nir"
    path.write_bytes(to_nir(neurons("LIF", **{**PLAIN, "reset": "subtract"})).to_bytes())
    assert segment(from_nir(path)).neurons[0].reset == "subtract"
    other = segment(from_nir(path, timesteps=4, policy="equations,dt=1e-4"))
    assert (other.timesteps, other.neurons[0].reset) == (4, "zero")
    graph = nir.read(path)
    graph.metadata["hsnn_timesteps"] = "9" * 5000
    with pytest.raises(UsageError, match="HSNN-F085"):
        from_nir(graph)
