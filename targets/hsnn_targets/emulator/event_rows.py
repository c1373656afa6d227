"""Rows of weights added for the spikes of a timestep, their sums in registers: what an event costs least that way.

Plain vectors of LLVM's, which any processor has one way or another; a tier says how long they are.

Bytes would have to be widened before they can be added up, which costs more than adding them. So their rows are woven
(:func:`hsnn_targets.emulator.pack.weave`): a lane of 16 bits has the weights of two neurons, that of the first raised
by 128 in the low byte, that of the second in the high one. The sum of the high bytes is that of lanes shifted right;
subtracted from the sum of whole lanes it leaves that of the low bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from llvmlite import ir  # type: ignore[import-untyped]

from hsnn_targets.emulator.instructions import instructions_of
from hsnn_targets.emulator.language.types import NONE, Typed
from hsnn_targets.emulator.lowering import INT, LONG, Builder, Value, intrinsic
from hsnn_targets.emulator.vector_ir import Array, Loop, constant, splat, vector

LANES = 16
"""16-bit lanes of a vector where no tier has longer ones; rows have a multiple of twice as many weights."""
VECTORS = (8, 4, 1)
"""Vectors of sums that are kept together, as long as a row has so many left: the first fill half of 16 registers."""
SHORTS_TOGETHER, BYTES_TOGETHER = 128, 256
"""Rows that 16 bits hold the sum of: weights are -256 to 255, low bytes 0 to 255 and high ones -128 to 127."""
RAISED = 128
"""What is added to the weight in a low byte."""
SHORT = ir.IntType(16)
Part: TypeAlias = Callable[[Value, int, int], None]
"""Adds for the neurons from one on, of so many vectors of so many lanes."""


@intrinsic
def add_shorts(
    builder: Builder, tables: Typed, total: Array, rows: Array, index: Array, width: Value, scale: Value
) -> None:
    """Add ``rows[index[k] * width : ][:width] << scale`` for every ``k`` to ``total``; ``width`` is a multiple of 32.

    Sums have 16 bits for as many rows as these hold, then they are added to ``total``, which has 32.
    """
    sums = _Sums(builder, total, index, width, scale)

    def part(at: Value, vectors: int, lanes: int) -> None:
        outer, first, length = sums.chunks(SHORTS_TOGETHER)
        inner = Loop(builder, length, [_shorts(lanes, 0)] * vectors)
        row = builder.add(sums.row(builder.add(first, inner.count)), at)
        loaded = [rows.load(builder.add(row, LONG(lanes * k)), vector(SHORT, lanes)) for k in range(vectors)]
        inner.close([builder.add(old, new) for old, new in zip(inner.values, loaded, strict=True)])
        for k, value in enumerate(inner.values):
            sums.add(builder.sext(value, vector(INT, lanes)), builder.add(at, LONG(lanes * k)))
        outer.close([])

    lanes = _lanes(tables)
    sums.cover([(vectors, lanes) for vectors in VECTORS], 1, part)


@intrinsic
def add_woven(
    builder: Builder, tables: Typed, total: Array, rows: Array, index: Array, width: Value, scale: Value
) -> None:
    """The same with woven rows of bytes."""
    sums = _Sums(builder, total, index, width, scale)

    def part(at: Value, vectors: int, lanes: int) -> None:
        outer, first, length = sums.chunks(BYTES_TOGETHER)
        inner = Loop(builder, length, [_shorts(lanes, 0)] * (2 * vectors))
        row = builder.add(sums.row(builder.add(first, inner.count)), at)
        loaded = [rows.load(builder.add(row, LONG(2 * lanes * k)), vector(SHORT, lanes)) for k in range(vectors)]
        high = [builder.ashr(value, _shorts(lanes, 8)) for value in loaded]
        inner.close([builder.add(old, new) for old, new in zip(inner.values, [*loaded, *high], strict=True)])
        raised = splat(builder, builder.trunc(builder.mul(length, LONG(RAISED)), INT), LANES)
        for k in range(vectors):
            whole, second = inner.values[k], inner.values[vectors + k]
            first_ = builder.sub(whole, builder.shl(second, _shorts(lanes, 8)))
            for lane in range(0, lanes, LANES):
                chosen = ir.Constant(vector(INT, LANES), list(range(lane, lane + LANES)))
                low, up = (builder.shuffle_vector(value, value, chosen) for value in (first_, second))
                place = builder.add(at, LONG(2 * (lanes * k + lane)))
                sums.add(builder.sub(builder.zext(low, vector(INT, LANES)), raised), place)
                sums.add(builder.sext(up, vector(INT, LANES)), builder.add(place, LONG(LANES)))
        outer.close([])

    lanes = _lanes(tables)
    parts = [(vectors // 2, lanes) for vectors in (*VECTORS[:-1], 2)]
    sums.cover(parts if lanes == LANES else [*parts, (1, LANES)], 2, part)


@intrinsic
def add_woven_row(builder: Builder, total: Array, rows: Array, start: Value, width: Value, times: Value) -> None:
    """Add the woven row ``rows[start:][:width]``, multiplied by ``times``, to ``total``, modulo ``2**32``."""
    ints = vector(INT, LANES)
    many = splat(builder, builder.trunc(times, INT), LANES)
    loop = Loop(builder, builder.sdiv(width, LONG(2 * LANES)), [])
    place = builder.mul(loop.count, LONG(2 * LANES))
    pairs = rows.load(builder.add(start, place), vector(SHORT, LANES))
    low = builder.zext(builder.and_(pairs, _shorts(LANES, 255)), ints)
    first = builder.sub(low, constant(LANES, RAISED))
    second = builder.sext(builder.ashr(pairs, _shorts(LANES, 8)), ints)
    for weights, at in ((first, place), (second, builder.add(place, LONG(LANES)))):
        total.store(builder.add(total.load(at, ints), builder.mul(weights, many)), at)
    loop.close([])


class _Sums:
    """What sums of rows share; the arguments are those of :func:`add_shorts`."""

    def __init__(self, builder: Builder, total: Array, index: Array, width: Value, scale: Value) -> None:
        self._builder, self._total, self._index = builder, total, index
        self._width, self._scale = width, builder.trunc(scale, INT)

    def chunks(self, length: int) -> tuple[Loop, Value, Value]:
        """Begin a loop over chunks of events; returns it, the first event, and how many there are."""
        b = self._builder
        loop = Loop(b, b.sdiv(b.add(self._index.size, LONG(length - 1)), LONG(length)), [])
        first = b.mul(loop.count, LONG(length))
        left = b.sub(self._index.size, first)
        return loop, first, b.select(b.icmp_signed("<", left, LONG(length)), left, LONG(length))

    def row(self, event: Value) -> Value:
        """Where the row of an event starts."""
        b = self._builder
        return b.mul(b.sext(self._index.load(event, INT), LONG), self._width)

    def add(self, value: Value, place: Value) -> None:
        """Add a vector of 32-bit sums, shifted, to those at a place."""
        b = self._builder
        moved = b.shl(value, splat(b, self._scale, value.type.count))
        self._total.store(b.add(self._total.load(place, value.type), moved), place)

    def cover(self, parts: list[tuple[int, int]], neurons: int, part: Part) -> None:
        """Go through all neurons of a row, with as many vectors at a time as it has left.

        Args:
            parts: Vectors and their lanes, the most first; the last fits any row.
            neurons: Neurons of a lane.
            part: Adds for some of them.
        """
        b, done = self._builder, LONG(0)
        for vectors, lanes in parts:
            size = LONG(vectors * lanes * neurons)
            loop = Loop(b, b.sdiv(b.sub(self._width, done), size), [])
            part(b.add(done, b.mul(loop.count, size)), vectors, lanes)
            loop.close([])
            done = b.add(done, b.mul(loop.count, size))


def _shorts(lanes: int, value: int) -> Value:
    return ir.Constant(vector(SHORT, lanes), [value] * lanes)


def _lanes(tables: Typed) -> int:
    """16-bit lanes of the longest vector."""
    return LANES if tables == NONE else instructions_of(tables).shorts
