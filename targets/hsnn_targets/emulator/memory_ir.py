"""What numba's language lacks: copying bytes as a block, counting ones, and finding bytes that are not 0."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types

from hsnn_targets.emulator.lowering import BYTE, FLAG, LONG, Builder, Value, data_of, declare, intrinsic


@intrinsic
def copy_bytes(typing: Any, array: Any, to: Any, start: Any, count: Any) -> Any:
    """Copy ``array[start : start + count]`` to ``array[to :]``; the two must not overlap."""

    def generate(context: Any, builder: Builder, signature: Any, arguments: Sequence[Value]) -> Value:
        data = data_of(context, builder, signature.args[0], arguments[0])
        pointer = BYTE.as_pointer()
        copy = declare(builder, "llvm.memcpy.p0.p0.i64", ir.VoidType(), [pointer, pointer, LONG, FLAG])
        to, start = builder.gep(data, [arguments[1]]), builder.gep(data, [arguments[2]])
        builder.call(copy, [to, start, arguments[3], FLAG(0)])
        return context.get_dummy_value()

    return types.void(array, types.int64, types.int64, types.int64), generate


@intrinsic
def count_ones(typing: Any, word: Any) -> Any:
    """Count the bits that are set in a word of 64."""

    def generate(context: Any, builder: Builder, signature: Any, arguments: Sequence[Value]) -> Value:
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), generate


@intrinsic
def nonzero_bytes(typing: Any, array: Any, at: Any) -> Any:
    """Look at ``array[at : at + 64]``: bit ``i`` of the result tells whether byte ``i`` is not 0."""

    def generate(context: Any, builder: Builder, signature: Any, arguments: Sequence[Value]) -> Value:
        bytes_ = ir.VectorType(BYTE, 64)
        place = builder.gep(data_of(context, builder, signature.args[0], arguments[0]), [arguments[1]])
        found = builder.load(builder.bitcast(place, bytes_.as_pointer()), align=1)
        return builder.bitcast(builder.icmp_unsigned("!=", found, ir.Constant(bytes_, [0] * 64)), LONG)

    return types.uint64(array, types.int64), generate


@intrinsic
def lowest_one(typing: Any, word: Any) -> Any:
    """Number of the lowest bit that is set in a word of 64; some bit is."""

    def generate(context: Any, builder: Builder, signature: Any, arguments: Sequence[Value]) -> Value:
        return builder.cttz(arguments[0], FLAG(1))

    return types.int64(types.uint64), generate
