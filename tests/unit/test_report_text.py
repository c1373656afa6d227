"""Tables in a terminal: right, readable in 80 columns, and deaf to what names contain."""

from __future__ import annotations

import dataclasses
import io
import re
import subprocess
import sys

import pytest
from rich.console import Console

from hsnn.feasibility import CheckReport
from hsnn.ir.plan import Cut, Placement
from hsnn.program import Metadata
from hsnn.report import text
from hsnn.report.cells import NOTHING, TIMES, Cell, Column, Table, extent
from hsnn.report.condense import condense
from hsnn.report.layers import Limits
from hsnn.verify.difference import Difference
from hsnn.verify.ladder import Rung, VerifyReport

SPIKES = {
    "precision": 0.9,
    "recall": 0.9,
    "f1": 0.9,
    "float_spikes": 400,
    "integer_spikes": 410,
    "float_rate": 0.125,
    "integer_rate": 0.128,
    "rate_error": 0.025,
    "newly_dead": 0,
    "dead": 1,
}


def layer(population="hidden", neurons=5, **changes):
    spikes = {**SPIKES, **{key: value for key, value in changes.items() if key in SPIKES}}
    record = {
        "segment": "chip.0",
        "population": population,
        "neurons": neurons,
        "spikes": spikes,
        "voltage_error": None,
        "saturated": 0.0,
        "wrapped": 0.0,
        "scale": 131840.0,
        "weight_snr_db": 41.27,
    }
    return {**record, **{key: value for key, value in changes.items() if key not in SPIKES}}


def resource(name, used, peak, allowed, status="published"):
    return {
        "name": name,
        "used": used,
        "peak": peak,
        "allowed": allowed,
        "unit": name,
        "status": status,
        "source": "a paper",
    }


MAPPING = {
    "chip": "loihi2",
    "fits": True,
    "resources": [
        resource("neurocores", 2, 2, 120),
        resource("neurons", 1200, 900, 8192),
        resource("synapse_bits", 1_000_000, 800_000, 1_048_576, "assumed"),
        resource("axons_in", 4096, 4096, 4096, "assumed"),
    ],
    "neurocores": [
        {
            "index": index,
            "slices": [{"segment": "chip.0", "population": "hidden", "first": 0, "last": 900}],
            "neurons": 900,
            "synapse_bits": 800_000,
            "axons_in": 4096,
            "axons_out": 3,
            "utilization": utilization,
            "bottleneck": "axons_in",
        }
        for index, utilization in ((0, 0.25), (1, 1.0))
    ],
    "populations": [
        {"segment": "chip.0", "population": "hidden", "neurons": 1200, "synapse_bits": 8_000_000, "neurocores": 2}
    ],
    "shortages": [],
}


def shown(item, width=80, color=False):
    """What a terminal of that width gets, without trailing spaces."""
    stream = io.StringIO()
    Console(file=stream, width=width, force_terminal=color, color_system="standard" if color else None).print(item)
    lines = [line.rstrip() for line in stream.getvalue().split("\n")]
    assert color or max(map(len, lines)) <= width
    return "\n".join(lines)


def rows(item, width=80):
    """Cells of what is shown, one list a line; columns are two spaces or more apart."""
    return [re.split(r"\s{2,}", line.strip()) for line in shown(item, width).split("\n")]


def squeezed(item, width=80):
    """What is shown with single spaces and no line breaks."""
    return " ".join(shown(item, width).split())


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


# Layers


def colored(item, style):
    """Texts in a colour, such as ``1;31`` for bold red."""
    return [part.split("\x1b")[0].strip() for part in shown(item, 160, color=True).split(f"\x1b[{style}m")[1:]]


def with_limits(chain, limits, *layers):
    return dataclasses.replace(chain, layers=layers, metadata=Metadata("0", "t", options={"limits": limits.to_json()}))


def test_layers_show_what_quantization_costs(chain):
    program = dataclasses.replace(chain, layers=(layer(), layer("out", 3, spikes=None, voltage_error=0.0123)))
    found = rows(text.layers_table(program), 120)
    lines = {line[0]: line for line in found if line}
    assert lines["hidden"] == [
        "hidden", "5", "131,840", "0 1", "41.3", "0.125", "0.128", "2.5%", "0.900", NOTHING, "0%", "1",
    ]  # fmt: skip
    assert lines["out"] == [
        "out",
        "3",
        "131,840",
        "0",
        "41.3",
        NOTHING,
        NOTHING,
        NOTHING,
        NOTHING,
        "1.2%",
        "0%",
        NOTHING,
    ]


