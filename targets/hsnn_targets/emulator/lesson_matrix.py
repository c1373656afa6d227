"""Any projection as a matrix: networks that learn are small, so their kernels know no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hsnn.ir.projections import ConvProjection, DenseProjection, Projection, SparseProjection
from hsnn.ir.shape import Shape, size

if TYPE_CHECKING:
    from numpy.typing import NDArray


def as_matrix(projection: Projection, pre: Shape, post: Shape) -> NDArray[np.int32]:
    """Weights of every pair of neurons, int32, shape ``(post, pre)``."""
    match projection:
        case DenseProjection():
            return projection.weights.astype(np.int32)
        case SparseProjection():
            matrix = np.zeros((size(post), size(pre)), np.int32)
            rows = np.repeat(np.arange(size(post)), np.diff(projection.indptr))
            np.add.at(matrix, (rows, projection.indices), projection.data.astype(np.int32))
            return matrix
        case ConvProjection():
            return _unroll(projection, pre, post)


def _unroll(projection: ConvProjection, pre: Shape, post: Shape) -> NDArray[np.int32]:
    """A convolution, one kernel position at a time; what lies in the padding is left out."""
    (step_h, step_w), (pad_h, pad_w), (dil_h, dil_w) = projection.stride, projection.padding, projection.dilation
    out_channels, in_channels, kernel_h, kernel_w = projection.weights.shape
    per_group = out_channels // projection.groups
    matrix = np.zeros((*post, *pre), np.int32)
    for y in range(post[1]):
        for x in range(post[2]):
            for ky in range(kernel_h):
                for kx in range(kernel_w):
                    row, column = y * step_h - pad_h + ky * dil_h, x * step_w - pad_w + kx * dil_w
                    if not (0 <= row < pre[1] and 0 <= column < pre[2]):
                        continue
                    for out in range(out_channels):
                        first = out // per_group * in_channels
                        matrix[out, y, x, first : first + in_channels, row, column] = projection.weights[out, :, ky, kx]
    return matrix.reshape(size(post), size(pre))
