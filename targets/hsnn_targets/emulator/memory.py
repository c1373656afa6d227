"""How much memory a run may still take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from hsnn.errors import RunError

Made = TypeVar("Made")
SMALL_BYTES = 16 << 20
"""Memory that is not worth asking the system how much is free: that takes longer than many a run."""

PROC, CGROUP = Path("/proc"), Path("/sys/fs/cgroup")


def available_bytes() -> int | None:
    """Return the memory that is left to this process, or None where the system does not tell.

    On Linux that is the least of what the machine has available (``MemAvailable``), what the control groups of the
    process leave it, and what its limit on the address space does.
    """
    found = tuple(_limits())
    return max(min(found), 0) if found else None


def room_for(needed: int) -> int | None:
    """Return the memory that is left, or None where the system does not tell or so little needs no question."""
    return available_bytes() if needed > SMALL_BYTES else None


def make_within(needed: int, make: Callable[[], Made], *, what: str, fix: str) -> Made:
    """Make something that takes about so much memory.

    Args:
        needed: Bytes.
        make: Makes it.
        what: What needs the memory, to go before "needs".
        fix: What to do where there is not enough.

    Raises:
        RunError: ``HSNN-R040``, if there is not enough; nothing is made then.
    """
    room = room_for(needed)
    allowed = "" if room is None else f"{room >> 20} MiB, which are available"
    found = f"{what} needs {max(needed >> 20, 1)} MiB"
    if room is not None and needed > room:
        raise RunError("HSNN-R040", found, allowed=allowed, fix=fix)
    try:
        return make()
    except MemoryError as error:
        raise RunError("HSNN-R040", found, allowed=allowed, fix=fix) from error


def _limits() -> Iterator[int]:
    for line in _read(PROC / "meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            yield int(line.split()[1]) << 10
    for folder in _groups():
        most, used = _read(folder / "memory.max").strip(), _read(folder / "memory.current").strip()
        if most.isdigit() and used.isdigit():
            yield int(most) - int(used)
    address_space = _address_space()
    if address_space is not None:
        yield address_space


def _groups() -> Iterator[Path]:
    """Folders of the control groups (version 2) that this process is in, the innermost first."""
    for line in _read(PROC / "self" / "cgroup").splitlines():
        if line.startswith("0::"):
            path = CGROUP / line[3:].strip("/")
            yield path
            yield from (parent for parent in path.parents if CGROUP in (parent, *parent.parents))


def _address_space() -> int | None:
    try:
        import resource
    except ImportError:  # not a Unix
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    pages = _read(PROC / "self" / "statm").split()
    if soft == resource.RLIM_INFINITY or not pages:
        return None
    return int(soft - int(pages[0]) * resource.getpagesize())


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
