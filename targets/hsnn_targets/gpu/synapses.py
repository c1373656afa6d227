"""Synapses on a device: integer sums as products of floating-point matrices that cannot round.

No matrix product of 32-bit integers runs on CUDA, but one of floats is exact where every sum of
magnitudes stays within the floats' integers: up to 2**24 for float32, 2**53 for float64. All partial
sums then are integers within that range, in whatever order they are added, so the result is exact and
the same on every run. The bound comes from the weights and the largest payload. Where payloads are too
large for it they are cut into digits, which are multiplied one by one.

Convolutions are unfolded into matrices here: algorithms of libraries (Winograd, Fourier) do round.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn.functional import unfold

from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.populations import largest_payload
from hsnn.ir.projections import ConvProjection, DenseProjection, Projection, SparseProjection
from hsnn.ir.shape import Shape
from hsnn_targets.gpu.rules import wrap_int24, wrap_int32

if TYPE_CHECKING:
    from torch import Tensor

EXACT = {torch.float32: 1 << 24, torch.float64: 1 << 53}
"""Magnitudes up to which all integers are floats."""
MOST_DIGITS = 3
"""Digits up to which float32 is preferred: float64 is far slower on most devices."""
UNFOLDED_BYTES = 128 << 20
"""What an unfolded part of a convolution's input may take, unless one timestep of one sample takes more."""


@dataclass(frozen=True, slots=True)
class Digits:
    """How payloads are cut so that products are exact.

    Attributes:
        dtype: Type of the products.
        count: Digits, the last one signed.
        bits: Bits of each.
    """

    dtype: torch.dtype
    count: int
    bits: int


def choose_digits(largest: int, peak: int) -> Digits:
    """Choose how to multiply.

    Args:
        largest: Largest sum of the magnitudes of the weights onto one neuron.
        peak: Largest magnitude of a payload.
    """
    for dtype, limit in EXACT.items():
        if largest * peak <= limit:
            return Digits(dtype, 1, 0)
        bits = max((limit // largest).bit_length() - 1, 0)
        count = -(-peak.bit_length() // bits) if bits else MOST_DIGITS + 1
        if count <= MOST_DIGITS:
            return Digits(dtype, count, bits)
    raise AssertionError("more synapses on a neuron than any memory holds")


@dataclass(frozen=True, slots=True, eq=False)
class Synapses:
    """One projection on a device.

    Attributes:
        projection: The projection.
        weights: DENSE ``(pre, post)``, CONV ``(group, output channel, input)``, SPARSE ``(post, pre)`` as
            coordinates; of the type of the digits.
        digits: How payloads are cut.
        pre: Feature shape of the source.
    """

    projection: Projection
    weights: Tensor
    digits: Digits
    pre: Shape

    @classmethod
    def of(cls, network: IntegerNetwork, projection: Projection, device: str) -> Synapses:
        """Put the synapses of a projection on a device."""
        source = network.source(projection.pre)
        peak, _ = largest_payload(source)
        digits = choose_digits(max(_largest_sum(projection), 1), peak)
        return cls(projection, _matrix(network, projection, digits.dtype).to(device), digits, source.shape)

    def deliver(self, sent: Tensor) -> Tensor:
        """Pass rows of payloads, ``(row, pre)`` of an integer type, through the synapses.

        Returns:
            The sums after shift and wrap, int64, ``(row, post)``.
        """
        total = self._multiply(self._digit(sent, 0))
        for place in range(1, self.digits.count):
            total += self._multiply(self._digit(sent, place)) << (self.digits.bits * place)
        shifted = total << self.projection.weight_exp
        return wrap_int24(shifted) if isinstance(self.projection, ConvProjection) else wrap_int32(shifted)

    def _digit(self, sent: Tensor, place: int) -> Tensor:
        if self.digits.count == 1:
            return sent
        higher = sent >> (self.digits.bits * place)
        return higher if place == self.digits.count - 1 else higher & ((1 << self.digits.bits) - 1)

    def _multiply(self, digit: Tensor) -> Tensor:
        match self.projection:
            case DenseProjection():
                return (digit.to(self.digits.dtype) @ self.weights).to(torch.int64)
            case SparseProjection():
                summed: Tensor = torch.sparse.mm(self.weights, digit.to(self.digits.dtype).T)
                return summed.T.to(torch.int64)
            case ConvProjection():
                kernel = self.weights.shape[0] * self.weights.shape[2] * self.digits.dtype.itemsize
                rows = max(UNFOLDED_BYTES // (kernel * self.pre[1] * self.pre[2]), 1)
                return torch.cat([self._correlate(part, self.projection) for part in digit.split(rows)])

    def _correlate(self, digit: Tensor, projection: ConvProjection) -> Tensor:
        """Unfold some rows and multiply; the result is in C order of ``(C, H, W)``."""
        rows, groups = digit.shape[0], projection.groups
        seen = unfold(
            digit.to(self.digits.dtype).reshape(rows, *self.pre),
            projection.weights.shape[2:],
            dilation=projection.dilation,
            padding=projection.padding,
            stride=projection.stride,
        )
        grouped = seen.reshape(rows, groups, self.weights.shape[2], -1)
        return (self.weights @ grouped).reshape(rows, -1).to(torch.int64)


def _matrix(network: IntegerNetwork, projection: Projection, dtype: torch.dtype) -> Tensor:
    match projection:
        case DenseProjection():
            return torch.from_numpy(np.ascontiguousarray(projection.weights.T)).to(dtype)
        case SparseProjection():
            rows = np.repeat(np.arange(projection.indptr.size - 1), np.diff(projection.indptr))
            places = torch.from_numpy(np.stack([rows, projection.indices.astype(np.int64)]))
            data = torch.from_numpy(projection.data.copy()).to(dtype)
            shape = (projection.indptr.size - 1, int(np.prod(network.source(projection.pre).shape)))
            found: Tensor = torch.sparse_coo_tensor(places, data, shape, check_invariants=False)
            return found.coalesce()
        case ConvProjection():
            grouped = projection.weights.reshape(
                projection.groups, projection.weights.shape[0] // projection.groups, -1
            )
            return torch.from_numpy(grouped.copy()).to(dtype)


def _largest_sum(projection: Projection) -> int:
    """Largest sum of the magnitudes of the weights onto one neuron."""
    if isinstance(projection, SparseProjection):
        ends = np.concatenate([[0], np.cumsum(np.abs(projection.data.astype(np.int64)))])
        sums = ends[projection.indptr[1:]] - ends[projection.indptr[:-1]]
    else:
        rows = projection.weights.reshape(projection.weights.shape[0], -1)
        sums = np.abs(rows).sum(axis=1, dtype=np.int64)
    return int(sums.max(initial=0))
