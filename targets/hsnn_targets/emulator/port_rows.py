"""Rows of a port's payloads: turned into bytes and held against what the port may bring, in one pass over them.

Plain vectors of LLVM's, which any processor has one way or another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types

from hsnn_targets.emulator.lowering import BYTE, INT, LONG, Builder, Value, declare, intrinsic
from hsnn_targets.emulator.vector_ir import Array, Loop, constant, splat, vector

LANES = 32
"""Payloads of a vector."""
LINE = 16
"""Payloads of a cache line."""


def make_reader(*, keep: bool) -> Callable[..., int]:
    """Make what reads a row; where ``keep`` is false it only looks at it."""

    @intrinsic
    def read(typing: Any, payloads: Any, count: Any, raised: Any, bytes_: Any, at: Any) -> Any:
        """Write the low bytes of ``payloads[:count]`` from ``bytes_[at]`` on.

        Rows of one timestep follow each other, sample after sample, and those of the next timestep lie far away. So
        the row of the next sample is asked for while this one is read: that hides how far away memory is.

        Returns:
            The largest ``payload + raised``, as an unsigned number of 32 bits.
        """

        def generate(context: Any, builder: Builder, signature: Any, arguments: Sequence[Value]) -> Value:
            kinds = signature.args
            row, plane = (Array(context, builder, kinds[k], arguments[k]) for k in (0, 3))
            _, count, raised, _, at = arguments
            raised = builder.trunc(raised, INT)
            ints, pointer = vector(INT, LANES), BYTE.as_pointer()
            larger = declare(builder, f"llvm.umax.v{LANES}i32", ints, [ints, ints])
            largest = declare(builder, f"llvm.vector.reduce.umax.v{LANES}i32", INT, [ints])
            larger_one = declare(builder, "llvm.umax.i32", INT, [INT, INT])
            ask = declare(builder, "llvm.prefetch.p0", ir.VoidType(), [pointer, INT, INT, INT])

            vectors = Loop(builder, builder.sdiv(count, LONG(LANES)), [constant(LANES, 0)])
            first = builder.mul(vectors.count, LONG(LANES))
            for line in range(0, LANES, LINE):
                ahead = builder.add(builder.add(first, count), LONG(line))
                builder.call(ask, [row.at(ahead, BYTE), INT(0), INT(2), INT(1)])
            values = row.load(first, ints)
            if keep:
                plane.store(builder.trunc(values, vector(BYTE, LANES)), builder.add(at, first))
            moved = builder.add(values, splat(builder, raised, LANES))
            vectors.close([builder.call(larger, [vectors.values[0], moved])])

            done = builder.mul(vectors.count, LONG(LANES))
            rest = Loop(builder, builder.sub(count, done), [builder.call(largest, [vectors.values[0]])])
            place = builder.add(done, rest.count)
            value = row.load(place, INT)
            if keep:
                plane.store(builder.trunc(value, BYTE), builder.add(at, place))
            rest.close([builder.call(larger_one, [rest.values[0], builder.add(value, raised)])])
            return builder.zext(rest.values[0], LONG)

        return types.int64(payloads, types.int64, types.int64, bytes_, types.int64), generate

    return read


read_row, look_at_row = make_reader(keep=True), make_reader(keep=False)
