"""Pictures of one golden sample: rasters of spikes, and traces of read-out voltages, as SVG paths.

A raster has one unit a timestep and one unit a neuron, so that all of its coordinates are small integers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hsnn.ir.populations import InputPort, IntegratorPopulation
from hsnn.report.cells import extent, percent, visible
from hsnn.report.facts import activity, golden_trains, kind_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hsnn.ir.populations import Population
    from hsnn.program import ChipStage, Program

    Int32 = NDArray[np.int32]

CELLS = 150_000
"""Neurons times timesteps in all rasters of a page; it bounds the page's size."""
MOST_RASTERS = 48
MOST_STEPS = 256
MOST_NEURONS = 96
FEWEST_NEURONS = 8
MOST_TRACES = 12
SHADES = 4


@dataclass(frozen=True, slots=True)
class Stroke:
    """A path and how to draw it: ``on``, ``up1`` to ``up4``, ``down1`` to ``down4``, ``line``, ``first``."""

    kind: str
    path: str


@dataclass(frozen=True, slots=True)
class Picture:
    """What one population or port sent in one sample.

    Attributes:
        stage, name: What it is of.
        role: ``port`` or ``population``.
        kind: ``raster`` of spikes or ``traces`` of voltages.
        steps: Timesteps shown, the width.
        rows: Neurons shown, the height; voltages are scaled to it.
        strokes: What to draw.
        ticks: Timesteps to label.
        caption: Numbers, and what is left out.
        labels: Text at the top and the bottom of the vertical axis.
    """

    stage: str
    name: str
    role: str
    kind: str
    steps: int
    rows: int
    strokes: tuple[Stroke, ...]
    ticks: tuple[int, ...]
    caption: str
    labels: tuple[str, str]


def pictures(program: Program, *, sample: int = 0) -> tuple[tuple[Picture, ...], int]:
    """Draw a golden sample.

    Returns:
        Pictures of ports and populations in order, and how many more there would be.
    """
    found = [
        (stage, stage.network.source(name), train[:, sample])
        for stage in program.chip_stages
        for name, train in _in_order(stage, golden_trains(program, stage.name))
        if train.shape[1] > sample
    ]
    shown = found[:MOST_RASTERS]
    steps = sum(min(len(train), MOST_STEPS) for _, _, train in shown)
    rows = max(FEWEST_NEURONS, min(MOST_NEURONS, CELLS // max(steps, 1)))
    return tuple(_picture(stage, item, train, rows) for stage, item, train in shown), len(found) - len(shown)


def _in_order(stage: ChipStage, trains: Mapping[str, Int32]) -> Iterator[tuple[str, Int32]]:
    for item in (*stage.network.inputs, *stage.network.populations):
        if item.name in trains:
            yield item.name, trains[item.name]


def _picture(stage: ChipStage, item: InputPort | Population, train: Int32, rows: int) -> Picture:
    flat = train.reshape(len(train), -1)
    if isinstance(item, IntegratorPopulation):
        return _traces(stage, item, flat)
    kept, remark = _choose(flat, rows)
    part = flat[:MOST_STEPS, kept]
    return Picture(
        stage=visible(stage.name),
        name=visible(item.name),
        role="port" if isinstance(item, InputPort) else "population",
        kind="raster",
        steps=len(part),
        rows=len(kept),
        strokes=_spikes(part),
        ticks=_ticks(len(part)),
        caption=_caption(item, (f"{percent(activity(train))} active", remark, _steps(flat))),
        labels=(str(kept[0]), str(kept[-1])),
    )


def _traces(stage: ChipStage, item: IntegratorPopulation, flat: Int32) -> Picture:
    kept = _spread(flat.shape[1], MOST_TRACES)
    part = flat[:MOST_STEPS, kept]
    low, high = int(part.min()), int(part.max())
    remark = f"{len(kept)} of {flat.shape[1]:,} neurons" if len(kept) < flat.shape[1] else ""
    highest = f"neuron {kept[int(np.argmax(part[-1]))]} ends highest"
    return Picture(
        stage=visible(stage.name),
        name=visible(item.name),
        role="population",
        kind="traces",
        steps=len(part),
        rows=100,
        strokes=_voltages(part, low, high),
        ticks=_ticks(len(part)),
        caption=_caption(item, (highest, remark, _steps(flat))),
        labels=(f"{high:,}", f"{low:,}"),
    )


def _caption(item: InputPort | Population, notes: tuple[str, ...]) -> str:
    return " · ".join(filter(None, (kind_of(item), extent(item.shape), *notes)))


def _steps(flat: Int32) -> str:
    return f"first {MOST_STEPS} of {len(flat):,} timesteps" if len(flat) > MOST_STEPS else ""


def _choose(flat: Int32, most: int) -> tuple[list[int], str]:
    """Choose neurons to show: all, or some of those that send anything, evenly spread; and say which."""
    number = flat.shape[1]
    if number <= most:
        return list(range(number)), ""
    active = np.flatnonzero(flat.any(axis=0))
    if not active.size:
        return _spread(number, most), f"{most} of {number:,} neurons"
    kept = [int(active[index]) for index in _spread(active.size, most)]
    which = "the" if len(kept) == active.size else f"{len(kept)} of the"
    return kept, f"{which} {active.size:,} that spike of {number:,} neurons"


def _spread(number: int, most: int) -> list[int]:
    """Indices of at most ``most`` neurons, evenly spread."""
    if number <= most:
        return list(range(number))
    return [(2 * index + 1) * number // (2 * most) for index in range(most)]


def _spikes(part: Int32) -> tuple[Stroke, ...]:
    """One path a shade; spikes of successive timesteps are one line. ``part`` is (timestep, neuron)."""
    peak = int(np.abs(part).max(initial=0))
    if peak <= 1 and part.min(initial=0) >= 0:
        return (Stroke("on", _runs(part != 0)),) if peak else ()
    shade = np.ceil(np.abs(part) * (SHADES / peak)).astype(np.int64)
    strokes = []
    for sign, word in ((1, "up"), (-1, "down")):
        for level in range(1, SHADES + 1):
            path = _runs((shade == level) & (np.sign(part) == sign))
            if path:
                strokes.append(Stroke(f"{word}{level}", path))
    return tuple(strokes)


def _runs(mask: NDArray[np.bool_]) -> str:
    """Horizontal lines over what is set; ``mask`` is (timestep, neuron)."""
    padded = np.pad(mask.T.astype(np.int8), ((0, 0), (1, 1)))
    change = np.diff(padded, axis=1)
    rows, starts = np.nonzero(change == 1)
    _, ends = np.nonzero(change == -1)
    return "".join(f"M{start} {row}h{end - start}" for row, start, end in zip(rows, starts, ends, strict=True))


def _voltages(part: Int32, low: int, high: int) -> tuple[Stroke, ...]:
    """One line a neuron over a height of 100; the one that ends highest comes last, in colour."""
    scaled = 100 - (part - low) * (100.0 / max(high - low, 1))
    winner = int(np.argmax(part[-1]))
    order = [index for index in range(part.shape[1]) if index != winner] + [winner]
    return tuple(
        Stroke(
            "first" if index == winner else "line",
            "M" + "L".join(f"{step + 0.5:g} {y:.1f}" for step, y in enumerate(scaled[:, index])),
        )
        for index in order
    )


def _ticks(steps: int) -> tuple[int, ...]:
    for gap in (1, 2, 4, 5, 10, 20, 50, 100):
        if steps / gap <= 9:
            return tuple(range(0, steps, gap))
    return tuple(range(0, steps, 200))
