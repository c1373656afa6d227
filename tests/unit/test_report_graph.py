"""The drawing of the dataflow: what a box stands for, boxes that do not touch, few crossings."""

from __future__ import annotations

import dataclasses

import pytest
from onnx import TensorProto, helper

from hsnn.ir.plan import ModelValue
from hsnn.program import ChipInput, ChipOutput, ChipStage, Metadata, Program
from hsnn.report import graph_layout
from hsnn.report.cells import TIMES, extent
from hsnn.report.graph_view import model_graph
from hsnn.report.hybrid_nodes import hybrid_nodes
from hsnn.verify.random_networks import random_network
from support.report_programs import every_part

# The graph


@pytest.fixture(scope="module")
def program():
    return every_part()


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
