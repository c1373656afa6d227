"""Products of the bytes of some timesteps with the weights of some neurons, in the instructions of a tier.

Timesteps are rows, so every weight that is loaded serves several products. Sums are exact modulo 2**32, like
every sum of the emulator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from numba import types

from hsnn_targets.emulator.instructions import Operands, instructions_of
from hsnn_targets.emulator.lowering import INT, LONG, Builder, Value, intrinsic
from hsnn_targets.emulator.vector_ir import Array, constant, splat, vector
from hsnn_targets.emulator.vector_pack import LANES


def make_product(rows: int, blocks: int) -> Callable[..., None]:
    """Make the product of ``rows`` timesteps of bytes with ``blocks`` times 16 neurons' weights."""

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
        out: Any,
        out_at: Any,
        out_stride: Any,
        scale: Any,
        add: Any,
    ) -> Any:
        """``out[r, 16 b + j] (+)= (sum over k of dot4(bytes[r, taps[k] ..], weights[b, k, j])) << scale``."""
        long = types.int64
        signature = types.void(
            tables, bytes_, long, long, long, long, long, long, long, out, long, long, long, types.boolean
        )

        def generate(context: Any, builder: Builder, signature: Any, arguments: Sequence[Value]) -> Value:
            kinds = signature.args
            _, source, at, stride, taps_at, count, weights_at, chunk, chunks, target, out_at, out_stride, scale, add = (
                arguments
            )
            fields = kinds[0].fields

            def field(name: str) -> Array:
                place = fields.index(name)
                value = builder.extract_value(arguments[0], place)
                return Array(context, builder, kinds[0].types[place], value)

            sums = Array(context, builder, kinds[9], target)
            shift = splat(builder, builder.trunc(scale, INT), LANES)

            def store(row: int, block: int, value: Value) -> None:
                place = builder.add(builder.add(out_at, builder.mul(out_stride, LONG(row))), LONG(LANES * block))
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
            )
            instructions_of(kinds[0]).multiply(builder, operands, rows, blocks, store)
            return context.get_dummy_value()

        return signature, generate

    return product
