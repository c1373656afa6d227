"""Records from rows of fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from hsnn_targets.emulator.tables import Records


def make_records(dtype: np.dtype[np.void], rows: Iterable[Mapping[str, int]]) -> Records:
    """Make records; fields that a row leaves out are 0."""
    listed = list(rows)
    records = np.zeros(len(listed), dtype)
    for place, row in enumerate(listed):
        for name, value in row.items():
            records[name][place] = value
    return records
