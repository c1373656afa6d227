"""Two runs of one network, held against each other."""

from __future__ import annotations

import numpy as np


def require_equal(found, expected):
    """Compare two traced runs: outputs, spikes, final states (names in their order, types, values) and counts."""
    for kind in ("outputs", "spikes", "current", "voltage"):
        ours, theirs = getattr(found, kind), getattr(expected, kind)
        assert list(ours) == list(theirs), kind
        for name, array in theirs.items():
            assert ours[name].dtype == array.dtype == np.int32, f"{kind} of {name}"
            np.testing.assert_array_equal(ours[name], array, err_msg=f"{kind} of {name}")
    assert found.spike_counts == expected.spike_counts
