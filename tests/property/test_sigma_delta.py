"""Sigma-delta and adaptive neurons, and graded messages: every back end computes what the reference does."""

from __future__ import annotations

import numpy as np

from hsnn.ir.populations import AdaptiveLifPopulation
from hsnn.recording import Recording
from hsnn.verify.random_networks import summarize
from hsnn_targets.emulator.target import EmulatorTarget
from hsnn_targets.emulator.tiers import usable_tiers
from hsnn_targets.reference.machine import ReferenceTarget
from support.neuron_kinds import draw
from support.results import require_equal


def test_emulator_equals_reference():
    seen = adaptive = messages = fired = 0
    for seed in range(160):
        network, inputs = draw("sigma-delta", seed, timesteps=(None, None, 1, 40)[seed % 4])
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


def test_recorded_bits_say_which_neurons_sent_a_message():
    for seed in range(30):
        network, inputs = draw("sigma-delta", seed)
        expected = ReferenceTarget().load(network).run(inputs, trace=True)
        found = EmulatorTarget().load(network).record(inputs, Recording(states=True))
        for name, sent in expected.spikes.items():
            np.testing.assert_array_equal(found.packed[name].unpack(), sent != 0)
        for name, state in expected.voltage.items():
            np.testing.assert_array_equal(found.voltages[name][-1], state)
