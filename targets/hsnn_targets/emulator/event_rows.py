"""Rows of weights added for the spikes of a timestep, their sums in registers: what an event costs least that way.

Plain vectors of LLVM's, which any processor has one way or another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types

from hsnn_targets.emulator.lowering import INT, LONG, Builder, Value, intrinsic
from hsnn_targets.emulator.vector_ir import Array, Loop, splat, vector

LANES = 16
"""Weights of a vector; rows are padded to it (``pack.ROW``)."""
WIDTHS = (8, 4, 1)
"""Vectors whose sums are kept together, as long as a row has so many left: the first fill half of 16 registers."""
TOGETHER = 128
"""Rows that 16 bits hold the sum of, since weights are -256 to 255; those of bytes are smaller."""
SHORTS = vector(ir.IntType(16), LANES)


@intrinsic
def add_rows(typing: Any, total: Any, rows: Any, index: Any, width: Any, scale: Any) -> Any:
    """Add ``rows[index[k] * width : ][:width] << scale`` for every ``k`` to ``total``; ``width`` is a multiple of 16.

    Sums have 16 bits for as many rows as these hold, then they are added to ``total``, which has 32.
    """

    def generate(context: Any, builder: Builder, signature: Any, arguments: Sequence[Value]) -> Value:
        kinds = signature.args
        sums, weights, events = (Array(context, builder, kinds[k], arguments[k]) for k in range(3))
        width, element = arguments[3], ir.IntType(kinds[1].dtype.bitwidth)
        shift = splat(builder, builder.trunc(arguments[4], INT), LANES)

        def weight(place: Value) -> Value:
            row = weights.load(place, vector(element, LANES))
            return row if row.type == SHORTS else builder.sext(row, SHORTS)

        count = context.make_array(kinds[2])(context, builder, arguments[2]).nitems

        def part(at: Value, vectors: int) -> None:
            """Add for the neurons of some vectors from ``at`` on."""
            chunks = Loop(builder, builder.sdiv(builder.add(count, LONG(TOGETHER - 1)), LONG(TOGETHER)), [])
            first = builder.mul(chunks.count, LONG(TOGETHER))
            left = builder.sub(count, first)
            length = builder.select(builder.icmp_signed("<", left, LONG(TOGETHER)), left, LONG(TOGETHER))
            inner = Loop(builder, length, [ir.Constant(SHORTS, [0] * LANES)] * vectors)
            event = builder.sext(events.load(builder.add(first, inner.count), INT), LONG)
            row = builder.add(builder.mul(event, width), at)
            places = [builder.add(row, LONG(LANES * k)) for k in range(vectors)]
            inner.close([builder.add(inner.values[k], weight(places[k])) for k in range(vectors)])
            for k, value in enumerate(inner.values):
                place = builder.add(at, LONG(LANES * k))
                wide = builder.shl(builder.sext(value, vector(INT, LANES)), shift)
                sums.store(builder.add(sums.load(place, wide.type), wide), place)
            chunks.close([])

        done: Value = LONG(0)
        for vectors in WIDTHS:
            size = LONG(vectors * LANES)
            parts = Loop(builder, builder.sdiv(builder.sub(width, done), size), [])
            part(builder.add(done, builder.mul(parts.count, size)), vectors)
            parts.close([])
            done = builder.add(done, builder.mul(parts.count, size))
        return context.get_dummy_value()

    return types.void(total, rows, index, types.int64, types.int64), generate
