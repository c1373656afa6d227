"""What a slice of a population needs of a neurocore: synaptic memory and axons.

The model of synaptic memory, per projection into the slice:

- dense: neurons of the slice x presynaptic neurons x bits of a weight, zero weights included; no index.
- sparse: synapses x (bits of a weight + bits of an index).
- convolution, stored once: output channels in the slice x inputs of a kernel x bits of a weight.
- convolution, stored in full: synapses, borders left out, x (bits of a weight + bits of an index).

A projection with a delay adds the bits of a delay to each weight. A weight takes the bits that its
projection uses: ``num_weight_bits`` of a dense one, else 8. An axon in is a presynaptic neuron, however
many synapses of the neurocore it reaches; of a dense projection all count, of the others those whose
synapses lead to the slice. The memory of the neurons themselves is in the chip's limit of neurons.

Neurons are numbered as on the chip: channels last where there are channels, see :func:`chip_order`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from typing_extensions import assert_never

from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.populations import InputPort, Population, ResonatorPopulation, received_shape
from hsnn.ir.projections import ConvProjection, DenseProjection, Projection, SparseProjection
from hsnn.ir.shape import Shape, part_indices, size

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hsnn.ir.chip import Chip

    Int64 = NDArray[np.int64]

FULL_WEIGHT_BITS = 8
"""Bits of the weights of convolutions and sparse projections."""


class Needs(Protocol):
    """What slices of the postsynaptic population need because of one projection."""

    def bits(self, first: int, last: int) -> int:
        """Bits of synaptic memory that neurons ``first .. last - 1`` need."""
        ...

    def sources(self, first: int, last: int) -> Int64:
        """Presynaptic neurons that reach neurons ``first .. last - 1``, sorted."""
        ...


def needs_of(network: IntegerNetwork, projection: Projection, chip: Chip) -> Needs:
    """Describe what slices need because of a projection."""
    pre, post = network.source(projection.pre).shape, received_shape(network.source(projection.post))
    bits = weight_bits(projection) + (chip.delay_bits.value if projection.delay else 0)
    match projection:
        case DenseProjection():
            return _Dense(size(pre), bits)
        case SparseProjection():
            order = row_order(network.source(projection.post))
            return _sparse(projection, pre, order, bits + chip.index_bits.value)
        case ConvProjection():
            return _conv(projection, pre, post, chip, bits)
        case _:
            assert_never(projection)


def weight_bits(projection: Projection) -> int:
    """Bits of each weight of a projection."""
    return projection.num_weight_bits if isinstance(projection, DenseProjection) else FULL_WEIGHT_BITS


def chip_order(shape: Shape) -> Int64:
    """Number in the network of each neuron, in the order of the chip.

    >>> chip_order((2, 1, 3))
    array([0, 3, 1, 4, 2, 5])
    """
    numbers = np.arange(size(shape), dtype=np.int64)
    return numbers.reshape(shape).transpose(1, 2, 0).reshape(-1) if len(shape) == 3 else numbers


@dataclass(frozen=True, slots=True)
class _Dense:
    """Every source reaches every neuron."""

    count: int
    synapse_bits: int

    def bits(self, first: int, last: int) -> int:
        return (last - first) * self.count * self.synapse_bits

    def sources(self, first: int, last: int) -> Int64:
        return np.arange(self.count)


@dataclass(frozen=True, slots=True, eq=False)
class _Sparse:
    """Rows of sources, by neuron."""

    starts: Int64
    rows: Int64
    synapse_bits: int

    def bits(self, first: int, last: int) -> int:
        return int(self.starts[last] - self.starts[first]) * self.synapse_bits

    def sources(self, first: int, last: int) -> Int64:
        return np.unique(self.rows[self.starts[first] : self.starts[last]])


@dataclass(frozen=True, slots=True, eq=False)
class _Conv:
    """A convolution.

    Attributes:
        reach: Input pixel of each output pixel and kernel position, or -1, shape ``(pixel, position)``.
        groups, in_group, out_group: Channel groups, and channels of each.
        kernel_bits: Memory of the kernel of one output channel.
        starts: Synapses before each neuron, shape ``(neuron + 1,)``, or empty if kernels are shared.
        synapse_bits: Memory of one synapse where they are not.
    """

    reach: Int64
    groups: int
    in_group: int
    out_group: int
    kernel_bits: int
    starts: Int64
    synapse_bits: int

    def bits(self, first: int, last: int) -> int:
        if self.starts.size:
            return int(self.starts[last] - self.starts[first]) * self.synapse_bits
        return min(last - first, self.groups * self.out_group) * self.kernel_bits

    def sources(self, first: int, last: int) -> Int64:
        channels = self.groups * self.out_group
        start, stop = first // channels, -(-last // channels)
        held = np.zeros((stop - start) * channels, bool)
        held[first - start * channels : last - start * channels] = True
        by_group = held.reshape(stop - start, self.groups, self.out_group).any(axis=2)
        reach = self.reach[start:stop]
        inside = reach >= 0
        if not inside.any():
            return np.zeros(0, np.int64)
        lowest, highest = int(reach[inside].min()), int(reach.max())
        hit = np.zeros((highest - lowest + 2, self.groups), bool)
        for position in np.where(inside, reach - lowest, -1).T:
            hit[position] |= by_group  # the last row takes what falls on the padding
        return np.flatnonzero(np.repeat(hit[:-1].reshape(-1), self.in_group)) + lowest * self.groups * self.in_group


def row_order(population: InputPort | Population) -> Int64:
    """Rows of synapses in the order of the chip; of resonators both rows of each, one after the other.

    >>> zero = np.zeros((), np.int32)
    >>> row_order(ResonatorPopulation("rf", (2, 2), zero, zero, zero)).tolist()
    [0, 2, 1, 3, 4, 6, 5, 7]
    """
    order = chip_order(population.shape)
    if not isinstance(population, ResonatorPopulation):
        return order
    return part_indices(population.shape).reshape(2, -1)[:, order].T.reshape(-1)


def _sparse(projection: SparseProjection, pre: Shape, order: Int64, bits: int) -> _Sparse:
    place = np.empty(size(pre), np.int64)
    place[chip_order(pre)] = np.arange(size(pre))
    lengths = np.diff(projection.indptr).astype(np.int64)[order]
    starts = np.concatenate([[0], np.cumsum(lengths)])
    synapse = np.repeat(projection.indptr[order] - starts[:-1], lengths) + np.arange(starts[-1])
    return _Sparse(starts, place[projection.indices[synapse]], bits)


def _conv(projection: ConvProjection, pre: Shape, post: Shape, chip: Chip, bits: int) -> _Conv:
    out_channels, in_group, kernel_h, kernel_w = projection.weights.shape
    y = _taps(post[1], kernel_h, pre[1], projection.stride[0], projection.padding[0], projection.dilation[0])
    x = _taps(post[2], kernel_w, pre[2], projection.stride[1], projection.padding[1], projection.dilation[1])
    inside = (y >= 0)[:, None, :, None] & (x >= 0)[None, :, None, :]
    reach = np.where(inside, y[:, None, :, None] * pre[2] + x[None, :, None, :], -1)
    reach = reach.reshape(post[1] * post[2], kernel_h * kernel_w)
    starts = np.zeros(0, np.int64)
    if not chip.conv_shared.value:
        synapses = np.repeat((reach >= 0).sum(axis=1) * in_group, out_channels)
        starts = np.concatenate([[0], np.cumsum(synapses)])
    return _Conv(
        reach=reach,
        groups=projection.groups,
        in_group=in_group,
        out_group=out_channels // projection.groups,
        kernel_bits=in_group * kernel_h * kernel_w * bits,
        starts=starts,
        synapse_bits=bits + chip.index_bits.value,
    )


def _taps(outputs: int, kernel: int, extent: int, stride: int, padding: int, dilation: int) -> Int64:
    """Input position of each output and kernel position along one axis, -1 on the padding."""
    at = np.arange(outputs)[:, None] * stride - padding + np.arange(kernel)[None, :] * dilation
    return np.where((at >= 0) & (at < extent), at, -1)
