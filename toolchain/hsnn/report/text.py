"""Reports for a terminal, as rich renderables; a pipe gets them without colour."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hsnn.report import view, view_capacity, view_layers
from hsnn.report.cells import NOTHING, Cell, Column, Level, Table, visible
from hsnn.report.spike_curve import curve_of, curve_table
from hsnn.report.view_frozen import frozen_scales

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.table import Table as RichTable
    from rich.text import Text

    from hsnn.feasibility import CheckReport
    from hsnn.program import Program
    from hsnn.verify.ladder import VerifyReport

STYLES: Mapping[Level, str] = {"": "", "good": "green", "warn": "yellow", "bad": "bold red", "mute": "dim"}
"""Colours of the terminal's own palette, so that dark and light ones both read well."""

SPACING = 2
"""Between columns."""
NAME = 12
"""Names are not broken before so many characters."""
NARROW = 60
"""Below so many characters names are not broken at all: a table that would have to is written row by row."""


def partition_table(program: Program, *, explain: bool = False) -> RenderableType:
    """Where operators run, with reasons, codes and fixes.

    Args:
        program: A program.
        explain: Show every operator, not one row for those of a module.
    """
    make = view.explained_partition if explain else view.partition
    return FittingTable(make(program.placements))


def frozen_table(program: Program) -> RenderableType | None:
    """Scales that the build froze, and what that cost; None if it froze none."""
    table = frozen_scales(program)
    return None if table is None else FittingTable(table)


def spike_table(program: Program) -> RenderableType | None:
    """What spikes instead of values cost over timesteps; None if nothing was converted."""
    curve = curve_of(program)
    return None if curve is None else FittingTable(curve_table(curve))


def cuts_table(program: Program) -> RenderableType:
    """What crosses between host and chip, and how much of it."""
    return FittingTable(view.cuts(program.cuts, program.cut_spikes))


def layers_table(program: Program) -> RenderableType:
    """What quantization costs in each layer; values beyond the limits of the build stand out."""
    return FittingTable(view_layers.layers(program))


def mapping_table(program: Program) -> RenderableType:
    """What the program needs of the chip, and which limits of the chip are only assumed."""
    return _stack(FittingTable(table) for table in view_capacity.capacity(program.mapping))


def verify_table(report: VerifyReport) -> RenderableType:
    """Each rung of the verify ladder, and the first difference of those that failed."""
    return FittingTable(view.verification(report))


def check_tables(report: CheckReport) -> RenderableType:
    """What a check found: problems, or where everything would go and whether it fits."""
    if not report.supported:
        return FittingTable(view.problems(report.problems))
    tables = [view.partition(report.placements), view.cuts(report.cuts, {}), view.segments(report.segments)]
    return _stack(FittingTable(table) for table in (*tables, *view_capacity.capacity(report.capacity)))


def doctor_table(rows: Iterable[tuple[str, bool | None, str]]) -> RenderableType:
    """What an installation offers.

    Args:
        rows: Name of what was looked for, whether it is there (None if it is not needed), and a sentence.
    """
    marks: Mapping[bool | None, Cell] = {
        True: Cell("yes", "good"),
        False: Cell("no", "bad"),
        None: Cell(NOTHING, "mute"),
    }
    cells = tuple((Cell(visible(name)), marks[found], Cell(visible(detail))) for name, found, detail in rows)
    return FittingTable(Table("Installation", (Column("What"), Column("There"), Column("Detail")), cells))


@dataclass(frozen=True, slots=True)
class FittingTable:
    """A table that leaves out its minor columns where a terminal is too narrow, and says which.

    Where that is not enough it is written row by row, a line for each cell, and nothing is left out.
    """

    table: Table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw what fits."""
        from rich.text import Text

        if not self.table.rows:
            yield Text.assemble((self.table.title, "bold"), f"\n{self.table.empty}")
            return
        widths = column_widths(self.table, options.max_width)
        if needs_rows(self.table, widths, options.max_width):
            yield from draw_rows(self.table, options.max_width)
        else:
            yield draw_table(self.table, widths)


def column_widths(table: Table, most: int) -> Mapping[int, int]:
    """Share out the width of a terminal.

    Args:
        table: The table.
        most: Characters in a line.

    Returns:
        For the index of each column that is shown: its width. Names may be folded and everything else
        be broken between words; if that is not enough the minor columns go, the most minor one first.
    """
    from rich.cells import cell_len

    least: dict[int, int] = {}
    wanted: dict[int, int] = {}
    for index, column in enumerate(table.columns):
        lines = [column.label, *(line for row in table.rows for line in row[index].text.split("\n"))]
        word = _longest_word(lines)
        least[index] = max(min(word, NAME), _longest_word([column.label])) if column.code else word
        wanted[index] = max(cell_len(line) for line in lines)
    while _total(least) > most and any(table.columns[index].minor for index in least):
        del least[max(least, key=lambda index: table.columns[index].minor)]
    while _total(least) < most:  # The narrowest grows first: short columns stay whole, long texts break.
        hungry = [index for index in least if wanted[index] > least[index]]
        if not hungry:
            break
        least[min(hungry, key=lambda index: least[index])] += 1
    return least


def needs_rows(table: Table, widths: Mapping[int, int], most: int) -> bool:
    """Tell whether columns of these widths break names or numbers that a whole line would hold."""
    if _total(widths) > most:
        return True
    names = (index for index in widths if table.columns[index].code)
    return most < NARROW and any(
        widths[index] < _longest_word(row[index].text for row in table.rows) for index in names
    )


def draw_rows(table: Table, most: int) -> Iterator[RenderableType]:
    """Write a table row by row, every column with its label; cells that are empty are left out."""
    from rich.table import Table as RichTable
    from rich.text import Text

    yield Text(table.title, style="bold")
    label = min(max(len(column.label) for column in table.columns), most // 3)
    for row in table.rows:
        drawn = RichTable.grid(padding=(0, SPACING, 0, 0))
        drawn.add_column(width=label, style="bold")
        drawn.add_column(width=most - label - SPACING, overflow="fold")
        for column, cell in zip(table.columns, row, strict=True):
            if cell.text:
                drawn.add_row(column.label, _text(cell))
        yield Text("")
        yield drawn
    if table.note:
        yield Text(f"\n{table.note}")


def draw_table(table: Table, widths: Mapping[int, int]) -> RichTable:
    """Draw some columns of a table with rich."""
    from rich import box
    from rich.table import Table as RichTable

    left_out = [column.label for index, column in enumerate(table.columns) if index not in widths]
    notes = (table.note, f"no room for: {', '.join(left_out)}" if left_out else "")
    drawn = RichTable(
        title=table.title,
        title_justify="left",
        title_style="bold",
        caption="\n".join(filter(None, notes)) or None,
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, SPACING - 1, 0, 0),
        pad_edge=False,
        show_edge=False,
        header_style="bold",
    )
    for index, width in widths.items():
        column = table.columns[index]
        drawn.add_column(column.label, justify="right" if column.number else "left", overflow="fold", width=width)
    for row in table.rows:
        drawn.add_row(*(_text(row[index]) for index in widths))
    return drawn


def _longest_word(lines: Iterable[str]) -> int:
    from rich.cells import cell_len

    return max((cell_len(word) for line in lines for word in line.split()), default=0)


def _total(widths: Mapping[int, int]) -> int:
    return sum(widths.values()) + SPACING * (len(widths) - 1)


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
