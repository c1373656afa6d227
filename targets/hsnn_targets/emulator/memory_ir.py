"""What the language of kernels lacks: bytes copied as a block, ones counted, bytes that are not 0 found or packed."""

from __future__ import annotations

from llvmlite import ir  # type: ignore[import-untyped]

from hsnn_targets.emulator.language.types import UNSIGNED, Number, Typed
from hsnn_targets.emulator.lowering import BYTE, FLAG, INT, LONG, Builder, Value, declare, intrinsic
from hsnn_targets.emulator.vector_ir import Array, Loop

TOGETHER, BYTES = 64, 8
"""Bytes that are looked at together, and the bytes that as many bits take."""


@intrinsic
def copy_bytes(builder: Builder, array: Array, to: Value, start: Value, count: Value) -> None:
    """Copy ``array[start : start + count]`` to ``array[to :]``; the two must not overlap."""
    pointer = BYTE.as_pointer()
    copy = declare(builder, "llvm.memcpy.p0.p0.i64", ir.VoidType(), [pointer, pointer, LONG, FLAG])
    places = [array.at(to, BYTE), array.at(start, BYTE)]
    for place in places:
        array.require(place, count)
    builder.call(copy, [*places, count, FLAG(0)])


@intrinsic
def quotient(builder: Builder, dividend: Value, divisor: Value) -> Typed:
    """Divide a number of 0 to ``2**23 - 1`` by one of 1 to ``2**23``, rounding down.

    Floats do it exactly, whichever way they round. With ``k`` the whole number above the quotient and
    ``k * divisor = dividend + r``, the quotient is ``r / divisor`` below ``k``. That is ``k / 2**23`` at least, since
    ``r * (2**23 - 1) >= dividend``, and floats below ``k`` lie closer than that: the quotient never becomes ``k``.
    """
    one, other = (builder.sitofp(builder.trunc(value, INT), ir.FloatType()) for value in (dividend, divisor))
    return Typed(Number("i", 32), (builder.fptosi(builder.fdiv(one, other), INT),))


@intrinsic
def count_ones(builder: Builder, word: Value) -> Value:
    """Count the bits that are set in a word of 64."""
    return builder.ctpop(word)


@intrinsic
def nonzero_bytes(builder: Builder, array: Array, at: Value) -> Typed:
    """Look at ``array[at : at + 64]``: bit ``i`` of the result tells whether byte ``i`` is not 0."""
    return Typed(UNSIGNED, (_nonzero(builder, array, at),))


@intrinsic
def pack_bits(builder: Builder, array: Array, at: Value, bits: Array) -> None:
    """Write to all of ``bits`` which bytes from ``array[at]`` on are not 0, the first in the lowest bit.

    Bytes up to the next multiple of 64 are looked at.
    """
    words = Loop(builder, builder.sdiv(bits.size, LONG(BYTES)), [])
    found = _nonzero(builder, array, builder.add(at, builder.mul(words.count, LONG(TOGETHER))))
    bits.store(found, builder.mul(words.count, LONG(BYTES)))
    words.close([])
    done = builder.mul(words.count, LONG(BYTES))
    left = builder.sub(bits.size, done)
    with builder.if_then(builder.icmp_signed(">", left, LONG(0))):
        found = _nonzero(builder, array, builder.add(at, builder.mul(done, LONG(BYTES))))
        rest = Loop(builder, left, [found])
        bits.store(builder.trunc(rest.values[0], BYTE), builder.add(done, rest.count))
        rest.close([builder.lshr(rest.values[0], LONG(BYTES))])


def _nonzero(builder: Builder, array: Array, at: Value) -> Value:
    bytes_ = ir.VectorType(BYTE, TOGETHER)
    found = builder.icmp_unsigned("!=", array.load(at, bytes_), ir.Constant(bytes_, [0] * TOGETHER))
    return builder.bitcast(found, LONG)
