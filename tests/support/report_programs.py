"""Programs with everything that a report can show, and large ones."""

from __future__ import annotations

import dataclasses

import numpy as np
from onnx import TensorProto, helper

from hsnn.ir.chip import Chip, Limit
from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.plan import Cut, HostStage, ModelValue, Placement
from hsnn.ir.populations import ConstantSource, InputPort, IntegratorPopulation, LifPopulation
from hsnn.ir.projections import ConvProjection, DenseProjection, SparseProjection
from hsnn.passes.mapping.place import place
from hsnn.passes.quantization.quantize import LayerScale
from hsnn.passes.quantization.quantize_neurons import DecayError, NeuronError
from hsnn.passes.quantization.quantize_weights import ProjectionError
from hsnn.passes.quantization.worst_case import WorstCase
from hsnn.program import ChipInput, ChipOutput, ChipStage, Golden, Metadata, Program
from hsnn.report.layers import LayerReport
from hsnn.report.spike_quality import SpikeQuality
from hsnn.verify.random_networks import random_inputs
from hsnn_targets.reference import TARGET as REFERENCE

HOSTILE = "<script>alert(1)</script>\"'&\x1b[2J\u202egpj"


def scalar(value):
    return np.array(value, np.int32)


def lif(name, shape, threshold=64 * 200):
    return LifPopulation(name, shape, scalar(4095), scalar(128), scalar(threshold), scalar(0))


def wide_network():
    """Convolution, skip, loop, constant, graded input and read-out."""
    rng = np.random.default_rng(0)

    def some(*shape):
        return (rng.integers(-60, 80, shape) * 2).astype(np.int16)

    kept = rng.random((10, 48)) < 0.2
    sparse = SparseProjection(
        "skip",
        "block.conv1",
        "readout",
        some(int(kept.sum())),
        np.nonzero(kept)[1].astype(np.int32),
        np.concatenate([[0], np.cumsum(kept.sum(axis=1))]).astype(np.int32),
        2,
    )
    return IntegerNetwork(
        "chip.0",
        12,
        (InputPort("image", (1, 4, 4)), InputPort("side", (5,), 100, True)),
        (
            ConstantSource("one"),
            lif("block.conv1", (3, 4, 4)),
            lif("block.fc1", (20,)),
            IntegratorPopulation("readout", (10,), scalar(4095), scalar(64), scalar(0)),
        ),
        (
            ConvProjection("image-conv1", "image", "block.conv1", some(3, 1, 3, 3), padding=(1, 1), weight_exp=1),
            DenseProjection("conv1-fc1", "block.conv1", "block.fc1", some(20, 48)),
            DenseProjection("side-fc1", "side", "block.fc1", some(20, 5)),
            DenseProjection("one-fc1", "one", "block.fc1", some(20, 1)),
            DenseProjection("loop", "block.fc1", "block.fc1", some(20, 20), delay=2),
            DenseProjection("fc1-readout", "block.fc1", "readout", some(10, 20)),
            sparse,
        ),
        ("block.conv1", "readout"),
    )


def golden_of(network, batch=2):
    payloads = random_inputs(network, batch, 1)
    result = REFERENCE.load(network).run(payloads, trace=True)
    return payloads, {**result.spikes, **result.outputs}


def chip():
    """A chip with small neurocores."""
    values = {"neurocores": 120, "neurons": 32, "synapse_bits": 1 << 20, "axons_in": 4096, "axons_out": 4096}
    values |= {"delay": 63, "refractory": 64, "payload_bits": 24, "weight_bits": 8, "index_bits": 12, "delay_bits": 6}
    limits = {name: Limit(value, name, "a test", "measured") for name, value in values.items()}
    limits["neurons"] = Limit(32, "neurons", "a guess", "assumed")
    return Chip("testchip", "A chip", **limits, conv_shared=Limit(1, "", "a test", "measured"))


