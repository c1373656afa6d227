"""The page: complete, self-contained, escaped, deterministic and small, whatever the program."""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections import Counter
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import numpy as np
import pytest
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
from hsnn.report import graph_layout, raster, summary, weights
from hsnn.report.cells import TIMES, extent
from hsnn.report.graph_view import MOST_POPULATIONS, model_graph
from hsnn.report.html import MOST_ROWS, render
from hsnn.report.hybrid_nodes import hybrid_nodes
from hsnn.report.layers import LayerReport, Limits, parse_limits
from hsnn.report.spike_quality import SpikeQuality
from hsnn.verify.difference import Difference
from hsnn.verify.ladder import Rung, VerifyReport
from hsnn.verify.random_networks import random_inputs, random_network
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


@pytest.fixture(scope="module")
def program():
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


class Page(HTMLParser):
    """Tags of a page that are closed in order, and the text outside of tags."""

    EMPTY = ("meta", "line")

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], Counter(), [], ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1
        self.attributes += attrs
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags[tag] += 1
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def page(program):
    return render(program)


def test_page_is_well_formed_and_has_every_section(page):
    parsed = Page(page)
    ids = [value for name, value in parsed.attributes if name == "id"]
    targets = [value[1:] for name, value in parsed.attributes if name == "href"]
    assert set(targets) <= set(ids)
    assert len(ids) == len(set(ids))
    assert parsed.tags["section"] == len(targets) == 9
    for drawing in re.findall(r"<svg class=\"(?:model|raster|histogram).*?</svg>\s*(?=</div>|</td>|<div)", page, re.S):
        ET.fromstring(drawing)


def test_page_loads_nothing_and_runs_nothing(page):
    parsed = Page(page)
    assert not set(parsed.tags) & {"script", "link", "img", "iframe", "object", "embed", "image", "base", "form"}
    assert not [name for name, _ in parsed.attributes if name.startswith("on") or name == "src"]
    assert "http:" not in page
    assert "https:" not in page
    assert "@import" not in page
    assert not re.findall(r"url\((?!#)", page)
    assert "default-src 'none'" in page


def test_everything_is_shown(page):
    text = Page(page).text
    for shown in (
        "pkg.nets:wide", "HSNN-P007: Loihi has no max pooling", "fix: use average pooling",  # partition
        "host.0 → chip.0", "spikes", "192", "25.0%",  # crossings: 16 values, 12 timesteps, 4 spikes a step
        "block.fc1", "0.250", "38.2", "1,234", "2.1%", "2 +5",  # layers
        f"conv 3{TIMES}3", "-120 … 158",  # weights
        "Capacity of testchip", "assumed", "a guess", "fullest: neurocore",  # capacity
        "This page was made before the program was verified",
        "hsnn-compile build pkg.nets:wide", "--pin 'head.*=host'", "--seed 7",  # provenance
    ):  # fmt: skip
        assert shown in text, shown


def test_values_beyond_limits_stand_out(program):
    page = render(program)
    assert '<td class="num bad">0.250' in page
    assert '<td class="num bad">100%' in page  # rate error
    assert '<td class="num bad">2 +5' in page
    wide = {"limits": {**Limits(0.1, 2.0, 1.0, 1.0, 1.0).to_json()}}
    tolerant = dataclasses.replace(program, metadata=dataclasses.replace(program.metadata, options=wide))
    assert "num bad" not in render(tolerant)


def test_commands_repeat_the_options_of_the_build(program):
    limits = Limits(0.25, 0.5, 0.75, 0.125, 1.5, 3)
    options = {"chip": "my chip.toml", "payload_bits": 6, "pins": ["a*=host", "b=chip"], "limits": limits.to_json()}
    changed = dataclasses.replace(program, metadata=dataclasses.replace(program.metadata, options=options))
    words = shlex.split(summary.commands(changed)[0])
    after = {word: words[index + 1] for index, word in enumerate(words) if word.startswith("--")}
    assert parse_limits(after["--limit"]) == limits
    assert after["--chip"] == "my chip.toml"
    assert after["--payload-bits"] == "6"
    assert [words[index + 1] for index, word in enumerate(words) if word == "--pin"] == ["a*=host", "b=chip"]
    assert "--limit" not in summary.commands(program)[0]


