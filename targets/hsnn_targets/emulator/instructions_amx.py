"""The tier ``amx``: AVX-512, and products of tiles of bytes.

A tile of spikes has 16 timesteps and up to 16 words of four spikes; a tile of weights has as many words
and 16 neurons. ``tdpbusd`` adds their product to a tile of sums, 16 timesteps by 16 neurons, without
saturation. Weights lie word after word (``vector_pack.py``), so 16 words in a row are a tile as they are.
Pieces of words that do not fill the last tile have a second pair of tiles with shapes of their own. Few tiles are
live at a time: two of sums share one of spikes, and weights pass through one.
"""

from __future__ import annotations

from dataclasses import dataclass

from llvmlite import ir  # type: ignore[import-untyped]

from hsnn_targets.emulator.instructions_avx512 import LANES, Avx512Instructions
from hsnn_targets.emulator.lowering import BYTE, INT, LONG, Builder, Value, declare
from hsnn_targets.emulator.operands import WORD_WEIGHTS, Operands, Store
from hsnn_targets.emulator.tile_shapes import REST, SUMS, TILE_ROWS, TILE_WORDS, WHOLE
from hsnn_targets.emulator.vector_ir import Loop, vector

VOID, POINTER = ir.VoidType(), BYTE.as_pointer()


@dataclass(frozen=True, slots=True)
class AmxInstructions(Avx512Instructions):
    """See :class:`hsnn_targets.emulator.instructions.TileInstructions`."""

    rows: tuple[int, ...] = (TILE_ROWS, 8, 4, 1)

    def shape(self, builder: Builder, shapes: Value) -> None:
        """Load the shapes of all tiles."""
        builder.call(declare(builder, "llvm.x86.ldtilecfg", VOID, [POINTER]), [shapes])

    def release(self, builder: Builder) -> None:
        """Give the tiles back."""
        builder.call(declare(builder, "llvm.x86.tilerelease", VOID, []), [])

    def multiply_tiles(self, builder: Builder, operands: Operands, blocks: int, store: Store) -> None:
        """Go through the pieces, whole tiles first; the sums stay in tiles."""
        for block in range(blocks):
            self.zero(builder, SUMS[block])
        pieces = builder.udiv(operands.count, operands.piece)
        whole = builder.udiv(operands.piece, LONG(TILE_WORDS))
        rest = builder.sub(operands.piece, builder.mul(whole, LONG(TILE_WORDS)))
        outer = Loop(builder, pieces, [])
        first = builder.mul(outer.count, operands.piece)
        inner = Loop(builder, whole, [])
        tap = builder.add(first, builder.mul(inner.count, LONG(TILE_WORDS)))
        self._add_products(builder, operands, blocks, tap, WHOLE)
        inner.close([])
        with builder.if_then(builder.icmp_signed(">", rest, LONG(0))):
            tap = builder.add(first, builder.mul(whole, LONG(TILE_WORDS)))
            self._add_products(builder, operands, blocks, tap, REST)
        outer.close([])
        with builder.goto_entry_block():
            room = builder.alloca(INT, TILE_ROWS * LANES)
            room.align = 64
        for block in range(blocks):
            self.store(builder, SUMS[block], builder.bitcast(room, POINTER), LONG(4 * LANES))
            for row in range(TILE_ROWS):
                place = builder.gep(room, [LONG(row * LANES)])
                sums = builder.load(builder.bitcast(place, vector(INT, LANES).as_pointer()), align=64)
                store(row, block, sums)

    def _add_products(
        self, builder: Builder, operands: Operands, blocks: int, tap: Value, tiles: tuple[int, int]
    ) -> None:
        weights, spikes = tiles
        self.load(builder, spikes, operands.spikes.at(operands.first_spike(builder, tap), BYTE), operands.stride)
        for block in range(blocks):
            place = operands.weights.at(operands.weight(builder, block, tap), BYTE)
            self.load(builder, weights, place, LONG(WORD_WEIGHTS))
            self.dot(builder, SUMS[block], spikes, weights)

    def zero(self, builder: Builder, tile: int) -> None:
        """Clear a tile."""
        builder.call(declare(builder, "llvm.x86.tilezero", VOID, [BYTE]), [BYTE(tile)])

    def load(self, builder: Builder, tile: int, place: Value, stride: Value) -> None:
        """Load a tile whose rows lie ``stride`` bytes apart."""
        call = declare(builder, "llvm.x86.tileloadd64", VOID, [BYTE, POINTER, LONG])
        builder.call(call, [BYTE(tile), place, stride])

    def dot(self, builder: Builder, sums: int, spikes: int, weights: int) -> None:
        """Add the product of unsigned bytes and signed ones."""
        call = declare(builder, "llvm.x86.tdpbusd", VOID, [BYTE, BYTE, BYTE])
        builder.call(call, [BYTE(sums), BYTE(spikes), BYTE(weights)])

    def store(self, builder: Builder, tile: int, place: Value, stride: Value) -> None:
        """Store a tile."""
        call = declare(builder, "llvm.x86.tilestored64", VOID, [BYTE, POINTER, LONG])
        builder.call(call, [BYTE(tile), place, stride])
