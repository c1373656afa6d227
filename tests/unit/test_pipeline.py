"""The pipeline: order, back-pressure, the first error."""

from __future__ import annotations

import threading
import time

import pytest

from hsnn.runtime.pipeline import _Line, run_pipeline


@pytest.fixture(autouse=True)
def no_thread_stays():
    yield
    assert [thread for thread in threading.enumerate() if thread.name.startswith("hsnn")] == []


def test_queues_are_bounded():
    started, finished, most = [], [], []

    def first(item):
        started.append(item)
        return item

    def last(item):
        time.sleep(0.005)
        most.append(len(started) - len(finished))
        finished.append(item)
        return item

    out = []
    run_pipeline(iter(range(40)), [first, last], done=out.append, cancel=lambda: None, capacity=2)
    assert out == list(range(40))
    # One in each step, two in the queue between; the first step may have begun another.
    assert max(most) <= 5


def test_results_stay_in_order():
    def slow(item):
        time.sleep(0.004 if item % 3 == 0 else 0)
        return item

    out = []
    run_pipeline(range(30), [slow] * 4, done=out.append, cancel=lambda: None)
    assert out == list(range(30))
    run_pipeline([], [slow] * 2, done=out.append, cancel=lambda: None)
    assert out == list(range(30))


def test_the_first_error_wins_and_the_rest_stops():
    cancelled = []

    def fail(item):
        if item == 5:
            raise KeyError("five")
        return item

    for steps in ([fail], [fail, lambda x: x], [lambda x: x, fail, lambda x: x]):
        with pytest.raises(KeyError, match="five"):
            run_pipeline(range(100), steps, done=lambda item: None, cancel=lambda: cancelled.append(1))
    assert len(cancelled) == 3

    def items():
        yield 1
        raise LookupError("no more")

    with pytest.raises(LookupError):
        run_pipeline(items(), [lambda x: x] * 2, done=lambda item: None, cancel=lambda: None)


def test_later_errors_do_not_hide_the_first():
    line = _Line(1, 1)
    first, echo = ValueError("first"), RuntimeError("echo")
    line.stop(first)
    line.stop(echo)
    line.stop(None)
    assert line.failure is first
    assert list(line.take(0)) == []
    assert not line.put(0, 1)


def test_a_step_that_does_not_return_is_left_behind():
    release = threading.Event()

    def stuck(item):
        release.wait(30)
        return item

    def fail(item):
        if item == 1:
            raise ValueError("odd")
        return item

    start = time.perf_counter()
    with pytest.raises(ValueError, match="odd"):
        run_pipeline(range(5), [fail, stuck], done=lambda item: None, cancel=lambda: None, grace=0.2)
    assert time.perf_counter() - start < 20  # of the 30 seconds of the other step
    release.set()
    for thread in threading.enumerate():
        if thread.name.startswith("hsnn"):
            thread.join(5)
