"""What the language of kernels lacks: copying bytes as a block, counting ones, and finding bytes that are not 0."""

from __future__ import annotations

from llvmlite import ir  # type: ignore[import-untyped]

from hsnn_targets.emulator.language.types import UNSIGNED, Typed
from hsnn_targets.emulator.lowering import BYTE, FLAG, LONG, Builder, Value, declare, intrinsic
from hsnn_targets.emulator.vector_ir import Array


@intrinsic
def copy_bytes(builder: Builder, array: Array, to: Value, start: Value, count: Value) -> None:
    """Copy ``array[start : start + count]`` to ``array[to :]``; the two must not overlap."""
    pointer = BYTE.as_pointer()
    copy = declare(builder, "llvm.memcpy.p0.p0.i64", ir.VoidType(), [pointer, pointer, LONG, FLAG])
    builder.call(copy, [array.at(to, BYTE), array.at(start, BYTE), count, FLAG(0)])


@intrinsic
def count_ones(builder: Builder, word: Value) -> Value:
    """Count the bits that are set in a word of 64."""
    return builder.ctpop(word)


@intrinsic
def nonzero_bytes(builder: Builder, array: Array, at: Value) -> Typed:
    """Look at ``array[at : at + 64]``: bit ``i`` of the result tells whether byte ``i`` is not 0."""
    bytes_ = ir.VectorType(BYTE, 64)
    found = builder.icmp_unsigned("!=", array.load(at, bytes_), ir.Constant(bytes_, [0] * 64))
    return Typed(UNSIGNED, (builder.bitcast(found, LONG),))


@intrinsic
def lowest_one(builder: Builder, word: Value) -> Value:
    """Number of the lowest bit that is set in a word of 64; some bit is."""
    return builder.cttz(word, FLAG(1))