def layer(population, neurons, *, f1=0.97, rates=(0.1, 0.11), newly_dead=0, voltage_error=None, saturated=0.0):
    spikes = None
    if voltage_error is None:
        spikes = SpikeQuality(f1, f1, f1, 100, 110, *rates, abs(rates[1] / rates[0] - 1), newly_dead, 2)
    same = DecayError((0.0, 1.0), (0.0, 1.0), 0.0, False)
    projection = ProjectionError("p", 0, 0.01, 38.25, 1.0, 0.5, 0, 254)
    scale = LayerScale(
        population, 1234.5, (projection,), NeuronError(same, same, 0.0, 0.0), 2.0, 2.0, WorstCase(0.5, 0.5, 0.5)
    )
    return LayerReport("chip.0", population, neurons, spikes, voltage_error, saturated, 0.0, scale).to_json()


def hybrid_model():
    """The dataflow of a hybrid model; what the operators compute does not matter here."""
    nodes = [
        ("stem.0/Conv", "Conv", ["x", "w"], ["stem0"]),
        ("stem.1/Relu", "Relu", ["stem0"], ["stem1"]),
        ("pool/MaxPool", "MaxPool", ["stem1"], ["pooled"]),
        ("encode/RateEncode", "hsnn.RateEncode", ["pooled"], ["spikes"]),
        ("side/GradedEncode", "hsnn.GradedEncode", ["stem1"], ["graded"]),
        ("block.conv1/Conv", "Conv", ["spikes", "k"], ["current"]),
        ("block.conv1/Lif", "hsnn.Lif", ["current"], ["conv1"]),
        ("readout/LeakyIntegrator", "hsnn.LeakyIntegrator", ["conv1"], ["volts"]),
        ("decode/RateDecode", "hsnn.RateDecode", ["conv1"], ["decoded"]),
        ("last/MembraneDecode", "hsnn.MembraneDecode", ["volts"], ["logits"]),
        ("head/Concat", "Concat", ["decoded", "logits", "stem1"], ["y"]),
    ]
    made = [
        helper.make_node(op.split(".")[-1], reads, makes, name=name, domain="hsnn" if "." in op else "")
        for name, op, reads, makes in nodes
    ]
    graph = helper.make_graph(
        made,
        "hybrid",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 1, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 10])],
    )
    places = ["host.0"] * 5 + ["chip.0"] * 3 + ["host.1"] * 3
    placements = [
        Placement(name, op, name.split("/")[0], place, reason="works on tensors")
        for (name, op, _, _), place in zip(nodes, places, strict=True)
    ]
    placements[2] = dataclasses.replace(
        placements[2], code="HSNN-P007", reason="Loihi has no max pooling", fix="use average pooling"
    )
    return helper.make_model(graph).SerializeToString(), tuple(placements)


def every_part():
    """A hybrid program with everything that a page can show."""
    network = wide_network()
    payloads, sent = golden_of(network)
    hybrid, placements = hybrid_model()
    x = np.zeros((2, 1, 8, 8), np.float32)
    return Program(
        (
            HostStage("host.0", b"first", ("x",), ("spikes", "graded", "stem1")),
            ChipStage(
                "chip.0",
                network,
                (ChipInput("spikes", "image", 1.0), ChipInput("graded", "side", 0.05)),
                (ChipOutput("conv1", "block.conv1", 1.0), ChipOutput("volts", "readout", 0.001)),
            ),
            HostStage("host.1", b"last", ("conv1", "volts", "stem1"), ("y",)),
        ),
        (ModelValue("x", (None, 1, 8, 8), "float32"),),
        (ModelValue("y", (None, 10), "float32"),),
        Metadata(
            "0.1.0", "loihi2-sim", "pkg.nets:wide", 7, {"numpy": "2"}, {"chip": "loihi2", "pins": ["head.*=host"]}
        ),
        placements,
        (
            Cut("spikes", "host.0", "chip.0", (1, 4, 4), 12),
            Cut("graded", "host.0", "chip.0", (5,), 12),
            Cut("conv1", "chip.0", "host.1", (3, 4, 4), 12),
            Cut("volts", "chip.0", "host.1", (10,), 12),
        ),
        {"spikes": 4.0, "conv1": 12.0},
        (
            layer("block.conv1", 48),
            layer("block.fc1", 20, f1=0.25, rates=(0.1, 0.2), newly_dead=5),
            layer("readout", 10, voltage_error=0.021),
        ),
        place(network, chip()).to_json(),
        hybrid,
        Golden({"x": x}, {"y": np.zeros((2, 10), np.float32)}, {"chip.0": payloads}, {"chip.0": sent}),
    )


