"""Samples that threads share: whatever is cut, and whoever does which part when, every bit is the reference's."""

from __future__ import annotations

import random
from collections import deque

import numpy as np
import pytest

from hsnn.errors import UsageError
from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.populations import InputPort, LifPopulation
from hsnn.ir.projections import ConvProjection
from hsnn.recording import Recording, record
from hsnn.verify.random_layers import random_layers
from hsnn.verify.random_networks import random_inputs, random_network, summarize
from hsnn_targets.emulator import EmulatorTarget, parts, plan, sharing, tables
from hsnn_targets.emulator.tiers import usable_tiers
from hsnn_targets.reference import TARGET as REFERENCE
from support.parts import cut_everything
from support.results import require_equal

TIERS = usable_tiers()
WAYS = [(tier, synapses) for tier in TIERS for synapses in (("auto",) if tier == "portable" else ("auto", "products"))]
ways = pytest.mark.parametrize(("tier", "synapses"), WAYS, ids=lambda way: way)


@pytest.fixture
def everything_cut(monkeypatch):
    cut_everything(monkeypatch)


def load(network, tier, synapses="auto", threads=3):
    return EmulatorTarget(threads=threads, tier=tier, synapses=synapses).load(network)


def require_same(network, executable, inputs):
    """Hold outputs, spikes, states, counts and packed spikes of a batch against the reference."""
    expected = REFERENCE.load(network).run(inputs, trace=True)
    require_equal(executable.run(inputs, trace=True), expected)
    recorded = record(executable, inputs, Recording())
    assert recorded.spike_counts == expected.spike_counts
    for name, spikes in expected.spikes.items():
        np.testing.assert_array_equal(recorded.packed[name].unpack(), spikes, err_msg=name)


@ways
@pytest.mark.parametrize("make", [random_layers, random_network])
@pytest.mark.parametrize("first", [7000, 7020])
def test_random_networks(first, make, tier, synapses, everything_cut):
    cut = 0
    for seed in range(first, first + 20):
        network = make(seed)
        for threads in (2, 3):
            executable = load(network, tier, synapses, threads)
            cut += executable._cut is not None
            try:
                require_same(network, executable, random_inputs(network, 1 + seed % 2 * (threads - 2), seed))
            except AssertionError as error:
                raise AssertionError(f"seed {seed}: {dict(summarize(network))}") from error
    assert cut > 20


@ways
@pytest.mark.parametrize("room", [1, 20_000])
def test_windows(room, tier, synapses, everything_cut, monkeypatch):
    """What delays ask for goes on from window to window, and states do."""
    monkeypatch.setattr(plan, "WINDOW_BYTES", room)
    monkeypatch.setattr(plan, "WIDE_BYTES", room)
    for seed in range(7100, 7115):
        for network in (random_layers(seed), random_network(seed, timesteps=33)):
            require_same(network, load(network, tier, synapses), random_inputs(network, 1, seed))


@ways
def test_parts_of_a_round_may_go_in_any_order(tier, synapses, everything_cut, monkeypatch):
    order = random.Random(0)

    def alone(kernels, rounds, words):
        shuffled = [deque(order.sample(list(tasks), len(tasks))) for tasks in rounds]
        assert max(map(len, shuffled)) > 1
        sharing.share(kernels[:1], shuffled, words)

    monkeypatch.setattr(parts, "share", alone)
    for seed in range(7200, 7230):
        for network in (random_layers(seed), random_network(seed)):
            require_same(network, load(network, tier, synapses), random_inputs(network, 1, seed))


@pytest.mark.parametrize("tier", [tier for tier in TIERS if tier != "portable"])
def test_usage_counts_each_window_once(tier, everything_cut):
    for seed in range(7300, 7320):
        network = random_layers(seed)
        inputs = random_inputs(network, 1, seed)
        alone, shared = (load(network, tier, threads=threads) for threads in (1, 3))
        for executable in (alone, shared):
            executable.run(inputs)
            executable.run(inputs)
        assert shared.usage() == alone.usage()


@pytest.mark.parametrize("tier", TIERS)
def test_payloads_out_of_range_and_bytes(tier, everything_cut):
    network = conv_layer(channels=3)
    rng = np.random.default_rng(0)
    good = rng.integers(0, 2, (6, 1, 3, 9, 9)).astype(np.int32)
    executable = load(network, tier)
    stage = next(stage for stage in executable._cut.stages if stage.what == tables.READ)
    assert stage.cut
    expected = executable.run({"in": good})
    require_equal(executable.run({"in": good.astype(np.uint8)}), expected)
    for t in range(6):
        bad = good.copy()
        bad[t, 0, 2, 8, 8] = 2
        with pytest.raises(UsageError, match="HSNN-R001"):
            executable.run({"in": bad})
        require_equal(executable.run({"in": good}), expected)


@ways
@pytest.mark.parametrize("channels", [1, 3, 8, 15, 16, 17, 31, 40])
def test_whole_blocks_leave_the_next_timestep_alone(channels, tier, synapses, everything_cut):
    """Blocks of 16 neurons reach beyond the last pixel's; those sums are of nobody."""
    network = conv_layer(channels)
    executable = load(network, tier, synapses)
    for product in () if executable.plan.vector is None else executable.plan.vector.products:
        reached = (product["pixels"] - 1) * product["lanes"] + product["blocks"] * 16
        assert reached <= executable.plan.program.populations[0]["sums"]
    rng = np.random.default_rng(channels)
    for _ in range(5):
        require_same(network, executable, {"in": rng.integers(0, 2, (6, 1, 3, 9, 9)).astype(np.int32)})


def conv_layer(channels):
    zero = np.zeros((), np.int32)
    weights = (np.random.default_rng(1).integers(-60, 64, (channels, 3, 2, 2)) * 2).astype(np.int16)
    neuron = LifPopulation("a", (channels, 8, 8), zero, zero, np.array(2000, np.int32), zero)
    synapses = ConvProjection("p", "in", "a", weights)
    return IntegerNetwork("conv", 6, (InputPort("in", (3, 9, 9)),), (neuron,), (synapses,), ("a",))
