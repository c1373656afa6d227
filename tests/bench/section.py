"""What a part of the bench is: rows of figures, and how they are shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.table import Table

Row = Mapping[str, Any]
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        key: Of the rows; a row without it has an empty cell.
        heading: Above the column.
        form: Of numbers, as ``format`` takes it; empty for words.
    """

    key: str
    heading: str
    form: str = ""

    def cell(self, row: Row) -> str:
        """Write the figure of a row."""
        value = row.get(self.key)
        if value is None:
            return ""
        return format(value, self.form) if self.form else str(value)


@dataclass(frozen=True, slots=True)
class Settings:
    """How much is measured.

    Attributes:
        size: ``tiny`` to see whether the bench works, ``quick`` for a minute or two, or ``full``.
        networks, activities, batches, threads, tiers: What a user chose of these; empty for what the size says.
        turns: Turns of every comparison; None for what the size says.
        against: Another checkout that takes turns with this one, where a section knows how.
        tell: Told what is being measured.
    """

    size: str = "quick"
    networks: tuple[str, ...] = ()
    activities: tuple[float, ...] = ()
    batches: tuple[int, ...] = ()
    threads: tuple[int, ...] = ()
    tiers: tuple[str, ...] = ()
    turns: int | None = None
    against: Path | None = None
    tell: Tell = field(default=lambda _: None)

    def by_size(self, tiny: Any, quick: Any, full: Any) -> Any:
        """Choose by the size."""
        return {"tiny": tiny, "quick": quick, "full": full}[self.size]

    def count(self, tiny: int, quick: int, full: int) -> int:
        """Choose the number of turns."""
        return self.turns if self.turns is not None else self.by_size(tiny, quick, full)


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the bench.

    Attributes:
        name: What a user calls it.
        title: One line.
        columns: Of its table.
        measure: Yields rows.
        notes: What the figures are, for the page; Markdown.
        sizes: Sizes at which it is part of the whole.
        shown: Whether the page shows a row; its data has all.
        summary: Says in a sentence or two, from all rows, what the page's reader wants to know.
    """

    name: str
    title: str
    columns: Sequence[Column]
    measure: Callable[[Settings], Iterator[Row]]
    notes: str = ""
    sizes: tuple[str, ...] = ("tiny", "quick", "full")
    shown: Callable[[Row], bool] = lambda _: True
    summary: Callable[[Sequence[Row]], str] = lambda _: ""

    def table(self, rows: Iterable[Row]) -> Table:
        """Show rows on a console."""
        table = Table(title=self.title)
        for column in self.columns:
            table.add_column(column.heading, justify="right" if column.form else "left")
        for row in rows:
            table.add_row(*(column.cell(row) for column in self.columns))
        return table

    def markdown(self, rows: Iterable[Row]) -> str:
        """Write rows as a table of Markdown."""
        head = [column.heading for column in self.columns]
        rule = ["---:" if column.form else "---" for column in self.columns]
        lines = [head, rule, *([column.cell(row) or "-" for column in self.columns] for row in rows)]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
