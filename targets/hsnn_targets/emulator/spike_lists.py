"""Numbers of the neurons that spiked, from spikes as bytes, on tiers that compress vectors.

AVX-512 packs the lanes that a mask chooses into the lowest ones; other tiers go from one set bit to the next
(``events.py``), for which processors predict badly where the loop ends.
"""

from __future__ import annotations

from llvmlite import ir  # type: ignore[import-untyped]

from hsnn_targets.emulator.instructions import instructions_of
from hsnn_targets.emulator.language.types import NONE, Typed
from hsnn_targets.emulator.lowering import BYTE, FLAG, INT, LONG, Builder, Value, declare, intrinsic
from hsnn_targets.emulator.vector_ir import Array, Loop, constant, vector

LANES = 16


def _compresses(tables: Typed) -> bool:
    return tables != NONE and instructions_of(tables).compresses


@intrinsic
def compresses(builder: Builder, tables: Typed) -> Value:
    """Whether the tier compresses vectors; a constant, so that others have no code for it."""
    return FLAG(int(_compresses(tables)))


@intrinsic
def list_spikes(
    builder: Builder, tables: Typed, fired: Array, at: Value, count: Value, index: Array, first: Value
) -> Value:
    """Write the places of all bytes of ``fired[at:][:count]`` that are not 0, ascending, to ``index[first:]``.

    ``count`` is a multiple of 16. Up to 16 elements after the last place are written, too.

    Returns:
        Where the next place would go.
    """
    if not _compresses(tables):
        return first
    ints, bytes_, flags = vector(INT, LANES), vector(BYTE, LANES), vector(FLAG, LANES)
    compress = declare(builder, f"llvm.experimental.vector.compress.v{LANES}i32", ints, [ints, flags, ints])
    ascending = ir.Constant(ints, list(range(LANES)))
    loop = Loop(builder, builder.sdiv(count, LONG(LANES)), [first, ascending])
    to, numbers = loop.values
    found = fired.load(builder.add(at, builder.mul(loop.count, LONG(LANES))), bytes_)
    chosen = builder.icmp_unsigned("!=", found, ir.Constant(bytes_, [0] * LANES))
    index.store(builder.call(compress, [numbers, chosen, ir.Constant(ints, ir.Undefined)]), to)
    ones = builder.zext(builder.ctpop(builder.bitcast(chosen, ir.IntType(LANES))), LONG)
    loop.close([builder.add(to, ones), builder.add(numbers, constant(LANES, LANES))])
    return loop.values[0]
