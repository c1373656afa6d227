"""Nothing is timed before its spikes are proven equal."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from networks import Case

from hsnn.target import Executable, SegmentResult, find_target

CHECKED = 3
"""Samples that the reference runs, too: it is slow."""


def hold_against_reference(case: Case, ways: Iterable[Executable], samples: int = CHECKED) -> None:
    """Hold every spike, payload and final state of every way against the reference.

    Raises:
        SystemExit: If anything differs.
    """
    inputs = case.samples(samples)
    expected = find_target("reference").load(case.network).run(inputs, trace=True)
    for way in ways:
        found = way.run(inputs, trace=True)
        for kind in ("outputs", "spikes", "current", "voltage"):
            for name, array in getattr(expected, kind).items():
                if not np.array_equal(getattr(found, kind)[name], array):
                    raise SystemExit(f"{case.name}: {kind} of {name!r} differ from the reference")


def hold_against(case: Case, expected: SegmentResult, found: SegmentResult) -> None:
    """Hold the outputs and the number of spikes of one run against another.

    Raises:
        SystemExit: If anything differs.
    """
    same = all(np.array_equal(found.outputs[name], array) for name, array in expected.outputs.items())
    if not same or dict(found.spike_counts) != dict(expected.spike_counts):
        raise SystemExit(f"{case.name}: spikes differ")
