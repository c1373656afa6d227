"""Networks on Lava, held against the reference."""

from __future__ import annotations

import numpy as np

from hsnn.verify.difference import first_difference
from hsnn.verify.random_networks import random_inputs
from hsnn_targets.lava import TARGET
from hsnn_targets.reference import TARGET as REFERENCE


def require_equal_on_lava(network, seed):
    """Run two batches one after the other: nothing crosses from one sample into the next."""
    executable = TARGET.load(network)
    try:
        for index, batch in enumerate((3, 2)):
            inputs = random_inputs(network, batch, seed + index)
            expected = REFERENCE.load(network).run(inputs, trace=True)
            found = executable.run(inputs, trace=True)
            assert first_difference(network, expected, found) is None
            _require_equal(found, expected)
    finally:
        executable.close()


def _require_equal(found, expected):
    """Compare all that is sent, and the states of the last sample, the only ones that Lava still has."""
    everything, last = slice(None), slice(-1, None)
    for kind, kept in (("outputs", everything), ("spikes", everything), ("current", last), ("voltage", last)):
        ours, theirs = getattr(found, kind), getattr(expected, kind)
        assert {*ours} == {*theirs}, kind
        for name, array in theirs.items():
            np.testing.assert_array_equal(ours[name], array[kept], err_msg=f"{kind} of {name}")
    assert found.spike_counts == expected.spike_counts
