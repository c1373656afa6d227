"""Small programs, made by hand: integer networks and ONNX models without the compiler."""

from __future__ import annotations

import threading

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.plan import Cut, HostStage, ModelValue, Placement
from hsnn.ir.populations import ConstantSource, InputPort, IntegratorPopulation, LifPopulation
from hsnn.ir.projections import ConvProjection, DenseProjection, SparseProjection
from hsnn.program import ChipInput, ChipOutput, ChipStage, Golden, Metadata, Program

TIMESTEPS = 6
LEVELS = np.linspace(0.1, 0.9, TIMESTEPS, dtype=np.float32)
FEATURES, HIDDEN, CLASSES = 4, 5, 3
SAMPLES = 9


@pytest.fixture
def rng():
    """Numbers that do not depend on which tests ran before."""
    return np.random.default_rng(0)


def onnx_model(nodes, inputs, outputs, constants=None, opset=17):
    """Serialize a model; inputs and outputs are ``name: shape`` with ``None`` or names for free axes."""
    graph = helper.make_graph(
        nodes,
        "stage",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    return model.SerializeToString()


def encoder_model(source="x", spikes="spikes", features=FEATURES):
    """``spikes[t] = source > LEVELS[t]``: a plain rate code, ``(batch, feature)`` to ``(T, batch, feature)``."""
    nodes = [
        helper.make_node("Greater", [source, "levels"], ["above"]),
        helper.make_node("Cast", ["above"], [spikes], to=TensorProto.FLOAT),
    ]
    return onnx_model(
        nodes, {source: [None, features]}, {spikes: [None, None, features]}, {"levels": LEVELS.reshape(-1, 1, 1)}
    )


def head_model(inputs, output="y", skip=None):
    """Sum over time of every input, concatenated; a skipped tensor is added at the end."""
    nodes = [
        helper.make_node("ReduceSum", [name, "time"], [f"sum_{name}"], keepdims=0, name=f"sum {name}")
        for name in inputs
    ]
    joined = [f"sum_{name}" for name in inputs]
    last = "joined" if skip else output
    nodes.append(helper.make_node("Concat", joined, [last], axis=1))
    if skip:
        nodes.append(helper.make_node("Concat", ["joined", skip], [output], axis=1))
    shapes = {name: [None, None, None] for name in inputs} | ({skip: [None, None]} if skip else {})
    return onnx_model(nodes, shapes, {output: [None, None]}, {"time": np.array([0], np.int64)})


def scalar(value):
    return np.array(value, np.int32)


def dense_network(name="chip.0", seed=0, max_payload=1, readout=True):
    """A port, a LIF layer with recurrence and a bias, and read-out or LIF outputs."""
    rng = np.random.default_rng(seed)

    def weights(post, pre):
        return (rng.integers(-60, 100, (post, pre)) * 2).astype(np.int16)

    hidden = LifPopulation(
        "hidden",
        (HIDDEN,),
        scalar(1024),
        scalar(300),
        np.full((HIDDEN,), 64 * 120, np.int32),
        rng.integers(-50, 50, (HIDDEN,)).astype(np.int32),
        2,
        "subtract",
        scalar(64 * 120),
        1,
    )
    out = (
        IntegratorPopulation("out", (CLASSES,), scalar(4095), scalar(128), scalar(0))
        if readout
        else LifPopulation("out", (CLASSES,), scalar(4095), scalar(0), scalar(64 * 90), scalar(0))
    )
    return IntegerNetwork(
        name,
        TIMESTEPS,
        (InputPort("in", (FEATURES,), max_payload, max_payload > 1),),
        (ConstantSource("bias"), hidden, out),
        (
            DenseProjection("in-hidden", "in", "hidden", weights(HIDDEN, FEATURES)),
            DenseProjection("bias-hidden", "bias", "hidden", weights(HIDDEN, 1), weight_exp=1),
            DenseProjection("hidden-hidden", "hidden", "hidden", weights(HIDDEN, HIDDEN), delay=1),
            DenseProjection("hidden-out", "hidden", "out", weights(CLASSES, HIDDEN)),
        ),
        ("hidden", "out"),
    )


def every_kind_network():
    """Every kind of population and projection, with no field at its default, and an empty projection."""
    rng = np.random.default_rng(7)
    image = LifPopulation(
        "layers/1.lif ünï", (2, 4, 4), scalar(-1), scalar(4096), scalar(500), scalar(-4096), 7, "none", scalar(0), 64
    )
    flat = LifPopulation("flat", (3,), scalar([0, 1, 2]), scalar(7), scalar([9, 8, 7]), scalar(3), 0, "zero")
    sums = IntegratorPopulation("sums", (3,), scalar(4095), scalar([0, 1, 4096]), scalar([1, 2, 3]), 3)
    sparse = SparseProjection(
        "sparse",
        "flat",
        "sums",
        np.array([2, -256, 254], np.int16),
        np.array([0, 2, 1], np.int32),
        np.array([0, 2, 2, 3], np.int32),
        15,
        62,
    )
    nothing = SparseProjection(
        "nothing", "flat", "sums", np.zeros(0, np.int16), np.zeros(0, np.int32), np.zeros(4, np.int32)
    )
    return IntegerNetwork(
        "every kind",
        3,
        (InputPort("graded", (1, 8, 8), 127, True),),
        (ConstantSource("one"), image, flat, sums),
        (
            ConvProjection(
                "conv",
                "graded",
                image.name,
                (rng.integers(-128, 128, (2, 1, 3, 2)) * 2).astype(np.int16),
                (2, 3),
                (1, 2),
                (1, 2),
                1,
                3,
                4,
            ),
            DenseProjection(
                "dense", image.name, "flat", rng.integers(0, 4, (3, 32)).astype(np.int16) * 64, 5, 6, "excitatory", 2
            ),
            sparse,
            nothing,
        ),
        (image.name, "sums"),
    )


def make_chain(network, scale=1.0):
    stages = (
        HostStage("host.0", encoder_model(), ("x",), ("spikes",)),
        ChipStage(
            "chip.0",
            network,
            (ChipInput("spikes", "in", scale),),
            (ChipOutput("h", "hidden", 1.0), ChipOutput("v", "out", 0.25)),
        ),
        HostStage("host.1", head_model(["h", "v"]), ("h", "v"), ("y",)),
    )
    return Program(
        stages,
        (ModelValue("x", (None, FEATURES), "float32"),),
        (ModelValue("y", (None, HIDDEN + CLASSES), "float32"),),
        Metadata("0.1.0", "emulator", "pkg:net", 5, {"numpy": "2"}, {"pins": ["a=host"], "bits": 8}),
        (Placement("n1", "Greater", "enc", "host.0"), Placement("n2", "MaxPool", "", "host.1", "HSNN-P007", "no", "x")),
        (Cut("spikes", "host.0", "chip.0", (FEATURES,), TIMESTEPS),),
        {"spikes": 1.25},
        ({"name": "hidden", "error": 0.5, "rates": [0.1, 0.2]}, {"name": "out", "error": None}),
        {"neurocores": 2, "chips": [{"name": "loihi2", "used": 0.25}]},
        hybrid=encoder_model(),
        report="<html>ü</html>",
    )


@pytest.fixture
def chain():
    """Host, chip, host: one after the other."""
    return make_chain(dense_network())


@pytest.fixture
def diamond():
    """One encoder, two chip stages that do not need each other, a skip around both, one head."""
    stages = (
        HostStage("host.0", encoder_model(), ("x",), ("spikes",)),
        ChipStage(
            "chip.0",
            dense_network("chip.0", 1, readout=False),
            (ChipInput("spikes", "in", 1.0),),
            (ChipOutput("a", "out", 1.0),),
        ),
        ChipStage(
            "chip.1",
            dense_network("chip.1", 2),
            (ChipInput("spikes", "in", 1.0),),
            (ChipOutput("b", "out", 0.5),),
        ),
        HostStage("host.1", head_model(["a", "b"], skip="x"), ("a", "b", "x"), ("y",)),
    )
    return Program(
        stages,
        (ModelValue("x", (None, FEATURES), "float32"),),
        (ModelValue("y", (None, 2 * CLASSES + FEATURES), "float32"), ModelValue("b", (6, None, CLASSES), "float32")),
        Metadata("0.1.0", "emulator"),
    )


@pytest.fixture
def every_kind():
    """A network with every kind of population and projection, and no field at its default."""
    return every_kind_network()


@pytest.fixture
def golden(chain):
    """Golden traces of ``chain``, as far as shapes and dtypes go."""
    x = np.random.default_rng(3).random((2, FEATURES)).astype(np.float32)

    def train(features, high):
        return np.random.default_rng(high).integers(-high + 1, high + 1, (TIMESTEPS, 2, features)).astype(np.int32)

    return Golden(
        {"x": x},
        {"y": np.zeros((2, HIDDEN + CLASSES), np.float32)},
        {"chip.0": {"in": train(FEATURES, 1)}},
        {"chip.0": {"hidden": train(HIDDEN, 200), "out": train(CLASSES, 2**20)}},
    )


@pytest.fixture
def build():
    """The builders, for tests that need variants."""

    class Build:
        chain = staticmethod(make_chain)
        network = staticmethod(dense_network)
        onnx = staticmethod(onnx_model)
        encoder = staticmethod(encoder_model)
        head = staticmethod(head_model)
        levels = LEVELS
        timesteps, features, hidden, classes = TIMESTEPS, FEATURES, HIDDEN, CLASSES

    return Build


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder of its own, which is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def write_nir():
    """A function that writes a network with a loop as ``net.nir``, and samples for it, into a folder."""

    def write(folder):
        import nir

        u = np.random.default_rng(0).uniform
        nodes = {
            "input": nir.Input(np.array([6])),
            "fc": nir.Affine(u(-1, 2, (5, 6)), u(-0.1, 0.1, 5)),
            "lif": nir.LIF(np.full(5, 4e-3), np.full(5, 2.0), np.zeros(5), np.full(5, 0.5)),
            "rec": nir.Linear(u(-0.5, 0.5, (5, 5))),
            "last": nir.Linear(u(-1, 1, (3, 5))),
            "read": nir.LI(np.full(3, 8e-3), np.full(3, 8.0), np.zeros(3)),
            "output": nir.Output(np.array([3])),
        }
        chain = [("input", "fc"), ("fc", "lif"), ("lif", "last"), ("last", "read"), ("read", "output")]
        nir.write(folder / "net.nir", nir.NIRGraph(nodes, [*chain, ("lif", "rec"), ("rec", "lif")], type_check=False))
        rng = np.random.default_rng(1)
        np.savez(folder / "x.npz", input=(rng.random((24, 8, 6)) < 0.4).astype(np.float32))

    return write


@pytest.fixture
def artifact(chain, folder):
    """``chain``, saved in the current folder."""
    chain.save(folder / "net.hsnn")
    return "net.hsnn"


@pytest.fixture
def samples(folder):
    """Samples of ``chain`` and labels, also as files in the current folder."""
    rng = np.random.default_rng(1)
    x = rng.random((SAMPLES, FEATURES)).astype(np.float32)
    labels = rng.integers(0, HIDDEN + CLASSES, SAMPLES)
    np.savez("data.npz", x=x, labels=labels)
    np.save("x.npy", x)
    np.save("labels.npy", labels)
    return x, labels


@pytest.fixture
def no_thread_stays():
    """No thread of a session outlives the test."""
    before = set(threading.enumerate())
    yield
    left = [thread for thread in threading.enumerate() if thread not in before and thread.name.startswith("hsnn")]
    assert left == []
