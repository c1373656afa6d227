"""The two ways a CoLaNET head learns are equal in every weight, threshold and spike."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hsnn_models.colanet import fast, reference
from hsnn_models.colanet.parameters import PRESETS, Parameters
from hsnn_models.colanet.spikes import encode
from hsnn_models.colanet.state import State

LEARNED = ("resources", "weights", "thresholds", "stability")


def case(seed):
    """Return parameters from all over their ranges, features, and labels of three classes."""
    rng = np.random.default_rng(seed)
    presets = list(PRESETS.values())
    parameters = dataclasses.replace(
        presets[seed % len(presets)],
        copies=int(rng.integers(1, 4)),
        microcolumns=int(rng.integers(1, 5)),
        active=int(rng.integers(1, 14)),
        wait=int(rng.integers(0, 4)),
        initial=float(rng.choice([0.0, 0.5, 0.25])),
        threshold=float(rng.choice([0.2, 1.0, 8.0])),
        noise=float(rng.choice([0.0, 0.5, 2.0])),
        leak=float(rng.choice([0.0, 0.2, 1.0])),
        floor=bool(rng.integers(2)),
        window=int(rng.integers(1, 16)),
        dopamine=float(rng.choice([0.05, 0.9])),
        stability_rate=float(rng.choice([0.0, 0.5, 3.0])),
    )
    features = (rng.random((25, int(rng.integers(1, 33)))) * 1.3 - 0.2).astype(np.float32)
    return parameters, features, rng.integers(0, 3, 25)


@pytest.mark.parametrize("seed", range(16))
def test_learning_and_answers_are_equal(seed):
    parameters, features, labels = case(seed)
    events = encode(features, parameters)
    slow = State.new(features.shape[1], 3, parameters)
    quick = slow.copy()
    told = reference.learn(slow, events, labels, parameters, seed)
    assert np.array_equal(fast.learn(quick, events, labels, parameters, seed), told)
    for name in LEARNED:
        assert getattr(slow, name).tobytes() == getattr(quick, name).tobytes(), name
    assert quick.seen == slow.seen == 25
    spikes = reference.first_spikes(slow, events, parameters)
    assert np.array_equal(fast.first_spikes(quick, events, parameters), spikes)


def test_the_cases_reach_every_branch():
    seen = {"right": 0, "wrong": 0, "forced": 0, "silent": 0, "stable": 0, "answers": 0}
    for seed in range(16):
        parameters, features, labels = case(seed)
        events = encode(features, parameters)
        state = State.new(features.shape[1], 3, parameters)
        told = fast.learn(state, events, labels, parameters, seed)
        won, forced = told[..., 0] >= 0, told[..., 2] >= 0
        seen["right"] += int((won & ~forced).sum())
        seen["wrong"] += int((won & forced).sum())
        seen["forced"] += int(forced.sum())
        seen["silent"] += int((~won).sum())
        seen["stable"] += int((state.stability > 0.1).sum())
        seen["answers"] += int((fast.first_spikes(state, events, parameters) < parameters.timesteps).sum())
    assert min(seen.values()) > 30, seen


def test_threads_change_nothing():
    parameters, features, labels = case(5)
    parameters = dataclasses.replace(parameters, copies=5)
    events = encode(features, parameters)
    states = [State.new(features.shape[1], 3, parameters) for _ in range(2)]
    for state, threads in zip(states, (1, 3), strict=True):
        fast.learn(state, events, labels, parameters, 1, threads=threads)
    assert states[0].weights.tobytes() == states[1].weights.tobytes()


def test_copies_differ_by_their_noise_alone():
    parameters, features, labels = case(3)
    parameters = dataclasses.replace(parameters, copies=2, microcolumns=3, noise=0.5, threshold=1.0, active=10)
    for noise, same in ((0.0, True), (0.5, False)):
        chosen = dataclasses.replace(parameters, noise=noise)
        state = State.new(features.shape[1], 3, chosen)
        fast.learn(state, encode(features, chosen), labels, chosen, 1)
        assert (state.weights[0].tobytes() == state.weights[1].tobytes()) is same


def test_resources_are_conserved_but_for_what_silent_synapses_take():
    parameters = dataclasses.replace(Parameters(), copies=1, silent_synapses=0.0, microcolumns=2, dopamine=0.5)
    features = np.random.default_rng(1).random((30, 50)).astype(np.float32)
    state = State.new(50, 2, parameters)
    before = state.resources.sum(axis=2, dtype=np.float64)
    reference.learn(state, encode(features, parameters), np.arange(30) % 2, parameters, 1)
    assert np.abs(state.resources - state.resources.mean()).max() > 0.01
    assert np.allclose(state.resources.sum(axis=2, dtype=np.float64), before, atol=1e-3)


def test_noise_is_uniform_and_its_own():
    drawn = np.stack(
        [reference.noise(1, copy, sample, t, 50) for copy in (0, 1) for sample in range(9) for t in (0, 1)]
    )
    assert drawn.dtype == np.float32
    assert 0 <= drawn.min() < 0.01 < 0.99 < drawn.max() < 1
    assert abs(drawn.mean() - 0.5) < 0.03
    assert len(np.unique(drawn)) > 0.99 * drawn.size
