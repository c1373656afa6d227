"""Copy what a ``.net`` file holds out of HDF5; run as a process of its own.

The HDF5 library is large and written in C, and a damaged file may make it ask for any amount of memory, loop or crash.
So a child process with limits reads the file and hands plain arrays to :mod:`hsnn.frontends.netx.raw` through a pipe::

    python -m hsnn.frontends.netx.extract FILE > arrays.npz

Nothing is followed that leads out of the file: no external or soft links, no external storage, no virtual data sets.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BYTES_MAX = 1 << 29
"""Most bytes of all data sets together: 128 million weights."""
LAYERS_MAX = 4096
FIELDS_MAX = 64
"""Most entries of one group below a layer."""
TEXT_MAX = 256
MEMORY_MAX = 4 << 30
"""Address space of the child process."""
CPU_SECONDS = 60
HEADER = "header"
"""Name of the array that holds the names of the others as JSON."""


class DamagedError(Exception):
    """The file cannot be read; the text says why."""


def extract(path: str) -> dict[str, NDArray[Any]]:
    """Read every data set of the layers and of the group ``simulation``.

    Args:
        path: An HDF5 file.

    Returns:
        Arrays by path below the root, such as ``layer/0/neuron/type``; texts are arrays of bytes.

    Raises:
        DamagedError: If the file is no HDF5, damaged, too large, or refers to anything outside of itself.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return _read(file)
    except DamagedError:
        raise
    except Exception as error:  # h5py raises whatever it likes: OSError, KeyError, RuntimeError, ValueError, TypeError
        raise DamagedError(f"{type(error).__name__}: {error}") from error


def _read(file: Any) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {}
    total = 0
    for name, dataset in _datasets(file):
        total += dataset.size * dataset.dtype.itemsize
        if total > BYTES_MAX:
            raise DamagedError(f"data sets up to {name!r} declare {total} bytes; {BYTES_MAX} are allowed")
        arrays[name] = _values(name, dataset)
    return arrays


def _datasets(file: Any) -> Iterator[tuple[str, Any]]:
    for name, item in _members(file, "", limit=FIELDS_MAX):
        if name not in ("layer", "simulation"):
            continue  # netx reads no other group, and hsnn keeps one of its own
        for field, inner in _members(item, name, limit=LAYERS_MAX if name == "layer" else FIELDS_MAX):
            yield from _below(inner, f"{name}/{field}", depth=2)


def _below(item: Any, name: str, *, depth: int) -> Iterator[tuple[str, Any]]:
    import h5py

    if isinstance(item, h5py.Dataset):
        yield name, item
        return
    if depth == 0:
        raise DamagedError(f"group {name!r} is nested too deeply")
    members = list(_members(item, name, limit=FIELDS_MAX))
    if not members and name.count("/") == 1:
        raise DamagedError(f"group {name!r} is empty (lava-dl exports KWTA layers so)")
    for field, inner in members:
        yield from _below(inner, f"{name}/{field}", depth=depth - 1)


def _members(group: Any, name: str, *, limit: int) -> Iterator[tuple[str, Any]]:
    import h5py

    if not isinstance(group, h5py.Group):
        raise DamagedError(f"{name!r} is no group")
    if len(group) > limit:
        raise DamagedError(f"group {name or '/'!r} has {len(group)} entries; {limit} are allowed")
    for field in group:
        if not isinstance(group.get(field, getlink=True), h5py.HardLink):
            raise DamagedError(f"{field!r} in {name or '/'!r} is a link to elsewhere")
        yield field, group[field]


def _values(name: str, dataset: Any) -> NDArray[Any]:
    import h5py

    if dataset.is_virtual or dataset.external:
        raise DamagedError(f"data set {name!r} is stored elsewhere")
    text = h5py.check_string_dtype(dataset.dtype)
    if text is not None:
        if dataset.size != 1:
            raise DamagedError(f"data set {name!r} holds {dataset.size} texts; 1 is allowed")
        value = np.asarray(dataset[()]).reshape(-1)[0]
        raw = value if isinstance(value, bytes) else str(value).encode()
        if len(raw) > TEXT_MAX:
            raise DamagedError(f"data set {name!r} holds a text of {len(raw)} bytes; {TEXT_MAX} are allowed")
        return np.array(raw, f"S{TEXT_MAX}")
    if dataset.shape is None or dataset.dtype.kind not in "fiub":
        raise DamagedError(f"data set {name!r} holds {dataset.dtype}; numbers and texts are allowed")
    return np.asarray(dataset[()])


def pack(arrays: dict[str, NDArray[Any]]) -> bytes:
    """Put arrays of any shape, none of objects, into one .npz; names go into a header, since they hold slashes."""
    stream = io.BytesIO()
    header = np.frombuffer(json.dumps(list(arrays)).encode(), np.uint8)
    named: dict[str, Any] = {f"a{index}": array for index, array in enumerate(arrays.values())}
    np.savez(stream, allow_pickle=False, **{HEADER: header}, **named)
    return stream.getvalue()


def unpack(data: bytes) -> dict[str, NDArray[Any]]:
    """Undo :func:`pack`."""
    with np.load(io.BytesIO(data), allow_pickle=False) as stored:
        names = json.loads(stored[HEADER].tobytes())
        return {name: stored[f"a{index}"] for index, name in enumerate(names)}


def main() -> int:
    """Read the file that the command line names; 0 and arrays on stdout, or 3 and the reason on stderr."""
    try:
        _limit()
        data = pack(extract(sys.argv[1]))
    except DamagedError as reason:
        sys.stderr.write(str(reason))
        return 3
    except MemoryError:
        sys.stderr.write("the file asks for more memory than is allowed")
        return 3
    sys.stdout.buffer.write(data)
    return 0


def _limit() -> None:
    """Limit memory and time of this process, where the system can."""
    try:
        import resource
    except ImportError:
        return  # no such limits on Windows; the parent still has its time limit
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MAX, MEMORY_MAX))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    raise SystemExit(main())
