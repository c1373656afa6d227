"""A signal in the middle of a run stops it soon, and the next run of the same executable is right."""

from __future__ import annotations

import signal
import threading
import time

import numpy as np
import pytest

from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.populations import InputPort, LifPopulation
from hsnn.ir.projections import DenseProjection, SparseProjection
from hsnn_targets.emulator import EmulatorTarget
from support.results import require_equal

pytestmark = pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="signals of Unix")
ZERO = np.zeros((), np.int32)
SAMPLES, DELAY, GIVEN = 40, 0.15, 5.0
"""Samples of a short batch; seconds until the signal, and until the run has to be over."""


def layers():
    rng = np.random.default_rng(0)
    weights = (rng.integers(-60, 64, (600, 600)) * 2).astype(np.int16)
    neuron = LifPopulation("a", (600,), np.array(2000, np.int32), ZERO, np.array(9000, np.int32), ZERO)
    forward, back = DenseProjection("p", "in", "a", weights), DenseProjection("loop", "a", "a", weights, delay=1)
    return IntegerNetwork("long", 64, (InputPort("in", (600,)),), (neuron,), (forward, back), ("a",))


def long_sample(timesteps):
    """One sample is long: sparse synapses, every one of them taken alone."""
    rng = np.random.default_rng(0)
    weights = (rng.integers(-60, 64, 900 * 900) * 2).astype(np.int16)
    synapses = SparseProjection(
        "p", "in", "a", weights, np.tile(np.arange(900, dtype=np.int32), 900), np.arange(901, dtype=np.int32) * 900
    )
    neuron = LifPopulation("a", (900,), np.array(2000, np.int32), ZERO, np.array(9000, np.int32), ZERO)
    return IntegerNetwork("long", timesteps, (InputPort("in", (900,)),), (neuron,), (synapses,), ("a",))


def seconds_of(executable, inputs):
    """The shortest of three runs: others may have work on this machine now, and none in a moment."""
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        executable.run(inputs)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def test_a_sample_that_threads_share_is_interrupted_within():
    network = long_sample(5000)
    executable = EmulatorTarget(threads=2).load(network)
    assert executable._cut is not None
    inputs = {"in": np.random.default_rng(1).integers(0, 2, (5000, 1, 900)).astype(np.int32)}
    expected = executable.run(inputs, trace=True)
    delay = min(seconds_of(executable, inputs) / 4, DELAY)
    finished: list[int] = []
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        for _ in range(2):
            timer = threading.Timer(delay, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT))
            timer.start()
            with pytest.raises(KeyboardInterrupt):
                executable.run(inputs, progress=finished.append)
            timer.join()
            assert finished == []
            require_equal(executable.run(inputs, trace=True), expected)
    finally:
        signal.signal(signal.SIGINT, before)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("hsnn-emulator")]


@pytest.mark.parametrize("threads", [1, 2])
def test_an_interrupted_executable_runs_on(threads):
    executable = EmulatorTarget(threads=threads).load(layers())
    inputs = {"in": np.random.default_rng(1).integers(0, 2, (64, SAMPLES, 600)).astype(np.int32)}
    expected = executable.run(inputs, trace=True)
    copies = min(int(10 * DELAY / seconds_of(executable, inputs)) + 2, 60)  # long enough to be interrupted
    long = {"in": np.tile(inputs["in"], (1, copies, 1))}
    finished: list[int] = []
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        for _ in range(2):
            finished.clear()
            timer = threading.Timer(DELAY, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT))
            start = time.perf_counter()
            timer.start()
            with pytest.raises(KeyboardInterrupt):
                executable.run(long, progress=finished.append)
            assert time.perf_counter() - start < GIVEN
            timer.join()
            assert sum(finished) < SAMPLES * copies
            require_equal(executable.run(inputs, trace=True), expected)
    finally:
        signal.signal(signal.SIGINT, before)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("hsnn-emulator")]
