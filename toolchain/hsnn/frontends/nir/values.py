"""Numbers in the fields of NIR nodes: checked and in the shape that is wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from hsnn.errors import UnsupportedError
from hsnn.frontends.nir.read import NirNode

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[Any]
    Shape: TypeAlias = tuple[int, ...]


def plain(array: Array) -> Array:
    """Return one number, shape ``()``, where all are equal; else the array as it is."""
    return array.reshape(-1)[0] if array.size and bool((array == array.reshape(-1)[0]).all()) else array


def ints(name: str, key: str, value: Any) -> tuple[int, ...]:
    """Return whole numbers.

    Args:
        name: The node, for the message.
        key: Its field, likewise.
        value: One number, or up to 8 on one axis, stored in whatever type.

    Raises:
        UnsupportedError: ``HSNN-F083`` for anything else, and beyond ``2**31``.
    """
    array = np.asarray(value)
    if array.dtype.kind not in "iuf" or array.ndim > 1 or array.size > 8 or bool((array != np.rint(array)).any()):
        raise UnsupportedError("HSNN-F083", f"{key} of {name!r} is {str(value)[:60]}", allowed="whole numbers")
    if bool((np.abs(array.astype(np.float64)) > 1 << 31).any()):
        raise UnsupportedError("HSNN-F083", f"{key} of {name!r} is {str(value)[:60]}", allowed="less than 2**31")
    return tuple(int(item) for item in array.reshape(-1))


def pair(name: str, key: str, value: Any, axes: int, *, least: int) -> tuple[int, ...]:
    """Return one whole number for each of ``axes``; a single one stands for all.

    Raises:
        UnsupportedError: ``HSNN-F083`` for another count, and for numbers below ``least`` or above ``2**16``.
    """
    found = ints(name, key, value)
    found = found * axes if len(found) == 1 else found
    if len(found) != axes or min(found) < least or max(found) > 1 << 16:
        raise UnsupportedError("HSNN-F083", f"{key} of {name!r} is {found}", allowed=f"{axes} numbers from {least} on")
    return found


def pads(name: str, value: Any, kernel: Shape, stride: Shape, dilation: Shape) -> tuple[int, ...]:
    """Return the padding before each axis, then that after each; raises ``HSNN-F083``."""
    if isinstance(value, str) and value == "valid":
        return (0,) * 2 * len(kernel)
    if isinstance(value, str) and value == "same":
        if max(stride) > 1:
            raise UnsupportedError("HSNN-F083", f"{name!r} pads 'same' with stride {stride}", allowed="stride 1")
        total = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        return (*(t // 2 for t in total), *(t - t // 2 for t in total))
    if isinstance(value, str):
        raise UnsupportedError("HSNN-F083", f"padding of {name!r} is {value[:40]!r}", allowed="same, valid or numbers")
    return pair(name, "padding", value, len(kernel), least=0) * 2


def windows(name: str, shape: Shape, kernel: Shape, stride: Shape, pads: Shape, dilation: Shape) -> Shape:
    """Return the extents of what a kernel leaves of ``shape``; raises ``HSNN-F082`` if it does not fit."""
    axes = len(kernel)
    room = [extent + pads[i] + pads[i + axes] - dilation[i] * (kernel[i] - 1) - 1 for i, extent in enumerate(shape)]
    if min(room) < 0 or min(kernel) < 1:
        raise UnsupportedError(
            "HSNN-F082",
            f"the kernel {kernel} of {name!r} does not fit into {shape}",
            fix="check input_shape and padding of the nodes before it",
        )
    return tuple(free // step + 1 for free, step in zip(room, stride, strict=True))


def parameter(name: str, key: str, value: Any, shape: Shape) -> Array:
    """Return a field with one number, float64, for each element of ``shape``; raises ``HSNN-F082``."""
    array = np.asarray(value, np.float64)
    if array.size != 1 and array.shape != shape:
        raise UnsupportedError(
            "HSNN-F082", f"{key} of {name!r} has the shape {array.shape}, but its input {shape}", allowed=str(shape)
        )
    return np.full(shape, array.reshape(())) if array.size == 1 else array


def matrix(name: str, node: NirNode, shape: Shape) -> Array:
    """Return the weights ``(post, pre)``, float64, of ``Linear`` and ``Affine``; raises ``HSNN-F082``."""
    weight = np.asarray(node.fields["weight"], np.float64)
    if weight.ndim != 2 or not shape or weight.shape[1] != shape[-1]:
        raise UnsupportedError(
            "HSNN-F082",
            f"{name!r} ({node.kind}) has weights {weight.shape} for an input of shape {shape}",
            allowed="weights (post, pre) with pre the last axis of the input",
        )
    return weight


def bias(name: str, node: NirNode, rows: Array) -> Array:
    """Return the bias of ``Affine``, float64, one number for each row of its matrix; raises ``HSNN-F082``."""
    found = np.asarray(node.fields["bias"], np.float64)
    if found.size != 1 and found.shape != (rows.shape[0],):
        raise UnsupportedError(
            "HSNN-F082", f"bias of {name!r} has the shape {found.shape}", allowed=f"({rows.shape[0]},)"
        )
    return np.broadcast_to(found.reshape(-1), (rows.shape[0],)) if found.size == 1 else found
