"""The Lava worker under supervision: nothing hangs, nothing is left behind, Lava is never imported here."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from hsnn.errors import RunError
from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.populations import InputPort, LifPopulation
from hsnn.ir.projections import DenseProjection
from hsnn_targets.lava import TARGET
from hsnn_targets.lava.blueprint import Wire
from hsnn_targets.lava.channel import Channel
from hsnn_targets.lava.executable import LavaExecutable
from hsnn_targets.lava.interpreter import VARIABLE
from hsnn_targets.lava.planner import plan_processes
from hsnn_targets.lava.schedule import make_schedule
from hsnn_targets.reference import TARGET as REFERENCE

ZERO = np.zeros((), np.int32)
SHM = Path("/dev/shm")
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def network(timesteps=4):
    lif = LifPopulation("lif", (3,), np.array(2048, np.int32), np.array(128, np.int32), np.array(640, np.int32), ZERO)
    weights = np.array([[20, -4], [6, 8], [-2, 60]], np.int16)
    dense = DenseProjection("dense", "in", "lif", weights)
    return IntegerNetwork("net", timesteps, (InputPort("in", (2,)),), (lif,), (dense,), ("lif",))


def spikes(timesteps, batch):
    return {"in": np.random.default_rng(0).integers(0, 2, (timesteps, batch, 2)).astype(np.int32)}


def group(leader):
    """Process ids in the process group of a worker, without zombies."""
    members = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, pgrp = stat.read_text().rpartition(")")[2].split()[:3]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(pgrp) == leader and state not in "ZX":
            members.append(int(stat.parent.name))
    return members


def wait_until(holds, seconds=60.0):
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.02)
    return holds()


class Traces:
    """What a worker would leave: taken while it lives, checked after."""

    def __init__(self, executable):
        worker = executable._worker
        self.pid, self.directory = worker._process.pid, worker.directory
        self.segments = list(SHM.glob(f"hsnn_{worker._finalizer.peek()[2][0].token}_*"))
        assert len(group(self.pid)) >= 6
        assert self.segments
        assert self.directory.exists()

    def gone(self):
        return not group(self.pid) and not self.directory.exists() and not any(s.exists() for s in self.segments)


@pytest.fixture
def loaded():
    executable = TARGET.load(network(2000), timeout=60)
    yield executable
    executable.close()


def later(seconds, action):
    timer = threading.Timer(seconds, action)
    timer.start()
    return timer


def test_messages_survive_being_cut_anywhere():
    source, sink = os.pipe()
    channel = Channel(source, sink)
    other = Channel(os.dup(source), os.dup(sink))
    for piece in (b'{"a": 1}\n{"b"', b': "\xc3', b'\xa4"}\n'):
        os.write(sink, piece)
    assert channel.receive() == [{"a": 1}, {"b": "ä"}]
    os.write(sink, b'{"c"')
    assert channel.receive() == []
    other.send({})
    os.close(sink)
    channel.source, other.source = other.source, channel.source
    other.close()
    os.close(channel.source)


@pytest.mark.lava
@linux
def test_closing_leaves_nothing_and_may_be_repeated(loaded):
    traces = Traces(loaded)
    loaded.close()
    loaded.close()
    assert wait_until(traces.gone)
    with pytest.raises(RunError) as error:
        loaded.run(spikes(2000, 1))
    assert error.value.code == "HSNN-R023"


@pytest.mark.lava
@linux
def test_forgetting_an_executable_leaves_nothing():
    executable = TARGET.load(network())
    traces = Traces(executable)
    del executable
    assert wait_until(traces.gone)


@pytest.mark.lava
@linux
def test_a_killed_worker_is_an_error_and_leaves_nothing(loaded):
    traces = Traces(loaded)
    timer = later(0.5, lambda: os.kill(traces.pid, signal.SIGKILL))
    with pytest.raises(RunError) as error:
        loaded.run(spikes(2000, 20))
    timer.join()
    assert error.value.code == "HSNN-R020"
    assert wait_until(traces.gone)


@pytest.mark.lava
@linux
def test_a_killed_process_of_lava_is_named(loaded):
    traces = Traces(loaded)
    victim = next(pid for pid, name in loaded.processes.items() if name == "population:lif")
    timer = later(0.5, lambda: os.kill(victim, signal.SIGKILL))
    began = time.monotonic()
    with pytest.raises(RunError) as error:
        loaded.run(spikes(2000, 20))
    timer.join()
    assert error.value.code == "HSNN-R022"
    assert "'population:lif' was killed by signal 9" in error.value.found
    assert time.monotonic() - began < 30
    assert wait_until(traces.gone)


@pytest.mark.lava
@linux
def test_a_stalled_worker_is_given_up_in_time():
    executable = TARGET.load(network(2000), timeout=60)
    traces = Traces(executable)
    executable._worker._timeout = 1.0
    timer = later(0.3, lambda: os.kill(traces.pid, signal.SIGSTOP))
    began = time.monotonic()
    with pytest.raises(RunError) as error:
        executable.run(spikes(2000, 20))
    timer.join()
    assert error.value.code == "HSNN-R021"
    assert 1.0 < time.monotonic() - began < 30
    assert wait_until(traces.gone)


@pytest.mark.lava
@linux
def test_an_exception_in_lava_comes_with_its_traceback():
    """A delay of 64 raises in the model's first timestep, before it sends: Lava itself waits for ever."""
    schedule = make_schedule(network())
    plan = plan_processes(network(), schedule, recorded=["lif"])
    late = [
        dataclasses.replace(part, kind="delay_dense", settings={**part.settings, "delays": 64})
        if part.kind == "dense"
        else part
        for part in plan.parts
    ]
    executable = LavaExecutable(network(), schedule, dataclasses.replace(plan, parts=tuple(late)), timeout=60)
    traces = Traces(executable)
    with pytest.raises(RunError) as error:
        executable.run(spikes(4, 1))
    assert error.value.code == "HSNN-R022"
    assert "'projection:dense' raised ValueError" in error.value.found
    assert "in run_spk" in error.value.found
    assert wait_until(traces.gone)


