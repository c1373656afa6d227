"""The table of the encoders whose scale a build froze."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from hsnn.report.cells import Cell, Column, Table, decimal, visible

if TYPE_CHECKING:
    from hsnn.program import Program


def frozen_scales(program: Program) -> Table | None:
    """Scale of every frozen encoder, and what freezing cost; None if the build froze nothing."""
    record = cast("Mapping[str, Any] | None", program.metadata.options.get("freeze_rescale"))
    if not record:
        return None
    return Table(
        "Frozen scales",
        (
            Column("Encoder", code=True),
            Column("Low", "Value that becomes 0", number=True),
            Column("High", "Value that becomes 1", number=True),
        ),
        tuple(
            (Cell(visible(scale["module"] or scale["node"])), Cell(decimal(scale["low"])), Cell(decimal(scale["high"])))
            for scale in record["scales"]
        ),
        visible(record["summary"], most=300),
    )
