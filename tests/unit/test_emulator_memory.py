"""Results that do not fit in memory are an error before anything is allocated, and nothing is lost by it."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest

from hsnn.errors import RunError
from hsnn.verify.random_networks import random_inputs, random_network
from hsnn_targets.emulator import EmulatorTarget, memory

MIB = 1 << 20


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def system(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "CGROUP", tmp_path / "cgroup")
    monkeypatch.setattr(memory, "_address_space", lambda: None)
    return tmp_path


def test_a_system_that_tells_nothing(system):
    assert memory.available_bytes() is None


def test_the_machine_tells_what_it_has(system):
    write(system, {"proc/meminfo": "MemTotal: 999 kB\nMemFree: 5 kB\nMemAvailable:   2048 kB\n"})
    assert memory.available_bytes() == 2 * MIB


@pytest.mark.parametrize(("outer", "inner", "left"), [("max", "900", 300), ("700", "900", 200), ("max", "500", 0)])
def test_the_tightest_control_group_counts(system, outer, inner, left):
    files = {
        "proc/meminfo": "MemAvailable: 1 kB\n",
        "proc/self/cgroup": "1:cpu:/x\n0::/jobs/one\n",
        "cgroup/jobs/memory.max": f"{outer}\n",
        "cgroup/jobs/memory.current": "500\n",
        "cgroup/jobs/one/memory.max": f"{inner}\n",
        "cgroup/jobs/one/memory.current": "600\n",
    }
    write(system, files)
    assert memory.available_bytes() == left


def test_this_machine_has_some():
    found = memory.available_bytes()
    assert found is None or found > MIB


@pytest.mark.parametrize("trace", [False, True])
def test_the_error_names_what_is_needed_and_what_would_fit(trace, monkeypatch):
    network = random_network(3)
    executable = EmulatorTarget(threads=1).load(network)
    inputs = random_inputs(network, 64, 3)
    expected = executable.run(inputs, trace=trace)
    room = 40_000
    monkeypatch.setattr(memory, "SMALL_BYTES", 0)
    monkeypatch.setattr(memory, "available_bytes", lambda: room)
    with pytest.raises(RunError, match="HSNN-R040") as caught:
        executable.run({name: np.repeat(array, 64, 1) for name, array in inputs.items()}, trace=trace)
    fitting = int(re.search(r"at most (\d+) samples", caught.value.fix)[1])
    assert 0 < fitting < 64 * 64

    def first(count):
        return {name: np.repeat(array, 64, 1)[:, :count] for name, array in inputs.items()}

    executable.run(first(fitting), trace=trace)
    with pytest.raises(RunError, match="HSNN-R040"):
        executable.run(first(fitting + 1), trace=trace)
    monkeypatch.undo()
    again = executable.run(inputs, trace=trace)
    for name, array in expected.outputs.items():
        np.testing.assert_array_equal(again.outputs[name], array)


def test_a_network_that_memory_cannot_hold_is_not_loaded(monkeypatch):
    network = random_network(3)
    monkeypatch.setattr(memory, "SMALL_BYTES", 0)
    monkeypatch.setattr(memory, "available_bytes", lambda: 1)
    with pytest.raises(RunError, match=r"HSNN-R040.*loading segment"):
        EmulatorTarget(threads=1).load(network)


def test_threads_that_have_no_room_to_work_in(monkeypatch):
    network = random_network(3)
    executable = EmulatorTarget(threads=1).load(network)
    inputs = random_inputs(network, 2, 3)
    expected = executable.run(inputs)
    scratch = executable.plan.scratch()
    own = sum(array.nbytes for name, array in scratch._asdict().items() if name not in ("counts", "broken"))
    assert own == executable.plan.scratch_bytes
    executable.close()
    monkeypatch.setattr(memory, "SMALL_BYTES", executable.plan.scratch_bytes - 1)
    monkeypatch.setattr(memory, "available_bytes", lambda: executable.plan.scratch_bytes - 1)
    with pytest.raises(RunError, match=r"HSNN-R040.*each thread") as caught:
        executable.run(inputs)
    assert "fewer threads" in caught.value.fix
    monkeypatch.undo()
    again = executable.run(inputs)
    for name, array in expected.outputs.items():
        np.testing.assert_array_equal(again.outputs[name], array)


def test_a_limit_on_the_process_is_an_error_and_the_next_run_works():
    code = """
import resource, sys
import numpy as np
from hsnn.errors import RunError
from hsnn.verify.random_networks import random_inputs, random_network
from hsnn_targets.emulator import EmulatorTarget

network = random_network(3)
executable = EmulatorTarget(threads=1).load(network)
small = random_inputs(network, 2, 3)
before = executable.run(small, trace=True)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20), resource.RLIM_INFINITY))
# A broadcast costs no memory; the results of it would.
large = {
    name: np.broadcast_to(array[:, :1], (array.shape[0], 1 << 22, *array.shape[2:])) for name, array in small.items()
}
try:
    executable.run(large, trace=True)
except RunError as error:
    print(error.code)
after = executable.run(small, trace=True)
print(all((after.outputs[name] == array).all() for name, array in before.outputs.items()))
"""
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux has this limit")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["HSNN-R040", "True"], done.stderr
