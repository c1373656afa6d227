"""What a program needs of a chip, and what the chip has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from hsnn.report.cells import Table

if TYPE_CHECKING:
    from hsnn.program import Json


def capacity(mapping: Mapping[str, Json]) -> tuple[Table, ...]:
    """Tables."""
    return ()
