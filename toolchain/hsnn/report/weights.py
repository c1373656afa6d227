"""What the integers of every projection look like: counts, ranges and a histogram."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hsnn.ir.integer import count_synapses
from hsnn.report.cells import NOTHING, Cell, Column, Table, integer, percent, visible
from hsnn.report.facts import connection_of, weights_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hsnn.ir.integer import IntegerNetwork
    from hsnn.ir.projections import Projection
    from hsnn.program import Program

BINS = 32
"""Bars from -256 to 255, each 16 wide."""
HEIGHT = 20


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights of all projections.

    Attributes:
        table: One row a projection.
        histograms: For each row: bars as an SVG path, ``BINS`` wide and ``HEIGHT`` high.
    """

    table: Table
    histograms: tuple[str, ...]


def weights(program: Program, *, most: int) -> Weights:
    """Look at the weights of the first ``most`` projections."""
    links = [(stage.network, link) for stage in program.chip_stages for link in stage.network.projections]
    shown = links[:most]
    columns = (
        Column("From → to", "Populations that it joins", code=True),
        Column("Kind", "How it connects"),
        Column("Synapses", "Connections; a kernel counts at every place it is applied to", number=True),
        Column("Stored", "Weights that are stored", number=True),
        Column("Exp", "Weights are shifted left by so many bits", number=True),
        Column("Delay", "Timesteps beyond the usual one", number=True),
        Column("Range", "Smallest and largest weight", number=True),
        Column("Zeros", "Share of the stored weights that are 0", number=True),
    )
    note = f"{len(links) - len(shown):,} more projections left out" if len(links) > len(shown) else ""
    rows = tuple(_row(network, link) for network, link in shown)
    table = Table("Weights", columns, rows, note, empty="there are no synapses")
    return Weights(table, tuple(_histogram(weights_of(link)) for _, link in shown))


def _row(network: IntegerNetwork, link: Projection) -> tuple[Cell, ...]:
    values = weights_of(link)
    zeros = 1.0 - np.count_nonzero(values) / values.size if values.size else None
    return (
        Cell(f"{visible(link.pre)} → {visible(link.post)}"),
        Cell(connection_of(link)),
        Cell(integer(count_synapses(network, link))),
        Cell(integer(values.size)),
        Cell(integer(link.weight_exp)),
        Cell(integer(link.delay)),
        Cell(f"{values.min()} … {values.max()}" if values.size else NOTHING),
        Cell(percent(None if zeros is None else float(zeros))),
    )


def _histogram(values: NDArray[np.int16]) -> str:
    """Bars of the weights that are not 0."""
    bins = (values[values != 0].astype(np.int64) + 256) * BINS // 512
    counts = np.bincount(np.clip(bins, 0, BINS - 1), minlength=BINS)
    peak = max(int(counts.max()), 1)
    heights = -(-counts * HEIGHT // peak)
    return "".join(f"M{at} {HEIGHT}v-{height}h1v{height}z" for at, height in enumerate(heights) if height)
