"""Tables of text: what both the terminal and the page show, so that their numbers agree.

Every text that comes from a model goes through :func:`visible`, so that a hostile name can neither
move a terminal's cursor nor turn the reading direction around.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

NOTHING = "\N{EN DASH}"
"""What stands where there is no number."""
TIMES = "\N{MULTIPLICATION SIGN}"

Level: TypeAlias = Literal["", "good", "warn", "bad", "mute"]


@dataclass(frozen=True, slots=True)
class Cell:
    """One field of a table.

    Attributes:
        text: What to show; lines are separated by newlines.
        level: How it should strike the reader.
        bar: Length of a bar behind it, 0 to 1, or None for no bar.
    """

    text: str
    level: Level = ""
    bar: float | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        label: Heading, short.
        hint: What the column means, one sentence.
        number: Whether to align it to the right.
        code: Whether it holds names, set in a fixed-width font.
        minor: Columns with the highest number are left out first where there is no room; 0 always stays.
    """

    label: str
    hint: str = ""
    number: bool = False
    code: bool = False
    minor: int = 0


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a heading.

    Attributes:
        title: Heading.
        columns: Columns.
        rows: One cell a column.
        note: A remark below, or an empty string.
        empty: What to say if there are no rows.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    empty: str = field(default="nothing to show", kw_only=True)


def visible(text: object, *, most: int = 200) -> str:
    r"""Spell out every character that cannot be seen, and cut a very long text short.

    >>> visible("a\x1b[31mb")
    'a\\x1b[31mb'
    """
    return shorten("".join(char if char.isprintable() else _escape(char) for char in str(text)), most)


def sentence(text: object) -> str:
    """Do the same for a text that may be longer than a name, line by line."""
    return "\n".join(visible(line, most=600) for line in str(text).split("\n"))


def shorten(text: str, most: int) -> str:
    """Cut out the middle of a long text; both ends of a module path tell more.

    >>> shorten("backbone.features.3.block.0", 15)
    'backbon…block.0'
    """
    if len(text) <= most:
        return text
    left = (most - 1) // 2
    return f"{text[:left]}…{text[len(text) - (most - 1 - left) :]}"


def clip(text: str, most: int) -> str:
    """Cut off the end of a long text.

    >>> clip("Conv, BatchNormalization, Relu", 20)
    'Conv, BatchNormaliz…'
    """
    return text if len(text) <= most else f"{text[: most - 1]}…"


def integer(value: float | None) -> str:
    """Write a count.

    >>> integer(1234567)
    '1,234,567'
    """
    return NOTHING if value is None else f"{round(value):,}"


def compact(value: float) -> str:
    """Write a large count in three digits.

    >>> compact(1234567), compact(999), compact(56_200), compact(999_950)
    ('1.23M', '999', '56.2k', '1M')
    """
    for factor, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor * 0.9995:
            return f"{value / factor:.3g}{unit}"
    return f"{value:.3g}"


def decimal(value: float | None, digits: int = 3) -> str:
    """Write a number in a few significant digits.

    >>> decimal(0.2), decimal(0.081234), decimal(None), decimal(float("inf")), decimal(123456.0)
    ('0.200', '0.0812', '–', '∞', '123,456')
    """
    if value is None or math.isnan(value):
        return NOTHING
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value == 0 or abs(value) >= 10 ** (digits - 1):
        return f"{round(value):,}"
    return f"{value:#.{digits}g}"


def percent(value: float | None) -> str:
    """Write a fraction as percent.

    >>> percent(0.1234), percent(0.00004), percent(1), percent(0), percent(0.99996)
    ('12.3%', '<0.1%', '100%', '0%', '>99.9%')
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    if value in (0, 1):
        return f"{value * 100:.0f}%"
    if 0 < abs(value) < 0.0005:
        return "<0.1%"
    if 0.9995 <= value < 1:
        return ">99.9%"
    return f"{value * 100:.{1 if abs(value) < 10 else 0}f}%"


def extent(shape: Iterable[int | None]) -> str:
    """Write a shape; None is the batch axis.

    >>> extent((1, 28, 28)), extent((None, 10)), extent(())
    ('1×28×28', 'N×10', 'scalar')
    """
    return TIMES.join("N" if item is None else str(item) for item in shape) or "scalar"


def count(number: int, noun: str, plural: str = "") -> str:
    """Write a number of things.

    >>> count(1, "stage"), count(3, "stage"), count(0, "entry", "entries")
    ('1 stage', '3 stages', '0 entries')
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def number(value: object) -> float | None:
    """Return a number, as JSON has them, or None for anything else.

    >>> number(3), number("3"), number(True)
    (3.0, None, None)
    """
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def capped(table: Table, most: int) -> Table:
    """Drop the rows beyond a number of them, and say so."""
    left_out = len(table.rows) - most
    if left_out <= 0:
        return table
    note = f"{count(left_out, 'more row')} left out"
    return replace(table, rows=table.rows[:most], note=f"{table.note}; {note}" if table.note else note)


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
