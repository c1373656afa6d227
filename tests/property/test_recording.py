"""Recorded spikes and states equal the reference's, on every tier, on the device and on targets that pack nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from hsnn.errors import RunError, UsageError
from hsnn.packed_spikes import PackedSpikes
from hsnn.recording import Recorder, Recording, record
from hsnn.runtime.operations import synaptic_operations
from hsnn.runtime.result import ChipTrace
from hsnn.verify.random_networks import random_inputs, random_network
from hsnn_targets.emulator import EmulatorTarget, blocks, memory, plan, results
from hsnn_targets.emulator.tiers import usable_tiers
from hsnn_targets.gpu import GpuTarget
from hsnn_targets.reference import TARGET as REFERENCE

DEVICES = ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)
TARGETS = {
    **{tier: EmulatorTarget(threads=2, tier=tier) for tier in usable_tiers()},
    **{f"gpu on {device}": GpuTarget(device) for device in DEVICES},
    "reference": REFERENCE,
}


def assert_recorded(found, expected):
    """Compare a recording with a trace of the reference."""
    assert found.packed.keys() == expected.spikes.keys()
    assert found.spikes == {}
    assert found.spike_counts == expected.spike_counts
    for name, spikes in expected.spikes.items():
        packed = found.packed[name]
        unpacked = packed.unpack()
        assert unpacked.dtype == np.uint8
        np.testing.assert_array_equal(unpacked, spikes, err_msg=name)
        np.testing.assert_array_equal(packed.counts(), spikes.sum(axis=tuple(range(2, spikes.ndim))))
        np.testing.assert_array_equal(packed.neuron_counts(), spikes.sum(axis=(0, 1)))
        assert packed.nbytes == spikes.shape[0] * spikes.shape[1] * -(-spikes[0, 0].size // 8)
    for name, array in expected.outputs.items():
        np.testing.assert_array_equal(found.outputs[name], array)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("first", range(0, 60, 20))
def test_packed_spikes_are_those_of_the_reference(first, target):
    for seed in range(first, first + 20):
        network = random_network(300_000 + seed, timesteps=(None, 1, 33)[seed % 3])
        inputs = random_inputs(network, 1 + seed % 5, seed)
        expected = REFERENCE.load(network).run(inputs, trace=True)
        executable = TARGETS[target].load(network)
        assert_recorded(record(executable, inputs, Recording()), expected)
        plain = executable.run(inputs)
        assert (plain.packed, plain.currents, plain.voltages) == ({}, {}, {})


@pytest.mark.parametrize("target", [name for name in TARGETS if name != "reference"])
@pytest.mark.parametrize("seed", range(8))
def test_states_of_every_timestep(seed, target):
    """After timestep ``t`` states are what they are at the end of a sample of ``t + 1`` timesteps."""
    network = random_network(310_000 + seed, timesteps=6)
    inputs = random_inputs(network, 3, seed)
    found = TARGETS[target].load(network).record(inputs, Recording(states=True))
    assert_recorded(found, REFERENCE.load(network).run(inputs, trace=True))
    for t in range(network.timesteps):
        shorter = replace(network, timesteps=t + 1)
        expected = REFERENCE.load(shorter).run({name: array[: t + 1] for name, array in inputs.items()}, trace=True)
        assert found.currents.keys() == expected.current.keys()
        for name, current in expected.current.items():
            np.testing.assert_array_equal(found.currents[name][t], current, err_msg=f"{name}, timestep {t}")
            np.testing.assert_array_equal(found.voltages[name][t], expected.voltage[name])


@pytest.mark.parametrize("tier", usable_tiers())
def test_recordings_do_not_depend_on_windows_blocks_or_threads(tier, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_SECONDS", 1e-9)
    for seed in range(6):
        network = random_network(320_000 + seed, timesteps=11)
        inputs = random_inputs(network, 9, seed)
        expected = REFERENCE.load(network).run(inputs, trace=True)
        for room in (1, 20_000):
            monkeypatch.setattr(plan, "WINDOW_BYTES", room)
            for threads in (1, 3):
                executable = EmulatorTarget(threads=threads, tier=tier).load(network)
                found = executable.record(inputs, Recording(states=seed % 2 == 0))
                assert_recorded(found, expected)
                for name, voltages in found.voltages.items():
                    np.testing.assert_array_equal(voltages[-1], expected.voltage[name])


def test_operations_are_counted_on_packed_spikes():
    for seed in range(30):
        network = random_network(330_000 + seed)
        inputs = random_inputs(network, 3, seed)
        traced = REFERENCE.load(network).run(inputs, trace=True)
        expected = synaptic_operations(network, ChipTrace(inputs, traced))
        recorded = EmulatorTarget(threads=1).load(network).record(inputs, Recording())
        assert synaptic_operations(network, ChipTrace(inputs, recorded)) == expected


def test_a_recording_takes_an_eighth_of_the_bytes_of_spikes():
    network = next(
        network
        for network in map(random_network, range(340_000, 340_100))
        if sum(p.shape == (16,) for p in network.neurons)
    )
    found = EmulatorTarget(threads=1).load(network).record(random_inputs(network, 5, 0), Recording())
    name = next(p.name for p in network.neurons if p.shape == (16,))
    assert 8 * found.packed[name].nbytes == found.packed[name].unpack().nbytes


@pytest.mark.parametrize("neurons", [1, 7, 8, 9, 64, 65])
def test_packing_and_unpacking(neurons):
    spikes = np.random.default_rng(neurons).integers(0, 2, (5, 3, neurons)).astype(np.int32)
    packed = PackedSpikes.pack(spikes)
    np.testing.assert_array_equal(packed.unpack(), spikes)
    np.testing.assert_array_equal(packed.neuron_counts(2), spikes[:2].sum(axis=(0, 1)))
    np.testing.assert_array_equal(packed.neuron_counts(0), np.zeros(neurons))
    halves = PackedSpikes.joined([PackedSpikes.pack(spikes[:, :1]), PackedSpikes.pack(spikes[:, 1:])])
    np.testing.assert_array_equal(halves.unpack(), spikes)


def test_neurons_are_counted_in_parts_of_any_size(monkeypatch):
    spikes = np.random.default_rng(0).integers(0, 2, (9, 4, 3, 5, 7))
    packed = PackedSpikes(spikes.shape, PackedSpikes.pack(spikes.transpose(0, 1, 3, 4, 2)).bits, (1, 2, 0))
    np.testing.assert_array_equal(packed.unpack(), spikes)
    for size in (1, 1000, 1 << 20):
        monkeypatch.setattr("hsnn.packed_spikes.UNPACKED_BYTES", size)
        np.testing.assert_array_equal(packed.neuron_counts(), spikes.sum(axis=(0, 1)))


def test_a_target_that_does_not_see_states_says_so():
    network = random_network(1)
    executable = REFERENCE.load(network)
    assert not isinstance(executable, Recorder)
    with pytest.raises(UsageError, match="HSNN-R052"):
        record(executable, random_inputs(network, 1, 1), Recording(states=True))


def test_a_recording_that_does_not_fit(monkeypatch):
    network = random_network(3)
    executable = EmulatorTarget(threads=1).load(network)
    inputs = random_inputs(network, 8, 3)
    sizes = [
        results.Results(results.lay_out(network, network.neurons, recording=Recording(s)), 8) for s in (False, True)
    ]
    room = sum(array.nbytes for array in (sizes[0].sent, sizes[0].bits))
    monkeypatch.setattr(memory, "SMALL_BYTES", 0)
    monkeypatch.setattr(memory, "available_bytes", lambda: room)
    executable.record(inputs, Recording())
    with pytest.raises(RunError, match="HSNN-R040"):
        executable.record(inputs, Recording(states=True))
    monkeypatch.setattr(memory, "available_bytes", lambda: room - 1)
    with pytest.raises(RunError, match="HSNN-R040"):
        executable.record(inputs, Recording())
