"""Lava computes sigma-delta, adaptive and counting neurons and graded messages exactly as the reference says."""

from __future__ import annotations

import subprocess

import pytest

from hsnn.ir.populations import AdaptiveLifPopulation, CountingLifPopulation, SigmaDeltaPopulation
from hsnn.verify.random_networks import EVERYTHING, FEATURES, random_inputs, random_network
from hsnn_targets.lava.interpreter import worker_interpreter
from hsnn_targets.reference import TARGET as REFERENCE
from support.on_lava import require_equal_on_lava

pytestmark = pytest.mark.lava
SEEDS = range(4016, 4024)
COUNTING_SEEDS = range(4100, 4108)


@pytest.mark.parametrize("seed", SEEDS)
def test_special_neurons(seed):
    require_equal_on_lava(random_network(seed, features=EVERYTHING), seed)


@pytest.mark.parametrize("seed", COUNTING_SEEDS)
def test_neurons_that_count(seed):
    require_equal_on_lava(random_network(seed, features=FEATURES | {"counting"}), seed)


def test_the_seeds_reach_counts_and_floors():
    found, most = [], 0
    for seed in COUNTING_SEEDS:
        network = random_network(seed, features=FEATURES | {"counting"})
        found += [neuron for neuron in network.neurons if isinstance(neuron, CountingLifPopulation)]
        sent = REFERENCE.load(network).run(random_inputs(network, 3, seed), trace=True).spikes
        most = max(most, *(int(array.max()) for array in sent.values()))
    assert {n.reset for n in found} == {"zero", "subtract"}
    assert {n.max_spikes == 1 for n in found} == {bool(n.refractory) for n in found} == {True, False}
    assert most > 100


def test_the_seeds_reach_every_kind():
    found = [
        neuron
        for seed in SEEDS
        for neuron in random_network(seed, features=EVERYTHING).neurons
        if isinstance(neuron, SigmaDeltaPopulation)
    ]
    assert any(
        isinstance(neuron, AdaptiveLifPopulation)
        for seed in SEEDS
        for neuron in random_network(seed, features=EVERYTHING).neurons
    )
    assert {n.accumulate for n in found} == {n.rectify for n in found} == {n.keep_rest for n in found} == {True, False}


OWN_MODEL = """
from types import SimpleNamespace

import numpy as np

from hsnn_targets.lava.shim import import_lava

import_lava()
from lava.proc.atrlif.models import PyATRLIFModelFixed as Model

from hsnn.ir import arithmetic as rules

rng = np.random.default_rng(0)
fired = 0
for _ in range(40):
    du, dv, dth, dr = (int(x) for x in rng.integers(0, 4095, 4))
    theta, step = int(rng.integers(1, 2000)), int(rng.integers(0, 500))
    lava = SimpleNamespace(
        **{name: np.zeros(30, np.int32) for name in ("i", "v", "r")},
        theta=np.full(30, theta << 6, np.int32),
        theta_0=np.int32(theta << 6),
        theta_step=np.int32(step << 6),
        delta_i=du / 4096,
        delta_v=dv / 4096,
        delta_theta=dth / 4096,
        delta_r=dr / 4096,
        effective_bias=int(rng.integers(-500, 500)),
        **{"ds_offset": 1, "max_iv_val": 1 << 23, "decay_shift": 12, "decay_unity": 4096, "act_unity": 64},
    )
    u = v = raised = refractory = np.zeros(30, np.int32)
    for _ in range(25):
        arriving = rng.integers(-2000, 6000, 30).astype(np.int32)
        Model.subthr_dynamics(lava, arriving)
        wanted = (lava.v - lava.r) >= lava.theta
        Model.post_spike(lava, wanted)
        u = rules.advance_current(u, arriving, du)
        v = rules.advance_voltage(v, u, np.int32(lava.effective_bias), dv)
        spikes, raised, refractory = rules.adapt(
            v,
            raised,
            refractory,
            threshold=np.int32(theta << 6),
            step=np.int32(step << 6),
            decays=(np.int32(dth), np.int32(dr)),
        )
        assert np.array_equal(spikes, wanted)
        assert np.array_equal(raised + (theta << 6), lava.theta)
        assert np.array_equal(refractory, lava.r)
        fired += int(spikes.sum())
print(fired)
"""


def test_adaptation_is_that_of_lavas_own_model():
    """Lava's ATRLIF, run by its model's own functions, and ours: equal spike for spike and state for state."""
    found = subprocess.run(
        [worker_interpreter(), "-c", OWN_MODEL], check=True, capture_output=True, text=True, timeout=120
    )
    assert int(found.stdout) > 1000
