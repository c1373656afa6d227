"""AVX-512 in LLVM's own language: the loops that numba would not compile to these instructions.

Tools for intrinsics, and the products of bytes. They are compiled only on processors that have the instructions;
see ``tiers.py``. All offsets and strides count elements of the arrays that they go with, and nothing is
checked: the plan makes sure that everything lies inside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types

from hsnn_targets.emulator.lowering import BYTE, INT, LONG, Builder, Value, data_of, declare, intrinsic

LANES = 16
INTS, FLOATS = ir.VectorType(INT, LANES), ir.VectorType(ir.FloatType(), LANES)
BYTES, QUADS = ir.VectorType(BYTE, LANES), ir.VectorType(BYTE, 4 * LANES)


def constant(value: int) -> Value:
    """A vector of 16 equal integers."""
    return ir.Constant(INTS, [value] * LANES)


def splat(builder: Builder, scalar: Value) -> Value:
    """Repeat a 32-bit integer in all lanes."""
    one = builder.insert_element(ir.Constant(INTS, ir.Undefined), scalar, INT(0))
    return builder.shuffle_vector(one, ir.Constant(INTS, ir.Undefined), constant(0))


class Array:
    """An array argument as memory that vectors are loaded from and stored to."""

    def __init__(self, context: Any, builder: Builder, kind: Any, value: Value) -> None:
        self._builder = builder
        self._bytes = kind.dtype.bitwidth // 8
        self._base = data_of(context, builder, kind, value)

    def at(self, offset: Value, kind: Value) -> Value:
        """Pointer to a value of type ``kind`` at an element."""
        place = self._builder.gep(self._base, [self._builder.mul(offset, LONG(self._bytes))])
        return self._builder.bitcast(place, kind.as_pointer())

    def load(self, offset: Value, kind: Value) -> Value:
        """Load a vector or a number."""
        return self._builder.load(self.at(offset, kind), align=self._bytes)

    def store(self, value: Value, offset: Value) -> None:
        """Store a vector."""
        self._builder.store(value, self.at(offset, value.type), align=self._bytes)


class Loop:
    """A counted loop whose values stay in registers.

    ``count`` is the counter within the body and ``values`` what it starts with; ``close`` takes the
    next ones, and leaves the values after the loop in ``values``.
    """

    def __init__(self, builder: Builder, end: Value, values: Sequence[Value]) -> None:
        self._builder = builder
        entry = builder.block
        self._head, body = builder.append_basic_block("head"), builder.append_basic_block("body")
        self._done = builder.append_basic_block("done")
        builder.branch(self._head)
        builder.position_at_end(self._head)
        self.count = builder.phi(LONG)
        self.count.add_incoming(LONG(0), entry)
        self.values = [builder.phi(value.type) for value in values]
        for phi, value in zip(self.values, values, strict=True):
            phi.add_incoming(value, entry)
        builder.cbranch(builder.icmp_signed("<", self.count, end), body, self._done)
        builder.position_at_end(body)

    def close(self, values: Sequence[Value]) -> None:
        """End the body."""
        self.count.add_incoming(self._builder.add(self.count, LONG(1)), self._builder.block)
        for phi, value in zip(self.values, values, strict=True):
            phi.add_incoming(value, self._builder.block)
        self._builder.branch(self._head)
        self._builder.position_at_end(self._done)


def make_product(rows: int, blocks: int) -> Callable[..., None]:
    """Make the product of ``rows`` timesteps of bytes with ``blocks`` times 16 neurons' weights.

    ``vpdpbusd`` adds four products of an unsigned and a signed byte to a 32-bit lane without
    saturation, so sums are exact modulo 2**32, like every sum of the emulator. Timesteps are rows, so
    every weight that is loaded serves ``rows`` products, and all sums stay in registers.
    """

    @intrinsic
    def product(
        typing: Any,
        bytes_: Any,
        at: Any,
        stride: Any,
        taps: Any,
        taps_at: Any,
        count: Any,
        weights: Any,
        weights_at: Any,
        out: Any,
        out_at: Any,
        out_stride: Any,
        scale: Any,
        add: Any,
    ) -> Any:
        """``out[r, 16 b + j] (+)= (sum over k of dot4(bytes[r, taps[k] ..], weights[b, k, j])) << scale``."""
        long = types.int64
        signature = types.void(
            bytes_, long, long, taps, long, long, weights, long, out, long, long, long, types.boolean
        )

        def generate(context: Any, builder: Builder, signature: Any, arguments: Sequence[Value]) -> Value:
            kinds = signature.args
            source, offsets, rows_of, target = (
                Array(context, builder, kinds[place], arguments[place]) for place in (0, 3, 6, 8)
            )
            _, at, stride, _, taps_at, count, _, weights_at, _, out_at, out_stride, scale, add = arguments
            dot = declare(builder, "llvm.x86.avx512.vpdpbusd.512", INTS, [INTS, QUADS, QUADS])
            block = builder.mul(count, LONG(4 * LANES))
            loop = Loop(builder, count, [constant(0)] * (rows * blocks))
            tap = builder.sext(offsets.load(builder.add(taps_at, loop.count), INT), LONG)
            weight_at = builder.add(weights_at, builder.mul(loop.count, LONG(4 * LANES)))
            columns = [rows_of.load(builder.add(weight_at, builder.mul(block, LONG(b))), QUADS) for b in range(blocks)]
            first = builder.add(at, tap)
            sums = []
            for r in range(rows):
                four = source.load(builder.add(first, builder.mul(stride, LONG(r))), INT)
                spread = builder.bitcast(splat(builder, four), QUADS)
                sums += [builder.call(dot, [loop.values[r * blocks + b], spread, columns[b]]) for b in range(blocks)]
            loop.close(sums)
            shift = splat(builder, builder.trunc(scale, INT))
            for r in range(rows):
                for b in range(blocks):
                    place = builder.add(builder.add(out_at, builder.mul(out_stride, LONG(r))), LONG(LANES * b))
                    before = builder.select(add, target.load(place, INTS), constant(0))
                    target.store(builder.add(before, builder.shl(loop.values[r * blocks + b], shift)), place)
            return context.get_dummy_value()

        return signature, generate

    return product
