"""Turn a chain of linear maps into the one projection that does the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hsnn.ir.shape import Shape
from hsnn.ir.spiking import FloatConv, FloatDense, FloatProjection, FloatSparse
from hsnn.passes.trains.affine import Term
from hsnn.passes.trains.linear import ConvMap, MatrixMap, ReshapeMap, as_matrix, identity

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

DENSE_FROM = 0.25
"""Share of non-zero weights from which a composed matrix is stored densely."""


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
    return _of_matrix(as_matrix(maps or (identity(shape),)), name=name, pre=pre, post=post, delay=term.delay)


def feedback(weights: NDArray[np.float64], name: str, neurons: str) -> FloatProjection:
    """Turn a matrix ``(post, pre)`` from a population to itself, one timestep later, into a projection.

    It is stored sparsely where most of it is zero: one weight for each neuron, or a convolution multiplied out.

    Args:
        weights: Float64, square, flattened features on both axes.
        name: Name of the projection.
        neurons: Name of the population.
    """
    if not weights.any() or np.count_nonzero(weights) >= DENSE_FROM * weights.size:
        return FloatDense(name, neurons, neurons, weights, 1)
    from scipy.sparse import csr_array

    return _of_matrix(csr_array(weights), name=name, pre=neurons, post=neurons, delay=1)


def _of_matrix(matrix: csr_array, *, name: str, pre: str, post: str, delay: int) -> FloatProjection:
    rows, columns = matrix.shape
    if matrix.nnz >= DENSE_FROM * rows * columns:
        return FloatDense(name, pre, post, np.ascontiguousarray(matrix.toarray()), delay)
    matrix.eliminate_zeros()
    matrix.sort_indices()
    indices, indptr = matrix.indices.astype(np.int32), matrix.indptr.astype(np.int32)
    return FloatSparse(name, pre, post, matrix.data.astype(np.float64), indices, indptr, delay)


def _keeps_layout(term: Term, conv: ConvMap, shape: Shape) -> bool:
    """Whether a convolution can stay one: no reshape before it, ``(C, H, W)`` at the neuron, even padding."""
    first = term.maps[0]
    return first is conv and conv.post == shape and conv.pads[:2] == conv.pads[2:]
