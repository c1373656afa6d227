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

from hsnn.ir.plan import ModelValue
from hsnn.program import ChipInput, ChipOutput, ChipStage, Golden, Metadata, Program
from hsnn.report import raster, summary
from hsnn.report.cells import TIMES
from hsnn.report.graph_view import MOST_POPULATIONS, model_graph
from hsnn.report.html import MOST_ROWS, render
from hsnn.report.layers import Limits, parse_limits
from hsnn.verify.difference import Difference
from hsnn.verify.ladder import Rung, VerifyReport
from hsnn.verify.random_networks import random_network
from support.report_programs import HOSTILE, big_program, every_part, golden_of, renamed


@pytest.fixture(scope="module")
def program():
    return every_part()


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
