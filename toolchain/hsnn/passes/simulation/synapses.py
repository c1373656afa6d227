"""Deliver spikes through synapses, for many timesteps and samples at once.

The float simulation and the integer check of a run share these functions. All arithmetic is float64,
so sums of integers stay exact below 2**53.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from typing_extensions import assert_never

from hsnn.ir.projections import ConvProjection, DenseProjection, Projection, SparseProjection
from hsnn.ir.shape import Shape, size
from hsnn.ir.spiking import FloatConv, FloatDense, FloatProjection, FloatSparse

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float = NDArray[np.float64]

AnyConv: TypeAlias = "FloatConv | ConvProjection"
AnySparse: TypeAlias = "FloatSparse | SparseProjection"

_BLOCK_ELEMENTS = 1 << 22
"""Largest temporary array, in elements of float64 (32 MiB): it bounds memory and stays near the caches."""


def deliver(projection: FloatProjection | Projection, sent: NDArray[np.generic], post: Shape) -> Float:
    """Sum what synapses make of spikes, without ``weight_exp`` and without any delay.

    Args:
        projection: Float or integer synapses.
        sent: Spikes or payloads, shape ``(N, *pre)``; N is any mix of timesteps and samples.
        post: Feature shape of the population that receives.

    Returns:
        ``W . sent``, float64, shape ``(N, *post)``.
    """
    match projection:
        case FloatDense() | DenseProjection():
            flat = sent.reshape(len(sent), -1).astype(np.float64)
            return (flat @ projection.weights.astype(np.float64).T).reshape(len(sent), *post)
        case FloatConv() | ConvProjection():
            return _correlate(projection, sent, post)
        case FloatSparse() | SparseProjection():
            return _multiply(projection, sent, post)
        case _:
            assert_never(projection)


def weights_of(projection: FloatProjection | Projection) -> NDArray[np.generic]:
    """Return all weights of a projection, without ``weight_exp``, in the dtype and shape in which it holds them.

    That is ``(post, pre)``, ``(C_out, C_in / groups, H, W)`` or, of sparse ones, ``(synapse,)``.
    """
    return projection.data if isinstance(projection, FloatSparse | SparseProjection) else projection.weights


def extreme_sums(projection: FloatProjection | Projection, *, signed: bool) -> tuple[float, float]:
    """Bound what synapses deliver to any neuron if every source sends between 0 and 1.

    Args:
        projection: Synapses.
        signed: Whether sources send between -1 and 1 instead.

    Returns:
        Lowest and highest sum, at most 0 and at least 0; a convolution reaches them away from the border.
    """
    weights = weights_of(projection).astype(np.float64)
    low = float(_row_sums(projection, np.minimum(weights, 0.0)).min(initial=0.0))
    high = float(_row_sums(projection, np.maximum(weights, 0.0)).max(initial=0.0))
    if not signed:
        return low, high
    norm = float(_row_sums(projection, np.abs(weights)).max(initial=0.0))
    return -norm, norm


def _row_sums(projection: FloatProjection | Projection, weights: Float) -> Float:
    """Sum weights onto each postsynaptic neuron, or onto each channel of a convolution."""
    if isinstance(projection, FloatSparse | SparseProjection):
        rows = np.repeat(np.arange(len(projection.indptr) - 1), np.diff(projection.indptr))
        return np.bincount(rows, weights, minlength=len(projection.indptr) - 1).astype(np.float64)
    sums: Float = weights.reshape(len(weights), -1).sum(axis=1)
    return sums


def _correlate(projection: AnyConv, sent: NDArray[np.generic], post: Shape) -> Float:
    """Correlate ``(N, C, H, W)`` as one matrix product over unfolded patches, a block of images at a time."""
    out_c, in_c, *kernel = projection.weights.shape
    groups = projection.groups
    matrix = projection.weights.astype(np.float64).reshape(groups, out_c // groups, -1)
    positions = post[1] * post[2]
    block = max(1, _BLOCK_ELEMENTS // max(1, groups * in_c * int(np.prod(kernel)) * positions))
    out = np.empty((len(sent), *post))
    for start in range(0, len(sent), block):
        patches = _patches(projection, sent[start : start + block], post)
        columns = patches.reshape(len(patches), groups, matrix.shape[2], positions)
        out[start : start + block] = (matrix @ columns).reshape(len(patches), *post)
    return out


def _patches(projection: AnyConv, images: NDArray[np.generic], post: Shape) -> Float:
    """Unfold images to ``(N, C, kernel H, kernel W, H_out, W_out)``."""
    kernel, (pad_h, pad_w) = projection.weights.shape[2:], projection.padding
    padded = np.pad(images.astype(np.float64), ((0, 0), (0, 0), (pad_h, pad_h), (pad_w, pad_w)))
    per_image, per_channel, per_row, per_column = padded.strides
    (step_h, step_w), (dil_h, dil_w) = projection.stride, projection.dilation
    view = np.lib.stride_tricks.as_strided(
        padded,
        (*padded.shape[:2], *kernel, *post[1:]),
        (
            per_image,
            per_channel,
            per_row * dil_h,
            per_column * dil_w,
            per_row * step_h,
            per_column * step_w,
        ),
        writeable=False,
    )
    return np.ascontiguousarray(view)


def _multiply(projection: AnySparse, sent: NDArray[np.generic], post: Shape) -> Float:
    """Multiply by compressed sparse rows, a block of spike vectors at a time."""
    filled = np.flatnonzero(np.diff(projection.indptr))
    flat = sent.reshape(len(sent), -1)
    out = np.zeros((len(sent), size(post)))
    if not len(filled):
        return out.reshape(len(sent), *post)
    weights = projection.data.astype(np.float64)[:, None]
    starts = projection.indptr[filled]
    block = max(1, _BLOCK_ELEMENTS // len(weights))
    for start in range(0, len(sent), block):
        columns = np.ascontiguousarray(flat[start : start + block].T, np.float64)
        products = columns[projection.indices]
        products *= weights
        # reduceat sums from one start to the next, so rows without synapses must not be among them.
        out[start : start + block, filled] = np.add.reduceat(products, starts, axis=0).T
    return out.reshape(len(sent), *post)
