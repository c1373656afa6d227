"""What several property tests need."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture(scope="session")
def require_equal():
    """A function that compares two results: outputs, spikes, final states and counts."""

    def compare(expected, found):
        for what in ("outputs", "spikes", "current", "voltage"):
            wanted, got = getattr(expected, what), getattr(found, what)
            assert wanted.keys() == got.keys()
            for name, array in wanted.items():
                np.testing.assert_array_equal(array, got[name], err_msg=f"{what} of {name}")
        assert expected.spike_counts == found.spike_counts

    return compare
