"""Linear maps over the feature axes of a spike train, and their matrices.

Flattening is C order everywhere, so a reshape of the feature axes is no map at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from hsnn.ir.shape import Shape, size

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

    Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class ConvMap:
    """Correlation with a kernel ``(C_out, C_in / groups, H, W)``; ``pads`` is top, left, bottom, right."""

    weights: Float
    pre: Shape
    post: Shape
    stride: tuple[int, int]
    pads: tuple[int, int, int, int]
    dilation: tuple[int, int]
    groups: int


@dataclass(frozen=True, slots=True, eq=False)
class MatrixMap:
    """Product with a dense matrix ``(post neurons, pre neurons)``."""

    weights: Float
    pre: Shape
    post: Shape


@dataclass(frozen=True, slots=True, eq=False)
class SparseMap:
    """Product with a sparse matrix ``(post neurons, pre neurons)``."""

    weights: csr_array
    pre: Shape
    post: Shape


@dataclass(frozen=True, slots=True)
class ReshapeMap:
    """The same neurons under another feature shape."""

    pre: Shape
    post: Shape


LinearMap: TypeAlias = "ConvMap | MatrixMap | SparseMap | ReshapeMap"


def permutation(pre: Shape, axes: tuple[int, ...]) -> LinearMap:
    """Map that transposes the feature axes, as ``numpy.transpose`` with ``axes``."""
    order = np.arange(size(pre)).reshape(pre).transpose(axes)
    return selection(pre, order)


def selection(pre: Shape, chosen: NDArray[np.int64]) -> LinearMap:
    """Map whose output neuron ``i`` is the input neuron ``chosen.flat[i]``, or silent where that is -1.

    Args:
        pre: Feature shape before.
        chosen: Flat numbers of input neurons, int64; its shape is the feature shape after.
    """
    from scipy.sparse import csr_array

    flat = chosen.reshape(-1)
    taken = np.flatnonzero(flat >= 0)
    matrix = csr_array((np.ones(taken.size), (taken, flat[taken])), shape=(flat.size, size(pre)))
    return SparseMap(matrix, pre, chosen.shape)


def average_pool(pre: Shape, windows: NDArray[np.int64], weights: Float, post: Shape) -> LinearMap:
    """Map that sums windows of input neurons with weights.

    Args:
        pre: Feature shape before.
        windows: Input neuron of each window place, shape ``(post neurons, place)``; -1 for padding.
        weights: Weight of each place, same shape.
        post: Feature shape after.
    """
    from scipy.sparse import csr_array

    rows, places = np.nonzero(windows >= 0)
    matrix = csr_array((weights[rows, places], (rows, windows[rows, places])), shape=(size(post), size(pre)))
    return SparseMap(matrix, pre, post)


def transposed(conv: ConvMap) -> LinearMap:
    """Map that spreads each value of a convolution's result over the places that it would be summed from."""
    from scipy.sparse import csr_array

    return SparseMap(csr_array(_conv_matrix(conv).T), conv.post, conv.pre)


def identity(shape: Shape) -> LinearMap:
    """Map that leaves every neuron as it is, as a matrix."""
    return selection(shape, np.arange(size(shape)).reshape(shape))


def as_matrix(maps: tuple[LinearMap, ...]) -> csr_array:
    """Multiply a chain of maps out to one sparse matrix ``(post neurons, pre neurons)``.

    Raises:
        ValueError: If all of them are reshapes, which have no matrix.
    """
    from scipy.sparse import csr_array

    product: csr_array | None = None
    for linear in maps:
        if isinstance(linear, ReshapeMap):
            continue
        matrix = matrix_of(linear)
        product = matrix if product is None else csr_array(matrix @ product)
    if product is None:
        message = "a chain of reshapes has no matrix"
        raise ValueError(message)
    return product


def conv_windows(conv: ConvMap) -> NDArray[np.int64]:
    """Input neuron under each kernel place, shape ``(H_out * W_out, kernel H * kernel W)`` of ``H * W``; -1 outside."""
    _, height, width = conv.pre
    _, out_h, out_w = conv.post
    kernel_h, kernel_w = conv.weights.shape[2:]
    y = np.arange(out_h)[:, None] * conv.stride[0] - conv.pads[0] + np.arange(kernel_h)[None] * conv.dilation[0]
    x = np.arange(out_w)[:, None] * conv.stride[1] - conv.pads[1] + np.arange(kernel_w)[None] * conv.dilation[1]
    inside = ((y >= 0) & (y < height))[:, None, :, None] & ((x >= 0) & (x < width))[None, :, None, :]
    index = y[:, None, :, None] * width + x[None, :, None, :]
    return np.where(inside, index, -1).reshape(out_h * out_w, kernel_h * kernel_w)


def matrix_of(linear: ConvMap | MatrixMap | SparseMap) -> csr_array:
    """Return the matrix of a map, sparse, ``(post neurons, pre neurons)``."""
    from scipy.sparse import csr_array

    if isinstance(linear, SparseMap):
        return linear.weights
    if isinstance(linear, MatrixMap):
        return csr_array(linear.weights)
    return _conv_matrix(linear)


def _conv_matrix(conv: ConvMap) -> csr_array:
    """Unroll a convolution: one synapse per kernel place inside the image."""
    from scipy.sparse import csr_array

    windows = conv_windows(conv)
    out_c, in_c = conv.weights.shape[:2]
    area_in, area_out = size(conv.pre[1:]), size(conv.post[1:])
    places, kernel_places = np.nonzero(windows >= 0)
    pixels = windows[places, kernel_places]
    o, c = np.meshgrid(np.arange(out_c), np.arange(in_c), indexing="ij")
    channel = c + (o // (out_c // conv.groups)) * in_c
    rows = (o[..., None] * area_out + places).reshape(-1)
    columns = (channel[..., None] * area_in + pixels).reshape(-1)
    data = conv.weights.reshape(out_c, in_c, -1)[:, :, kernel_places].reshape(-1)
    return csr_array((data, (rows, columns)), shape=(size(conv.post), size(conv.pre)))


def diagonal(factor: Float) -> SparseMap:
    """Map that multiplies every neuron by its own factor, float64 of the full feature shape."""
    from scipy.sparse import csr_array

    flat = factor.reshape(-1)
    index = np.arange(flat.size)
    return SparseMap(csr_array((flat, (index, index)), shape=(flat.size, flat.size)), factor.shape, factor.shape)
