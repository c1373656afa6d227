"""Lay synapses out for the kernels: rows of weights by presynaptic neuron, and tables of where they go.

Neurons with ``(C, H, W)`` features are numbered channels last inside the emulator, so that what one
input reaches through a convolution lies together. ``Order`` maps between the two numberings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from hsnn.ir.projections import ConvProjection, DenseProjection, Projection, SparseProjection
from hsnn.ir.shape import Shape, size
from hsnn_targets.emulator import tables
from hsnn_targets.emulator.rows import rows_by_source

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hsnn_targets.emulator.tables import Int8, Int16, Int32, Int64, Weights
    from hsnn_targets.emulator.tiers import Tier

Weight = TypeVar("Weight", np.int8, np.int16)

ROW = 32
"""Dense rows are padded to this many weights."""
STRIPES: Mapping[Tier, int] = {"portable": 128, "avx2": 128, "avx512": 256, "amx": 256}
"""Weights of a row that ``event_rows.py`` adds up together: half of the registers' 16-bit lanes, and 8 bits each."""
STRIPED_BYTES = 1 << 19
"""Dense weights that take more lie in stripes; fewer stay in a second-level cache as they are."""
WOVEN = 16
"""Neurons that share the lanes of woven rows with as many others."""


@dataclass(frozen=True, slots=True, eq=False)
class Order:
    """Two numberings of the neurons of a population.

    Attributes:
        outer: The network's number of each neuron in the kernels' order, int32.
        inner: The kernels' number of each neuron in the network's order, int32.
    """

    outer: Int32
    inner: Int32


def order_of(shape: Shape) -> Order:
    """Number the neurons channels last where there are channels, and as they are elsewhere.

    >>> order_of((2, 1, 3)).outer
    array([0, 3, 1, 4, 2, 5], dtype=int32)
    """
    numbers = np.arange(size(shape), dtype=np.int32)
    if len(shape) != 3:
        return Order(numbers, numbers)
    outer = np.ascontiguousarray(numbers.reshape(shape).transpose(1, 2, 0)).reshape(-1)
    inner = np.empty_like(numbers)
    inner[outer] = numbers
    return Order(outer, inner)


def channels_last(weights: NDArray[Weight], pre: Shape, post: Shape) -> NDArray[Weight]:
    """Reorder ``(post neuron, pre neuron)`` from the network's numbers to the kernels'; a view where it can be."""
    axes = [*_axes(post), *(len(post) + axis for axis in _axes(pre))]
    return weights.reshape(*post, *pre).transpose(axes).reshape(weights.shape)


def _axes(shape: Shape) -> tuple[int, ...]:
    return (1, 2, 0) if len(shape) == 3 else tuple(range(len(shape)))


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """Synapses of one projection.

    Attributes:
        kind: Kind of ``tables.PROJECTION``.
        weights: Rows of weights, flat.
        table: Where they go, flat; see the fields of ``tables.PROJECTION``.
        stride, stripe, sources, channels, scale: Fields of ``tables.PROJECTION``.
    """

    kind: int
    weights: Weights
    table: Int32
    stride: int = 0
    stripe: int = 0
    sources: int = 0
    channels: int = 0
    scale: int = 0


def pack_dense(projection: DenseProjection, pre: Shape, post: Shape, *, graded: bool, tier: Tier) -> Packed:
    """Lay out all-to-all synapses: one row per presynaptic neuron, of bytes where the weights fit these.

    Rows of bytes are woven, but for those that ``graded`` spikes multiply. Where weights are many their rows are
    cut into stripes, and all rows of a stripe lie together.
    """
    halved = halve(projection.weights)
    table, sources, stride = np.zeros(0, np.int32), size(pre), _padded(size(post))
    if halved is None:
        shorts, stripe = _striped(_rows(projection.weights, pre, post), tier)
        return Packed(tables.DENSE, shorts, table, stride=stride, stripe=stripe, sources=sources)
    rows = _rows(halved[0], pre, post)
    flat, stripe = _striped(rows if graded else weave(rows), tier)
    return Packed(tables.DENSE, flat, table, stride=stride, stripe=stripe, sources=sources, scale=halved[1])


