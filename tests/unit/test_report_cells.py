"""What stands in a cell: numbers, shares, long texts, and long tables."""

from __future__ import annotations

import pytest

from hsnn.report.cells import NOTHING, Cell, Column, Table, capped, decimal, percent, sentence, shorten, visible

# Cells


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.5, "0.500"),
        (99.94, "99.9"),
        (100, "100"),
        (1e-9, "1.00e-09"),
        (-0.25, "-0.250"),
        (float("nan"), NOTHING),
        (0, "0"),
    ],
)
def test_decimals(value, expected):
    assert decimal(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.0005, "0.1%"), (0.00049, "<0.1%"), (0.9994, "99.9%"), (0.9995, ">99.9%"), (1.0004, "100.0%"), (25.0, "2500%")],
)
def test_percentages_never_round_to_nothing_or_all(value, expected):
    assert percent(value) == expected


def test_long_texts_are_cut():
    assert len(visible("x" * 1000)) == 200
    assert len(sentence("x" * 1000)) == 600
    assert sentence("a\nb\rc") == "a\nb\\rc"
    assert shorten("abcdefgh", 8) == "abcdefgh"
    assert shorten("abcdefgh", 7) == "abc…fgh"


def test_capped_tables_say_what_is_left_out():
    table = Table("T", (Column("a"),), tuple((Cell(str(index)),) for index in range(5)), "note")
    assert capped(table, 5) is table
    assert capped(table, 4).note == "note; 1 more row left out"
    assert [row[0].text for row in capped(table, 2).rows] == ["0", "1"]
