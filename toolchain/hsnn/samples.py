"""Samples for calibration and runs: arrays with the batch axis first, by input name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hsnn.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hsnn.ir.hybrid import HybridModel

    Array = NDArray[np.generic]

EXAMPLES = 2
"""Samples to trace a model with; two, so that no batch size of one is baked in."""


def name_samples(samples: Array | Sequence[Array] | Mapping[str, Array], hybrid: HybridModel) -> dict[str, Array]:
    """Assign arrays to the inputs of a model and check them.

    Args:
        samples: One array, one an input in order, or by input name.
        hybrid: The model.

    Raises:
        UsageError: ``HSNN-U031``, if names, shapes, types or numbers of samples do not fit, there are
            none, or a value is not finite.
    """
    names = [item.name for item in hybrid.inputs]
    if isinstance(samples, Mapping):
        named = {str(name): np.asarray(array) for name, array in samples.items()}
        if len(named) == 1 == len(names):
            named = {names[0]: next(iter(named.values()))}
    else:
        listed = [samples] if isinstance(samples, np.ndarray) else list(samples)
        named = dict(zip(names, (np.asarray(item) for item in listed), strict=False))
    if set(named) != set(names):
        raise UsageError(
            "HSNN-U031", f"samples are given for {', '.join(named) or 'nothing'}", allowed=", ".join(names)
        )
    for item in hybrid.inputs:
        named[item.name] = _checked(item.name, named[item.name], item.shape, item.dtype)
    counts = {array.shape[0] for array in named.values()}
    if len(counts) > 1:
        raise UsageError("HSNN-U031", f"inputs have {sorted(counts)} samples", allowed="the same number for each")
    if counts == {0}:
        raise UsageError("HSNN-U031", "there are no samples", allowed="one or more")
    return named


def limited(samples: Mapping[str, Array], most: int) -> dict[str, Array]:
    """Return the first samples, at most so many."""
    return {name: array[:most] for name, array in samples.items()}


def examples_of(samples: Array | Sequence[Array] | Mapping[str, Array]) -> tuple[Any, ...]:
    """Return the first samples of every input, to trace a model with.

    Raises:
        UsageError: ``HSNN-U031``, if there are none.
    """
    if isinstance(samples, Mapping):
        arrays = [np.asarray(array) for array in samples.values()]
    else:
        arrays = [samples] if isinstance(samples, np.ndarray) else [np.asarray(item) for item in samples]
    if not arrays or any(array.ndim == 0 or array.shape[0] == 0 for array in arrays):
        raise UsageError("HSNN-U031", "there are no samples", allowed="one or more")
    return tuple(np.repeat(array[:1], EXAMPLES, axis=0) for array in arrays)


def _checked(name: str, array: Array, shape: tuple[int | None, ...], dtype: str) -> Array:
    wanted = ", ".join("batch" if extent is None else str(extent) for extent in shape)
    fits = array.ndim == len(shape) and all(
        extent is None or extent == found for extent, found in zip(shape, array.shape, strict=True)
    )
    if not fits:
        raise UsageError("HSNN-U031", f"samples for input {name!r} have shape {array.shape}", allowed=f"({wanted})")
    if array.dtype.kind not in "biuf" or not np.can_cast(array.dtype, dtype, "same_kind"):
        raise UsageError("HSNN-U031", f"samples for input {name!r} are {array.dtype}", allowed=dtype)
    if array.dtype.kind == "f" and not np.all(np.isfinite(array)):
        raise UsageError("HSNN-U031", f"samples for input {name!r} have a NaN or an infinity", allowed="finite numbers")
    return np.ascontiguousarray(array, dtype)
