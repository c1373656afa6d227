"""Delayed synapses run as products, too: the bytes of earlier windows are kept for as long as a delay asks for them."""

from __future__ import annotations

import numpy as np
import pytest

from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.populations import CountingLifPopulation, InputPort, LifPopulation
from hsnn.ir.projections import ConvProjection, DenseProjection
from hsnn_targets.emulator import EmulatorTarget, blocks, plan
from hsnn_targets.emulator.tiers import usable_tiers
from hsnn_targets.reference import TARGET as REFERENCE
from support.results import require_equal

VECTORS = [tier for tier in usable_tiers() if tier != "portable"]
TIMESTEPS, ZERO = 37, np.zeros((), np.int32)
DU, DV, THRESHOLD = np.array(700, np.int32), np.array(300, np.int32), np.array(9000, np.int32)


def drawn(rng, *shape):
    return (rng.integers(-60, 70, shape) * 2).astype(np.int16)


def network(seed, *, graded):
    """A port and three layers; each pair that follows each other has two projections of different delays."""
    rng = np.random.default_rng(seed)
    delays = iter(rng.permutation([0, 1, 2, 3, 5, 16, 17, 36]).tolist())
    port = InputPort("in", (3, 6, 5), 100 if graded else 1)
    first = LifPopulation("a", (7, 6, 5), DU, DV, THRESHOLD, ZERO)
    counted = CountingLifPopulation("b", (30,), DU, DV, THRESHOLD, ZERO, max_spikes=9)
    last = LifPopulation("c", (40,), DU, DV, THRESHOLD, ZERO)
    framed = ConvProjection("p0", "in", "a", drawn(rng, 7, 3, 3, 3), padding=(1, 1), delay=next(delays))
    bare = ConvProjection("p1", "in", "a", drawn(rng, 7, 3, 1, 1), delay=next(delays))
    dense = [
        DenseProjection(f"{pre}{post}{k}", pre, post, drawn(rng, *size), delay=next(delays))
        for pre, post, size in (("a", "b", (30, 210)), ("b", "c", (40, 30)), ("in", "c", (40, 90)))
        for k in range(2)
    ]
    return IntegerNetwork("n", TIMESTEPS, (port,), (first, counted, last), (framed, bare, *dense), ("c", "b"))


@pytest.mark.parametrize("tier", VECTORS)
@pytest.mark.parametrize("graded", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_delayed_products_equal_the_reference(seed, graded, tier, monkeypatch):
    rng = np.random.default_rng(seed)
    net = network(seed, graded=graded)
    # Quiet and busy stretches, so that windows of both kinds follow each other.
    rate = np.repeat(rng.choice([0.0, 0.02, 0.5, 0.9], 8), 5)[:TIMESTEPS, None, None, None, None]
    spikes = (rng.random((TIMESTEPS, 3, 3, 6, 5)) < rate) * rng.integers(1, 100 if graded else 1, endpoint=True)
    inputs = {"in": spikes.astype(np.int32)}
    expected = REFERENCE.load(net).run(inputs, trace=True)
    monkeypatch.setattr(blocks, "BLOCK_SECONDS", 1e-9)
    for room in (1, 60_000, plan.WINDOW_BYTES):
        monkeypatch.setattr(plan, "WINDOW_BYTES", room)
        monkeypatch.setattr(plan, "WIDE_BYTES", room)
        for synapses in ("products", "auto", "events"):
            executable = EmulatorTarget(threads=2, tier=tier, synapses=synapses).load(net)
            require_equal(executable.run(inputs, trace=True), expected)
            used = executable.usage()
            if synapses == "products":
                delayed = [p.name for p in net.projections if p.delay]
                assert all(used[name].products > 0 for name in delayed), used


@pytest.mark.parametrize("tier", VECTORS)
def test_a_window_that_asks_for_an_earlier_ones_events_finds_them(tier, monkeypatch):
    """A busy window runs as a product, and the quiet one after it as events, which begin in the busy one."""
    monkeypatch.setattr(plan, "WINDOW_BYTES", 1)
    monkeypatch.setattr(plan, "WIDE_BYTES", 1 << 20)
    rng = np.random.default_rng(0)
    neuron = LifPopulation("a", (64,), DU, DV, THRESHOLD, ZERO)
    synapses = DenseProjection("p", "in", "a", drawn(rng, 64, 400), delay=9)
    net = IntegerNetwork("n", 48, (InputPort("in", (400,)),), (neuron,), (synapses,), ("a",))
    spikes = np.zeros((48, 2, 400), np.uint8)
    spikes[:16] = rng.random((16, 2, 400)) < 0.8
    spikes[40:] = rng.random((8, 2, 400)) < 0.01
    executable = EmulatorTarget(threads=1, tier=tier).load(net)
    assert executable.plan.window < 48
    require_equal(executable.run({"in": spikes}, trace=True), REFERENCE.load(net).run({"in": spikes}, trace=True))
    used = executable.usage()["p"]
    assert used.products > 0
    assert used.events > 0
