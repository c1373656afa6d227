"""Examine an installation: what is here, what is missing, what it would be for."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

from hsnn.errors import HsnnError
from hsnn.libraries import LIBRARIES

PYTHON_FROM, PYTHON_BELOW = (3, 10), (3, 14)
FREE_BYTES = 1 << 30
"""Room in the folder for temporary files below which it is mentioned."""

SELF_TESTS = 3
"""Random networks that the emulator has to compute like the reference."""

State = Literal["ok", "optional", "failed"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        group: ``python``, ``library``, ``target``, ``host``, ``test`` or ``machine``.
        name: What was looked at.
        state: ``ok``; ``optional`` if it is missing and compiled programs run without it; ``failed`` if they do not.
        detail: What was found.
        fix: What to do, or an empty string.
    """

    group: str
    name: str
    state: State
    detail: str
    fix: str = ""


def examine() -> tuple[Finding, ...]:
    """Look at everything; nothing is changed, and Lava is not imported."""
    return (_python(), _hsnn(), *_libraries(), *_targets(), _hosts(), *_self_tests(), *_machine())


def verdict(findings: tuple[Finding, ...]) -> HsnnError | None:
    """The error of an installation that cannot run programs; None if it can."""
    failed = [item.name for item in findings if item.state == "failed"]
    if not failed:
        return None
    return HsnnError(
        "HSNN-U145",
        f"compiled programs cannot run here: {', '.join(failed)}",
        fix="; ".join(dict.fromkeys(item.fix for item in findings if item.state == "failed" and item.fix)),
    )


def _python() -> Finding:
    found = (
        f"{platform.python_version()} ({platform.python_implementation()}, {platform.system()} {platform.machine()})"
    )
    if PYTHON_FROM <= sys.version_info[:2] < PYTHON_BELOW:
        return Finding("python", "Python", "ok", found)
    return Finding("python", "Python", "failed", found, "use Python 3.10 to 3.13")


def _hsnn() -> Finding:
    try:
        return Finding("python", "hsnn", "ok", importlib.metadata.version("hsnn"))
    except importlib.metadata.PackageNotFoundError:
        # Targets are found by entry points, which only an installed package has.
        return Finding("python", "hsnn", "failed", "imported from a folder, not installed", "pip install .")


def _libraries() -> Iterator[Finding]:
    for library in LIBRARIES:
        if find_spec(library.module) is not None:
            yield Finding("library", library.package, "ok", f"{_version(library.package)}, for {library.purpose}")
        else:
            state: State = "optional" if library.extra else "failed"
            found = f"not installed; it is for {library.purpose}"
            yield Finding("library", library.package, state, found, library.fix)


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "unknown version"


def _targets() -> Iterator[Finding]:
    from hsnn.commands.targets import target_states

    for item in target_states():
        state: State = "ok" if item["available"] else "optional"
        yield Finding("target", str(item["name"]), state, f"target: {item['detail']}")


def _hosts() -> Finding:
    try:
        from hsnn.runtime.host import host_names

        return Finding("host", "hosts", "ok", f"host parts can run on {', '.join(host_names())}")
    except (ImportError, HsnnError) as error:
        return Finding("host", "hosts", "failed", f"host parts cannot run: {error}", "install what is missing above")


def _self_tests() -> Iterator[Finding]:
    """Run small random networks on the emulator, on a CUDA device where there is one, and on the reference."""
    from hsnn.commands.targets import target_states

    yield _self_test("self-test", "emulator", "failed", "install hsnn and llvmlite again")
    if any(item["name"] == "gpu" and item["available"] for item in target_states()):
        yield _self_test("self-test gpu", "gpu", "optional", "install a torch that fits the driver, or leave it alone")


def _self_test(name: str, target: str, failed: State, fix: str) -> Finding:
    """Hold a target to the reference; ``failed`` is the state if they differ."""
    try:
        differing = [found for seed in range(SELF_TESTS) for found in _compare(target, seed)]
    except Exception as error:  # noqa: BLE001  # whatever goes wrong here is what doctor was asked for
        return Finding("test", name, failed, f"the target {target} does not run: {error}", fix)
    if differing:
        found = f"the target {target} differs from the reference in {', '.join(differing)}"
        return Finding("test", name, failed, found, "please report it with the versions above")
    return Finding(
        "test",
        name,
        "ok",
        f"the {target} equals the reference in every spike and state of {SELF_TESTS} random networks",
    )


def _compare(target: str, seed: int) -> list[str]:
    """Names of everything in which a target differs from the reference; there should be nothing."""
    import numpy as np

    from hsnn.target import find_target
    from hsnn.verify.random_networks import random_inputs, random_network

    network = random_network(seed)
    inputs = random_inputs(network, batch=2, seed=seed)
    results = []
    for name in ("reference", target):
        executable = find_target(name).load(network)
        try:
            results.append(executable.run(inputs, trace=True))
        finally:
            executable.close()
    reference, other = results
    pairs = [
        (f"{part} of {key}", left, getattr(other, part).get(key))
        for part in ("outputs", "spikes", "current", "voltage")
        for key, left in getattr(reference, part).items()
    ]
    return [name for name, left, right in pairs if right is None or not np.array_equal(left, right)]


def _machine() -> Iterator[Finding]:
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    small = free < FREE_BYTES
    fix = "make room, or set TMPDIR to a folder with more" if small else ""
    room = f"{free / 1e9:.1f} GB free in {folder} for temporary files"
    yield Finding("machine", "disk", "optional" if small else "ok", room, fix)
    affinity = getattr(os, "sched_getaffinity", None)
    usable = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    bounds = [f"{name}={os.environ[name]}" for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS") if name in os.environ]
    detail = f"{usable} of {os.cpu_count()} processors usable" + (f", {', '.join(bounds)}" if bounds else "")
    yield Finding("machine", "threads", "ok", detail)
