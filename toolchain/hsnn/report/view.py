"""What a report shows: tables of a program, made once for both the terminal and the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hsnn.ir.shape import size
from hsnn.report.cells import (
    NOTHING,
    Cell,
    Column,
    Level,
    Table,
    count,
    decimal,
    extent,
    integer,
    percent,
    sentence,
    visible,
)
from hsnn.report.condense import Run, condense, is_chip, tally

if TYPE_CHECKING:
    from hsnn.ir.plan import Cut, Placement
    from hsnn.verify.ladder import Rung, VerifyReport

MOST_RUNS = 28
"""Rows of the condensed partition table, if merging can reach it."""

_WHY = Column("Why", "Why it runs there, and what would bring it onto the chip")


def partition(placements: Sequence[Placement]) -> Table:
    """Where operators run; those of one module that follow one another are one row."""
    runs = condense(placements, most=MOST_RUNS)
    note = ""
    if len(runs) < len(placements):
        note = f"{count(len(placements), 'operator')} in {count(len(runs), 'row')}"
    return Table(
        "Partition",
        (
            Column("Place", "Stage that runs it"),
            Column("Module", "Module of the trained model", code=True),
            Column("Operators", "Operators in order of appearance"),
            _WHY,
        ),
        tuple(_run_row(run) for run in runs),
        note,
        empty="no operator is recorded",
    )


def explained_partition(placements: Sequence[Placement]) -> Table:
    """Where every single operator runs."""
    return Table(
        "Partition, every operator",
        (
            Column("Place", "Stage that runs it"),
            Column("Node", "Name in the hybrid model", code=True),
            Column("Operator"),
            Column("Module", "Module of the trained model", code=True),
            _WHY,
        ),
        tuple(
            (
                _place(item.place),
                Cell(visible(item.node)),
                Cell(visible(item.op)),
                Cell(visible(item.module) or NOTHING),
                _why(item.code, (item.reason,), item.fix),
            )
            for item in placements
        ),
        empty="no operator is recorded",
    )


def cuts(crossings: Sequence[Cut], spikes: Mapping[str, float]) -> Table:
    """What crosses between host and chip.

    Args:
        crossings: Every crossing.
        spikes: For some values: spikes per timestep and sample, mean over calibration.
    """
    return Table(
        "Crossings between host and chip",
        (
            Column("From → to"),
            Column("Value", "Name in the hybrid model", code=True),
            Column("Shape", "Without time and batch", number=True),
            Column("Steps", "Timesteps a sample", number=True),
            Column("Values", "Values that a sample moves", number=True, minor=2),
            Column("Spikes/step", "Mean over the calibration samples", number=True),
            Column("Active", "Fraction of the values that are spikes", number=True, minor=1),
        ),
        tuple(_cut_row(cut, spikes.get(cut.value)) for cut in crossings),
        empty="nothing crosses",
    )


def verification(report: VerifyReport) -> Table:
    """Each rung of the verify ladder; the first difference of a failed one in full."""
    return Table(
        "Verification",
        (
            Column("Rung", "What has to agree"),
            Column("Status"),
            Column("Detail", "What was measured"),
            Column("Seconds", number=True),
        ),
        tuple(
            (Cell(visible(rung.name)), _status(rung.status), Cell(_detail(rung)), Cell(f"{rung.seconds:.1f}"))
            for rung in report.rungs
        ),
        empty="nothing was verified",
    )


def problems(found: Sequence[Mapping[str, object]]) -> Table:
    """What stands against compiling a model: mappings with ``code``, ``found`` and ``fix``."""
    return Table(
        "Problems",
        (Column("Code"), Column("Found"), Column("Fix")),
        tuple(
            (
                Cell(visible(item.get("code", "")), "bad"),
                Cell(sentence(item.get("found", ""))),
                Cell(sentence(item.get("fix", "")) or NOTHING),
            )
            for item in found
        ),
        empty="none",
    )


def segments(found: Sequence[Mapping[str, object]]) -> Table:
    """Spiking segments: mappings with ``name``, ``timesteps``, ``neurons``, ``synapses``, ``populations``."""
    return Table(
        "Spiking segments",
        (
            Column("Segment"),
            Column("Timesteps", number=True),
            Column("Populations", number=True),
            Column("Neurons", number=True),
            Column("Synapses", number=True),
        ),
        tuple(
            (
                _place(str(item.get("name", ""))),
                *(_count_cell(item.get(key)) for key in ("timesteps", "populations", "neurons", "synapses")),
            )
            for item in found
        ),
        empty="none",
    )


def _place(name: str) -> Cell:
    return Cell(visible(name), "good" if is_chip(name) else "")


def _run_row(run: Run) -> tuple[Cell, ...]:
    first = run.operators[0]
    module = visible(run.module) or (visible(first.node) if len(run.operators) == 1 else NOTHING)
    ops = tally([visible(item.op).removeprefix("hsnn.") for item in run.operators])
    return _place(run.place), Cell(module), Cell(ops), _why(first.code, run.reasons, first.fix)


def _why(code: str, reasons: Sequence[str], fix: str) -> Cell:
    text = "; ".join(sentence(reason) for reason in reasons)
    if not code:
        return Cell(text, "mute")
    return Cell(f"{visible(code)}: {text}" + (f"\nfix: {sentence(fix)}" if fix else ""), "warn")


def _cut_row(cut: Cut, spikes: float | None) -> tuple[Cell, ...]:
    values = size(cut.shape)
    active = None if spikes is None else spikes / values
    return (
        Cell(f"{visible(cut.source)} → {visible(cut.target)}"),
        Cell(visible(cut.value)),
        Cell(extent(cut.shape)),
        Cell(integer(cut.timesteps)),
        Cell(integer(values * cut.timesteps)),
        Cell(decimal(spikes)),
        Cell(percent(active), bar=active),
    )


def _status(status: str) -> Cell:
    levels: Mapping[str, Level] = {"passed": "good", "failed": "bad", "skipped": "mute"}
    return Cell(status, levels.get(status, ""))


def _detail(rung: Rung) -> str:
    difference = rung.difference
    lines = [sentence(rung.detail)]
    if difference is not None:
        lines.append(f"first difference: {sentence(difference)}")
    return "\n".join(filter(None, lines))


def _count_cell(value: object) -> Cell:
    if isinstance(value, (int, float)):
        return Cell(integer(value))
    if isinstance(value, Sequence) and not isinstance(value, str):
        return Cell(integer(len(value)))
    return Cell(NOTHING)
