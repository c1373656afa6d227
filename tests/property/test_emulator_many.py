"""Two thousand random networks: every tier that this processor has equals the reference in every bit."""

from __future__ import annotations

import numpy as np
import pytest

from hsnn.verify.random_networks import random_inputs, random_network, summarize
from hsnn_targets.emulator import EmulatorTarget, pack
from hsnn_targets.emulator.tiers import usable_tiers
from hsnn_targets.reference import TARGET as REFERENCE
from support.results import require_equal

NETWORKS, CHUNK = 2000, 50
WORK = 160
"""Most timesteps times samples of one network: the reference is slow."""


def extent(seed):
    """Timesteps 1 to 65 and samples 1 to 70: many of the one, few of the other; one in eight has over 17 timesteps."""
    rng = np.random.default_rng([seed, 11])
    timesteps = int(rng.choice([31, 33, 64, 65] if seed % 8 == 0 else [1, 2, 3, 5, 7, 8, 9, 12, 16, 17]))
    return timesteps, int(rng.integers(1, max(min(70, WORK // timesteps), 1), endpoint=True))


def test_extents_reach_their_ends():
    drawn = [extent(seed) for seed in range(NETWORKS)]
    timesteps, batches = zip(*drawn, strict=True)
    assert (min(timesteps), max(timesteps), min(batches), max(batches)) == (1, 65, 1, 70)


@pytest.mark.parametrize("first", range(100_000, 100_000 + NETWORKS, CHUNK))
def test_networks_equal_the_reference_on_every_tier(first, monkeypatch):
    for seed in range(first, first + CHUNK):
        timesteps, batch = extent(seed - 100_000)
        network = random_network(seed, timesteps=timesteps)
        inputs = random_inputs(network, batch, seed)
        expected = REFERENCE.load(network).run(inputs, trace=True)
        for tier in usable_tiers():
            synapses = "auto" if tier == "portable" else ("auto", "products", "events")[seed % 3]
            monkeypatch.setattr(pack, "STRIPED_BYTES", seed % 3 << 9)  # stripes of small layers, too
            executable = EmulatorTarget(threads=1 + seed % 2, tier=tier, synapses=synapses).load(network)
            try:
                require_equal(executable.run(inputs, trace=True), expected)
            except AssertionError as error:
                summary = f"seed {seed}, {timesteps} timesteps, {batch} samples, {tier}, {synapses}"
                raise AssertionError(f"{summary}: {dict(summarize(network))}") from error
