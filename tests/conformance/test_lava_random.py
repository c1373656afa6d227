"""Lava computes random networks exactly as the reference says: every spike, every final current and voltage."""

from __future__ import annotations

import numpy as np
import pytest

from hsnn.ir.populations import IntegratorPopulation
from hsnn.verify.random_networks import FEATURES, STOCK, random_inputs, random_network
from hsnn_targets.reference import TARGET as REFERENCE
from support.on_lava import require_equal_on_lava

pytestmark = pytest.mark.lava


@pytest.mark.parametrize("seed", range(1000, 1024))
def test_every_feature(seed):
    require_equal_on_lava(random_network(seed, features=FEATURES), seed)


@pytest.mark.parametrize("seed", range(2000, 2008))
def test_what_stock_processes_hold(seed):
    require_equal_on_lava(random_network(seed, features=STOCK), seed)


@pytest.mark.parametrize("seed", range(3000, 3004))
def test_stock_neurons_with_delays_and_constants(seed):
    """Periods are longer than samples, so stock neurons fire in the gaps between samples."""
    require_equal_on_lava(random_network(seed, features={*STOCK, "delay", "constant", "recurrence"}), seed)


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
