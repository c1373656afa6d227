"""Feature shapes: how many neurons they hold, and how complex values lie in them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


Shape: TypeAlias = "tuple[int, ...]"


def both_parts(shape: Shape) -> Shape:
    """Shape of the real and imaginary parts of complex values, which take turns along the first axis."""
    return (2 * shape[0], *shape[1:])


def part_indices(shape: Shape) -> NDArray[np.int64]:
    """Where the parts of complex values of this shape lie among the flat parts: ``(2, *shape)``, real parts first.

    >>> part_indices((2, 2)).tolist()
    [[[0, 1], [4, 5]], [[2, 3], [6, 7]]]
    """
    numbers = np.arange(2 * size(shape), dtype=np.int64).reshape(shape[0], 2, *shape[1:])
    return np.ascontiguousarray(np.moveaxis(numbers, 1, 0))


def size(shape: Shape) -> int:
    """Number of neurons in a population of this feature shape."""
    return math.prod(shape)


def broadcasts(shape: Sequence[object], to: Sequence[object]) -> bool:
    """Whether arrays of one shape broadcast to exactly another, which may have extents that are not known.

    >>> broadcasts((3, 1, 1), (3, 5, 5)), broadcasts((2, 3), (3,))
    (True, False)
    """
    return len(shape) <= len(to) and all(have in (1, want) for have, want in zip(shape[::-1], to[::-1], strict=False))
