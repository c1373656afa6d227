"""Run the reader of HDF5 in a child process, and turn whatever happens to it into an error with a code."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsnn.errors import UsageError
from hsnn.frontends.netx.extract import unpack

if TYPE_CHECKING:
    from numpy.typing import NDArray

FILE_MAX = 1 << 30
SECONDS = 90
MODULE = ("-m", "hsnn.frontends.netx.extract")
"""What the child runs."""
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_ALLOWED = "an HDF5 file as lava-dl's export_hdf5 writes it"


def read_arrays(path: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    """Read all data sets of a ``.net`` file.

    Args:
        path: The file.

    Returns:
        Arrays by path, such as ``layer/0/weight``; texts are arrays of bytes.

    Raises:
        UsageError: ``HSNN-F070``, if the file is missing, too large, damaged or no HDF5; ``HSNN-F073``, if h5py is not
            installed.
    """
    require_h5py()
    file = Path(path)
    try:
        size = file.stat().st_size
    except OSError as error:
        raise _unreadable(file, str(error)) from error
    if not file.is_file() or size > FILE_MAX:
        raise _unreadable(file, f"it is no regular file of at most {FILE_MAX} bytes")
    try:
        child = subprocess.run(
            [sys.executable, *MODULE, str(file.absolute())],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
            env={**os.environ, **dict.fromkeys(_THREADS, "1")},
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _unreadable(file, f"reading it took more than {SECONDS} s") from error
    if child.returncode == 0:
        return unpack(child.stdout)
    if child.returncode == 3:
        raise _unreadable(file, child.stderr.decode(errors="replace"))
    last = (child.stderr.decode(errors="replace").strip().splitlines() or ["no message"])[-1]
    raise _unreadable(file, f"the HDF5 library gave up with status {child.returncode}: {last}")


def require_h5py() -> None:
    """Ask for h5py where it is missing.

    Raises:
        UsageError: ``HSNN-F073``.
    """
    if importlib.util.find_spec("h5py") is None:
        raise UsageError(
            "HSNN-F073", "files of netx are HDF5, and h5py is not installed", fix="pip install 'hsnn[netx]'"
        )


def _unreadable(file: Path, why: str) -> UsageError:
    return UsageError(
        "HSNN-F070",
        f"{str(file)!r} cannot be read as a netx network: {why}",
        allowed=_ALLOWED,
        fix="export it again with lava-dl",
    )
