"""Lava computes random networks exactly as the reference says: every spike, every final current and voltage."""

from __future__ import annotations

import numpy as np
import pytest

from hsnn.ir.populations import IntegratorPopulation
from hsnn.verify.random_networks import FEATURES, STOCK, random_inputs, random_network
from hsnn_targets.lava import TARGET
from hsnn_targets.reference import TARGET as REFERENCE

pytestmark = pytest.mark.lava


def assert_same(network, executable, inputs):
    """Compare a traced run with the reference, but states of the last sample only."""
    want = REFERENCE.load(network).run(inputs, trace=True)
    got = executable.run(inputs, trace=True)
    assert {*got.outputs} == {*want.outputs}
    for kind in ("outputs", "spikes"):
        for name, spikes in getattr(want, kind).items():
            np.testing.assert_array_equal(getattr(got, kind)[name], spikes, err_msg=f"{kind} of {name}")
    for kind in ("current", "voltage"):
        for name, state in getattr(want, kind).items():
            np.testing.assert_array_equal(getattr(got, kind)[name], state[-1:], err_msg=f"{kind} of {name}")
    assert got.spike_counts == want.spike_counts


def check(network, seed):
    executable = TARGET.load(network)
    try:
        for index, batch in enumerate((3, 2)):
            assert_same(network, executable, random_inputs(network, batch, seed + index))
    finally:
        executable.close()


@pytest.mark.parametrize("seed", range(1000, 1024))
def test_every_feature(seed):
    check(random_network(seed, features=FEATURES), seed)


@pytest.mark.parametrize("seed", range(2000, 2008))
def test_what_stock_processes_hold(seed):
    check(random_network(seed, features=STOCK), seed)


@pytest.mark.parametrize("seed", range(3000, 3004))
def test_stock_neurons_with_delays_and_constants(seed):
    """Periods are longer than samples, so stock neurons fire in the gaps between samples."""
    check(random_network(seed, features={*STOCK, "delay", "constant", "recurrence"}), seed)


def test_the_seeds_reach_every_feature():
    """The networks above are worth their time: loops, wrapped currents, saturated voltages and the rest."""
    seen = set()
    for seed in range(1000, 1024):
        network = random_network(seed)
        result = REFERENCE.load(network).run(random_inputs(network, 3, seed), trace=True)
        seen |= {type(p).__name__ for p in (*network.projections, *network.populations)}
        seen |= {p.reset for p in network.neurons if not isinstance(p, IntegratorPopulation)}
        seen |= {"loop" for p in network.projections if p.pre == p.post}
        seen |= {"delay" for p in network.projections if p.delay and p.pre != p.post}
        seen |= {"refractory" for p in network.neurons if getattr(p, "refractory", 0)}
        seen |= {"graded" for port in network.inputs if port.graded}
        seen |= {"wrapped" for u in result.current.values() if np.any(np.abs(u) > 1 << 22)}
        seen |= {"saturated" for v in result.voltage.values() if np.any(np.abs(v) == (1 << 23) - 1)}
        seen |= {"fires" for count in result.spike_counts.values() if count}
    assert seen == {
        "DenseProjection",
        "SparseProjection",
        "ConvProjection",
        "ConstantSource",
        "LifPopulation",
        "IntegratorPopulation",
        "zero",
        "subtract",
        "none",
        "loop",
        "delay",
        "refractory",
        "graded",
        "wrapped",
        "saturated",
        "fires",
    }
