"""The emulator equals the integer reference on random networks, however the work is cut up."""

from __future__ import annotations

import numpy as np
import pytest

from hsnn.verify.random_networks import random_inputs, random_network, summarize
from hsnn_targets.emulator import EmulatorTarget, blocks, plan
from hsnn_targets.reference import TARGET as REFERENCE
from support.results import require_equal

BATCH = 3
WINDOWS = {"one timestep": 1, "a few timesteps": 4000, "whole samples": plan.WINDOW_BYTES}


def cut_windows(monkeypatch, room):
    monkeypatch.setattr(plan, "WINDOW_BYTES", room)
    monkeypatch.setattr(plan, "WIDE_BYTES", min(room, plan.WIDE_BYTES))


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("seeds", [range(start, start + 20) for start in range(0, 120, 20)], ids=str)
def test_every_bit_equals_the_reference(seeds, window, monkeypatch):
    cut_windows(monkeypatch, WINDOWS[window])
    offset = 1000 * list(WINDOWS).index(window)
    for seed in seeds:
        network = random_network(offset + seed)
        inputs = random_inputs(network, BATCH, seed)
        expected = REFERENCE.load(network).run(inputs, trace=True)
        loaded = EmulatorTarget(threads=1).load(network)
        try:
            require_equal(loaded.run(inputs, trace=True), expected)
        except AssertionError as error:
            raise AssertionError(f"seed {offset + seed}: {dict(summarize(network))}") from error


def test_windows_are_cut_as_the_test_above_assumes(monkeypatch):
    network = random_network(7, timesteps=12)
    lengths = []
    for size in WINDOWS.values():
        cut_windows(monkeypatch, size)
        lengths.append(plan.plan_network(network).window)
    assert lengths[0] == 1
    assert 1 < lengths[1] < 12
    assert lengths[2] == 12


def test_windows_of_large_networks_have_sixteen_timesteps(monkeypatch):
    network = random_network(7, timesteps=40)
    monkeypatch.setattr(plan, "WINDOW_BYTES", 1)
    assert plan.plan_network(network).window == plan.ROWS
    monkeypatch.setattr(plan, "WIDE_BYTES", 1)
    assert plan.plan_network(network).window == 1


@pytest.mark.parametrize("seed", range(10))
def test_results_do_not_depend_on_blocks_threads_or_the_rest_of_the_batch(seed, monkeypatch):
    network = random_network(seed)
    inputs = random_inputs(network, 9, seed)
    whole = EmulatorTarget(threads=1).load(network).run(inputs, trace=True)
    alone = EmulatorTarget(threads=1).load(network)
    for sample in range(9):
        one = alone.run({name: array[:, sample : sample + 1] for name, array in inputs.items()})
        for name, array in one.outputs.items():
            np.testing.assert_array_equal(array[:, 0], whole.outputs[name][:, sample])
    monkeypatch.setattr(blocks, "BLOCK_SECONDS", 1e-9)
    for threads in (1, 2, 5):
        require_equal(EmulatorTarget(threads=threads).load(network).run(inputs, trace=True), whole)


@pytest.mark.parametrize("seed", range(10))
def test_runs_leave_nothing_behind(seed):
    network = random_network(seed)
    loaded = EmulatorTarget(threads=2).load(network)
    first, second = random_inputs(network, 4, 1), random_inputs(network, 7, 2)
    before = loaded.run(first, trace=True)
    loaded.run(second)
    require_equal(loaded.run(first, trace=True), before)


@pytest.mark.parametrize("seed", range(10))
def test_a_trace_changes_nothing_but_what_is_kept(seed):
    network = random_network(seed)
    inputs = random_inputs(network, 4, seed)
    loaded = EmulatorTarget(threads=1).load(network)
    plain, traced = loaded.run(inputs), loaded.run(inputs, trace=True)
    assert (plain.spikes, plain.current, plain.voltage) == ({}, {}, {})
    assert plain.spike_counts == traced.spike_counts
    for name, array in traced.outputs.items():
        np.testing.assert_array_equal(plain.outputs[name], array)
