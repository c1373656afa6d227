"""Reports for a terminal, as rich renderables; a pipe gets them without colour."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from hsnn.report import view, view_capacity, view_layers
from hsnn.report.cells import Cell, Column, Level, Table, visible

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table as RichTable
    from rich.text import Text

    from hsnn.compiler import CheckReport
    from hsnn.program import Program
    from hsnn.verify.ladder import VerifyReport

STYLES: Mapping[Level, str] = {"": "", "good": "green", "warn": "yellow", "bad": "bold red", "mute": "dim"}
"""Colours of the terminal's own palette, so that dark and light ones both read well."""


def partition_table(program: Program, *, explain: bool = False) -> RenderableType:
    """Where operators run, with reasons, codes and fixes.

    Args:
        program: A program.
        explain: Show every operator, not one row for those of a module.
    """
    make = view.explained_partition if explain else view.partition
    return rich_table(make(program.placements))


def cuts_table(program: Program) -> RenderableType:
    """What crosses between host and chip, and how much of it."""
    return rich_table(view.cuts(program.cuts, program.cut_spikes))


def layers_table(program: Program) -> RenderableType:
    """What quantization costs in each layer; values beyond the limits of the build stand out."""
    return rich_table(view_layers.layers(program))


def mapping_table(program: Program) -> RenderableType:
    """What the program needs of the chip, and which limits of the chip are only assumed."""
    return _stack(rich_table(table) for table in view_capacity.capacity(program.mapping))


def verify_table(report: VerifyReport) -> RenderableType:
    """Each rung of the verify ladder, and the first difference of those that failed."""
    return rich_table(view.verification(report))


def check_tables(report: CheckReport) -> RenderableType:
    """What a check found: problems, or where everything would go and whether it fits."""
    if not report.supported:
        return rich_table(view.problems(report.problems))
    tables = [view.partition(report.placements), view.cuts(report.cuts, {}), view.segments(report.segments)]
    return _stack(rich_table(table) for table in (*tables, *view_capacity.capacity(report.capacity)))


def doctor_table(rows: Iterable[tuple[str, bool | None, str]]) -> RenderableType:
    """What an installation offers.

    Args:
        rows: Name of what was looked for, whether it is there (None if it is not needed), and a sentence.
    """
    marks: Mapping[bool | None, Cell] = {
        True: Cell("yes", "good"),
        False: Cell("no", "bad"),
        None: Cell("–", "mute"),
    }
    cells = tuple((Cell(visible(name)), marks[found], Cell(visible(detail))) for name, found, detail in rows)
    return rich_table(Table("Installation", (Column("What"), Column("There"), Column("Detail")), cells))


def rich_table(table: Table) -> RichTable:
    """Draw a table with rich."""
    from rich import box
    from rich.table import Table as RichTable

    drawn = RichTable(
        title=table.title,
        title_justify="left",
        title_style="bold",
        caption=table.note or None,
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        header_style="bold",
    )
    for column in table.columns:
        drawn.add_column(column.label, justify="right" if column.number else "left", overflow="fold")
    for row in table.rows:
        drawn.add_row(*(_text(cell) for cell in row))
    if not table.rows:
        drawn.add_row(*[_text(Cell(table.empty, "mute"))] + [_text(Cell(""))] * (len(table.columns) - 1))
    return drawn


def _text(cell: Cell) -> Text:
    """Make text that rich takes as it is: a name such as ``[red]`` is no markup."""
    from rich.text import Text

    return Text(cell.text, style=STYLES[cell.level])


def _stack(items: Iterable[RenderableType]) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    lines: list[RenderableType] = []
    for item in items:
        lines += [Text(""), item] if lines else [item]
    return Group(*lines)
