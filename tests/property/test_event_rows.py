"""Rows of weights summed for the spikes of a timestep: extreme weights, more spikes than 16 bits hold, any width."""

from __future__ import annotations

import numpy as np
import pytest

from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.populations import InputPort, LifPopulation
from hsnn.ir.projections import DenseProjection
from hsnn.target import find_target
from hsnn_targets.emulator import EmulatorTarget, pack
from hsnn_targets.emulator.heap import LINE, Heap, aligned
from hsnn_targets.emulator.pack import weave
from hsnn_targets.emulator.tiers import usable_tiers
from support.results import require_equal

ZERO, PRE = np.zeros((), np.int32), 700


@pytest.mark.parametrize("post", [1, 16, 17, 33, 64, 96, 129, 300])
@pytest.mark.parametrize("span", ["bytes", "halved", "shorts"])
def test_sums_of_extreme_rows(post, span):
    rng = np.random.default_rng(post)
    low, high, step = {"bytes": (-128, 126, 2), "halved": (-256, 254, 2), "shorts": (1, 255, 1)}[span]
    weights = rng.integers(low // step, high // step, (post, PRE), np.int16, endpoint=True) * np.int16(step)
    weights[0], weights[-1], weights[post // 2] = high, low, rng.choice([low, high], PRE)
    neuron = LifPopulation("a", (post,), np.array(4095, np.int32), ZERO, np.array(2**23 - 1, np.int32), ZERO)
    synapses = DenseProjection("p", "in", "a", weights, sign_mode="excitatory" if span == "shorts" else "mixed")
    network = IntegerNetwork("n", 6, (InputPort("in", (PRE,)),), (neuron,), (synapses,), ("a",))
    spikes = np.zeros((6, 1, PRE), np.uint8)
    for t, share in enumerate((1.0, 0.0, 0.37, 0.9, 0.003)):
        spikes[t, 0] = rng.random(PRE) < share
    expected = find_target("reference").load(network).run({"in": spikes}, trace=True)
    for tier in usable_tiers():
        way = EmulatorTarget(tier=tier, threads=1, synapses="events").load(network)
        require_equal(way.run({"in": spikes}, trace=True), expected)


@pytest.mark.parametrize("post", [1, 128, 129, 257, 300, 520])
@pytest.mark.parametrize("kind", ["bytes", "shorts", "graded"])
def test_stripes_of_rows(post, kind, monkeypatch):
    """Rows of many weights lie in stripes, whose last may be narrower."""
    monkeypatch.setattr(pack, "STRIPED_BYTES", 0)
    rng = np.random.default_rng(post)
    low, step = (1, 1) if kind == "shorts" else (-254, 2)
    weights = rng.integers(low // step, 254 // step, (post, 90), np.int16, endpoint=True) * np.int16(step)
    neuron = LifPopulation("a", (post,), np.array(900, np.int32), ZERO, np.array(4000, np.int32), ZERO)
    mode, peak = ("excitatory" if kind == "shorts" else "mixed"), (9 if kind == "graded" else 1)
    synapses = [DenseProjection(f"p{delay}", "in", "a", weights, delay=delay, sign_mode=mode) for delay in (0, 2)]
    network = IntegerNetwork("n", 7, (InputPort("in", (90,), peak),), (neuron,), tuple(synapses), ("a",))
    spikes = rng.integers(0, peak, (7, 2, 90), endpoint=True).astype(np.int32) * (rng.random((7, 2, 90)) < 0.3)
    expected = find_target("reference").load(network).run({"in": spikes}, trace=True)
    for tier in usable_tiers():
        way = EmulatorTarget(tier=tier, threads=1, synapses="events").load(network)
        assert int(way.plan.program.projections["stripe"][0]) == pack.STRIPES[tier]
        require_equal(way.run({"in": spikes}, trace=True), expected)


def test_woven_rows_are_pairs():
    rows = np.arange(64, dtype=np.int8).reshape(1, 64) - 40
    pairs = weave(rows).reshape(2, 16, 2)
    for block in range(2):
        assert np.array_equal(
            pairs[block, :, 0].view(np.uint8), rows[0, 32 * block : 32 * block + 16].astype(int) + 128
        )
        assert np.array_equal(pairs[block, :, 1], rows[0, 32 * block + 16 : 32 * block + 32])


def test_bytes_start_where_cache_lines_do():
    for count in (1, 100, 1 << 20):
        assert aligned(count, np.int32).ctypes.data % LINE == 0
        assert aligned(count, np.int32).size == count
    heap, parts = Heap(np.int8), [np.full(size, size % 100, np.int8) for size in (5, 64, 1000)]
    places = [heap.add(part) for part in parts]
    flat = heap.flat()
    for place, part in zip(places, parts, strict=True):
        assert flat[place:].ctypes.data % LINE == 0
        assert np.array_equal(flat[place : place + part.size], part)