def test_rendering_is_deterministic(program, page):
    again = dataclasses.replace(program, cut_spikes=dict(reversed(program.cut_spikes.items())))
    assert render(again) == page


def test_page_changes_with_the_numbers_of_a_network(program, page):
    stage = program.chip_stages[0]
    first = stage.network.projections[0]
    heavier = dataclasses.replace(first, weights=first.weights + np.int16(2))
    network = dataclasses.replace(stage.network, projections=(heavier, *stage.network.projections[1:]))
    changed = dataclasses.replace(stage, network=network)
    assert summary.digest(changed) != summary.digest(stage)
    shifted = dataclasses.replace(stage, inputs=(dataclasses.replace(stage.inputs[0], scale=2.0), stage.inputs[1]))
    assert summary.digest(shifted) != summary.digest(stage)
    assert summary.digest(changed) in render(dataclasses.replace(program, stages=(changed,)))
    assert summary.digest(changed) not in page


@pytest.mark.parametrize("name", [HOSTILE, "{{ 7 * 7 }}{% raw %}", "]]></svg></style></script><b>", "a\x00b\nc\ud800"])
def test_hostile_names_are_escaped(program, name):
    page = render(renamed(program, name))
    parsed = Page(page)
    assert not set(parsed.tags) & {"script", "b/"}
    assert parsed.tags["b"] == page.count("<figcaption><b ")
    assert parsed.tags["style"] == 1
    assert not set("\x00\x1b\u202e\ud800") & set(page)
    assert ">49<" not in page
    page.encode("utf-8")


def test_names_of_any_length_leave_the_page_small(program):
    page = render(renamed(program, "x" * 100_000))
    assert len(page) < 400_000


def test_big_programs_give_small_pages():
    big = big_program()
    page = render(big)
    assert len(page.encode("utf-8")) < 2_000_000
    parsed = Page(page)
    assert f"{600 - MOST_ROWS} more rows left out" in parsed.text
    assert f"{600 - raster.MOST_RASTERS} more populations left out" in parsed.text
    graph = model_graph(big)
    assert len(graph.nodes) <= 36 + MOST_POPULATIONS + 4


@pytest.mark.parametrize("seed", range(12))
def test_any_network_can_be_shown(seed):
    network = random_network(seed)
    payloads, sent = golden_of(network, 1)
    stage = ChipStage(
        "chip.0",
        network,
        tuple(ChipInput(f"value of {port.name}", port.name, 1.0) for port in network.inputs),
        tuple(ChipOutput(f"{name} out", name, 1.0) for name in network.outputs),
    )
    program = Program(
        (stage,),
        tuple(ModelValue(value, (network.timesteps, None, 1), "float32") for value in stage.reads),
        tuple(ModelValue(value, (network.timesteps, None, 1), "float32") for value in stage.makes),
        Metadata("0.1.0", "emulator"),
        golden=Golden({}, {}, {"chip.0": payloads}, {"chip.0": sent}),
    )
    parsed = Page(render(program))
    assert parsed.tags["figure"] == len({**payloads, **sent})
    boxes = {node.key for node in model_graph(program).nodes}
    assert {f"chip.0/population {item.name}" for item in network.populations} <= boxes


def test_programs_without_extras_are_shown(chain, diamond):
    for program in (chain, diamond):
        bare = dataclasses.replace(program, placements=(), cuts=(), cut_spikes={}, layers=(), mapping={}, hybrid=None)
        text = Page(render(bare)).text
        assert "No golden traces are kept" in text
        assert "No mapping to a chip" in text


def test_verify_ladder_is_shown(program):
    where = Difference("chip.0", "block.fc1", "what is sent", 3, 1, (4,), 1.0, 0.0)
    rungs = (
        Rung("torch = ONNX", "skipped", "no torch model was given"),
        Rung("reference = emulator", "passed", "1,234 spikes equal", None, 1.26),
        Rung("emulator = loihi2-sim", "failed", "segment 'chip.0' differs", where, 20.0),
    )
    text = Page(render(program, verify=VerifyReport(rungs))).text
    assert "first difference: what is sent of 'block.fc1' in 'chip.0' at timestep 3, sample 1, neuron (4,)" in text
    assert "made before the program was verified" not in text
    assert summary.tiles(program, VerifyReport(rungs))[-1].value == "failed"
    assert summary.tiles(program, VerifyReport(rungs[:2]))[-1] == summary.Tile(
        "Verified", "passed", "1 of 2 rungs passed", "good"
    )


