"""Products of the bytes of some timesteps with the weights of some neurons, in the instructions of a tier.

Timesteps are rows, so every weight that is loaded serves several products. Sums are exact modulo 2**32, like
every sum of the emulator.
"""

from __future__ import annotations

from collections.abc import Callable

from hsnn_targets.emulator.instructions import Instructions, PixelInstructions, TileInstructions, instructions_of
from hsnn_targets.emulator.language.types import Typed
from hsnn_targets.emulator.lowering import BYTE, FLAG, INT, LONG, Builder, Value, intrinsic
from hsnn_targets.emulator.operands import Operands
from hsnn_targets.emulator.tile_shapes import TILE_ROWS
from hsnn_targets.emulator.vector_ir import Array, constant, field, splat, vector
from hsnn_targets.emulator.vector_tables import LANES


def make_product(rows: int, blocks: int, pixels: int = 1) -> Callable[..., None]:
    """Make the product of ``rows`` timesteps of bytes with ``blocks`` times 16 neurons' weights.

    With two ``pixels`` it is that of two columns of bytes with one block; the sums of each have 16 neurons' place.

    Where a tier has no such product, this does nothing and must not be called.
    """

    @intrinsic
    def product(
        builder: Builder,
        tables: Typed,
        spikes: Array,
        at: Value,
        stride: Value,
        taps_at: Value,
        count: Value,
        weights_at: Value,
        chunk: Value,
        chunks: Value,
        piece: Value,
        sums: Array,
        out_at: Value,
        out_stride: Value,
        scale: Value,
        add: Value,
        apart: Value,
        ahead: Value,
    ) -> None:
        """``out[r, 16 b + j] (+)= (sum over k of dot4(spikes[r, taps[k] ..], weights[b, k, j])) << scale``.

        The second of two pixels sees bytes that are ``apart``, and has its sums ``ahead``.
        """
        instructions = instructions_of(tables)
        if not _has(instructions, rows, blocks):
            return
        shift = splat(builder, builder.trunc(scale, INT), LANES)

        def store(row: int, block: int, value: Value) -> None:
            further = builder.mul(ahead, LONG(block)) if pixels > 1 else LONG(LANES * block)
            place = builder.add(builder.add(out_at, builder.mul(out_stride, LONG(row))), further)
            before = builder.select(add, sums.load(place, vector(INT, LANES)), constant(LANES, 0))
            sums.store(builder.add(before, builder.shl(value, shift)), place)

        operands = Operands(
            spikes=spikes,
            at=at,
            stride=stride,
            taps=field(builder, tables, "taps"),
            taps_at=taps_at,
            count=count,
            weights=field(builder, tables, "weights"),
            weights_at=weights_at,
            chunk=chunk,
            chunks=chunks,
            piece=piece,
        )
        if pixels > 1:
            if isinstance(instructions, PixelInstructions):
                instructions.multiply_pixels(builder, operands, rows, apart, store)
        elif rows < TILE_ROWS:
            instructions.multiply(builder, operands, rows, blocks, store)
        elif isinstance(instructions, TileInstructions):
            instructions.multiply_tiles(builder, operands, blocks, store)

    return product


def _has(instructions: Instructions, rows: int, blocks: int) -> bool:
    return rows in instructions.rows and blocks <= 1 + instructions.pairs


def make_multiplies(rows: int) -> Callable[..., bool]:
    """Make the question whether the tier multiplies so many rows at once; a constant, like :func:`has_tiles`."""

    @intrinsic
    def multiplies(builder: Builder, tables: Typed) -> Value:
        return FLAG(int(_has(instructions_of(tables), rows, 1)))

    return multiplies


@intrinsic
def has_pairs(builder: Builder, tables: Typed) -> Value:
    """Whether the tier multiplies two blocks at once; a constant, like :func:`has_tiles`."""
    return FLAG(int(instructions_of(tables).pairs))


@intrinsic
def has_pixels(builder: Builder, tables: Typed) -> Value:
    """Whether the tier multiplies two pixels at once; a constant, like :func:`has_tiles`."""
    return FLAG(int(isinstance(instructions_of(tables), PixelInstructions)))


@intrinsic
def has_tiles(builder: Builder, tables: Typed) -> Value:
    """Whether the tier multiplies tiles; a constant, so that other tiers have no code for them."""
    return FLAG(int(isinstance(instructions_of(tables), TileInstructions)))


@intrinsic
def shape_tiles(builder: Builder, tables: Typed, shapes_at: Value) -> None:
    """Give the tiles of this thread the shapes at ``taps[shapes_at :]``."""
    instructions = instructions_of(tables)
    if isinstance(instructions, TileInstructions):
        instructions.shape(builder, field(builder, tables, "taps").at(shapes_at, BYTE))


@intrinsic
def release_tiles(builder: Builder, tables: Typed) -> None:
    """Give the tiles of this thread back, so that the system need not save them."""
    instructions = instructions_of(tables)
    if isinstance(instructions, TileInstructions):
        instructions.release(builder)
