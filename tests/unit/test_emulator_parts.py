"""What of a sample is cut for threads to share, and what becomes of them when something fails."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import replace

import numpy as np
import pytest

from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.populations import InputPort, LifPopulation
from hsnn.ir.projections import DenseProjection, SparseProjection
from hsnn.recording import Recording, record
from hsnn_targets.emulator import EmulatorTarget, parts, sharing, tables
from hsnn_targets.emulator.parts import Stage
from support.at_once import at_once
from support.parts import cut_everything
from support.results import require_equal

ZERO = np.zeros((), np.int32)


def lif(name, count):
    return LifPopulation(name, (count,), np.array(2000, np.int32), ZERO, np.array(9000, np.int32), ZERO)


def sparse(name, pre, post, *, rows, columns, fan_in, delay=0):
    rng = np.random.default_rng(0)
    places = np.sort(rng.integers(0, columns // fan_in, (rows, fan_in)) + np.arange(fan_in) * (columns // fan_in))
    weights = (rng.integers(-28, 34, rows * fan_in) * 2).astype(np.int16)
    starts = (np.arange(rows + 1) * fan_in).astype(np.int32)
    return SparseProjection(name, pre, post, weights, places.astype(np.int32).reshape(-1), starts, delay=delay)


def network(count, *, fan_in=20, back=False):
    """Synapses into as many neurons, in a loop or not, and from all of them into one."""
    synapses = [sparse("p", "in", "a", rows=count, columns=count, fan_in=fan_in)]
    synapses += [sparse("loop", "a", "a", rows=count, columns=count, fan_in=1, delay=1)] * back
    synapses += [sparse("read", "a", "b", rows=1, columns=count, fan_in=count)]
    return IntegerNetwork(
        "shared", 16, (InputPort("in", (count,)),), (lif("a", count), lif("b", 1)), tuple(synapses), ("b",)
    )


def stages_of(count, threads=2, **options):
    cut = EmulatorTarget(threads=threads).load(network(count, **options))._cut
    return None if cut is None else (cut.threads, [stage.what for stage in cut.stages if stage.cut])


def test_only_what_takes_long_is_cut():
    assert stages_of(1000) is None
    assert stages_of(100_000, threads=1) is None
    assert stages_of(100_000) == (2, [tables.READ, tables.RECEIVE, tables.UPDATE])
    assert stages_of(100_000, threads=64, fan_in=60)[0] < 64
    assert stages_of(100_000, fan_in=1) is None
    assert stages_of(200_000, fan_in=1) == (2, [tables.READ, tables.UPDATE])


def test_sums_of_a_single_neuron_are_cut_by_timesteps():
    synapses = sparse("p", "in", "a", rows=1, columns=1_000_000, fan_in=1_000_000)
    made = IntegerNetwork("one", 16, (InputPort("in", (1_000_000,)),), (lif("a", 1),), (synapses,), ("a",))
    cut = {stage.what: stage.units for stage in EmulatorTarget(threads=2).load(made)._cut.stages if stage.cut}
    assert cut == {tables.READ: 16, tables.RECEIVE: 16}


def test_cycles_are_left_to_one_thread():
    assert stages_of(280_000, fan_in=1, back=True) == (2, [tables.READ])


def test_parts_cover_a_stage_once(monkeypatch):
    monkeypatch.setattr(parts, "PIECES", 2)
    stage = Stage(tables.RECEIVE, 3, 4, units=16, cut=True)
    assert stage.parts(32, 16, 2) == tuple((tables.RECEIVE, 3, 4, t, t + 4, 32) for t in (0, 4, 8, 12))
    assert stage.parts(48, 5, 2) == tuple((tables.RECEIVE, 3, 4, *t, 48) for t in ((0, 2), (2, 4), (4, 5)))
    long = replace(stage, least=6)
    assert long.parts(0, 16, 2) == tuple((tables.RECEIVE, 3, 4, *t, 0) for t in ((0, 6), (6, 12), (12, 16)))
    assert long.parts(0, 16, 4) == stage.parts(0, 16, 2)
    assert Stage(tables.UPDATE, 3, 4, units=9).parts(0, 5, 2) == ((tables.UPDATE, 3, 4, 0, 9, 0),)
    assert Stage(tables.OPEN, -1).parts(0, 5, 2) == ((tables.OPEN, -1, 0, 0, 0, 0),)


def test_fewer_samples_than_threads_are_shared(monkeypatch):
    shared = []
    run = parts.Cut.run

    def note(cut, kernels, words):
        shared.append(len(kernels))
        run(cut, kernels, words)

    monkeypatch.setattr(parts.Cut, "run", note)
    cut_everything(monkeypatch)
    made = network(100)
    executable = EmulatorTarget(threads=3).load(made)
    for batch, expected in ((1, 1), (2, 2), (3, 0), (4, 0)):
        shared.clear()
        done = []
        executable.run(spikes(made, batch), progress=done.append)
        assert shared == [3] * expected
        assert sum(done) == batch
    shared.clear()
    record(executable, spikes(made, 1), Recording(states=True))
    assert shared == []


def test_samples_are_shared_where_that_is_predicted_to_be_faster(monkeypatch):
    shared = []
    monkeypatch.setattr(parts.Cut, "run", lambda cut, kernels, words: shared.append(words))
    made = network(280_000, fan_in=1, back=True)
    executable = EmulatorTarget(threads=4).load(made)
    assert executable._cut.threads == 2  # for reading the port, a part of all
    assert 0.6 < executable._cut.time < 0.9
    inputs = {"in": np.zeros((16, 2, 280_000), np.uint8)}
    executable.run(inputs)
    assert shared == []
    executable.run({"in": inputs["in"][:, :1]})
    assert len(shared) == 1


def test_runs_at_the_same_time_share_their_own_samples(monkeypatch):
    cut_everything(monkeypatch)
    made = network(500)
    executable = EmulatorTarget(threads=2).load(made)
    inputs = [spikes(made, 1, seed) for seed in range(4)]
    expected, found = [executable.run(one, trace=True) for one in inputs], {}

    def work(index):
        for _ in range(20):
            found[index] = executable.run(inputs[index], trace=True)

    at_once(work, threads=4)
    for index, result in enumerate(expected):
        require_equal(found[index], result)


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_rounds_go_one_after_the_other(threads):
    done = []
    rounds = [deque(((k, part),) for part in range(5)) for k in range(6)]
    sharing.share([lambda part, words: done.append((*part, words))] * threads, rounds, (7,))
    assert [k for k, _, _ in done] == sorted(k for k in range(6) for _ in range(5))
    assert sorted(done) == [(k, part, (7,)) for k in range(6) for part in range(5)]


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("fails", [0, 1, 2])
def test_a_failure_on_any_thread_surfaces_and_ends_all(fails, error):
    begun = threading.Barrier(3)
    late = []

    def kernel(place):
        def run(part, words):
            if part == (0,):
                begun.wait()  # each thread has one part
                if place == fails:
                    raise error("of a part")
            else:
                late.append(part)

        return run

    rounds = [deque([((0,),)] * 3), deque([((1,),)] * 3)]
    with pytest.raises(error, match="of a part"):
        sharing.share([kernel(place) for place in range(3)], rounds, ())
    assert late == []
    assert_no_thread_is_left()


def test_a_failure_drops_what_has_not_begun(monkeypatch):
    begun, failed, done = threading.Barrier(2), threading.Event(), []

    class Noted(threading.Barrier):
        def abort(self):
            super().abort()
            failed.set()

    def fail(part, words):
        begun.wait()
        raise ValueError("of a part")

    def work(part, words):
        if not done:
            begun.wait()
            failed.wait()
        done.append(part)

    monkeypatch.setattr(sharing, "Barrier", Noted)
    rounds = [deque([((0,), (1,)), ((2,), (3,)), ((4,),), ((5,),)])]
    with pytest.raises(ValueError, match="of a part"):
        sharing.share([work, fail], rounds, ())
    assert len(done) == 1
    assert_no_thread_is_left()


def test_a_thread_that_cannot_be_started_ends_all(monkeypatch):
    start = threading.Thread.start
    started = []

    def refuse(thread):
        if started:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RuntimeError, match="new thread"):
        sharing.share([lambda part, words: None] * 3, [deque()], ())
    assert len(started) == 1
    assert_no_thread_is_left()


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_error_in_progress_leaves_the_executable_usable(error, monkeypatch):
    cut_everything(monkeypatch)
    made = network(100)
    executable, inputs = EmulatorTarget(threads=3).load(made), spikes(made, 2)
    expected = executable.run(inputs, trace=True)

    def stop(samples):
        raise error

    with pytest.raises(error):
        executable.run(inputs, progress=stop)
    assert_no_thread_is_left()
    require_equal(executable.run(inputs, trace=True), expected)


def test_a_failed_kernel_takes_its_scratch_with_it(monkeypatch):
    cut_everything(monkeypatch)
    made = network(100)
    executable, inputs = EmulatorTarget(threads=2).load(made), spikes(made, 1)
    expected = executable.run(inputs, trace=True)
    take = sharing._take

    def fail(*arguments):
        take(*arguments)
        if threading.current_thread() is not threading.main_thread():
            raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(sharing, "_take", fail)
        with pytest.raises(MemoryError):
            executable.run(inputs)
    assert executable._idle == []
    require_equal(executable.run(inputs, trace=True), expected)


def test_dense_layers_of_many_timesteps_go_window_by_window():
    rng = np.random.default_rng(0)
    weights = (rng.integers(-60, 64, (2048, 2048)) * 2).astype(np.int16)
    wide = IntegerNetwork(
        "wide", 500, (InputPort("in", (2048,)),), (lif("a", 2048),), (DenseProjection("p", "in", "a", weights),), ("a",)
    )
    shared, alone = (EmulatorTarget(threads=threads).load(wide) for threads in (2, 1))
    assert shared._cut.window < 500
    inputs = spikes(wide, 1)
    require_equal(shared.run(inputs, trace=True), alone.run(inputs, trace=True))


def spikes(made, batch, seed=1):
    shape = (made.timesteps, batch, *made.inputs[0].shape)
    return {"in": (np.random.default_rng(seed).random(shape) < 0.3).astype(np.int32)}


def assert_no_thread_is_left():
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("hsnn-emulator")]
