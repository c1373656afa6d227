"""Vectors in LLVM's own language: tools for the loops that LLVM would not turn into these instructions by itself.

Offsets and strides count elements of the arrays that they go with. The plan makes sure that everything lies inside;
code that is compiled ``checked`` looks, and stops the process otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence

from llvmlite import ir  # type: ignore[import-untyped]

from hsnn_targets.emulator.language.types import Array as ArrayType
from hsnn_targets.emulator.language.types import Typed, split
from hsnn_targets.emulator.lowering import INT, LONG, Builder, Value, checks, declare_trap


def vector(element: Value, lanes: int) -> Value:
    """Type of a vector."""
    return ir.VectorType(element, lanes)


def constant(lanes: int, value: int) -> Value:
    """A vector of equal 32-bit integers."""
    return ir.Constant(ir.VectorType(INT, lanes), [value] * lanes)


def splat(builder: Builder, scalar: Value, lanes: int) -> Value:
    """Repeat an integer in all lanes."""
    empty = ir.Constant(ir.VectorType(scalar.type, lanes), ir.Undefined)
    return builder.shuffle_vector(builder.insert_element(empty, scalar, INT(0)), empty, constant(lanes, 0))


def as_fraction(builder: Builder, value: Value, whole: int) -> Value:
    """A vector of 32-bit integers as floats, divided by a power of two; exact up to ``2**24``."""
    floats = vector(ir.FloatType(), value.type.count)
    return builder.fmul(builder.sitofp(value, floats), ir.Constant(floats, [1.0 / whole] * value.type.count))


def join(builder: Builder, low: Value, high: Value) -> Value:
    """Put the lanes of one vector after those of another."""
    lanes = 2 * low.type.count
    return builder.shuffle_vector(low, high, ir.Constant(ir.VectorType(INT, lanes), list(range(lanes))))


def bytes_of(kind: Value) -> int:
    """Bytes of an integer or a vector of integers."""
    if isinstance(kind, ir.VectorType):
        return int(kind.count) * bytes_of(kind.element)
    return int(kind.width) // 8


class Array:
    """An array argument as memory that vectors are loaded from and stored to.

    Attributes:
        size: Its elements along its first axis.
        bits: Of an element.
    """

    def __init__(self, builder: Builder, array: Typed) -> None:
        if not isinstance(array.type, ArrayType):
            raise TypeError(f"{array.type} is no array")
        self._builder = builder
        self._bytes, self._base = array.type.element.size, array.parts[0]
        self.bits, self.size = 8 * self._bytes, array.parts[1]
        self._shape = array.parts[1 : 1 + array.type.axes]

    def at(self, offset: Value, kind: Value) -> Value:
        """Pointer to a value of type ``kind`` at an element."""
        place = self._builder.gep(self._base, [self._builder.mul(offset, LONG(self._bytes))])
        return self._builder.bitcast(place, kind.as_pointer())

    def load(self, offset: Value, kind: Value) -> Value:
        """Load a vector or a number."""
        place = self.at(offset, kind)
        self.require(place, LONG(bytes_of(kind)))
        return self._builder.load(place, align=self._bytes)

    def store(self, value: Value, offset: Value) -> None:
        """Store a vector."""
        place = self.at(offset, value.type)
        self.require(place, LONG(bytes_of(value.type)))
        self._builder.store(value, place, align=self._bytes)

    def require(self, place: Value, count: Value) -> None:
        """Where code is checked, stop at bytes that do not all lie within the array."""
        b = self._builder
        if not checks(b):
            return
        size = LONG(self._bytes)
        for length in self._shape:
            size = b.mul(size, length)
        first = b.sub(b.ptrtoint(place, LONG), b.ptrtoint(self._base, LONG))
        outside = b.or_(b.icmp_unsigned(">", count, size), b.icmp_unsigned(">", first, b.sub(size, count)))
        with b.if_then(outside):
            b.call(declare_trap(b), [])


def field(builder: Builder, tables: Typed, name: str) -> Array:
    """An array of a named tuple."""
    fields = tables.type.kind._fields  # type: ignore[union-attr]  # only named tuples come here
    return Array(builder, split(tables)[fields.index(name)])


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
