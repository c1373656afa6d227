"""Rows of a port's payloads: turned into bytes and held against what the port may bring, in one pass over them.

Plain vectors of LLVM's, which any processor has one way or another.
"""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir  # type: ignore[import-untyped]

from hsnn_targets.emulator.lowering import BYTE, INT, LONG, Builder, Value, declare, intrinsic
from hsnn_targets.emulator.vector_ir import Array, Loop, splat, vector

LANES = 32
"""Payloads of 32 bits in a vector; of bytes it has four times as many."""
LINE = 64
"""Bytes of a cache line."""


def make_reader(*, keep: bool) -> Callable[..., int]:
    """Make what reads a row; where ``keep`` is false it only looks at it."""

    @intrinsic
    def read(builder: Builder, row: Array, count: Value, raised: Value, plane: Array, at: Value) -> Value:
        """Write the low bytes of ``row[:count]`` from ``plane[at]`` on.

        Rows of one timestep follow each other, sample after sample, and those of the next timestep lie far away. So
        the row of the next sample is asked for while this one is read: that hides how far away memory is.

        Returns:
            The largest ``payload + raised``, as an unsigned number of as many bits as payloads have.
        """
        element = ir.IntType(row.bits)
        lanes, size = LANES * INT.width // element.width, element.width // BYTE.width
        raised = builder.trunc(raised, element)
        values, pointer = vector(element, lanes), BYTE.as_pointer()
        larger = declare(builder, f"llvm.umax.v{lanes}i{element.width}", values, [values, values])
        largest = declare(builder, f"llvm.vector.reduce.umax.v{lanes}i{element.width}", element, [values])
        larger_one = declare(builder, f"llvm.umax.i{element.width}", element, [element, element])
        ask = declare(builder, "llvm.prefetch.p0", ir.VoidType(), [pointer, INT, INT, INT])

        def low(value: Value, kind: Value) -> Value:
            return value if element == BYTE else builder.trunc(value, kind)

        vectors = Loop(builder, builder.sdiv(count, LONG(lanes)), [ir.Constant(values, [0] * lanes)])
        first = builder.mul(vectors.count, LONG(lanes))
        for line in range(0, lanes, LINE // size):
            ahead = builder.add(builder.add(first, count), LONG(line))
            builder.call(ask, [row.at(ahead, BYTE), INT(0), INT(2), INT(1)])
        value = row.load(first, values)
        if keep:
            plane.store(low(value, vector(BYTE, lanes)), builder.add(at, first))
        moved = builder.add(value, splat(builder, raised, lanes))
        vectors.close([builder.call(larger, [vectors.values[0], moved])])

        done = builder.mul(vectors.count, LONG(lanes))
        rest = Loop(builder, builder.sub(count, done), [builder.call(largest, [vectors.values[0]])])
        place = builder.add(done, rest.count)
        value = row.load(place, element)
        if keep:
            plane.store(low(value, BYTE), builder.add(at, place))
        rest.close([builder.call(larger_one, [rest.values[0], builder.add(value, raised)])])
        return builder.zext(rest.values[0], LONG)

    return read


read_row, look_at_row = make_reader(keep=True), make_reader(keep=False)
