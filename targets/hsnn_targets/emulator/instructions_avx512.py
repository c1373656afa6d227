"""The tier ``avx512``: 512-bit vectors, dot products of bytes, and products rounded toward zero."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llvmlite import binding, ir  # type: ignore[import-untyped]

from hsnn.ir.arithmetic import DECAY_ONE
from hsnn_targets.emulator.lowering import BYTE, INT, LONG, Builder, Value, declare
from hsnn_targets.emulator.operands import Operands, Store
from hsnn_targets.emulator.vector_ir import Array, Loop, as_fraction, constant, splat, vector

LANES = 16
INTS, FLOATS = vector(INT, LANES), vector(ir.FloatType(), LANES)
QUADS = vector(BYTE, 4 * LANES)
TOWARD_ZERO = 11
"""Rounding toward zero, exceptions off: the operand of AVX-512 for one instruction."""


@dataclass(frozen=True, slots=True)
class Avx512Instructions:
    """See :class:`hsnn_targets.emulator.instructions.Instructions`.

    The decay is exact in floats. For ``|x| <= 2**24`` and a keep ``c`` of 0 to 4096, ``x`` and ``c / 4096``
    are floats without rounding, and their product is rounded toward zero. The integer part of the true
    product is itself a float (24 bits suffice), and rounding toward zero never passes it; so cutting the
    rounded product to an integer gives the integer part of the true one, which is the rule of ``shrink``.
    """

    lanes: int = LANES
    together: int = 4
    rows: tuple[int, ...] = (8, 4, 1)
    pairs: bool = True
    shorts: int = 2 * LANES
    masks: bool = True
    compresses: bool = True

    @property
    def compresses_bytes(self) -> bool:
        """As processors since Ice Lake and Zen 4 do (AVX-512 VBMI2)."""
        return bool(binding.get_host_cpu_features().get("avx512vbmi2", False))

    def multiply(self, builder: Builder, operands: Operands, rows: int, blocks: int, store: Store) -> None:
        """Keep all sums in registers; ``vpdpbusd`` adds four products to a 32-bit lane without saturation."""
        places = [operands.row(builder, r) for r in range(rows)]
        loop = Loop(builder, operands.count, [constant(LANES, 0)] * (rows * blocks))
        columns = [operands.weights.load(operands.weight(builder, b, loop.count), QUADS) for b in range(blocks)]
        tap = operands.tap(builder, loop.count)
        sums = []
        for r in range(rows):
            spread = builder.bitcast(splat(builder, operands.word(builder, places[r], tap), LANES), QUADS)
            sums += [self.add_dots(builder, loop.values[r * blocks + b], spread, columns[b]) for b in range(blocks)]
        loop.close(sums)
        for place, value in enumerate(loop.values):
            store(*divmod(place, blocks), value)

    def multiply_pixels(self, builder: Builder, operands: Operands, rows: int, apart: Value, store: Store) -> None:
        """Like :meth:`multiply`, with two columns of spikes in place of two blocks of weights."""
        places = [operands.row(builder, r) for r in range(rows)]
        loop = Loop(builder, operands.count, [constant(LANES, 0)] * (2 * rows))
        column = operands.weights.load(operands.weight(builder, 0, loop.count), QUADS)
        tap = operands.tap(builder, loop.count)
        taps, sums = (tap, builder.add(tap, apart)), []
        for place, value in enumerate(loop.values):
            row, pixel = divmod(place, 2)
            spread = builder.bitcast(splat(builder, operands.word(builder, places[row], taps[pixel]), LANES), QUADS)
            sums.append(self.add_dots(builder, value, spread, column))
        loop.close(sums)
        for place, value in enumerate(loop.values):
            store(*divmod(place, 2), value)

    def add_dots(self, builder: Builder, sums: Value, spikes: Value, weights: Value) -> Value:
        """Add four products of an unsigned and a signed byte to each lane."""
        call = declare(builder, "llvm.x86.avx512.vpdpbusd.512", INTS, [INTS, QUADS, QUADS])
        return builder.call(call, [sums, spikes, weights])

    def multiply_toward_zero(self, builder: Builder, left: Value, right: Value) -> Value:
        """Multiply floats, rounding toward zero."""
        call = declare(builder, "llvm.x86.avx512.mul.ps.512", FLOATS, [FLOATS, FLOATS, INT])
        return builder.call(call, [left, right, INT(TOWARD_ZERO)])

    def keep(self, builder: Builder, value: Value) -> Value:
        """As a float; exact, since it has 13 bits."""
        return as_fraction(builder, value, DECAY_ONE)

    def enter(self, builder: Builder) -> Value:
        """Nothing to do: every product says how it is rounded."""
        return INT(0)

    def leave(self, builder: Builder, before: Value) -> None:
        """Nothing to do."""

    def shrink(self, builder: Builder, state: Value, keep: Value, cleared: Value | None = None) -> Value:
        """Multiply as floats, rounding toward zero."""
        product = self.multiply_toward_zero(builder, builder.sitofp(state, FLOATS), keep)
        if cleared is not None:
            product = builder.select(cleared, ir.Constant(FLOATS, [0.0] * LANES), product)
        return builder.fptosi(product, INTS)

    def store_spikes(self, builder: Builder, fired: Array, at: Value, spikes: Sequence[Value]) -> None:
        """One vector after the other."""
        for g, spike in enumerate(spikes):
            fired.store(builder.zext(spike, vector(BYTE, LANES)), builder.add(at, LONG(g * LANES)))
