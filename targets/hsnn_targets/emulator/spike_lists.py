"""Numbers of the neurons that spiked, from spikes as bytes, on tiers that compress vectors.

AVX-512 packs the lanes that a mask chooses into the lowest ones; other tiers go from one set bit to the next
(``events.py``), for which processors predict badly where the loop ends.
"""

from __future__ import annotations

from llvmlite import ir  # type: ignore[import-untyped]

from hsnn_targets.emulator.instructions import instructions_of
from hsnn_targets.emulator.language.types import NONE, Typed
from hsnn_targets.emulator.lowering import BYTE, FLAG, INT, LONG, Builder, Value, declare, intrinsic
from hsnn_targets.emulator.vector_ir import Array, Loop, splat, vector

LANES = 16
BLOCK = 64
"""Spikes that are looked at together."""


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

    ``count`` is a multiple of 64. Up to 64 elements after the last place are written, too.

    Returns:
        Where the next place would go.
    """
    if not _compresses(tables):
        return first
    write = _write_bytes if instructions_of(tables).compresses_bytes else _write_words
    loop = Loop(builder, builder.sdiv(count, LONG(BLOCK)), [first])
    place = builder.mul(loop.count, LONG(BLOCK))
    loop.close([write(builder, fired, builder.add(at, place), index, loop.values[0], place)])
    return loop.values[0]


def _write_words(builder: Builder, spikes: Array, at: Value, places: Array, to: Value, place: Value) -> Value:
    """Write the places in a block, whose first is ``place``, from vectors of places; returns where the next go."""
    for part in range(0, BLOCK, LANES):
        chosen = _chosen(builder, spikes, builder.add(at, LONG(part)), LANES)
        numbers = builder.add(_ascending(INT, LANES, part), splat(builder, builder.trunc(place, INT), LANES))
        places.store(_compress(builder, numbers, chosen), to)
        to = builder.add(to, _count(builder, chosen))
    return to


def _write_bytes(builder: Builder, spikes: Array, at: Value, places: Array, to: Value, place: Value) -> Value:
    """The same from one vector of bytes; there are seldom more than 16 places in a block."""
    chosen = _chosen(builder, spikes, at, BLOCK)
    packed = _compress(builder, _ascending(BYTE, BLOCK, 0), chosen)
    found = _count(builder, chosen)
    base = splat(builder, builder.trunc(place, INT), LANES)

    def write(part: int) -> None:
        lanes = ir.Constant(vector(INT, LANES), list(range(part, part + LANES)))
        wide = builder.zext(builder.shuffle_vector(packed, packed, lanes), vector(INT, LANES))
        places.store(builder.add(wide, base), builder.add(to, LONG(part)))

    write(0)
    with builder.if_then(builder.icmp_signed(">", found, LONG(LANES)), likely=False):
        for part in range(LANES, BLOCK, LANES):
            write(part)
    return builder.add(to, found)


def _chosen(builder: Builder, spikes: Array, at: Value, count: int) -> Value:
    return builder.icmp_unsigned(
        "!=", spikes.load(at, vector(BYTE, count)), ir.Constant(vector(BYTE, count), [0] * count)
    )


def _ascending(element: Value, count: int, first: int) -> Value:
    return ir.Constant(vector(element, count), list(range(first, first + count)))


def _compress(builder: Builder, values: Value, chosen: Value) -> Value:
    kind = values.type
    name = f"llvm.experimental.vector.compress.v{kind.count}i{kind.element.width}"
    return builder.call(
        declare(builder, name, kind, [kind, chosen.type, kind]), [values, chosen, ir.Constant(kind, ir.Undefined)]
    )


def _count(builder: Builder, chosen: Value) -> Value:
    ones = builder.ctpop(builder.bitcast(chosen, ir.IntType(chosen.type.count)))
    return ones if chosen.type.count == LONG.width else builder.zext(ones, LONG)
