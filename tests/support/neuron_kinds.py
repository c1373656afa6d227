"""Random networks with neurons of one kind among others; each kind has seeds of its own."""

from __future__ import annotations

from hsnn.ir.populations import (
    AdaptiveLifPopulation,
    CountingLifPopulation,
    ResonatorPopulation,
    SigmaDeltaPopulation,
)
from hsnn.verify.random_networks import EVERYTHING, FEATURES, random_inputs, random_network

BATCH = 3
KINDS = {
    "sigma-delta": (400_000, EVERYTHING, (SigmaDeltaPopulation, AdaptiveLifPopulation)),
    "resonators": (700_000, FEATURES | {"resonator"}, (ResonatorPopulation,)),
    "counting": (800_000, FEATURES | {"counting"}, (CountingLifPopulation,)),
}
"""For each kind: where its seeds begin, what its networks may have, and its populations."""


def draw(kind, seed, **options):
    """Return a network and a batch for it."""
    begin, features, _ = KINDS[kind]
    network = random_network(begin + seed, features=features, **options)
    return network, random_inputs(network, BATCH, seed)


def populations_of(kind, network):
    """Return the populations of that kind."""
    _, _, types = KINDS[kind]
    return [neuron for neuron in network.neurons if isinstance(neuron, types)]
