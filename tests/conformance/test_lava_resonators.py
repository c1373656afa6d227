"""Lava computes resonators exactly as the reference says, and the rules are those of its own RF and RF_IZ."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest

from hsnn.ir.populations import ResonatorPopulation
from hsnn.verify.random_networks import FEATURES, random_network
from hsnn_targets.lava.interpreter import worker_interpreter
from support.on_lava import require_equal_on_lava

pytestmark = pytest.mark.lava

SEEDS = tuple(range(700_000, 700_012))


def resonators(seed):
    network = random_network(seed, features=FEATURES | {"resonator"})
    return network, [n for n in network.neurons if isinstance(n, ResonatorPopulation)]


@pytest.mark.parametrize("seed", [seed for seed in SEEDS if resonators(seed)[1]][:6])
def test_resonators(seed):
    network, _ = resonators(seed)
    require_equal_on_lava(network, seed)


def test_the_seeds_reach_both_kinds_and_images():
    found = [neuron for seed in SEEDS for neuron in resonators(seed)[1]]
    assert {neuron.firing for neuron in found} == {"phase", "izhikevich"}
    assert {len(neuron.shape) for neuron in found} == {1, 3}


OWN_MODELS = """
from types import SimpleNamespace

import numpy as np

from hsnn_targets.lava.shim import import_lava

import_lava()
from lava.proc.rf.models import PyRFModelFixed
from lava.proc.rf_iz.models import PyRF_IZModelFixed

from hsnn.ir import arithmetic as rules


class Port:
    def __init__(self):
        self.value = None

    def recv(self):
        return self.value

    def send(self, value):
        self.value = value


def lava_model(kind, cos, sin, threshold):
    lava = SimpleNamespace(
        **{name: Port() for name in ("a_real_in", "a_imag_in", "s_out")},
        **{name: np.zeros(30, np.int32) for name in ("real", "imag")},
        cos_decay=np.array([cos]), sin_decay=np.array([sin]), vth=np.array([threshold]),
        state_exp=np.array([6], np.int32), decay_bits=np.array([12], np.int32),
        neg_voltage_limit=-np.int32(1 << 23) + 1, pos_voltage_limit=np.int32(1 << 23) - 1,
    )
    lava.scale_volt = lambda voltage: kind.scale_volt(lava, voltage)
    lava.resonator_dynamics = lambda *args: kind.resonator_dynamics(lava, *args)
    return lava


rng = np.random.default_rng(0)
fired = {"phase": 0, "izhikevich": 0}
for kind, firing in ((PyRFModelFixed, "phase"), (PyRF_IZModelFixed, "izhikevich")):
    for trial in range(60):
        cos, sin = (int(x) for x in rng.integers(-4096, 4097, 2))
        if trial % 2:
            cos, sin = abs(cos), abs(sin)
        peak = int(10 ** rng.uniform(2, 6))
        threshold = int(rng.integers(0, peak)) << 6 if trial % 5 else int(rng.integers(0, 1 << 23))
        lava = lava_model(kind, cos, sin, min(threshold, (1 << 23) - 1))
        real = imag = np.zeros(30, np.int32)
        for _ in range(40):
            parts = tuple(rng.integers(-peak, peak, 30).astype(np.int32) for _ in range(2))
            lava.a_real_in.send(parts[0])
            lava.a_imag_in.send(parts[1])
            kind.run_spk(lava)
            spikes, real, imag = rules.resonate(
                real, imag, parts, decays=(np.array(cos), np.array(sin)), threshold=lava.vth, firing=firing
            )
            assert np.array_equal(spikes, lava.s_out.value)
            assert np.array_equal(real, lava.real)
            assert np.array_equal(imag, lava.imag)
            fired[firing] += int(spikes.sum())
print(*fired.values())
"""


def test_rules_are_those_of_lavas_own_models():
    """Lava's RF and RF_IZ, run by their models' own functions, and ours: equal spike for spike and state for state."""
    found = subprocess.run(
        [worker_interpreter(), "-c", OWN_MODELS], check=True, capture_output=True, text=True, timeout=120
    )
    assert np.all(np.array(found.stdout.split(), int) > 1000)
