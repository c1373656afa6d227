"""The tier ``avx2``: 256-bit vectors, and products of bytes that are summed in 16 bits as long as these hold them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llvmlite import ir  # type: ignore[import-untyped]

from hsnn.ir.arithmetic import DECAY_ONE
from hsnn_targets.emulator.lowering import BYTE, INT, LONG, Builder, Value, declare
from hsnn_targets.emulator.operands import Operands, Store
from hsnn_targets.emulator.vector_ir import Array, Loop, as_fraction, constant, join, splat, vector

LANES = 8
TOWARD_ZERO = 0x6000
"""Both bits of the rounding control of MXCSR (Intel, Software Developer's Manual, volume 1, 10.2.3)."""
FLOATS = vector(ir.FloatType(), LANES)
INTS, SHORTS, QUADS = vector(INT, LANES), vector(ir.IntType(16), 2 * LANES), vector(BYTE, 4 * LANES)
ROWS = 4
"""Rows of a block that are multiplied together: their sums, 32 and 16 bits, fill the 16 registers."""


@dataclass(frozen=True, slots=True)
class Avx2Instructions:
    """See :class:`hsnn_targets.emulator.instructions.Instructions`."""

    lanes: int = LANES
    together: int = 4
    rows: tuple[int, ...] = (ROWS, 1)
    pairs: bool = False
    shorts: int = 2 * LANES
    masks: bool = False
    compresses: bool = False
    compresses_bytes: bool = False

    def multiply(self, builder: Builder, operands: Operands, rows: int, blocks: int, store: Store) -> None:
        """Multiply block by block."""
        for block in range(blocks):
            _multiply(builder, operands, range(rows), block, store)

    def enter(self, builder: Builder) -> Value:
        """Round toward zero from here; returns the control register as it was."""
        with builder.goto_entry_block():
            before, changed = builder.alloca(INT), builder.alloca(INT)
        self._control(builder, "st", before)
        builder.store(builder.or_(builder.load(before), INT(TOWARD_ZERO)), changed)
        self._control(builder, "ld", changed)
        return before

    def leave(self, builder: Builder, before: Value) -> None:
        """Round as before."""
        self._control(builder, "ld", before)

    def _control(self, builder: Builder, way: str, place: Value) -> None:
        pointer = BYTE.as_pointer()
        call = declare(builder, f"llvm.x86.sse.{way}mxcsr", ir.VoidType(), [pointer])
        builder.call(call, [builder.bitcast(place, pointer)])

    def keep(self, builder: Builder, value: Value) -> Value:
        """As a float; exact, since it has 13 bits."""
        return as_fraction(builder, value, DECAY_ONE)

    def shrink(self, builder: Builder, state: Value, keep: Value, cleared: Value | None = None) -> Value:
        """Multiply as floats, rounding toward zero, and cut; see ``instructions_avx512.py`` for why it is exact."""
        return builder.fptosi(builder.fmul(builder.sitofp(state, FLOATS), keep), INTS)

    def store_spikes(self, builder: Builder, fired: Array, at: Value, spikes: Sequence[Value]) -> None:
        """Pack the flags, which are 0 or -1 in their lanes, twice; packing interleaves halves, so put them in order."""
        halves = declare(builder, "llvm.x86.avx2.packssdw", SHORTS, [INTS, INTS])
        quarters = declare(builder, "llvm.x86.avx2.packsswb", QUADS, [SHORTS, SHORTS])
        masks = [builder.sext(spike, INTS) for spike in spikes]
        pairs = [builder.call(halves, [masks[k], masks[k + 1]]) for k in (0, 2)]
        words = builder.bitcast(builder.call(quarters, pairs), INTS)
        order = ir.Constant(INTS, [0, 4, 1, 5, 2, 6, 3, 7])
        packed = builder.bitcast(builder.shuffle_vector(words, words, order), QUADS)
        fired.store(builder.and_(packed, ir.Constant(QUADS, [1] * (4 * LANES))), at)


def _multiply(builder: Builder, operands: Operands, rows: range, block: int, store: Store) -> None:
    """Multiply some rows with one block.

    ``vpmaddubsw`` multiplies unsigned bytes with signed ones and adds pairs to 16 bits. With spikes of at most
    ``p`` and weights of -128 to 127, a pair lies within ``-256 p .. 254 p``, so ``128 // p`` of them (a
    chunk) never leave 16 bits.
    """
    bytes_ = declare(builder, "llvm.x86.avx2.pmadd.ub.sw", SHORTS, [QUADS, QUADS])
    pairs = declare(builder, "llvm.x86.avx2.pmadd.wd", INTS, [SHORTS, SHORTS])
    halves = range(2)
    none = [ir.Constant(SHORTS, [0] * (2 * LANES))] * (2 * len(rows))
    outer = Loop(builder, operands.chunks, [constant(LANES, 0)] * (2 * len(rows)))
    begin = builder.mul(outer.count, operands.chunk)
    left = builder.sub(operands.count, begin)
    length = builder.select(builder.icmp_signed("<", left, operands.chunk), left, operands.chunk)
    inner = Loop(builder, length, none)
    tap = builder.add(begin, inner.count)
    first, place = operands.first_spike(builder, tap), operands.weight(builder, block, tap)
    weights = [operands.weights.load(builder.add(place, LONG(4 * LANES * h)), QUADS) for h in halves]
    sums = []
    for k, row in enumerate(rows):
        four = operands.spikes.load(builder.add(first, builder.mul(operands.stride, LONG(row))), INT)
        spread = builder.bitcast(splat(builder, four, LANES), QUADS)
        sums += [builder.add(inner.values[2 * k + h], builder.call(bytes_, [spread, weights[h]])) for h in halves]
    inner.close(sums)
    ones = ir.Constant(SHORTS, [1] * (2 * LANES))
    wide = [builder.call(pairs, [value, ones]) for value in inner.values]
    outer.close([builder.add(old, new) for old, new in zip(outer.values, wide, strict=True)])
    for k, row in enumerate(rows):
        store(row, block, join(builder, outer.values[2 * k], outer.values[2 * k + 1]))