def _padded(neurons: int) -> int:
    return -(-neurons // ROW) * ROW


def _rows(weights: NDArray[Weight], pre: Shape, post: Shape) -> NDArray[Weight]:
    """One row per presynaptic neuron, zeros at its end."""
    rows = np.zeros((size(pre), _padded(size(post))), weights.dtype)
    rows[:, : size(post)] = channels_last(weights, pre, post).T
    return rows


def _striped(rows: NDArray[Weight], tier: Tier) -> tuple[NDArray[Weight], int]:
    """Put rows stripe after stripe; returns them flat, and how many weights a row of a stripe has."""
    stripe = STRIPES[tier] if rows.nbytes > STRIPED_BYTES else rows.shape[1]
    return np.concatenate([rows[:, k : k + stripe].reshape(-1) for k in range(0, rows.shape[1], stripe)]), stripe


def weave(rows: Int8) -> Int8:
    """Weave rows of bytes: every 32 weights become 16 pairs, the first of 16 raised by 128 and the other 16.

    See ``event_rows.py`` for what it is good for.

    Args:
        rows: Weights, shape ``(row, multiple of 32)``.
    """
    pairs = np.ascontiguousarray(rows.reshape(rows.shape[0], -1, 2, WOVEN).swapaxes(2, 3))
    pairs[..., 0] ^= np.int8(-128)  # the same bits as adding 128
    return pairs.reshape(rows.shape)


def halve(weights: Int16) -> tuple[Int8, int] | None:
    """Fit weights into signed bytes.

    Returns:
        Bytes and their left shift: 1 where all weights are even, as mixed ones of 8 bits are; None where
        they do not fit.

    >>> halve(np.array([254, -256], np.int16))
    (array([ 127, -128], dtype=int8), 1)
    >>> halve(np.array([254, 1], np.int16)) is None
    True
    """
    low, high = int(weights.min(initial=0)), int(weights.max(initial=0))
    if low >= -128 and high <= 127:
        return weights.astype(np.int8), 0
    if low < -256 or high > 254 or bool(np.any(weights & 1)):
        return None
    return (weights >> 1).astype(np.int8), 1


def pack_sparse(projection: SparseProjection, pre: Shape, post: Shape) -> Packed:
    """Lay out single synapses: sorted by presynaptic neuron; the table has row starts, then targets."""
    table, weights = rows_by_source(projection, order_of(pre).inner, order_of(post).inner)
    return Packed(tables.SPARSE, weights, table, sources=size(pre))


def pack_conv(projection: ConvProjection, pre: Shape, post: Shape) -> Packed:
    """Lay out a convolution: per input channel, kernel positions times output channels of its group.

    The table has, one after the other: for each input pixel, where its runs start; for each input
    neuron, its pixel; for each input channel, where the outputs of its group start; and the runs.
    """
    out_channels, in_group, height, width = projection.weights.shape
    out_group = out_channels // projection.groups
    columns = _column_order(width, projection.stride[1], projection.dilation[1])
    grouped = projection.weights.reshape(projection.groups, out_group, in_group, height, width)[..., columns]
    weights = np.ascontiguousarray(grouped.transpose(0, 2, 3, 4, 1)).reshape(-1)
    starts, runs = _runs(projection, pre, post, columns)
    pixels = np.repeat(np.arange(pre[1] * pre[2]), pre[0])
    shifts = np.arange(pre[0]) // in_group * out_group
    return Packed(
        tables.CONV,
        weights,
        np.concatenate([starts, pixels, shifts, runs.reshape(-1)]).astype(np.int32),
        stride=out_group * height * width,
        sources=pre[1] * pre[2],
        channels=pre[0],
    )


def packed_bytes(projection: Projection, *, products: bool) -> int:
    """About how many bytes synapses take for the kernels: rows, their table, and a copy in bytes for products."""
    if isinstance(projection, SparseProjection):
        return 6 * projection.data.size
    return (3 if products else 2) * projection.weights.size


def pack_projection(projection: Projection, pre: Shape, post: Shape, *, graded: bool, tier: Tier) -> Packed:
    """Lay out the synapses of any projection.

    Args:
        projection: The synapses.
        pre: Shape of the neurons that they come from.
        post: Shape of those that they go to.
        graded: Whether its spikes have payloads.
        tier: Kernels that will run them.
    """
    match projection:
        case DenseProjection():
            return pack_dense(projection, pre, post, graded=graded, tier=tier)
        case SparseProjection():
            return pack_sparse(projection, pre, post)
        case ConvProjection():
            return pack_conv(projection, pre, post)


def _column_order(width: int, stride: int, dilation: int) -> list[int]:
    """Order kernel columns so that those one input column reaches follow each other, outputs ascending."""
    return sorted(range(width), key=lambda column: (column * dilation % stride, -column))


def _hits(extent: int, out: int, kernel: Int64, *, stride: int, padding: int, dilation: int) -> tuple[Int64, Int64]:
    """Find the output that each input position reaches through each kernel position.

    Returns:
        Output position, and whether there is one; both of shape ``(input, kernel)``.
    """
    offset = np.arange(extent)[:, None] + padding - kernel[None, :] * dilation
    reached = offset // stride
    return reached, (offset % stride == 0) & (reached >= 0) & (reached < out)


def _runs(projection: ConvProjection, pre: Shape, post: Shape, columns: list[int]) -> tuple[Int64, Int64]:
    """Find the contiguous runs of weights that every input pixel reaches.

    Returns:
        Starts of each pixel's runs, shape ``(pixel + 1,)``, and runs, shape ``(run, 3)``: first output,
        first weight, length.
    """
    out_channels, _, height, width = projection.weights.shape
    out_group = out_channels // projection.groups
    (stride_y, stride_x), (pad_y, pad_x), (dil_y, dil_x) = projection.stride, projection.padding, projection.dilation
    y, y_hit = _hits(pre[1], post[1], np.arange(height), stride=stride_y, padding=pad_y, dilation=dil_y)
    x, x_hit = _hits(pre[2], post[2], np.array(columns), stride=stride_x, padding=pad_x, dilation=dil_x)
    hit = y_hit[:, None, :, None] & x_hit[None, :, None, :]
    to = np.broadcast_to(y[:, None, :, None] * post[2] + x[None, :, None, :], hit.shape)[hit] * out_channels
    place = np.broadcast_to(np.arange(height)[:, None] * width + np.arange(width), hit.shape)[hit] * out_group
    pixel = np.broadcast_to(np.arange(pre[1] * pre[2]).reshape(pre[1], pre[2], 1, 1), hit.shape)[hit]
    follows = (np.diff(pixel) == 0) & (np.diff(place) == out_group) & (np.diff(to) == out_group)
    first = np.flatnonzero(np.concatenate([np.ones(min(to.size, 1), bool), ~follows]))
    lengths = np.diff(np.append(first, to.size)) * out_group
    starts = np.searchsorted(pixel[first], np.arange(pre[1] * pre[2] + 1))
    return starts, np.stack([to[first], place[first], lengths], axis=1)
