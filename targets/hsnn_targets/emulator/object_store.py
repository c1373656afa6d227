"""Machine code of kernels on disk: made once for a version of their sources, of LLVM and of the processor.

A file is a line of JSON that says what its code was made from, and the code. Files are replaced as a whole, so
several processes may read and write them; one that needs code that another is making waits for it. A file that
is damaged, out of date or of a stranger is made again, and where nothing can be written code is made in every process.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from llvmlite import binding  # type: ignore[import-untyped]

from hsnn_targets.emulator.arguments import describe
from hsnn_targets.emulator.kernel import BEGAN
from hsnn_targets.emulator.sources import digest, sources_of

if TYPE_CHECKING:
    from hsnn_targets.emulator.arguments import Kind

CACHE_VARIABLE = "HSNN_CACHE"
COMPILER = "hsnn_targets.emulator.kernel_compiler"


@dataclass(frozen=True, slots=True)
class Origin:
    """What code is made from, besides its sources.

    Attributes:
        kernel: Module and name.
        kinds: Descriptions of its arguments.
        compiler: Version of llvmlite.
        processor: Its name and features, and LLVM's name of the system.
        python: Its version, whose syntax trees code is made from.
        package: Where this package lies, for folders that several installations share.
    """

    kernel: tuple[str, str]
    kinds: tuple[str, ...]
    compiler: str
    processor: tuple[str, ...]
    python: str
    package: str

    @property
    def file(self) -> str:
        """Name of the file that the code is kept in."""
        return f"{self.kernel[1].strip('_')}.{_hash(json.dumps(asdict(self)).encode())[:24]}.kernel"


def fetch(module: str, name: str, kinds: Sequence[Kind]) -> bytes:
    """Return the object file of a kernel; it is made where none is kept, which takes seconds.

    Args:
        module: Name of its module.
        name: Its name there.
        kinds: Kinds of its arguments.
    """
    origin = _origin(module, name, kinds)
    found = _read(origin)
    if found is not None:
        return found
    with _alone(origin):
        found = _read(origin)
        if found is None:
            from hsnn_targets.emulator.kernel_compiler import compile_kernel

            _tell()
            sources = sources_of(module, COMPILER)
            state = digest(sources)  # before they are read to be compiled: they may change meanwhile
            found = compile_kernel(module, name, kinds)
            if _unchanged(sources):
                _write(origin, found, {"sources": sources, "digest": state})
    return found


def folders() -> tuple[Path, ...]:
    """Folders that code may be kept in; the first that can be written is.

    ``HSNN_CACHE`` names the only one; by default it is kept beside the sources as Python's own is, or else where
    the user's caches are.
    """
    chosen = os.environ.get(CACHE_VARIABLE, "")
    if chosen:
        return (Path(chosen),)
    user = os.environ.get("XDG_CACHE_HOME", "") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(__file__).parent / "__pycache__", Path(user) / "hsnn"


@cache
def _tell() -> None:
    """Say once in a process why this takes longer than usual."""
    import logging

    logging.getLogger("hsnn").info("compiling the emulator's kernels for this processor: once, and for some seconds")


def _origin(module: str, name: str, kinds: Sequence[Kind]) -> Origin:
    return Origin(
        kernel=(module, name),
        kinds=tuple(describe(kind) for kind in kinds),
        compiler=version("llvmlite"),
        processor=(
            binding.get_host_cpu_name(),
            binding.get_host_cpu_features().flatten(),
            binding.get_process_triple(),
        ),
        python=str(sys.implementation.cache_tag),
        package=str(Path(__file__).parent),
    )


def _read(origin: Origin) -> bytes | None:
    """Read code if it is there, whole, and made from the sources that are there now."""
    for folder in folders():
        with suppress(OSError, ValueError, KeyError, TypeError):
            with (folder / origin.file).open("rb") as stream:
                if not _trusted(os.fstat(stream.fileno())):
                    continue
                head, code = stream.read().split(b"\n", 1)
            made = json.loads(head)
            if made["code"] == _hash(code) and made["digest"] == digest(made["sources"]):
                return code
    return None


def _trusted(state: os.stat_result) -> bool:
    """Whether a file is from whom this process trusts anyway: code runs with all rights of whoever loads it.

    That is its user, the administrator, and who installed this package.
    """
    if sys.platform == "win32":
        return True
    owners = (os.geteuid(), 0, os.stat(__file__).st_uid)
    return state.st_uid in owners and not state.st_mode & stat.S_IWOTH


def _unchanged(sources: Sequence[str]) -> bool:
    """Whether no source was written since this process began to import: modules in memory may be of older ones."""
    now = time.time()  # what is later than now is of another clock
    return not any(BEGAN <= os.stat(file).st_mtime <= now for file in sources)


def _write(origin: Origin, code: bytes, made_from: Mapping[str, object]) -> None:
    head = {**asdict(origin), **made_from, "code": _hash(code)}
    for folder in folders():
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            for rest in folder.glob(f"{origin.file}.*.part"):  # of processes that were killed: this one has the lock
                rest.unlink()
            file, path = tempfile.mkstemp(dir=folder, prefix=f"{origin.file}.", suffix=".part")
            try:
                with os.fdopen(file, "wb") as stream:
                    stream.write(json.dumps(head).encode() + b"\n" + code)
                os.chmod(path, 0o644)
                os.replace(path, folder / origin.file)
            except BaseException:
                os.unlink(path)
                raise
            return


@contextmanager
def _alone(origin: Origin) -> Iterator[None]:
    """Keep other processes from making the same code, where the system can and a folder can be written."""
    with _lock_file(origin) as file:
        if file is not None and sys.platform != "win32":
            import fcntl

            with suppress(OSError):  # a file system without locks: at worst code is made twice
                fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _lock_file(origin: Origin) -> Iterator[int | None]:
    """Open an empty file beside the code's; locks end with the process that holds them."""
    for folder in folders():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = os.open(folder / f"{origin.file}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError:
            continue
        try:
            yield file
        finally:
            os.close(file)
        return
    yield None


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
