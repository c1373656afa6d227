"""Numbers of the neurons that spiked, from spikes as bytes.

AVX-512 packs the lanes that a mask chooses into the lowest ones. Other tiers look the places of the bits that are set
in eight up in a table. None goes from one set bit to the next: processors predict badly where such a loop ends.
"""

from __future__ import annotations

from llvmlite import ir  # type: ignore[import-untyped]

from hsnn_targets.emulator.instructions import instructions_of
from hsnn_targets.emulator.language.types import NONE, Typed
from hsnn_targets.emulator.lowering import BYTE, INT, LONG, Builder, Value, declare, intrinsic
from hsnn_targets.emulator.vector_ir import Array, Loop, splat, vector

LANES, EIGHT = 16, 8
BLOCK = 64
"""Spikes that are looked at together."""


@intrinsic
def list_spikes(
    builder: Builder, tables: Typed, fired: Array, at: Value, count: Value, index: Array, first: Value
) -> Value:
    """Write the places of all bytes of ``fired[at:][:count]`` that are not 0, ascending, to ``index[first:]``.

    ``count`` is a multiple of 64. Up to 64 elements after the last place are written, too.

    Returns:
        Where the next place would go.
    """
    write = _write_eights
    if tables != NONE and instructions_of(tables).compresses:
        write = _write_bytes if instructions_of(tables).compresses_bytes else _write_words
    loop = Loop(builder, builder.sdiv(count, LONG(BLOCK)), [first])
    place = builder.mul(loop.count, LONG(BLOCK))
    loop.close([write(builder, fired, builder.add(at, place), index, loop.values[0], place)])
    return loop.values[0]


def _write_eights(builder: Builder, spikes: Array, at: Value, places: Array, to: Value, place: Value) -> Value:
    """Write the places in a block, whose first is ``place``, eight spikes at a time; returns where the next go."""
    table = _places_of_bits(builder)
    bits = builder.bitcast(_chosen(builder, spikes, at, BLOCK), LONG)
    begin = builder.block
    with builder.if_then(builder.icmp_unsigned("!=", bits, LONG(0))):
        next_ = to
        for part in range(0, BLOCK, EIGHT):
            eight = builder.and_(builder.lshr(bits, LONG(part)), LONG(255))
            row = builder.bitcast(builder.gep(table, [INT(0), eight]), vector(BYTE, EIGHT).as_pointer())
            wide = builder.zext(builder.load(row, align=EIGHT), vector(INT, EIGHT))
            base = builder.trunc(builder.add(place, LONG(part)), INT)
            places.store(builder.add(wide, splat(builder, base, EIGHT)), next_)
            next_ = builder.add(next_, builder.ctpop(eight))
        end = builder.block
    after = builder.phi(LONG)
    after.add_incoming(to, begin)
    after.add_incoming(next_, end)
    return after


def _places_of_bits(builder: Builder) -> Value:
    """A table of the places of the bits that are set in every byte, ascending, as eight bytes of a word."""
    name = "places_of_bits"
    if name not in builder.module.globals:
        rows = [[place for place in range(EIGHT) if byte >> place & 1] for byte in range(256)]
        words = [sum(place << 8 * k for k, place in enumerate(row)) for row in rows]
        table = ir.GlobalVariable(builder.module, ir.ArrayType(LONG, len(words)), name)
        table.initializer = ir.Constant(table.value_type, words)
        table.global_constant, table.linkage = True, "internal"
    return builder.module.globals[name]


def _write_words(builder: Builder, spikes: Array, at: Value, places: Array, to: Value, place: Value) -> Value:
    """The same from vectors of places."""
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