@pytest.mark.lava
@linux
def test_a_network_that_lava_cannot_build_is_an_error_and_leaves_nothing(monkeypatch):
    made = []
    genuine = tempfile.mkdtemp
    monkeypatch.setattr(tempfile, "mkdtemp", lambda **options: made.append(genuine(**options)) or made[-1])
    schedule = make_schedule(network())
    plan = plan_processes(network(), schedule, recorded=["lif"])
    broken = dataclasses.replace(plan, wires=(*plan.wires, Wire("input:in", "s_out", "population:lif", "a_in")))
    with pytest.raises(RunError) as error:
        LavaExecutable(network(), schedule, broken, timeout=60)
    assert error.value.code == "HSNN-R022"
    assert "ReshapeError" in error.value.found
    assert len(made) == 1
    assert not Path(made[0]).exists()


@pytest.mark.lava
@linux
def test_control_c_ends_a_run_promptly(loaded):
    traces = Traces(loaded)
    timer = later(0.5, lambda: os.kill(os.getpid(), signal.SIGINT))
    began = time.monotonic()
    finished = []
    with pytest.raises(KeyboardInterrupt):
        loaded.run(spikes(2000, 200), progress=finished.append)
    timer.join()
    assert time.monotonic() - began < 30  # of minutes
    assert sum(finished) < 100
    assert wait_until(traces.gone)


@pytest.mark.lava
@linux
def test_another_thread_may_close_a_run(loaded):
    traces = Traces(loaded)
    timer = later(0.5, loaded.close)
    with pytest.raises(RunError) as error:
        loaded.run(spikes(2000, 50))
    timer.join()
    assert error.value.code == "HSNN-R023"
    assert wait_until(traces.gone)


@pytest.mark.lava
def test_another_interpreter_gets_links_to_hsnn_alone(monkeypatch, tmp_path):
    """A script in front of this one: to hsnn it is another interpreter."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    monkeypatch.setenv(VARIABLE, str(python))
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    assert TARGET.status().available
    executable = TARGET.load(network())
    try:
        assert {path.name for path in (executable._worker.directory / "path").iterdir()} == {"hsnn", "hsnn_targets"}
        got, want = executable.run(spikes(4, 3)), REFERENCE.load(network()).run(spikes(4, 3))
    finally:
        executable.close()
    np.testing.assert_array_equal(got.outputs["lif"], want.outputs["lif"])


@pytest.mark.lava
@linux
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_workers_vanish_with_their_parent(tmp_path, end):
    code = """
        import sys
        sys.path.insert(0, {tests!r})
        from test_lava_worker import TARGET, Traces, network, spikes
        executable = TARGET.load(network(2000))
        traces = Traces(executable)
        print(traces.pid, traces.directory, *traces.segments, flush=True)
        executable.run(spikes(2000, 50))
    """
    code = textwrap.dedent(code).format(tests=str(Path(__file__).parent))
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment) as parent:
        pid, directory, *segments = parent.stdout.readline().split()
        time.sleep(0.3)
        parent.send_signal(end)
        parent.wait(60)
    assert wait_until(lambda: not group(int(pid)))
    assert wait_until(lambda: not Path(directory).exists())
    assert segments
    assert not list(tmp_path.iterdir())
    assert not any(Path(segment).exists() for segment in segments)


@pytest.mark.lava
@linux
def test_a_fork_of_this_process_does_not_end_its_workers(loaded):
    _, sweep, (remains,), _ = loaded._worker._finalizer.peek()
    sweep(type(remains)(remains.process, remains.directory, remains.token, owner=os.getppid()))
    inputs = spikes(2000, 1)
    want = REFERENCE.load(network(2000)).run(inputs)
    np.testing.assert_array_equal(loaded.run(inputs).outputs["lif"], want.outputs["lif"])