# The graph


def train(*shape):
    """How the graph writes a spike train of 12 timesteps."""
    return f"{extent(shape)} {TIMES} 12 steps"


def test_graph_joins_host_groups_as_the_hybrid_model_does(program):
    graph = model_graph(program)
    label = {node.key: node.label for node in graph.nodes}
    flows = {(label[e.source], label[e.target], e.kind) for e in graph.edges}
    assert ("x", "stem.0", "flow") in flows
    assert ("stem.1", "pool", "flow") in flows
    assert ("stem.1", "head", "flow") in flows  # skips over the chip
    assert ("encode", train(1, 4, 4), "cut") in flows
    assert ("side", train(5), "cut") in flows
    assert (train(3, 4, 4), "decode", "cut") in flows
    assert ("block.conv1", "readout", "synapse") in flows
    assert ("block.fc1", "block.fc1", "loop") in flows
    assert ("head", "y", "flow") in flows
    assert not [flow for flow in flows if "stem.0" in flow and "head" in flow]


def test_without_the_hybrid_model_a_host_stage_is_one_box(program):
    graph = model_graph(dataclasses.replace(program, hybrid=None))
    hosts = [node for node in graph.nodes if node.kind == "host"]
    assert [node.label for node in hosts] == ["host.0", "host.1"]
    assert hosts[0].detail == "Conv, Relu, MaxPool, hsnn.RateEncode, hsnn.GradedEncode"
    label = {node.key: node.label for node in graph.nodes}
    assert ("host.0", "host.1") in {(label[e.source], label[e.target]) for e in graph.edges}


def test_chips_may_feed_each_other_and_the_caller(diamond):
    first, second = diamond.chip_stages
    feeding = dataclasses.replace(first, outputs=(ChipOutput("between", "hidden", 1.0), *first.outputs))
    fed = dataclasses.replace(second, inputs=(ChipInput("between", "in", 1.0),))
    host, last = diamond.host_stages
    graph = model_graph(dataclasses.replace(diamond, stages=(host, feeding, fed, last)))
    found = {(edge.source, edge.target): edge.kind for edge in graph.edges}
    assert found["chip.0/exit between", "chip.1/port in"] == "cut"
    assert found["chip.1/exit b", "outputs/b"] == "cut"
    assert found["inputs/x", "host.1/all"] == "flow"


