"""Check what a user gives to a program, and cut it into batches."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hsnn.errors import UsageError
from hsnn.ir.plan import ModelValue

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[Any]

_MOST_TURNED = 6
"""Axes up to which their orders are tried."""


def check_inputs(inputs: ArrayLike | Mapping[str, ArrayLike], values: tuple[ModelValue, ...]) -> dict[str, Array]:
    """Check inputs against those of a model.

    Args:
        inputs: An array for each input by its name, or one array for the only input. An array of
            float64 is taken for an input of float32, and rounded; there is no other conversion.
        values: Inputs of the model.

    Returns:
        An array of the right dtype for each input.

    Raises:
        UsageError: ``HSNN-R101`` (names), ``HSNN-R102`` (dtype), ``HSNN-R103`` (shape, no or different
            numbers of samples) or ``HSNN-R104`` (NaN or infinity), naming the input.
    """
    given = _by_name(inputs, values)
    arrays = {value.name: _checked(_array(given[value.name], value), value) for value in values}
    counts = {value.name: arrays[value.name].shape[axis] for value in values if (axis := batch_axis(value)) is not None}
    if len(set(counts.values())) > 1:
        raise UsageError(
            "HSNN-R103",
            "the inputs have different numbers of samples: " + ", ".join(f"{k!r} {n}" for k, n in counts.items()),
            allowed="one number",
            fix="give every input the same samples, in the same order",
        )
    return arrays


def batch_axis(value: ModelValue) -> int | None:
    """The axis that counts samples, or None if all samples share the value."""
    return value.shape.index(None) if None in value.shape else None


def sample_count(arrays: Mapping[str, Array], values: tuple[ModelValue, ...]) -> int | None:
    """Number of samples in checked inputs; None if no input has a batch axis."""
    counts = (arrays[value.name].shape[axis] for value in values if (axis := batch_axis(value)) is not None)
    return next(counts, None)


def take_samples(
    arrays: Mapping[str, Array], values: tuple[ModelValue, ...], *, start: int, stop: int
) -> dict[str, Array]:
    """Cut samples out of checked inputs.

    Args:
        arrays: What :func:`check_inputs` returned.
        values: The model's inputs, which say on which axis samples are.
        start: First sample.
        stop: Sample behind the last; more than there are take all.

    Returns:
        Views with ``stop - start`` samples or what is left of them; what has no batch axis is given as it is.
    """
    batch = {}
    for value in values:
        axis = batch_axis(value)
        array = arrays[value.name]
        batch[value.name] = array if axis is None else array[(slice(None),) * axis + (slice(start, stop),)]
    return batch


def _by_name(inputs: ArrayLike | Mapping[str, ArrayLike], values: tuple[ModelValue, ...]) -> Mapping[str, ArrayLike]:
    names = [value.name for value in values]
    given = inputs if isinstance(inputs, Mapping) else dict(zip(names, [inputs], strict=False))
    if sorted(given) != sorted(names) or (not isinstance(inputs, Mapping) and len(names) != 1):
        found = f"the inputs {', '.join(map(repr, sorted(given)))}" if isinstance(inputs, Mapping) else "one array"
        raise UsageError(
            "HSNN-R101",
            f"the program was given {found}",
            allowed=", ".join(map(repr, names)),
            fix="name the arrays as the inputs; one array alone needs no name",
        )
    return given


def _array(given: ArrayLike, value: ModelValue) -> Array:
    try:
        return np.asarray(given)
    except (ValueError, TypeError, RuntimeError) as error:  # the last: a tensor of torch that has a gradient
        raise UsageError(
            "HSNN-R102",
            f"input {value.name!r} is not an array: {error}",
            allowed=value.dtype,
            fix=f"give a numpy array of {value.dtype}",
        ) from error


def _checked(array: Array, value: ModelValue) -> Array:
    if array.dtype == np.float64 and value.dtype == "float32":
        with np.errstate(over="ignore"):
            array = array.astype(np.float32)
    if array.dtype != value.dtype:
        raise UsageError(
            "HSNN-R102",
            f"input {value.name!r} is {array.dtype}",
            allowed=f"{value.dtype}{' or float64' if value.dtype == 'float32' else ''}",
            fix=f"scale it as in training, then .astype({value.dtype!r})",
        )
    if not _fits(array.shape, value.shape) or array.size == 0:
        wanted = ", ".join("batch" if extent is None else str(extent) for extent in value.shape)
        raise UsageError(
            "HSNN-R103",
            f"input {value.name!r} has shape {array.shape}",
            allowed=f"({wanted}), one sample or more",
            fix=_advice(array, value),
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        where = tuple(int(index) for index in np.argwhere(~np.isfinite(array))[0])
        raise UsageError(
            "HSNN-R104",
            f"input {value.name!r} is {array[where]} at {where}",
            allowed="finite numbers",
            fix="look at how the data was made; a division by zero and a value that is missing are usual",
        )
    return array


def _fits(found: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(found) == len(wanted) and all(b in (None, a) for a, b in zip(found, wanted, strict=True))


def _advice(array: Array, value: ModelValue) -> str:
    """Say what to do about a wrong shape, where the shape tells what is wrong."""
    axis = batch_axis(value)
    if array.ndim == len(value.shape) and not array.size:
        return "give one sample or more"
    if axis is not None and _fits(array.shape, value.shape[:axis] + value.shape[axis + 1 :]):
        return f"give a single sample a batch axis of 1: numpy.expand_dims(x, {axis})"
    if array.ndim == len(value.shape) and array.ndim <= _MOST_TURNED:
        turns = itertools.permutations(range(array.ndim))
        turned = next((order for order in turns if _fits(tuple(array.shape[i] for i in order), value.shape)), None)
        if turned is not None:
            return f"its axes are in another order: numpy.transpose(x, {turned})"
    return "prepare samples as those that the model was compiled with"
