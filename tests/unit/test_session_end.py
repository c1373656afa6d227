"""Sessions end at once: closed, interrupted, in another thread."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from hsnn.errors import HsnnError, RunError
from hsnn.runtime.session import Session
from support.fake_target import FakeTarget
from support.refusals import code_of
from support.sessions import reference, samples

pytestmark = pytest.mark.usefixtures("no_thread_stays")


def test_close_may_be_called_twice_and_before_anything(chain):
    target = FakeTarget()
    session = Session(chain, target=target)
    session.close()
    session.close()
    assert target.closed == ["chip.0"]
    assert code_of(session.run, samples(1)) == "HSNN-R106"


@pytest.mark.parametrize("batch_size", [1, 100])
def test_close_ends_a_run_in_another_thread(chain, batch_size):
    entered = threading.Event()

    def before(executable, inputs):
        entered.set()
        if executable.gone.wait(60):
            raise OSError("the worker was killed")

    session = Session(chain, target=FakeTarget(before), batch_size=batch_size, pipeline=True)
    caught = []

    def run():
        try:
            session.run(samples(10))
        except HsnnError as error:
            caught.append(error.code)

    thread = threading.Thread(target=run)
    thread.start()
    assert entered.wait(60)
    start = time.perf_counter()
    session.close()
    thread.join(60)
    assert time.perf_counter() - start < 30  # of the minute that the target would wait
    assert caught == ["HSNN-R106"]


def test_one_run_at_a_time(chain):
    inside, most = [], []

    def before(executable, inputs):
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.01)
        inside.pop()

    results = {}
    with Session(chain, target=FakeTarget(before), batch_size=100, pipeline=True) as session:
        threads = [
            threading.Thread(target=lambda seed=seed: results.update({seed: session.run(samples(4, seed)).output}))
            for seed in range(5)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert max(most) == 1
    with reference(chain) as session:
        for seed in range(5):
            assert np.array_equal(results[seed], session.run(samples(4, seed)).output)


@pytest.fixture
def interruptible():
    """Python ignores Ctrl-C in a process that was started in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("batch_size", [1, 100])
def test_an_interrupt_ends_a_run_at_once(chain, batch_size, interruptible):
    def before(executable, inputs):
        # As a supervised worker would: it waits in Python, and ends when it is closed.
        if executable.gone.wait(60):
            raise RunError("HSNN-R999", "closed")

    target = FakeTarget(before)
    session = Session(chain, target=target, batch_size=batch_size, pipeline=True)
    timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    start = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        session.run(samples(10))
    timer.join()
    assert time.perf_counter() - start < 30  # of a minute and more
    assert target.closed == ["chip.0"]
    assert code_of(session.run, samples(1)) == "HSNN-R106"


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_an_interrupted_process_ends(chain, tmp_path):
    """With the reference, which cannot be closed while it runs, and a data set that takes long."""
    chain.save(tmp_path / "net.zip")
    code = (
        "import signal, sys, hsnn, numpy as np\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "x = np.random.default_rng(0).random((10**6, 4)).astype(np.float32)\n"
        "with hsnn.Session(hsnn.load(sys.argv[1]), target='reference', batch_size=200, threads=1) as session:\n"
        "    session.run(x, progress=lambda n: print(n, flush=True))\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "net.zip")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "200\n"
        process.send_signal(signal.SIGINT)
        finished, errors = process.communicate(timeout=60)
    assert len(finished.split()) < 2500  # of 5000 batches
    assert process.returncode in (-signal.SIGINT, 130)
    assert errors.strip().endswith("KeyboardInterrupt")
