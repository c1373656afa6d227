"""Spikes that come as bytes do what the same spikes of 32 bits do, on every tier and in the reference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hsnn.errors import UsageError
from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.populations import InputPort, LifPopulation
from hsnn.ir.projections import DenseProjection
from hsnn.target import find_target
from hsnn.verify.random_networks import random_inputs, random_network
from hsnn_targets.emulator import EmulatorTarget
from hsnn_targets.emulator.tiers import usable_tiers
from support.results import require_equal

ZERO = np.zeros((), np.int32)


def narrow(inputs, turn):
    """Each port as another kind of bytes, where its payloads fit these."""
    found = {}
    for place, (name, array) in enumerate(inputs.items()):
        kinds = [k for k in (np.uint8, np.int8, np.bool_) if np.array_equal(array.astype(k), array)]
        found[name] = array.astype(kinds[(place + turn) % len(kinds)]) if kinds else array
    return found


@pytest.mark.parametrize("seed", range(12))
def test_bytes_are_what_they_are_in_32_bits(seed):
    network = random_network(seed)
    inputs = random_inputs(network, 5, seed)
    expected = find_target("reference").load(network).run(inputs, trace=True)
    ways = [EmulatorTarget(tier=tier, threads=1).load(network) for tier in usable_tiers()]
    for turn, way in enumerate([find_target("reference").load(network), *ways]):
        require_equal(way.run(narrow(inputs, turn + seed), trace=True), expected)


def layer(shape, ports=1):
    """Ports of any size and order straight into a layer, so that rows of bytes end anywhere."""
    rng = np.random.default_rng(0)
    count = int(np.prod(shape))
    names = [f"in{place}" for place in range(ports)]
    synapses = tuple(
        DenseProjection(f"p{name}", name, "a", (rng.integers(-60, 64, (9, count)) * 2).astype(np.int16))
        for name in names
    )
    neuron = LifPopulation("a", (9,), np.array(900, np.int32), ZERO, np.array(9000, np.int32), ZERO)
    return IntegerNetwork("n", 5, tuple(InputPort(n, shape) for n in names), (neuron,), synapses, ("a", names[0]))


@pytest.mark.parametrize("shape", [(1,), (127,), (128,), (131,), (300,), (3, 5, 7)])
@pytest.mark.parametrize("ports", [1, 2])
def test_rows_of_any_length(shape, ports):
    network = layer(shape, ports)
    rng = np.random.default_rng(1)
    wide = {p.name: (rng.random((5, 3, *shape)) < 0.3).astype(np.int32) for p in network.inputs}
    expected = find_target("reference").load(network).run(wide, trace=True)
    bytes_ = {name: array.astype(np.uint8) for name, array in wide.items()}
    mixed = {name: array if place else bytes_[name] for place, (name, array) in enumerate(wide.items())}
    turned = {name: np.asfortranarray(array) for name, array in bytes_.items()}
    for tier in usable_tiers():
        way = EmulatorTarget(tier=tier, threads=1).load(network)
        for given in (bytes_, mixed, turned):
            found = way.run(given, trace=True)
            require_equal(found, expected)
            assert found.outputs["in0"].dtype == np.int32


@pytest.mark.parametrize("place", [0, 126, 130])
def test_bytes_that_are_no_spikes_are_refused(place):
    network = layer((131,))
    for tier in usable_tiers():
        way = EmulatorTarget(tier=tier, threads=1).load(network)
        for kind, wrong in ((np.uint8, 2), (np.uint8, 255), (np.int8, -1)):
            spikes = np.zeros((5, 2, 131), kind)
            spikes[3, 1, place] = wrong
            for given in (spikes, spikes.view(np.bool_)):
                with pytest.raises(UsageError, match="HSNN-R001"):
                    way.run({"in0": given})


def test_graded_ports_take_bytes_too():
    network = layer((40,))
    network = replace(network, inputs=(InputPort("in0", (40,), 100, signed=True),))
    inputs = {"in0": np.random.default_rng(2).integers(-100, 101, (5, 2, 40)).astype(np.int8)}
    expected = find_target("reference").load(network).run({"in0": inputs["in0"].astype(np.int32)}, trace=True)
    for tier in usable_tiers():
        require_equal(EmulatorTarget(tier=tier, threads=1).load(network).run(inputs, trace=True), expected)


@pytest.mark.parametrize("kind", [np.int64, np.float32, np.uint16])
def test_other_kinds_are_refused(kind):
    with pytest.raises(UsageError, match="HSNN-R001"):
        EmulatorTarget(threads=1).load(layer((4,))).run({"in0": np.zeros((5, 1, 4), kind)})
