"""Rows of weights added for the spikes of a timestep, their sums in registers: what an event costs least that way.

Plain vectors of LLVM's, which any processor has one way or another; a tier says how long they are.
"""

from __future__ import annotations

from llvmlite import ir  # type: ignore[import-untyped]

from hsnn_targets.emulator.instructions import instructions_of
from hsnn_targets.emulator.language.types import NONE, Typed
from hsnn_targets.emulator.lowering import INT, LONG, Builder, Value, intrinsic
from hsnn_targets.emulator.vector_ir import Array, Loop, splat, vector

ROW = 16
"""Rows have a multiple of so many weights (``pack.ROW``): the lanes of a vector where no tier has longer ones."""
VECTORS = (8, 4, 1)
"""Vectors whose sums are kept together, as long as a row has so many left: the first fill half of 16 registers."""
TOGETHER = 128
"""Rows that 16 bits hold the sum of, since weights are -256 to 255; those of bytes are smaller."""
SHORT = ir.IntType(16)


@intrinsic
def add_rows(
    builder: Builder, tables: Typed, total: Array, rows: Array, index: Array, width: Value, scale: Value
) -> None:
    """Add ``rows[index[k] * width : ][:width] << scale`` for every ``k`` to ``total``; ``width`` is a multiple of 16.

    Sums have 16 bits for as many rows as these hold, then they are added to ``total``, which has 32.
    """
    element, count = ir.IntType(rows.bits), index.size
    scale = builder.trunc(scale, INT)

    def weight(place: Value, lanes: int) -> Value:
        row = rows.load(place, vector(element, lanes))
        return row if element == SHORT else builder.sext(row, vector(SHORT, lanes))

    def part(at: Value, vectors: int, lanes: int) -> None:
        """Add for the neurons of some vectors from ``at`` on."""
        chunks = Loop(builder, builder.sdiv(builder.add(count, LONG(TOGETHER - 1)), LONG(TOGETHER)), [])
        first = builder.mul(chunks.count, LONG(TOGETHER))
        left = builder.sub(count, first)
        length = builder.select(builder.icmp_signed("<", left, LONG(TOGETHER)), left, LONG(TOGETHER))
        inner = Loop(builder, length, [ir.Constant(vector(SHORT, lanes), [0] * lanes)] * vectors)
        event = builder.sext(index.load(builder.add(first, inner.count), INT), LONG)
        row = builder.add(builder.mul(event, width), at)
        places = [builder.add(row, LONG(lanes * k)) for k in range(vectors)]
        inner.close([builder.add(inner.values[k], weight(places[k], lanes)) for k in range(vectors)])
        shift = splat(builder, scale, lanes)
        for k, value in enumerate(inner.values):
            place = builder.add(at, LONG(lanes * k))
            wide = builder.shl(builder.sext(value, vector(INT, lanes)), shift)
            total.store(builder.add(total.load(place, wide.type), wide), place)
        chunks.close([])

    done: Value = LONG(0)
    for vectors, lanes in _parts(tables):
        size = LONG(vectors * lanes)
        parts = Loop(builder, builder.sdiv(builder.sub(width, done), size), [])
        part(builder.add(done, builder.mul(parts.count, size)), vectors, lanes)
        parts.close([])
        done = builder.add(done, builder.mul(parts.count, size))


def _parts(tables: Typed) -> list[tuple[int, int]]:
    """Vectors that are kept together, and their lanes, the most first; the last fits any row."""
    lanes = ROW if tables == NONE else instructions_of(tables).shorts
    parts = [(vectors, lanes) for vectors in VECTORS]
    return parts if lanes == ROW else [*parts, (1, ROW)]
