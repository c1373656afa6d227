"""Synapses of an IntegerNetwork: dense, convolutional and sparse, with integer weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hsnn.ir.arithmetic import SignMode
    from hsnn.ir.shape import Shape
    from hsnn.ir.spiking import FloatConv


@dataclass(frozen=True, slots=True, eq=False)
class DenseProjection:
    """All-to-all synapses between flattened populations (C order).

    Attributes:
        name: Unique among projections.
        pre, post: Names of the source and of the population that receives.
        weights: Effective weights, int16, shape ``(post neurons, pre neurons)``: already clipped and
            truncated for ``sign_mode`` and ``num_weight_bits``.
        weight_exp: Left shift of each sum, 0 to 15.
        delay: Extra timesteps, 0 to 62; at least 1 on one projection of every cycle.
        sign_mode: Sign mode that Lava is told.
        num_weight_bits: 1 to 8.
    """

    name: str
    pre: str
    post: str
    weights: NDArray[np.int16]
    weight_exp: int = 0
    delay: int = 0
    sign_mode: SignMode = "mixed"
    num_weight_bits: int = 8


@dataclass(frozen=True, slots=True, eq=False)
class ConvProjection:
    """Two-dimensional correlation, in torch's convention.

    Attributes:
        weights: Effective weights, int16, shape ``(C_out, C_in / groups, kernel H, kernel W)``.
        stride, padding, dilation: ``(H, W)``; padding is symmetric.
        groups: Channel groups.
        name, pre, post, weight_exp, delay: As in :class:`DenseProjection`; both populations have
            shape ``(C, H, W)``.
    """

    name: str
    pre: str
    post: str
    weights: NDArray[np.int16]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    weight_exp: int = 0
    delay: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class SparseProjection:
    """Synapses as a compressed sparse row matrix between flattened populations.

    Attributes:
        data: Effective weights, int16, shape ``(synapse,)``; mixed signs, 8 bits, so even.
        indices: Presynaptic neuron of each synapse, int32, shape ``(synapse,)``.
        indptr: Where each postsynaptic neuron's synapses start, int32, shape ``(post neurons + 1,)``.
        name, pre, post, weight_exp, delay: As in :class:`DenseProjection`.
    """

    name: str
    pre: str
    post: str
    data: NDArray[np.int16]
    indices: NDArray[np.int32]
    indptr: NDArray[np.int32]
    weight_exp: int = 0
    delay: int = 0


Projection: TypeAlias = "DenseProjection | ConvProjection | SparseProjection"


def conv_output_shape(projection: ConvProjection | FloatConv, pre: Shape) -> Shape:
    """Feature shape that a convolution gives for a ``(C, H, W)`` source; extents may come out below 1."""
    spatial = (
        (extent + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1
        for extent, pad, dilation, kernel, stride in zip(
            pre[1:],
            projection.padding,
            projection.dilation,
            projection.weights.shape[2:],
            projection.stride,
            strict=True,
        )
    )
    return (projection.weights.shape[0], *spatial)
