"""Calibration samples: arrays with the batch axis first, given in whatever way is natural."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from hsnn.errors import UsageError
from hsnn.runtime.inputs import check_inputs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hsnn.ir.plan import ModelValue

Array: TypeAlias = "NDArray[np.generic]"
Samples: TypeAlias = "Array | Sequence[Array] | Mapping[str, Array]"

EXAMPLES = 2
"""Samples to trace a model with; two, so that no batch size of one is baked in."""


def named_samples(samples: Samples, inputs: tuple[ModelValue, ...]) -> dict[str, Array]:
    """Assign samples to the inputs of a model and check them.

    Args:
        samples: One array, one an input in order, or by input name.
        inputs: Inputs of the model.

    Raises:
        UsageError: ``HSNN-R101`` to ``HSNN-R104``; see :func:`hsnn.runtime.inputs.check_inputs`.
    """
    if isinstance(samples, Mapping) or hasattr(samples, "__array__"):  # a tensor of torch has it, too
        return check_inputs(samples, inputs)
    listed = list(samples)
    if len(listed) != len(inputs):
        names = ", ".join(repr(item.name) for item in inputs)
        raise UsageError(
            "HSNN-R101",
            f"{len(listed)} arrays of samples are given",
            allowed=f"one for each of {names}",
            fix="give a dict by input name, or as many arrays as the model has inputs",
        )
    return check_inputs({item.name: array for item, array in zip(inputs, listed, strict=True)}, inputs)


def limited(samples: Mapping[str, Array], most: int) -> dict[str, Array]:
    """Return the first samples, at most so many: views along axis 0 of each array."""
    return {name: array[:most] for name, array in samples.items()}


def examples_of(samples: Samples) -> tuple[Any, ...]:
    """Return one sample of every input, repeated, to trace a model with.

    Raises:
        UsageError: ``HSNN-R103``, if there are none; ``HSNN-R102``, if they are no numbers.
    """
    listed: list[Any]
    if isinstance(samples, Mapping):
        listed = list(samples.values())
    else:
        listed = [samples] if hasattr(samples, "__array__") else list(samples or ())
    arrays = [np.asarray(item) for item in listed]
    if not arrays or any(array.ndim == 0 or array.shape[0] == 0 for array in arrays):
        raise UsageError(
            "HSNN-R103",
            "there are no calibration samples",
            allowed="one sample or more",
            fix="give a few dozen samples like those that it was trained on",
        )
    for array in arrays:
        if array.dtype.kind not in "fiub":
            raise UsageError(
                "HSNN-R102",
                f"calibration samples are {array.dtype}",
                allowed="arrays of numbers",
                fix="scale them as in training, then .astype('float32')",
            )
    # Runs take float64 as float32 too (hsnn.runtime.inputs).
    single = (array[:1].astype(np.float32) if array.dtype == np.float64 else array[:1] for array in arrays)
    return tuple(np.repeat(array, EXAMPLES, axis=0) for array in single)
