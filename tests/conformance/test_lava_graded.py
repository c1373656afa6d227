"""Lava computes sigma-delta neurons and graded messages between populations exactly as the reference says."""

from __future__ import annotations

import pytest

from hsnn.ir.integer import SigmaDeltaPopulation
from hsnn.verify.difference import first_difference
from hsnn.verify.random_networks import EVERYTHING, random_inputs, random_network
from hsnn_targets.lava import TARGET
from hsnn_targets.reference import TARGET as REFERENCE

pytestmark = pytest.mark.lava
SEEDS = range(4000, 4008)


def check(network, seed):
    """Run two batches one after the other: nothing crosses from one sample into the next."""
    executable = TARGET.load(network)
    try:
        for index, batch in enumerate((3, 2)):
            inputs = random_inputs(network, batch, seed + index)
            want = REFERENCE.load(network).run(inputs, trace=True)
            found = executable.run(inputs, trace=True)
            assert first_difference(network, want, found) is None
            assert want.spike_counts == found.spike_counts
    finally:
        executable.close()


@pytest.mark.parametrize("seed", SEEDS)
def test_sigma_delta(seed):
    check(random_network(seed, features=EVERYTHING), seed)


def test_the_seeds_reach_every_kind():
    found = [
        neuron
        for seed in SEEDS
        for neuron in random_network(seed, features=EVERYTHING).neurons
        if isinstance(neuron, SigmaDeltaPopulation)
    ]
    assert {n.accumulate for n in found} == {n.rectify for n in found} == {n.keep_rest for n in found} == {True, False}
