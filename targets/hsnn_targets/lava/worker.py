"""The process that runs Lava: ``python -m hsnn_targets.lava.worker OPTIONS`` in its own session and directory.

It takes commands from standard input and answers on standard output, one JSON object a line::

    {"op": "build", "board": false}       -> {"done": "build", "versions": {...}, "processes": {"id": "name"}}
    {"op": "run", "steps": 100}           -> {"beat": 40} {"beat": 80} ... {"done": "run"}
    {"op": "state", "parts": [...]}       -> {"beat": ...} ... {"done": "state"}    writes state.npz
    {"op": "read", "variables": [["part", "variable"], ...]}    likewise
    what hsnn refuses                     -> {"refused": ["HSNN-T033", "found", "allowed", "fix"]} and the end
    anything else that goes wrong         -> {"failed": "..."} and the end

Whatever Lava prints goes to standard error, a log file.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import sys
import time
import traceback
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from hsnn.errors import HsnnError
from hsnn_targets.lava.blueprint import STATE_FILE, Blueprint
from hsnn_targets.lava.channel import Channel
from hsnn_targets.lava.guard import Guard, name_shared_memory
from hsnn_targets.lava.shim import import_lava

OPEN_FILES = 1 << 16
CONVOLVE = ("conv", "wide_conv")
"""Kinds of parts that need ``scipy.signal``; see ``shim.py``."""
BEAT_SECONDS = 0.5
"""About how long a run goes on without a sign of life."""


def main() -> None:
    """Serve commands until the pipe closes; never returns, since Lava may hang at the end of an interpreter."""
    options = json.loads(sys.argv[1])
    channel = _take_standard_streams()
    name_shared_memory(options["token"])
    _raise_file_limit()
    guard = Guard(channel, parent=options["parent"], token=options["token"])
    guard.start()
    with contextlib.suppress(BrokenPipeError):  # the guard notices a parent that is gone, too
        _serve_or_tell(guard, channel)
    guard.wait()


def _serve_or_tell(guard: Guard, channel: Channel) -> None:
    """Serve until something goes wrong and say what."""
    try:
        _serve(guard, channel)
    except HsnnError as error:
        channel.send({"refused": [error.code, error.found, error.allowed, error.fix]})
    except Exception as error:  # noqa: BLE001  Lava raises bare Exception too, and the parent must hear of any
        traceback.print_exc()
        channel.send({"failed": f"{type(error).__name__}: {error}"})


def _serve(guard: Guard, channel: Channel) -> NoReturn:
    runner: _Runner | None = None
    while True:
        command = guard.commands.get()
        if runner is None:
            runner = _Runner(channel, board=command["board"])
            guard.names.update(runner.children())
            channel.send({"done": "build", "versions": _versions(), "processes": guard.names})
        elif command["op"] == "run":
            runner.run(command["steps"])
            channel.send({"done": "run"})
        elif command["op"] == "read":
            runner.write_variables(command["variables"])
            channel.send({"done": "read"})
        else:
            runner.write_state(command["parts"])
            channel.send({"done": "state"})


class _Runner:
    """A compiled network and its clock."""

    def __init__(self, channel: Channel, *, board: bool) -> None:
        self._channel = channel
        channel.send({"beat": "import"})
        import_lava()
        # Lava may be imported only after the shim, and only in this process.
        from lava.magma.core.run_conditions import RunSteps

        assemble = importlib.import_module(f"hsnn_targets.{'loihi2' if board else 'lava'}.assemble")
        channel.send({"beat": "build"})
        self._steps = RunSteps
        blueprint = Blueprint.load(Path.cwd())
        if any(part.kind in CONVOLVE for part in blueprint.parts):
            importlib.import_module("scipy.signal")  # once, before Lava forks
        self._processes = assemble.build_processes(blueprint)
        self._any = next(iter(self._processes.values()))
        executable = assemble.compile_processes(self._processes)
        channel.send({"beat": "start"})
        self._any.create_runtime(executable=executable)
        self._budget = 1

    def children(self) -> dict[int, str]:
        """Names of the processes that Lava has forked, by process id, but for its own services."""
        runtime = self._any.runtime
        builders = runtime._executable.proc_builders.items()
        names = [process.name for process, builder in builders if type(builder).__name__ == "PyProcessBuilder"]
        actors = runtime._messaging_infrastructure.actors
        return {actor.pid: name for actor, name in zip(actors, names, strict=False)}

    def run(self, steps: int) -> None:
        """Run that many timesteps, with a sign of life every now and then."""
        done = 0
        while done < steps:
            now = min(self._budget, steps - done)
            began = time.monotonic()
            self._any.run(self._steps(num_steps=now))
            pace = now / max(time.monotonic() - began, 1e-6)
            self._budget = max(1, min(int(pace * BEAT_SECONDS), 2 * self._budget))
            done += now
            self._channel.send({"beat": done})

    def write_state(self, parts: list[str]) -> None:
        """Write current and voltage of some populations to a file."""
        state: dict[str, Any] = {}
        for index, part in enumerate(parts):
            for variable in ("u", "v"):
                values = np.asarray(getattr(self._processes[part], variable).get())
                state[f"{index}/{variable}"] = values.astype(np.int32)
                self._channel.send({"beat": part})
        np.savez(STATE_FILE, **state)

    def write_variables(self, variables: list[list[str]]) -> None:
        """Write some variables of some processes to a file, by their place in the list."""
        values: dict[str, Any] = {}
        for index, (part, variable) in enumerate(variables):
            values[str(index)] = np.asarray(getattr(self._processes[part], variable).get()).astype(np.int64)
            self._channel.send({"beat": part})
        np.savez(STATE_FILE, **values)


def _take_standard_streams() -> Channel:
    """Keep the pipes for messages and send everybody else's output to the log."""
    channel = Channel(os.dup(0), os.dup(1))
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    return channel


def _raise_file_limit() -> None:
    """Allow more open files: each connection of Lava takes several."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


def _versions() -> Mapping[str, str]:
    python = ".".join(map(str, sys.version_info[:3]))
    return {"python": python, "lava-nc": metadata.version("lava-nc"), "numpy": np.__version__}


if __name__ == "__main__":
    main()
