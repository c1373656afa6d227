"""The figures of an evaluation, and how they are shown: a table, and Markdown inside a page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from rich.table import Table

from hsnn.errors import UsageError
from hsnn_models.colanet import baselines, forgetting

REHEARSE: Final = 20
"""Samples of each old class among those of a new one, where old classes are rehearsed."""
BEGIN, END = "<!-- figures of hsnn_models.colanet.evaluate -->", "<!-- end of these figures -->"
"""Lines of a page between which the figures are."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Accuracies of one way of learning, one for each seed.

    Attributes:
        name: Which way.
        shares: Share of test samples that is right.
    """

    name: str
    shares: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean over the seeds."""
        return float(np.mean(self.shares))

    @property
    def deviation(self) -> float:
        """Standard deviation over the seeds; 0 for one seed."""
        return float(np.std(self.shares, ddof=1)) if len(self.shares) > 1 else 0.0


@dataclass(frozen=True, slots=True)
class Speed:
    """How many samples a second a head learns, all copies, on one thread; medians of interleaved runs.

    Attributes:
        fast: By the compiled way.
        reference: By the readable one.
        answers: Samples a second that the compiled way classifies.
    """

    fast: float
    reference: float
    answers: float


@dataclass(frozen=True, slots=True)
class Report:
    """All figures of an evaluation.

    Attributes:
        task: Name of the task.
        train: Number of training samples.
        test: Number of test samples.
        heads: CoLaNET, learned in several ways.
        baselines: Other classifiers.
        speed: Samples a second.
        added: What happens to old classes when the last one is added later, without and with rehearsal.
        frozen: Accuracy of the first seed's head, and of the same head compiled to integers; None if not measured.
    """

    task: str
    train: int
    test: int
    heads: tuple[Spread, ...]
    baselines: tuple[baselines.Baseline, ...]
    speed: Speed
    added: tuple[forgetting.Forgetting, forgetting.Forgetting]
    frozen: tuple[float, float] | None


def markdown(report: Report) -> str:
    """Return the figures as Markdown."""
    best = next(item.test for item in report.baselines if item.name == "logistic regression")
    rows = [
        f"{report.task}: {report.train:,} training and {report.test:,} test samples.",
        "",
        "| classifier | chosen on validation | test accuracy | points to logistic regression |",
        "| --- | --- | ---: | ---: |",
    ]
    for spread in report.heads:
        shares = f"{spread.mean:.2%} ± {100 * spread.deviation:.2f}"
        rows.append(f"| {spread.name} | parameters | {shares} | {100 * (spread.mean - best):+.2f} |")
    for item in report.baselines:
        rows.append(f"| {item.name} | {item.parameter} | {item.test:.2%} | {100 * (item.test - best):+.2f} |")
    speed, (plain, again) = report.speed, report.added
    rows += [
        "",
        f"Spread over {len(report.heads[0].shares)} seeds, each with an order of its own. One thread learns "
        f"{speed.fast:,.0f} samples a second and classifies {speed.answers:,.0f}; the reference learns "
        f"{speed.reference:.2g}, so the ratio is {speed.fast / speed.reference:,.0f}.",
        "",
        f"The last class added later: the others fall from {plain.before:.2%} to {plain.after:.2%}, and the new one "
        f"reaches {plain.new:.2%}; with {REHEARSE} samples of each old class among the new ones, from "
        f"{again.before:.2%} to {again.after:.2%}, and {again.new:.2%}.",
    ]
    if report.frozen is not None:
        learned, integer = report.frozen
        rows += ["", f"Frozen: {learned:.2%} as learned (first seed), {integer:.2%} as integers on the emulator."]
    return "\n".join(rows)


def table_of(report: Report) -> Table:
    """Return the accuracies as a table for a terminal."""
    table = Table("classifier", "test accuracy", "spread", title=report.task)
    for spread in report.heads:
        table.add_row(spread.name, f"{spread.mean:.2%}", f"{100 * spread.deviation:.2f}")
    for item in report.baselines:
        table.add_row(f"{item.name} ({item.parameter})", f"{item.test:.2%}", "")
    return table


def insert(path: Path, text: str) -> None:
    """Put figures between the two lines of a page that are for them.

    Raises:
        UsageError: ``HSNN-U229``, if the page lacks them.
    """
    page = path.read_text(encoding="utf-8") if path.is_file() else ""
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise UsageError("HSNN-U229", f"{path} has no place for the figures", allowed=f"a page with {BEGIN} and {END}")
    path.write_text(f"{head}{begin}\n\n{text}\n\n{end}{tail}", encoding="utf-8")
