"""Tables in a terminal: right, readable in 80 columns, and deaf to what names contain."""

from __future__ import annotations

import dataclasses
import io
import subprocess
import sys

import pytest
from rich.console import Console

from hsnn.feasibility import CheckReport
from hsnn.ir.plan import Cut, Placement
from hsnn.report import text
from hsnn.report.cells import NOTHING, TIMES, Cell, Column, Table, extent
from hsnn.report.condense import condense
from hsnn.verify.difference import Difference
from hsnn.verify.ladder import Rung, VerifyReport
from support.terminal_tables import MAPPING, colored, layer, rows, shown, squeezed

# Partition


def test_consecutive_operators_of_a_module_are_one_row():
    places = [
        Placement("a/1", "Conv", "stem", "host.0", reason="works on tensors"),
        Placement("a/2", "Relu", "stem", "host.0", reason="works on tensors"),
        Placement("a/3", "Conv", "stem", "host.0", reason="works on tensors"),
        Placement("b", "MaxPool", "stem", "host.0", "HSNN-P007", "Loihi has no max pooling", "use average pooling"),
        Placement("c", "Conv", "stem", "host.0", reason="works on tensors"),
        Placement("d", "Relu", "stem", "host.0", "HSNN-P001", "pinned to the host"),
        Placement("e", "hsnn.RateEncode", "stem", "host.0", reason="encodes tensors as spikes"),
        Placement("f", "hsnn.Lif", "stem", "chip.0", reason="neurons"),
    ]
    runs = condense(places, most=3)
    assert [[item.node for item in run.operators] for run in runs] == [
        ["a/1", "a/2", "a/3"], ["b"], ["c"], ["d"], ["e"], ["f"],
    ]  # fmt: skip


def test_partition_shows_counts_reasons_codes_and_fixes(chain):
    placements = (
        *(Placement(f"s{index}", "Conv", "stem", "host.0", reason="works on tensors") for index in range(3)),
        Placement("p", "MaxPool", "pool", "host.0", "HSNN-P007", "Loihi has no max pooling", "use average pooling"),
        Placement("l", "hsnn.Lif", "lif", "chip.0", reason="neurons"),
    )
    program = dataclasses.replace(chain, placements=placements)
    found = rows(text.partition_table(program))
    assert ["host.0", "stem", f"Conv {TIMES}3", "works on tensors"] in found
    assert ["host.0", "pool", "MaxPool", "HSNN-P007: Loihi has no max pooling"] in found
    assert ["fix: use average pooling"] in found
    assert "5 operators in 3 rows" in squeezed(text.partition_table(program))
    explained = rows(text.partition_table(program, explain=True))
    assert [line[:3] for line in explained if line[0] == "host.0"] == [
        ["host.0", "s0", "Conv"],
        ["host.0", "s1", "Conv"],
        ["host.0", "s2", "Conv"],
        ["host.0", "p", "MaxPool"],
    ]


def test_modules_on_the_host_are_merged_before_those_on_the_chip():
    placements = [
        Placement(f"h{i}{j}", "Conv", f"backbone.block{i}.conv{j}", "host.0") for i in range(4) for j in range(5)
    ] + [Placement(f"c{i}", "hsnn.Lif", f"spiking.lif{i}", "chip.0") for i in range(6)]
    blocks, neurons = [f"backbone.block{i}" for i in range(4)], [f"spiking.lif{i}" for i in range(6)]
    assert [run.module for run in condense(placements, most=10)] == blocks + neurons
    assert [run.module for run in condense(placements, most=7)] == ["backbone", *neurons]
    assert [run.module for run in condense(placements, most=1)] == ["backbone", "spiking"]
    assert sum(len(run.operators) for run in condense(placements, most=1)) == len(placements)


# Crossings


def test_crossings_count_values_and_activity(chain):
    cuts = (
        Cut("spikes", "host.0", "chip.0", (4, 8, 8), 16),
        Cut("volts", "chip.0", "host.1", (10,), 16),
    )
    found = rows(text.cuts_table(dataclasses.replace(chain, cuts=cuts, cut_spikes={"spikes": 64.0})))
    assert found[3] == ["host.0 → chip.0", "spikes", extent((4, 8, 8)), "16", "4,096", "64.0", "25.0%"]
    assert found[4] == ["chip.0 → host.1", "volts", "10", "16", "160", NOTHING, NOTHING]


# Verification, checks, installation


def test_verify_table_shows_the_first_difference_in_full():
    where = Difference("chip.0", "hidden", "what is sent", 3, 1, (4, 2), 1.0, 0.0)
    report = VerifyReport(
        (
            Rung("torch = ONNX", "skipped", "no torch model was given"),
            Rung("reference = emulator", "passed", "all equal", None, 1.26),
            Rung("emulator = loihi2-sim", "failed", "segment 'chip.0' differs", where, 20.0),
        )
    )
    item = text.verify_table(report)
    assert f"first difference: {where}" in squeezed(item, 200)
    assert ["reference = emulator", "passed", "all equal"] in [line[:3] for line in rows(item, 120)]
    assert "1.3" in squeezed(item)
    assert colored(item, "1;31") == ["failed"]
    assert colored(item, "32") == ["passed"]