def test_values_that_a_subgraph_takes_from_outside_are_read():
    inner = helper.make_graph(
        [helper.make_node("Add", ["outer", "own"], ["sum"])],
        "body",
        [helper.make_tensor_value_info("own", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("sum", TensorProto.FLOAT, [1])],
    )
    node = helper.make_node("Loop", ["count", ""], ["done"], name="loop", body=inner)
    found = hybrid_nodes(helper.make_model(helper.make_graph([node], "g", [], [])).SerializeToString())
    assert found["loop"].reads == ("count", "outer")
    assert found["loop"].makes == ("done",)


@pytest.mark.parametrize("seed", range(8))
def test_boxes_do_not_touch_and_arrows_lead_down(program, seed):
    if seed:
        network = random_network(seed + 100)
        stage = ChipStage(
            "chip.0",
            network,
            tuple(ChipInput(f"v {port.name}", port.name, 1.0) for port in network.inputs),
            tuple(ChipOutput(f"{name} out", name, 1.0) for name in network.outputs),
        )
        values = tuple(ModelValue(value, (None, 1), "float32") for value in (*stage.reads, *stage.makes))
        program = Program((stage,), values[: len(stage.reads)], values[len(stage.reads) :], Metadata("0", "emulator"))
    graph = model_graph(program)
    drawing = graph_layout.draw(graph)
    boxes = {box.node.key: box for box in drawing.boxes}
    for one in boxes.values():
        assert one.x - one.width / 2 >= 0
        assert one.x + one.width / 2 <= drawing.width
        lane = next(lane for lane in drawing.lanes if lane.band == one.node.band)
        assert lane.y < one.y - one.height / 2
        assert one.y + one.height / 2 < lane.y + lane.height
        for other in boxes.values():
            if one is not other and one.y == other.y:
                assert abs(one.x - other.x) >= (one.width + other.width) / 2
    for edge in graph.edges:
        if edge.kind != "loop":
            assert boxes[edge.source].y < boxes[edge.target].y


def test_layers_are_ordered_without_needless_crossings():
    links = [("a", "z"), ("b", "y"), ("c", "x")]
    ordered = graph_layout._order([["a", "b", "c"], ["x", "y", "z"]], links)
    place = [{key: at for at, key in enumerate(layer)} for layer in ordered]
    assert sorted(links, key=lambda link: place[0][link[0]]) == sorted(links, key=lambda link: place[1][link[1]])


def test_spreading_moves_no_more_than_it_must():
    width, step = 10.0, 10.0 + graph_layout.GAP
    assert graph_layout._spread([0.0, 100.0, 200.0], [width] * 3) == [0.0, 100.0, 200.0]
    assert graph_layout._spread([50.0, 50.0], [width] * 2) == [50.0 - step / 2, 50.0 + step / 2]
    assert graph_layout._spread([9.0, 0.0, 100.0], [width] * 3) == pytest.approx([4.5 - step / 2, 4.5 + step / 2, 100])


# Rasters and histograms


def spikes_of(strokes):
    """Timestep and row of every cell that strokes cover, by kind."""
    return {
        (stroke.kind, int(t) + i, int(row))
        for stroke in strokes
        for t, row, length in re.findall(r"M(\d+) (\d+)h(\d+)", stroke.path)
        for i in range(int(length))
    }


def test_a_raster_shows_exactly_the_spikes():
    part = (np.random.default_rng(5).random((9, 7)) < 0.4).astype(np.int32)
    assert spikes_of(raster._spikes(part)) == {
        ("on", int(t), int(row)) for t, row in zip(*np.nonzero(part), strict=True)
    }
    assert raster._spikes(np.zeros((3, 2), np.int32)) == ()


def test_graded_spikes_are_shaded_by_magnitude_and_sign():
    part = np.array([[100, -100], [1, 0], [50, -26]], np.int32)
    assert spikes_of(raster._spikes(part)) == {
        ("up4", 0, 0), ("down4", 0, 1), ("up1", 1, 0), ("up2", 2, 0), ("down2", 2, 1),
    }  # fmt: skip


def test_a_large_population_shows_neurons_that_spike():
    train = np.zeros((4, 1000), np.int32)
    train[:, 700:900] = 1
    kept, remark = raster._choose(train, 50)
    assert len(set(kept)) == 50
    assert 700 <= min(kept) <= max(kept) < 900
    assert remark == "50 of the 200 that spike of 1,000 neurons"
    kept, remark = raster._choose(np.zeros((4, 1000), np.int32), 50)
    assert len(set(kept)) == 50
    assert remark == "50 of 1,000 neurons"


def test_pictures_are_in_dataflow_order_and_tell_what_is_left_out(program):
    drawn, more = raster.pictures(program)
    assert [(item.name, item.kind) for item in drawn] == [
        ("image", "raster"),
        ("side", "raster"),
        ("block.conv1", "raster"),
        ("block.fc1", "raster"),
        ("readout", "traces"),
    ]
    assert more == 0
    volts = program.golden.sent["chip.0"]["readout"][-1, 0]
    assert f"neuron {int(np.argmax(volts))} ends highest" in drawn[-1].caption
    nothing, _ = raster.pictures(program, sample=2)
    assert nothing == ()


def test_long_samples_are_cut():
    network = random_network(3, features=(), timesteps=400)
    payloads, sent = golden_of(network, 1)
    stage = ChipStage("chip.0", network, (), ())
    program = Program(
        (stage,), (), (), Metadata("0", "emulator"), golden=Golden({}, {}, {"chip.0": payloads}, {"chip.0": sent})
    )
    drawn, _ = raster.pictures(program)
    assert {item.steps for item in drawn} == {raster.MOST_STEPS}
    assert "first 256 of 400 timesteps" in drawn[0].caption


def test_histograms_count_weights_but_no_zeros():
    path = weights._histogram(np.array([0, 0, 0, 2, 2, 14, -256, 254, 255], np.int16))
    bars = {int(at): int(height) for at, height in re.findall(r"M(\d+) 20v-(\d+)h1", path)}
    assert bars == {0: 7, 16: 20, 31: 14}
    assert weights._histogram(np.zeros(0, np.int16)) == ""
