"""Binary spikes as packed bits: what a recording keeps of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Int64 = NDArray[np.int64]
    UInt8 = NDArray[np.uint8]

UNPACKED_BYTES = 1 << 20
"""What :meth:`PackedSpikes.neuron_counts` unpacks at a time, unless one sample's timestep takes more."""


@dataclass(frozen=True, slots=True, eq=False)
class PackedSpikes:
    """Binary spikes, eight to a byte.

    ``bits[t, b, k]`` holds neurons ``8 k`` to ``8 k + 7`` of sample ``b`` at timestep ``t``, the lowest bit
    first; bits beyond the last neuron are 0. Neurons are numbered in C order of the feature axes as
    ``axes`` orders them: a sender that numbers channels last packs ``(C, H, W)`` with axes ``(1, 2, 0)``.

    Attributes:
        shape: Shape of the spikes, ``(timestep, batch, *feature)``.
        bits: uint8, shape ``(timestep, batch, ceil(neurons / 8))``.
        axes: Order of the feature axes.

    >>> packed = PackedSpikes.pack(np.array([[[0, 1, 0]], [[1, 1, 0]]]))
    >>> packed.bits.ravel(), packed.counts().ravel()
    (array([2, 3], dtype=uint8), array([1, 2]))
    """

    shape: tuple[int, ...]
    bits: UInt8
    axes: tuple[int, ...]

    @classmethod
    def pack(cls, spikes: NDArray[np.integer] | NDArray[np.bool_]) -> PackedSpikes:
        """Pack spikes, shape ``(timestep, batch, *feature)``; whatever is not 0 is one."""
        flat = spikes.reshape(*spikes.shape[:2], -1) != 0
        return cls(spikes.shape, np.packbits(flat, axis=2, bitorder="little"), tuple(range(spikes.ndim - 2)))

    @classmethod
    def joined(cls, parts: Sequence[PackedSpikes]) -> PackedSpikes:
        """Join the samples of several batches, all of one layout."""
        first = parts[0]
        samples = sum(part.shape[1] for part in parts)
        shape = (first.shape[0], samples, *first.shape[2:])
        return cls(shape, np.concatenate([part.bits for part in parts], axis=1), first.axes)

    def unpack(self) -> UInt8:
        """Return the spikes as bytes 0 and 1, of ``shape``."""
        flat = np.unpackbits(self.bits, axis=2, count=self._neurons, bitorder="little")
        order = (0, 1, *(2 + axis for axis in np.argsort(self.axes)))
        return flat.reshape(*self.shape[:2], *self._packed_feature).transpose(order)

    def counts(self) -> Int64:
        """Count the spikes of each timestep and sample, shape ``(timestep, batch)``; nothing is unpacked."""
        return np.asarray(_ONES[self.bits].sum(axis=2, dtype=np.int64))

    def neuron_counts(self, timesteps: int | None = None) -> Int64:
        """Count the spikes of each neuron over all samples, shape ``feature``.

        Args:
            timesteps: How many timesteps to count, from the first; None for all.
        """
        rows = self.bits[:timesteps].reshape(-1, self.bits.shape[2])
        length = max(UNPACKED_BYTES // max(self._neurons, 1), 1)
        total = np.zeros(self._neurons, np.int64)
        for first in range(0, rows.shape[0], length):
            part = np.unpackbits(rows[first : first + length], axis=1, count=self._neurons, bitorder="little")
            total += part.sum(axis=0, dtype=np.int64)
        return total.reshape(self._packed_feature).transpose(np.argsort(self.axes))

    @property
    def nbytes(self) -> int:
        """Bytes that the spikes take."""
        return self.bits.nbytes

    @property
    def _neurons(self) -> int:
        return int(np.prod(self.shape[2:], dtype=np.int64))

    @property
    def _packed_feature(self) -> tuple[int, ...]:
        return tuple(self.shape[2 + axis] for axis in self.axes)


_ONES = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1, dtype=np.uint8)
"""Bits that are set in each byte."""