def test_checks_show_problems_or_everything_else(chain):
    problem = {"code": "HSNN-F011", "found": "RNN 'rnn' has no spiking form", "fix": "use hsnn.nn.RecurrentLif"}
    item = text.check_tables(CheckReport(False, (problem,)))
    for word in problem.values():
        assert word in squeezed(item)
    segment = {"name": "chip.0", "timesteps": 16, "neurons": 1234, "synapses": 56789, "populations": ["a", "b"]}
    report = CheckReport(True, (), chain.placements, chain.cuts, (segment,), MAPPING)
    item = text.check_tables(report)
    assert ["chip.0", "16", "2", "1,234", "56,789"] in rows(item)
    for title in ("Partition", "Crossings between host and chip", "Spiking segments", "Capacity of loihi2"):
        assert title in shown(item)


def test_doctor_table():
    item = text.doctor_table([("lava", False, "not installed"), ("numpy", True, "2.0"), ("board", None, "none")])
    assert rows(item)[-4:-1] == [
        ["lava", "no", "not installed"],
        ["numpy", "yes", "2.0"],
        ["board", NOTHING, "none"],
    ]
    assert colored(item, "1;31") == ["no"]


# Terminals


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
def test_no_line_is_longer_than_the_terminal(chain, width):
    program = dataclasses.replace(
        chain,
        layers=(layer("backbone.features.12.block.3.spiking.neurons"),),
        mapping=MAPPING,
        placements=(Placement("n" * 90, "hsnn.Lif", "m." * 40, "chip.0", reason="neurons of a layer"),),
    )
    shown(text.partition_table(program), width)
    shown(text.partition_table(program, explain=True), width)
    shown(text.layers_table(program), width)
    shown(text.mapping_table(program), width)
    shown(text.cuts_table(program), width)


def test_minor_columns_give_way_and_are_named():
    table = Table(
        "T",
        (Column("name"), Column("aaaaaaaaaa", minor=1), Column("bbbbbbbbbb", minor=2), Column("cccccccccc")),
        ((Cell("x"), Cell("1"), Cell("2"), Cell("3")),),
    )
    assert list(text.column_widths(table, 40)) == [0, 1, 2, 3]
    assert list(text.column_widths(table, 39)) == [0, 1, 3]
    assert list(text.column_widths(table, 20)) == [0, 3]
    assert list(text.column_widths(table, 1)) == [0, 3]
    assert "no room for: bbbbbbbbbb" in squeezed(text.FittingTable(table), 39)
    assert "no room" not in squeezed(text.FittingTable(table), 40)


def test_a_narrow_terminal_gets_a_line_for_each_cell_and_names_stay_whole(chain):
    table = Table(
        "T",
        (Column("Node", code=True), Column("Spikes", number=True), Column("Why"), Column("Scale", minor=1)),
        (
            (Cell("features.12.block.3"), Cell("131,840"), Cell("works on tensors and nothing else"), Cell("64")),
            (Cell("b"), Cell("7"), Cell(""), Cell("32")),
        ),
        note="a note",
    )
    assert shown(text.FittingTable(table), 40).split("\n") == [
        "T",
        "",
        "Node    features.12.block.3",
        "Spikes  131,840",
        "Why     works on tensors and nothing",
        "        else",
        "Scale   64",
        "",
        "Node    b",
        "Spikes  7",
        "Scale   32",
        "",
        "a note",
        "",
    ]
    assert "features.12.block.3  131,840" in shown(text.FittingTable(table), 60)
    program = dataclasses.replace(chain, layers=(layer("features.12.block.3"),), mapping=MAPPING)
    for item in (text.layers_table(program), text.mapping_table(program), text.cuts_table(program)):
        words = {word for word in squeezed(item, 400).split() if "\N{BOX DRAWINGS LIGHT HORIZONTAL}" not in word}
        assert words <= set(squeezed(item, 40).split())


def test_names_are_neither_markup_nor_escape_sequences(chain):
    name = "[bold red]x[/] \x1b[31mred\x07\u202e:smile:"
    placements = (Placement(name, name, name, "chip.0", "HSNN-P001", name, name),)
    program = dataclasses.replace(chain, placements=placements, layers=(layer(name),))
    for item in (
        text.partition_table(program),
        text.partition_table(program, explain=True),
        text.layers_table(program),
    ):
        found = squeezed(item, 400)
        assert "[bold red]x[/] \\x1b[31mred\\x07\\u202e:smile:" in found
        assert not set(found) & set("\x1b\x07\u202e")


def test_pipes_get_no_colour(chain):
    stream = io.StringIO()
    Console(file=stream, width=80).print(text.layers_table(dataclasses.replace(chain, layers=(layer(f1=0.1),))))
    assert "\x1b" not in stream.getvalue()


def test_importing_the_tables_does_not_import_rich():
    code = "import sys, hsnn.report.text; print('rich' in sys.modules, 'jinja2' in sys.modules, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"] * 3
