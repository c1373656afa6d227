"""Every kernel tier, and every way that synapses can run, equals the integer reference."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from hsnn.errors import UsageError
from hsnn.ir.arithmetic import VOLTAGE_MAX
from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.populations import InputPort, LifPopulation
from hsnn.ir.projections import DenseProjection
from hsnn.verify.random_layers import random_layers
from hsnn.verify.random_networks import random_inputs, random_network, summarize
from hsnn_targets.emulator import EmulatorTarget, blocks, plan, tiers
from hsnn_targets.emulator.dynamics import Dynamics, dynamics_of
from hsnn_targets.emulator.vector_pack import halve
from hsnn_targets.reference import TARGET as REFERENCE
from support.results import require_equal

VECTORS = [tier for tier in tiers.usable_tiers() if tier != "portable"]
WAYS = [("portable", "auto")] + [(tier, synapses) for tier in VECTORS for synapses in ("auto", "products", "events")]
each_vector_tier = pytest.mark.parametrize("tier", VECTORS)
ways = pytest.mark.parametrize(("tier", "synapses"), WAYS, ids=lambda way: way)


def emulator(tier, synapses="auto", threads=1):
    return EmulatorTarget(threads=threads, tier=tier, synapses=synapses)


@cache
def case(make, seed, batch):
    """A network, its inputs, and what the reference gives: the slow part, once for all ways."""
    network = make(seed)
    inputs = random_inputs(network, batch, seed)
    return network, inputs, REFERENCE.load(network).run(inputs, trace=True)


@ways
@pytest.mark.parametrize("seeds", [range(start, start + 30) for start in range(0, 120, 30)], ids=str)
def test_layers_that_may_be_products(seeds, tier, synapses):
    for seed in seeds:
        network, inputs, expected = case(random_layers, seed, 3)
        executable = emulator(tier, synapses).load(network)
        try:
            require_equal(executable.run(inputs, trace=True), expected)
            plain = executable.run(inputs)
            assert plain.spike_counts == expected.spike_counts
            for name, array in expected.outputs.items():
                np.testing.assert_array_equal(plain.outputs[name], array)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {dict(summarize(network))}") from error


@ways
@pytest.mark.parametrize("seeds", [range(start, start + 25) for start in range(5000, 5100, 25)], ids=str)
def test_networks_of_every_feature(seeds, tier, synapses):
    for seed in seeds:
        network, inputs, expected = case(random_network, seed, 2)
        require_equal(emulator(tier, synapses).load(network).run(inputs, trace=True), expected)


@ways
@pytest.mark.parametrize("seed", range(6))
def test_results_do_not_depend_on_windows_blocks_or_threads(seed, tier, synapses, monkeypatch):
    network, inputs, expected = case(random_layers, seed, 9)
    monkeypatch.setattr(blocks, "BLOCK_SECONDS", 1e-9)
    for room in (1, 20_000, 200_000, plan.WINDOW_BYTES):
        monkeypatch.setattr(plan, "WINDOW_BYTES", room)
        monkeypatch.setattr(plan, "WIDE_BYTES", room)
        for threads in (1, 3):
            require_equal(emulator(tier, synapses, threads).load(network).run(inputs, trace=True), expected)


@ways
@pytest.mark.parametrize("peak", [1, 2, 127, 128, 255])
def test_the_largest_weights_and_sums(tier, synapses, peak):
    rng = np.random.default_rng(peak)
    drawn = [(-256, -255, "mixed"), (254, 255, "mixed"), (-256, 256, "mixed")]
    for low, high, mode in [*drawn, (255, 256, "excitatory"), (-255, -254, "inhibitory")]:
        weights = rng.integers(low, high, (70, 300)).astype(np.int16) & (-2 if mode == "mixed" else -1)
        for exponent in (0, 3, 15):
            network = one_layer(weights, peak, weight_exp=exponent, sign_mode=mode)
            inputs = {"in": rng.integers(0, peak, (9, 2, 300), endpoint=True).astype(np.int32)}
            inputs["in"][3] = peak
            expected = REFERENCE.load(network).run(inputs, trace=True)
            require_equal(emulator(tier, synapses).load(network).run(inputs, trace=True), expected)


def one_layer(weights, peak=1, *, timesteps=9, weight_exp=0, sign_mode="mixed", **options):
    zero = np.zeros((), np.int32)
    parameters = {"du": zero, "dv": zero, "threshold": np.array(VOLTAGE_MAX, np.int32), "bias_mant": zero, **options}
    neuron = LifPopulation("a", (weights.shape[0],), **parameters)
    return IntegerNetwork(
        "one",
        timesteps,
        (InputPort("in", (weights.shape[1],), peak),),
        (neuron,),
        (DenseProjection("p", "in", "a", weights, weight_exp=weight_exp, sign_mode=sign_mode),),
        ("a",),
    )


@each_vector_tier
@pytest.mark.parametrize("keep", [0, 1, 2, 1229, 2048, 3071, 3686, 4095, 4096])
def test_decay_of_currents_and_voltages(tier, keep):
    """States over the whole range decay for many timesteps, each neuron from a value of its own."""
    rng = np.random.default_rng(keep)
    weights = np.concatenate([rng.integers(-128, 128, (640, 1)), np.arange(-64, 64)[:, None]]).astype(np.int16) * 2
    options = {"du": np.array(4095 - keep, np.int32), "dv": np.array(4096 - keep, np.int32)}
    spikes = np.zeros((60, 1, 1), np.int32)
    spikes[[0, 1, 20, 21, 22]] = 1
    for exponent in (0, 5, 9):
        network = one_layer(weights.astype(np.int16), timesteps=60, weight_exp=exponent, **options)
        expected = REFERENCE.load(network).run({"in": spikes}, trace=True)
        require_equal(emulator(tier, "products").load(network).run({"in": spikes}, trace=True), expected)


@pytest.mark.parametrize(
    ("weight", "exponent", "options", "kind"),
    [
        (2, 0, {}, Dynamics.FREE),
        (254, 7, {"du": 4095}, Dynamics.CLIP),
        (254, 8, {}, Dynamics.WRAP),
        (256, 10, {}, Dynamics.WRAP),
        (256, 11, {}, Dynamics.PORTABLE),
        (2, 0, {"reset": "none"}, Dynamics.SUBTRACT),
        (2, 0, {"refractory": 1}, Dynamics.PORTABLE),
        (2, 0, {"du": -1}, Dynamics.FREE),
    ],
)
def test_bounds_choose_the_kernel_of_neurons(weight, exponent, options, kind):
    given = {name: np.array(value, np.int32) if name == "du" else value for name, value in options.items()}
    network = one_layer(np.full((1, 1), -weight, np.int16), weight_exp=exponent, **given)
    assert dynamics_of(network, network.neurons[0], network.projections) is kind


def test_weights_that_fit_bytes():
    assert halve(np.array([-128, 127, 3], np.int16))[1] == 0
    assert halve(np.array([-256, 254], np.int16))[1] == 1
    assert halve(np.array([128, 1], np.int16)) is None
    assert halve(np.array([256, 0], np.int16)) is None
    assert halve(np.zeros((0, 3), np.int16))[1] == 0


@each_vector_tier
def test_activity_chooses_between_products_and_events(tier):
    rng = np.random.default_rng(0)
    network = one_layer((rng.integers(-60, 60, (64, 400)) * 2).astype(np.int16), timesteps=16)
    loaded = emulator(tier).load(network)
    for rate, product in ((0.001, False), (0.9, True)):
        inputs = {"in": (rng.random((16, 3, 400)) < rate).astype(np.int32)}
        before = loaded.usage()["p"]
        loaded.run(inputs)
        after = loaded.usage()["p"]
        assert (after.products > before.products, after.events > before.events) == (product, not product)


@pytest.mark.parametrize("tier", tiers.TIERS)
def test_a_tier_needs_all_its_features(tier):
    features = dict.fromkeys(tiers.NEEDED[tier], True)
    assert tiers.tiers_of(features)[-1] == tier
    for missing in tiers.NEEDED[tier]:
        assert tier not in tiers.tiers_of({**features, missing: False})


@pytest.mark.slow
@pytest.mark.parametrize("tier", ["avx512", "amx"])
def test_tiers_with_twins_of_their_instructions(tier, tmp_path):
    script = Path(__file__).parent / "twins.py"
    environment = {**os.environ, "HSNN_CACHE": str(tmp_path)}
    command = [sys.executable, str(script), tier, "0", "12"]
    run = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=550)
    assert run.returncode == 0, run.stderr[-3000:]
    assert run.stdout.startswith("24 networks")
    assert int(run.stdout.split()[2]) > 20


@pytest.mark.slow
@pytest.mark.skipif(
    sys.platform != "linux" or tiers.usable_tiers()[-1] != "avx512",
    reason="needs AVX-512 on Linux; where there are tiles the tests themselves use them",
)
@pytest.mark.parametrize(
    ("files", "names", "products"),
    [
        (("test_emulator_tiers.py",), "amx", 10_000),
        (("test_emulator_many.py",), "", 1_500),
        (("test_emulator_edges.py", "test_counting.py", "test_recording.py", "test_narrow_inputs.py"), "", 300),
    ],
    ids=["ways", "many", "rest"],
)
def test_machine_code_of_amx_with_its_instructions_carried_out_by_us(files, names, products):
    here = Path(__file__).parent
    command = [sys.executable, str(here / "trapped.py"), "-q", *[str(here / file) for file in files], "-k", names]
    run = subprocess.run(command, capture_output=True, text=True, timeout=550)
    assert run.returncode == 0, run.stdout[-2000:] + run.stderr[-2000:]
    assert int(run.stdout.rsplit("'tdpbusd': ", 1)[1].split(",")[0].rstrip("}\n")) > products


def test_the_environment_chooses_the_tier(monkeypatch):
    monkeypatch.setenv("HSNN_EMULATOR_TIER", "portable")
    network = random_network(0)
    assert EmulatorTarget().load(network).tier == "portable"
    assert EmulatorTarget().load(network).plan.vector is None
    monkeypatch.setenv("HSNN_EMULATOR_TIER", "")
    assert EmulatorTarget().load(network).tier == tiers.usable_tiers()[-1]


def test_tiers_that_do_not_exist_or_cannot_run_are_refused(monkeypatch):
    with pytest.raises(UsageError, match="HSNN-U041"):
        EmulatorTarget(tier="fast").load(random_network(0))
    monkeypatch.setattr(tiers, "usable_tiers", lambda: ("portable",))
    with pytest.raises(UsageError, match="HSNN-U041"):
        EmulatorTarget(tier="avx512").load(random_network(0))
    monkeypatch.setenv("HSNN_EMULATOR_TIER", "avx512")
    with pytest.raises(UsageError, match=r"HSNN-U041.*HSNN_EMULATOR_TIER"):
        EmulatorTarget().load(random_network(0))
