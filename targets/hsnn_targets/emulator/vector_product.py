"""Products of the bytes of some timesteps with the weights of some neurons, in the instructions of a tier.

Timesteps are rows, so every weight that is loaded serves several products. Sums are exact modulo 2**32, like
every sum of the emulator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from numba import types

from hsnn_targets.emulator.instructions import Instructions, PixelInstructions, TileInstructions, instructions_of
from hsnn_targets.emulator.lowering import BYTE, FLAG, INT, LONG, Builder, Value, intrinsic
from hsnn_targets.emulator.operands import Operands
from hsnn_targets.emulator.tile_shapes import TILE_ROWS
from hsnn_targets.emulator.vector_ir import Array, constant, splat, vector
from hsnn_targets.emulator.vector_tables import LANES


def make_product(rows: int, blocks: int, pixels: int = 1) -> Callable[..., None]:
    """Make the product of ``rows`` timesteps of bytes with ``blocks`` times 16 neurons' weights.

    With two ``pixels`` it is that of two columns of bytes with one block; the sums of each have 16 neurons' place.

    Where a tier has no such product, this does nothing and must not be called.
    """

    @intrinsic
    def product(
        typing: Any,
        tables: Any,
        bytes_: Any,
        at: Any,
        stride: Any,
        taps_at: Any,
        count: Any,
        weights_at: Any,
        chunk: Any,
        chunks: Any,
        piece: Any,
        out: Any,
        out_at: Any,
        out_stride: Any,
        scale: Any,
        add: Any,
        apart: Any,
        ahead: Any,
    ) -> Any:
        """``out[r, 16 b + j] (+)= (sum over k of dot4(bytes[r, taps[k] ..], weights[b, k, j])) << scale``.

        The second of two pixels sees bytes that are ``apart``, and has its sums ``ahead``.
        """
        long = types.int64
        signature = types.void(
            tables,
            bytes_,
            long,
            long,
            long,
            long,
            long,
            long,
            long,
            long,
            out,
            long,
            long,
            long,
            types.boolean,
            long,
            long,
        )

        def generate(context: Any, builder: Builder, signature: Any, arguments: Sequence[Value]) -> Value:
            kinds = signature.args
            _, source, at, stride, taps_at, count, weights_at, chunk, chunks, piece, *rest = arguments
            target, out_at, out_stride, scale, add, apart, ahead = rest
            fields = kinds[0].fields

            def field(name: str) -> Array:
                place = fields.index(name)
                value = builder.extract_value(arguments[0], place)
                return Array(context, builder, kinds[0].types[place], value)

            sums = Array(context, builder, kinds[10], target)
            shift = splat(builder, builder.trunc(scale, INT), LANES)

            def store(row: int, block: int, value: Value) -> None:
                further = builder.mul(ahead, LONG(block)) if pixels > 1 else LONG(LANES * block)
                place = builder.add(builder.add(out_at, builder.mul(out_stride, LONG(row))), further)
                before = builder.select(add, sums.load(place, vector(INT, LANES)), constant(LANES, 0))
                sums.store(builder.add(before, builder.shl(value, shift)), place)

            operands = Operands(
                spikes=Array(context, builder, kinds[1], source),
                at=at,
                stride=stride,
                taps=field("taps"),
                taps_at=taps_at,
                count=count,
                weights=field("weights"),
                weights_at=weights_at,
                chunk=chunk,
                chunks=chunks,
                piece=piece,
            )
            instructions = instructions_of(kinds[0])
            if not _has(instructions, rows, blocks):
                return context.get_dummy_value()
            if pixels > 1:
                if isinstance(instructions, PixelInstructions):
                    instructions.multiply_pixels(builder, operands, rows, apart, store)
            elif rows < TILE_ROWS:
                instructions.multiply(builder, operands, rows, blocks, store)
            elif isinstance(instructions, TileInstructions):
                instructions.multiply_tiles(builder, operands, blocks, store)
            return context.get_dummy_value()

        return signature, generate

    return product


def _has(instructions: Instructions, rows: int, blocks: int) -> bool:
    return rows in instructions.rows and blocks <= 1 + instructions.pairs


def make_multiplies(rows: int) -> Callable[..., bool]:
    """Make the question whether the tier multiplies so many rows at once; a constant, like :func:`has_tiles`."""

    @intrinsic
    def multiplies(typing: Any, tables: Any) -> Any:
        def generate(context: Any, builder: Builder, signature: Any, arguments: Sequence[Value]) -> Value:
            return FLAG(_has(instructions_of(signature.args[0]), rows, 1))

        return types.boolean(tables), generate

    return multiplies


@intrinsic
def has_pairs(typing: Any, tables: Any) -> Any:
    """Whether the tier multiplies two blocks at once; a constant, like :func:`has_tiles`."""

    def generate(context: Any, builder: Builder, signature: Any, arguments: Sequence[Value]) -> Value:
        return FLAG(instructions_of(signature.args[0]).pairs)

    return types.boolean(tables), generate


@intrinsic
def has_pixels(typing: Any, tables: Any) -> Any:
    """Whether the tier multiplies two pixels at once; a constant, like :func:`has_tiles`."""

    def generate(context: Any, builder: Builder, signature: Any, arguments: Sequence[Value]) -> Value:
        return FLAG(isinstance(instructions_of(signature.args[0]), PixelInstructions))

    return types.boolean(tables), generate


@intrinsic
def has_tiles(typing: Any, tables: Any) -> Any:
    """Whether the tier multiplies tiles; a constant, so that other tiers have no code for them."""

    def generate(context: Any, builder: Builder, signature: Any, arguments: Sequence[Value]) -> Value:
        return FLAG(isinstance(instructions_of(signature.args[0]), TileInstructions))

    return types.boolean(tables), generate


@intrinsic
def shape_tiles(typing: Any, tables: Any, shapes_at: Any) -> Any:
    """Give the tiles of this thread the shapes at ``taps[shapes_at :]``."""

    def generate(context: Any, builder: Builder, signature: Any, arguments: Sequence[Value]) -> Value:
        instructions = instructions_of(signature.args[0])
        if isinstance(instructions, TileInstructions):
            place = signature.args[0].fields.index("taps")
            value = builder.extract_value(arguments[0], place)
            taps = Array(context, builder, signature.args[0].types[place], value)
            instructions.shape(builder, taps.at(arguments[1], BYTE))
        return context.get_dummy_value()

    return types.void(tables, types.int64), generate


@intrinsic
def release_tiles(typing: Any, tables: Any) -> Any:
    """Give the tiles of this thread back, so that the system need not save them."""

    def generate(context: Any, builder: Builder, signature: Any, arguments: Sequence[Value]) -> Value:
        instructions = instructions_of(signature.args[0])
        if isinstance(instructions, TileInstructions):
            instructions.release(builder)
        return context.get_dummy_value()

    return types.void(tables), generate
