"""Sigma-delta and adaptive neurons, and graded messages: every back end computes what the reference does."""

from __future__ import annotations

import numpy as np
import pytest

from hsnn.ir.populations import AdaptiveLifPopulation
from hsnn.recording import Recording
from hsnn.verify.random_networks import EVERYTHING, random_inputs, random_network, summarize
from hsnn_targets.emulator.target import EmulatorTarget
from hsnn_targets.emulator.tiers import usable_tiers
from hsnn_targets.reference.machine import ReferenceTarget
from support.results import require_equal


def draw(seed, **options):
    options.setdefault("features", EVERYTHING)
    network = random_network(400_000 + seed, **options)
    return network, random_inputs(network, 3, seed)


def test_emulator_equals_reference():
    seen = adaptive = messages = fired = 0
    for seed in range(160):
        network, inputs = draw(seed, timesteps=(None, None, 1, 40)[seed % 4])
        expected = ReferenceTarget().load(network).run(inputs, trace=True)
        for tier in usable_tiers():
            require_equal(EmulatorTarget(tier=tier).load(network).run(inputs, trace=True), expected)
        seen += summarize(network)["sigma-delta"]
        adaptive += summarize(network)["adaptive"]
        fired += sum(expected.spike_counts[p.name] for p in network.neurons if isinstance(p, AdaptiveLifPopulation))
        messages += sum(int((np.abs(sent) > 1).sum()) for sent in expected.spikes.values())
    assert seen > 80
    assert adaptive > 50
    assert fired > 1000
    assert messages > 10_000


def test_gpu_equals_reference():
    pytest.importorskip("torch")
    from hsnn_targets.gpu.target import GpuTarget

    for seed in range(60):
        network, inputs = draw(seed, features=EVERYTHING)
        expected = ReferenceTarget().load(network).run(inputs, trace=True)
        require_equal(GpuTarget("cpu").load(network).run(inputs, trace=True), expected)


def test_recorded_bits_say_which_neurons_sent_a_message():
    for seed in range(30):
        network, inputs = draw(seed)
        expected = ReferenceTarget().load(network).run(inputs, trace=True)
        found = EmulatorTarget().load(network).record(inputs, Recording(states=True))
        for name, sent in expected.spikes.items():
            np.testing.assert_array_equal(found.packed[name].unpack(), sent != 0)
        for name, state in expected.voltage.items():
            np.testing.assert_array_equal(found.voltages[name][-1], state)
