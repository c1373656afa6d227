"""Linear maps over the feature axes of a spike train, and how they compose into synapses.

Between an encoder or neuron and the next neuron, a network may add, scale, convolve, pool, flatten and
multiply spike trains. All of that is affine: a value is a sum of terms, each a chain of linear maps
from one source, plus a bias. :func:`synapse` turns a chain into the one projection that does the same.

Flattening is C order everywhere, so a reshape of the feature axes is no map at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from hsnn.ir.shape import Shape, size
from hsnn.ir.spiking import FloatConv, FloatDense, FloatProjection, FloatSparse

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

    Float = NDArray[np.float64]

DENSE_FROM = 0.25
"""Share of non-zero weights from which a composed matrix is stored densely."""


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


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """What one source contributes: a chain of maps, applied first to last, after a delay.

    Attributes:
        source: Name of the value that carries the spikes.
        maps: Chain of maps; empty for the spikes themselves.
        delay: Timesteps between sending and arriving.
    """

    source: str
    maps: tuple[LinearMap, ...] = ()
    delay: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Affine:
    """A value as a sum of terms and biases.

    Attributes:
        shape: Feature shape.
        terms: Contributions of spike trains.
        biases: By delay: a constant that is added from that timestep on, shape ``shape``.
    """

    shape: Shape
    terms: tuple[Term, ...]
    biases: Mapping[int, Float] = field(default_factory=dict)

    def then(self, linear: LinearMap) -> Affine:
        """Apply a map to every term and bias."""
        return Affine(
            linear.post,
            tuple(replace(term, maps=(*term.maps, linear)) for term in self.terms),
            {delay: _apply(linear, bias) for delay, bias in self.biases.items()},
        )

    def scaled(self, factor: Float) -> Affine:
        """Multiply by a factor that broadcasts to the feature shape."""
        full = np.broadcast_to(np.asarray(factor, np.float64), self.shape)
        if np.all(full == 1.0):
            return self
        return Affine(
            self.shape,
            tuple(replace(term, maps=_scale_last(term.maps, full)) for term in self.terms),
            {delay: bias * full for delay, bias in self.biases.items()},
        )

    def plus(self, other: Affine) -> Affine:
        """Add another value of the same shape: one projection a branch, summed at the neuron."""
        return Affine(self.shape, (*self.terms, *other.terms), _sum_biases(self, other))

    def shifted(self, constant: Float) -> Affine:
        """Add a constant that broadcasts to the feature shape."""
        bias = np.broadcast_to(np.asarray(constant, np.float64), self.shape)
        return self.plus(Affine(self.shape, (), {0: bias}))

    def delayed(self, steps: int) -> Affine:
        """Let everything arrive ``steps`` timesteps later."""
        return Affine(
            self.shape,
            tuple(replace(term, delay=term.delay + steps) for term in self.terms),
            {delay + steps: bias for delay, bias in self.biases.items()},
        )


def permutation(pre: Shape, axes: tuple[int, ...]) -> LinearMap:
    """Map that transposes the feature axes, as ``numpy.transpose`` with ``axes``."""
    order = np.arange(size(pre)).reshape(pre).transpose(axes)
    return selection(pre, order)


def selection(pre: Shape, chosen: NDArray[np.int64]) -> LinearMap:
    """Map whose output neuron ``i`` is the input neuron ``chosen.flat[i]``, or silent where that is -1."""
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


def synapse(term: Term, *, name: str, pre: str, post: str, shape: Shape) -> FloatProjection:
    """Turn a chain of maps into one projection.

    A lone convolution stays a convolution and a lone matrix stays dense; everything else is multiplied
    out and stored sparsely, or densely from :data:`DENSE_FROM` on.

    Args:
        term: The chain.
        name: Name of the projection.
        pre: Source of the projection.
        post: Population that receives.
        shape: Feature shape of that population.
    """
    maps = tuple(m for m in term.maps if not isinstance(m, ReshapeMap))
    if len(maps) == 1:
        (only,) = maps
        if isinstance(only, MatrixMap):
            return FloatDense(name, pre, post, only.weights, term.delay)
        if isinstance(only, ConvMap) and _keeps_layout(term, only, shape):
            return FloatConv(
                name, pre, post, only.weights, only.stride, only.pads[:2], only.dilation, only.groups, term.delay
            )
    matrix = as_matrix(maps or (identity(shape),))
    rows, columns = matrix.shape
    if matrix.nnz >= DENSE_FROM * rows * columns:
        return FloatDense(name, pre, post, np.ascontiguousarray(matrix.toarray()), term.delay)
    matrix.eliminate_zeros()
    matrix.sort_indices()
    indices, indptr = matrix.indices.astype(np.int32), matrix.indptr.astype(np.int32)
    return FloatSparse(name, pre, post, matrix.data.astype(np.float64), indices, indptr, term.delay)


def as_matrix(maps: tuple[LinearMap, ...]) -> csr_array:
    """Multiply a chain of maps out to one sparse matrix ``(post neurons, pre neurons)``."""
    from scipy.sparse import csr_array

    product: csr_array | None = None
    for linear in maps:
        if isinstance(linear, ReshapeMap):
            continue
        matrix = _matrix(linear)
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


def _keeps_layout(term: Term, conv: ConvMap, shape: Shape) -> bool:
    """Whether a convolution can stay one: no reshape before it, ``(C, H, W)`` at the neuron, even padding."""
    first = term.maps[0]
    return first is conv and conv.post == shape and conv.pads[:2] == conv.pads[2:]


def _matrix(linear: ConvMap | MatrixMap | SparseMap) -> csr_array:
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


def _apply(linear: LinearMap, values: Float) -> Float:
    """Apply a map to one array of the feature shape."""
    if isinstance(linear, ReshapeMap):
        return values.reshape(linear.post)
    product: Float = np.asarray(_matrix(linear) @ values.reshape(-1), np.float64)
    return product.reshape(linear.post)


def _scale_last(maps: tuple[LinearMap, ...], factor: Float) -> tuple[LinearMap, ...]:
    """Multiply the outcome of a chain by a factor of its full feature shape, inside the last map if it can be."""
    if not maps:
        return (_diagonal(factor),)
    *before, last = maps
    if isinstance(last, ReshapeMap):
        return (*_scale_last(tuple(before), factor.reshape(last.pre)), last)
    if isinstance(last, MatrixMap):
        return (*before, replace(last, weights=last.weights * factor.reshape(-1, 1)))
    if isinstance(last, SparseMap):
        return (*before, replace(last, weights=_diagonal(factor).weights @ last.weights))
    per_channel = factor.reshape(factor.shape[0], -1)
    if np.all(per_channel == per_channel[:, :1]):
        return (*before, replace(last, weights=last.weights * per_channel[:, 0].reshape(-1, 1, 1, 1)))
    return (*maps, _diagonal(factor))


def _diagonal(factor: Float) -> SparseMap:
    from scipy.sparse import csr_array

    flat = factor.reshape(-1)
    index = np.arange(flat.size)
    return SparseMap(csr_array((flat, (index, index)), shape=(flat.size, flat.size)), factor.shape, factor.shape)


def _sum_biases(left: Affine, right: Affine) -> dict[int, Float]:
    delays = sorted({*left.biases, *right.biases})
    zero = np.zeros(left.shape)
    return {delay: left.biases.get(delay, zero) + right.biases.get(delay, zero) for delay in delays}
