"""The picture and the table of what a conversion to spikes costs, against timesteps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hsnn.report.cells import Cell, Column, Table, percent

if TYPE_CHECKING:
    from hsnn.frontends.spike.curve import SpikeCurve
    from hsnn.program import Program

WIDTH, HEIGHT = 460, 250
LEFT, TOP, RIGHT, BOTTOM = 46, 16, 16, 56
"""Size of the picture and its margins, in units of its view box."""


def curve_of(program: Program) -> SpikeCurve | None:
    """The curve that a program's conversion recorded, or None where nothing was converted."""
    record = program.metadata.options.get("import")
    text = record.get("spike_curve") if isinstance(record, Mapping) else None
    if not isinstance(text, str):
        return None
    from hsnn.frontends.spike.curve import SpikeCurve

    return SpikeCurve.from_json(text)


def curve_table(curve: SpikeCurve) -> Table:
    """The numbers of a curve."""
    note = f"{curve.samples} samples, in float; {curve.enough} timesteps suffice"
    if curve.accuracy is not None:
        note += f"; the plain network has {percent(curve.accuracy)}"
    columns = (
        Column("Timesteps", number=True),
        Column("Error", "Mean difference of the output, relative to its largest magnitude", number=True),
        Column("Agreement", "Samples with the same largest output", number=True),
        Column("Accuracy", "Samples whose largest output is their label", number=True),
    )
    rows = tuple(
        (Cell(str(point.timesteps)), *(Cell(percent(item)) for item in (point.error, point.agreement, point.accuracy)))
        for point in curve.points
    )
    return Table("Spikes instead of values", columns, rows, note)


def curve_svg(curve: SpikeCurve, *, alone: bool = True) -> str:
    """Draw error, and agreement and accuracy where there are any, against timesteps.

    Args:
        curve: What to draw.
        alone: Whether the SVG is a file of its own, not part of a page.
    """
    space = ' xmlns="http://www.w3.org/2000/svg"' if alone else ""
    lines: list[tuple[str, str, Sequence[float | None]]] = [
        ("error", "#c0392b", [point.error for point in curve.points]),
        ("agreement", "#2e86c1", [point.agreement for point in curve.points]),
        ("accuracy", "#1e8e6e", [point.accuracy for point in curve.points]),
    ]
    parts = [
        f'<svg{space} class="curve" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'font-family="sans-serif" font-size="11" fill="currentColor" role="img" width="{WIDTH}">',
        "<title>Error, agreement and accuracy against timesteps</title>",
        *_axes(curve),
    ]
    if curve.accuracy is not None:
        y = _height(curve.accuracy)
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:g}" y2="{y:g}" stroke="#1e8e6e" stroke-dasharray="5 4"/>'
            f'<text x="{WIDTH - RIGHT}" y="{y - 4:g}" text-anchor="end" fill="#1e8e6e">plain network</text>'
        )
    for column, (name, colour, values) in enumerate(lines):
        points = [f"{_across(curve, i):g},{_height(v):g}" for i, v in enumerate(values) if v is not None]
        if points:
            parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{" ".join(points)}"/>')
            parts += [f'<circle cx="{x}" cy="{y}" r="2.5" fill="{colour}"/>' for x, y in (p.split(",") for p in points)]
            parts.append(f'<text x="{LEFT + 90 * column}" y="{HEIGHT - 6}" fill="{colour}">{name}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _axes(curve: SpikeCurve) -> list[str]:
    parts = []
    for value in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = _height(value)
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:g}" y2="{y:g}" stroke="currentColor" stroke-opacity=".15"/>'
            f'<text x="{LEFT - 8}" y="{y + 4:g}" text-anchor="end">{value:.0%}</text>'
        )
    for index, point in enumerate(curve.points):
        x, y = _across(curve, index), HEIGHT - BOTTOM + 16
        parts.append(f'<text x="{x:g}" y="{y}" text-anchor="middle">{point.timesteps}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle:g}" y="{HEIGHT - BOTTOM + 32}" text-anchor="middle">timesteps</text>')
    return parts


def _across(curve: SpikeCurve, index: int) -> float:
    """Points lie at equal distances: timesteps double from one to the next."""
    return LEFT + 12 + index * (WIDTH - LEFT - RIGHT - 24) / max(len(curve.points) - 1, 1)


def _height(value: float) -> float:
    return TOP + (1 - min(max(value, 0.0), 1.0)) * (HEIGHT - TOP - BOTTOM)
