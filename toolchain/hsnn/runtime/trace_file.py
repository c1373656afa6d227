"""What a run recorded, as arrays of an ``.npz`` and back.

Names are ``STAGE/POPULATION/WHAT``, with stage and population percent-encoded where they hold a slash.
``bits``, ``shape`` and ``axes`` are those of :class:`hsnn.recording.PackedSpikes`; ``payload`` is what a
graded port got; ``current`` and ``voltage`` are there where states were recorded.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

import numpy as np

from hsnn.errors import UsageError
from hsnn.packed_spikes import PackedSpikes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hsnn.runtime.result import RunResult

    Array = NDArray[np.generic]


def trace_arrays(done: RunResult) -> dict[str, Array]:
    """Lay out everything that a run with a :class:`hsnn.recording.Recording` recorded.

    Returns:
        Arrays by ``stage/name/what``: packed spikes, and ``payload``, ``current`` and ``voltage``, int32, shape
        ``(timestep, batch, *feature)``. A ``/`` within a name is written ``%2F``.
    """
    return {
        f"{quote(stage, safe=' ')}/{quote(name, safe=' ')}/{what}": array
        for stage, trace in done.traces.items()
        for name, what, array in (
            *_packed(trace.result.packed),
            *((name, "payload", array) for name, array in trace.payloads.items()),
            *((name, "current", array) for name, array in trace.result.currents.items()),
            *((name, "voltage", array) for name, array in trace.result.voltages.items()),
        )
    }


def read_spikes(path: str | os.PathLike[str]) -> dict[str, dict[str, PackedSpikes]]:
    """Read the spikes of a file that ``hsnn-compile run --trace`` wrote.

    Returns:
        For each stage, the spikes of its binary ports and of its LIF populations.

    Raises:
        UsageError: ``HSNN-U121``, if it is no such file.
    """
    found: dict[str, dict[str, PackedSpikes]] = {}
    try:
        with np.load(path, allow_pickle=False) as arrays:
            for key in arrays.files:
                stage, name, what = key.split("/")
                if what == "bits":
                    shape, axes = (tuple(map(int, arrays[f"{stage}/{name}/{part}"])) for part in ("shape", "axes"))
                    found.setdefault(unquote(stage), {})[unquote(name)] = PackedSpikes(shape, arrays[key], axes)
    except (OSError, ValueError, KeyError, AttributeError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise UsageError(
            "HSNN-U121",
            f"{os.fspath(path)!r} holds no recorded spikes: {error}",
            fix="name a file that run --trace wrote",
        ) from error
    return found


def _packed(packed: Mapping[str, PackedSpikes]) -> Iterator[tuple[str, str, Array]]:
    for name, spikes in packed.items():
        yield name, "bits", spikes.bits
        yield name, "shape", np.array(spikes.shape, np.int64)
        yield name, "axes", np.array(spikes.axes, np.int64)
