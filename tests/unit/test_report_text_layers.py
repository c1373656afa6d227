"""Tables of layers and of room on the chip: what integers cost, what is beyond its limits, what is full."""

from __future__ import annotations

import dataclasses

import pytest

from hsnn.report import text
from hsnn.report.cells import NOTHING
from hsnn.report.layers import Limits
from support.terminal_tables import MAPPING, colored, layer, resource, rows, shown, squeezed, with_limits

# Layers


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
