"""Lay synapses out as products of bytes: which can be, their weights, and where each neuron looks.

The spikes of a timestep are bytes, channels last. All neurons of an output pixel see the same bytes,
so a convolution needs no copy of its input per pixel: a list of places (``taps``), relative to the first
byte that a pixel sees, serves all pixels. Padding is a frame of zeros around the input.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.populations import CountingLifPopulation, InputPort, ResonatorPopulation, largest_payload, sends_spikes
from hsnn.ir.projections import ConvProjection, DenseProjection, Projection
from hsnn.ir.shape import Shape, size
from hsnn_targets.emulator.pack import channels_last, halve
from hsnn_targets.emulator.tiers import Tier
from hsnn_targets.emulator.vector_tables import LANES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hsnn_targets.emulator.tables import Int8, Int32

WORD = 4
LARGEST_BYTE: Mapping[Tier, int] = {"avx2": 128, "avx512": 255, "amx": 255}
"""Largest payload that the products of a tier take."""
SHORT_PAIRS = 128
"""Pairs of products of a byte of weight with a spike that 16 bits can hold the sum of."""


@dataclass(frozen=True, slots=True, eq=False)
class Product:
    """A projection as a product of bytes; the attributes are fields of ``vector_tables.PRODUCT``.

    Attributes:
        weights: Flat, ``(block, tap, lane, byte)``.
        taps: Places of words.
        peak: Largest payload.
        piece: Words that follow each other.
        frame: Bytes of a timestep's frame of zeros with the spikes in it; 0 where none is needed.
    """

    weights: Int8
    taps: Int32
    scale: int
    peak: int
    piece: int
    lanes: int
    pixels: int = 1
    columns: int = 1
    step_y: int = 0
    step_x: int = 0
    frame: int = 0
    lines: int = 0
    line: int = 0
    line_stride: int = 0
    first: int = 0

    @property
    def chunk(self) -> int:
        """Words of spikes whose products 16 bits can hold the sums of."""
        return max(SHORT_PAIRS // self.peak, 1)

    @property
    def blocks(self) -> int:
        """Blocks of 16 neurons that see the same bytes."""
        return -(-self.lanes // LANES)

    @property
    def reached(self) -> int:
        """Sums of a timestep that whole blocks reach; the product adds zeros to those that no neuron has."""
        return (self.pixels - 1) * self.lanes + self.blocks * LANES


def largest_byte(network: IntegerNetwork, name: str) -> int | None:
    """Largest payload that a source sends, or None where it may send negative ones or no spikes at all."""
    source = network.source(name)
    if isinstance(source, InputPort):
        return None if source.signed else source.max_payload
    return largest_payload(source)[0] if isinstance(source, CountingLifPopulation) or sends_spikes(source) else None


def pack_product(network: IntegerNetwork, projection: Projection, tier: Tier) -> Product | None:
    """Lay a projection out as a product of bytes, or return None where it cannot be one."""
    peak = largest_byte(network, projection.pre)
    if peak is None or peak > LARGEST_BYTE[tier]:
        return None
    if isinstance(network.source(projection.post), ResonatorPopulation):
        return None  # products know sums of one a neuron
    pre, post = network.source(projection.pre).shape, network.source(projection.post).shape
    match projection:
        case DenseProjection():
            halved = halve(projection.weights)
            return None if halved is None else _pack_dense(*halved, pre, post, peak)
        case ConvProjection(groups=1):
            halved = halve(projection.weights)
            return None if halved is None else _pack_conv(projection, *halved, pre, post, peak)
        case _:
            return None


def _pack_dense(weights: Int8, scale: int, pre: Shape, post: Shape, peak: int) -> Product:
    rows = channels_last(weights, pre, post)
    count = -(-rows.shape[1] // WORD)
    taps = np.arange(count, dtype=np.int32) * WORD
    return Product(_blocks(rows), taps, scale, peak, piece=max(count, 1), lanes=rows.shape[0])


def _pack_conv(projection: ConvProjection, weights: Int8, scale: int, pre: Shape, post: Shape, peak: int) -> Product:
    """One row of bytes per kernel line, or per kernel position where these lie apart (dilation)."""
    out, channels, height, width = weights.shape
    (pad_y, pad_x), (dil_y, dil_x) = projection.padding, projection.dilation
    line_stride = (pre[2] + 2 * pad_x) * channels
    lines = weights.transpose(0, 2, 3, 1)  # (output channel, kernel line, kernel column, input channel)
    apart = dil_x > 1
    pieces = lines.reshape(out, height * width, channels) if apart else lines.reshape(out, height, width * channels)
    words = -(-pieces.shape[2] // WORD)
    padded = np.zeros((out, pieces.shape[1], words * WORD), np.int8)
    padded[:, :, : pieces.shape[2]] = pieces
    starts = np.arange(height)[:, None] * dil_y * line_stride
    if apart:
        starts = starts + np.arange(width) * dil_x * channels
    taps = starts.reshape(-1, 1) + np.arange(words) * WORD
    framed = pad_y > 0 or pad_x > 0
    return Product(
        _blocks(padded.reshape(out, -1)),
        taps.reshape(-1).astype(np.int32),
        scale,
        peak,
        piece=words,
        lanes=out,
        pixels=size(post[1:]),
        columns=post[2],
        step_y=projection.stride[0] * line_stride,
        step_x=projection.stride[1] * channels,
        frame=(pre[1] + 2 * pad_y) * line_stride if framed else 0,
        lines=pre[1] if framed else 0,
        line=pre[2] * channels,
        line_stride=line_stride,
        first=pad_y * line_stride + pad_x * channels,
    )


def _blocks(rows: Int8) -> Int8:
    """Arrange ``(neuron, byte)`` as ``(block, tap, lane, byte of the tap)``, filled up with zeros, flat."""
    lanes, count = -(-rows.shape[0] // LANES) * LANES, -(-rows.shape[1] // WORD) * WORD
    full: NDArray[np.int8] = rows
    if rows.shape != (lanes, count):
        full = np.zeros((lanes, count), np.int8)
        full[: rows.shape[0], : rows.shape[1]] = rows
    return np.ascontiguousarray(full.reshape(-1, LANES, count // WORD, WORD).transpose(0, 2, 1, 3)).reshape(-1)
