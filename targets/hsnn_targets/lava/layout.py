"""Order of neurons: hsnn's ``(C, H, W)`` and Lava's ``(W, H, C)``.

Lava's Conv wants its axes reversed, so populations of three axes are laid out that way from the start, and
every parameter, weight matrix and spike train is permuted once on the way in or out. All other populations
are flat.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

from hsnn.ir.shape import Shape, size

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Scalar = TypeVar("Scalar", bound=np.generic)


def lava_shape(shape: Shape) -> Shape:
    """Shape of a population's ports in Lava.

    >>> lava_shape((3, 5, 7)), lava_shape((4, 2)), lava_shape(())
    ((7, 5, 3), (8,), (1,))
    """
    return shape[::-1] if len(shape) == 3 else (size(shape),)


def to_lava(array: NDArray[Scalar], shape: Shape) -> NDArray[Scalar]:
    """Lay out ``(..., *shape)`` as ``(..., *lava_shape(shape))``; a view where that can be."""
    lead = array.ndim - len(shape)
    if len(shape) == 3:
        return array.transpose(*range(lead), lead + 2, lead + 1, lead)
    return array.reshape(*array.shape[:lead], size(shape))


def from_lava(array: NDArray[Scalar], shape: Shape) -> NDArray[Scalar]:
    """Undo :func:`to_lava`: lay out ``(..., *lava_shape(shape))`` as ``(..., *shape)``; a view where that can be."""
    lead = array.ndim - len(lava_shape(shape))
    if len(shape) == 3:
        return array.transpose(*range(lead), lead + 2, lead + 1, lead)
    return array.reshape(*array.shape[:lead], *shape)


def neuron_order(shape: Shape) -> NDArray[np.intp]:
    """Index in hsnn of every neuron in Lava, shape ``(neuron,)``.

    >>> neuron_order((2, 1, 3))
    array([0, 3, 1, 4, 2, 5])
    """
    return to_lava(np.arange(size(shape)).reshape(shape), shape).ravel()


def parameter(array: NDArray[np.int32], shape: Shape) -> NDArray[np.int32]:
    """Lay out a parameter of shape () or ``shape``; a scalar gets one element on every axis of Lava's."""
    if array.shape == shape:
        return np.ascontiguousarray(to_lava(array, shape))
    return array.reshape((1,) * len(lava_shape(shape)))