@pytest.mark.parametrize(
    ("change", "bad"),
    [
        ({}, []),
        ({"f1": 0.5}, []),
        ({"f1": 0.499}, ["0.499"]),
        ({"rate_error": 0.2}, []),
        ({"rate_error": 0.21}, ["21.0%"]),
        ({"newly_dead": 1, "neurons": 10}, []),
        ({"newly_dead": 2, "neurons": 10}, ["1 +2"]),
        ({"saturated": 0.0006, "wrapped": 0.0006}, ["0.1%"]),
        ({"saturated": 0.001}, []),
        ({"spikes": None, "voltage_error": 0.31}, ["31.0%"]),
        ({"f1": 0.1, "rate_error": 9.0, "newly_dead": 5, "float_spikes": 19, "integer_spikes": 3}, []),
        ({"f1": 0.1, "float_spikes": 0, "integer_spikes": 20}, ["0.100"]),
    ],
)
def test_values_beyond_the_limits_are_red(chain, change, bad):
    program = with_limits(chain, Limits(), layer(**change))
    assert colored(text.layers_table(program), "1;31") == bad


def test_limits_of_the_build_are_used_and_named(chain):
    program = with_limits(chain, Limits(min_f1=0.95, min_spikes=1000), layer())
    assert colored(text.layers_table(program), "1;31") == []
    program = with_limits(chain, Limits(min_f1=0.95, min_spikes=100), layer())
    assert colored(text.layers_table(program), "1;31") == ["0.900"]
    assert "F1 ≥ 0.95" in squeezed(text.layers_table(program))


def test_weights_that_rounding_left_alone_are_exact(chain):
    program = dataclasses.replace(chain, layers=(layer(weight_snr_db=None),))
    assert "exact" in shown(text.layers_table(program))
    unknown = {key: value for key, value in layer().items() if key != "weight_snr_db"}
    assert "exact" not in shown(text.layers_table(dataclasses.replace(chain, layers=(unknown,))))


def test_a_silent_layer_is_pointed_out(chain):
    program = with_limits(chain, Limits(), layer(dead=5))
    assert colored(text.layers_table(program), "33") == ["5"]


# Capacity


def test_mapping_shows_use_limits_and_the_fullest_neurocore(chain):
    item = text.mapping_table(dataclasses.replace(chain, mapping=MAPPING))
    lines = {line[0]: line for line in rows(item, 120) if line}
    assert lines["neurocores"][1:6] == ["2", NOTHING, "120", "1.7%", "published"]
    assert lines["synapse memory"][1:6] == ["125kB", "100kB", "131kB", "76.3%", "assumed"]
    assert lines["axons in"][1:6] == ["4,096", "4,096", "4,096", "100%", "assumed"]
    assert lines["chip.0"] == ["chip.0", "hidden", "1,200", "1MB", "2"]
    assert "fullest: neurocore 1, 100% of its axons in (holds hidden 0..899)" in squeezed(item)
    assert set(colored(item, "33")) == {"assumed"}
    assert colored(item, "1;31") == []


def test_shortages_come_first_and_are_red(chain):
    short = {
        "resource": "axons_in",
        "where": "one neuron of 'fc'",
        "needed": 5000,
        "limit": {"value": 4096},
        "fix": "split",
    }
    mapping = {**MAPPING, "shortages": [short], "resources": [resource("axons_in", 9000, 5000, 4096)]}
    item = text.mapping_table(dataclasses.replace(chain, mapping=mapping))
    assert shown(item).startswith("Does not fit")
    assert colored(item, "1;31") == ["axons in", "5,000", "122.1%"]


def test_programs_without_a_mapping_or_layers_say_so(chain):
    bare = dataclasses.replace(chain, mapping={}, layers=(), cuts=(), placements=())
    assert shown(text.mapping_table(bare)).strip() == ""
    assert squeezed(text.layers_table(bare)).endswith("no layer was compared")
    assert squeezed(text.cuts_table(bare)).endswith("nothing crosses")
    assert squeezed(text.partition_table(bare)).endswith("no operator is recorded")


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
    if width >= 80:  # numbers cannot be broken, so there is a least width
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