def renamed(program, name):
    """The same program with a name for everything that a model can name."""
    stage = program.chip_stages[0]
    network = dataclasses.replace(
        stage.network,
        populations=(dataclasses.replace(stage.network.populations[0], name=name), *stage.network.populations[1:]),
        projections=tuple(
            dataclasses.replace(link, name=f"{link.name} {name}", pre=name if link.pre == "one" else link.pre)
            for link in stage.network.projections
        ),
    )
    host = dataclasses.replace(program.stages[0], outputs=("spikes", "graded", "stem1", name))
    return dataclasses.replace(
        program,
        stages=(host, dataclasses.replace(stage, network=network), program.stages[2]),
        outputs=(*program.outputs, ModelValue(name, (None, 1), "float32")),
        metadata=Metadata(name, name, name, 0, {name: name}, {name: [name, {name: name}], "pins": [name]}),
        placements=tuple(
            dataclasses.replace(item, module=name, op=name, reason=name, fix=name) for item in program.placements
        ),
        cuts=tuple(dataclasses.replace(cut, value=name, source=name, target=name) for cut in program.cuts),
        layers=({**program.layers[0], "population": name}, *program.layers[1:]),
        mapping={
            **program.mapping,
            "chip": name,
            "resources": [{"name": name, "status": name, "source": name}],
            "populations": [{"segment": name, "population": name}],
            "shortages": [{"resource": name, "where": name, "fix": name}],
            "neurocores": [{"slices": [{"population": name, "first": 0, "last": 1}], "bottleneck": name}],
        },
        hybrid=None,
    )


def big_program(populations=600, operators=3000, timesteps=64):
    """A chain of populations in a deep host model, with golden traces in which half of all neurons spike."""
    names = [f"net.stage{index // 50}.block{index}.lif" for index in range(populations)]
    network = IntegerNetwork(
        "chip.0",
        timesteps,
        (InputPort("in", (256,)),),
        tuple(lif(name, (256,)) for name in names),
        tuple(
            DenseProjection(f"into {post}", pre, post, np.full((256, 256), 2, np.int16))
            for pre, post in zip(["in", *names], names, strict=False)
        ),
        (names[-1],),
    )
    rng = np.random.default_rng(0)
    sent = {name: rng.integers(0, 2, (timesteps, 1, 256)).astype(np.int32) for name in names}
    nodes, placements = [], []
    for index in range(operators):
        name = f"backbone.features.{index // 30}.block.{index // 3}.layer{index}/Conv"
        nodes.append(helper.make_node("Conv", [f"v{index}"], [f"v{index + 1}"], name=name))
        placements.append(Placement(name, "Conv", name.split("/")[0], "host.0", reason="works on tensors"))
    graph = helper.make_graph(nodes, "big", [], [])
    return Program(
        (
            HostStage("host.0", b"", ("v0",), (f"v{operators}",)),
            ChipStage("chip.0", network, (ChipInput(f"v{operators}", "in", 1.0),), (ChipOutput("y", names[-1], 1.0),)),
        ),
        (ModelValue("v0", (None, 256), "float32"),),
        (ModelValue("y", (timesteps, None, 256), "float32"),),
        Metadata("0.1.0", "emulator"),
        tuple(placements),
        (Cut(f"v{operators}", "host.0", "chip.0", (256,), timesteps),),
        {},
        tuple(layer(name, 256) for name in names),
        hybrid=helper.make_model(graph).SerializeToString(),
        golden=Golden({}, {}, {"chip.0": {}}, {"chip.0": sent}),
    )
