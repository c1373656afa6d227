"""Arrays of the language: elements, rows, slices, records, and filling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hsnn_targets.emulator.language.numbers import cast
from hsnn_targets.emulator.language.types import (
    FLAG_TYPE,
    FLOAT,
    UNSIGNED,
    WORD,
    Array,
    Code,
    Number,
    Record,
    Typed,
    number_of,
)
from hsnn_targets.emulator.lowering import BYTE, LONG, Builder, declare_trap


@dataclass(frozen=True, slots=True)
class Cut:
    """A slice of an axis; None for its start or its end."""

    start: Typed | None
    stop: Typed | None


@dataclass(frozen=True, slots=True)
class Arrays:
    """Adds code for arrays at the builder's place.

    Attributes:
        builder: LLVM's.
        checked: Whether code looks at every index, and stops the process at one that lies outside.
    """

    builder: Builder
    checked: bool

    def item(self, array: Typed, indices: Sequence[Typed | Cut]) -> Typed:
        """``array[indices]``: an element, a record, or an array of what is left."""
        view = self.view(array, indices)
        if isinstance(view.type, Array) and view.type.axes == 0:
            return self.load(view.parts[0], view.type.element)
        return view

    def view(self, array: Typed, indices: Sequence[Typed | Cut]) -> Typed:
        """``array[indices]`` as an array, of no axes for an element."""
        kind, b = _array(array), self.builder
        if len(indices) > kind.axes:
            raise TypeError(f"{len(indices)} indices for {kind.axes} axes")
        data, shape, strides = array.parts[0], _shape(array), self.strides(array)
        kept_shape, kept_strides = [], []
        for axis, index in enumerate(indices):
            if isinstance(index, Cut):
                start = LONG(0) if index.start is None else self.word(index.start)
                stop = shape[axis] if index.stop is None else self.word(index.stop)
                self._check(start, stop)
                self._check(stop, shape[axis])
                kept_shape.append(stop if index.start is None else b.sub(stop, start))
                kept_strides.append(strides[axis])
                if index.start is None:
                    continue
            else:
                start = self.word(index)
                self._check(start, shape[axis], inside=True)
            data = self.move(data, b.mul(start, strides[axis]))
        straight = not kind.strided and not any(isinstance(index, Cut) for index in indices[1:])
        straight = straight and (len(indices) < 2 or not isinstance(indices[0], Cut))
        kept_shape += shape[len(indices) :]
        kept_strides += strides[len(indices) :]
        result = Array(kind.element, len(kept_shape), strided=bool(kept_shape) and not straight)
        return Typed(result, (data, *kept_shape, *(kept_strides if result.strided else ())))

    def load(self, place: Code, kind: Number | Record, *, packed: bool = False) -> Typed:
        """Load an element; a record stays where it is."""
        if isinstance(kind, Record):
            return Typed(kind, (place,))
        b = self.builder
        if kind == FLAG_TYPE:
            return Typed(kind, (b.icmp_unsigned("!=", b.load(place), BYTE(0)),))
        return Typed(kind, (b.load(b.bitcast(place, kind.code[0].as_pointer()), align=1 if packed else None),))

    def store(self, place: Code, kind: Number | Record, value: Typed) -> None:
        """Store an element, cast to the array's type."""
        if isinstance(kind, Record):
            raise TypeError("kernels do not assign whole records")
        code = cast(self.builder, value, kind).code
        if kind == FLAG_TYPE:
            code = self.builder.zext(code, BYTE)
        self.builder.store(code, self.builder.bitcast(place, code.type.as_pointer()))

    def field(self, record: Typed, name: str) -> Typed:
        """``record[name]``; numpy packs records, so a field may lie anywhere."""
        if not isinstance(record.type, Record) or name not in record.type.dtype.names:
            raise TypeError(f"{record.type} has no field {name!r}")
        dtype, offset = record.type.dtype.fields[name][:2]
        return self.load(self.move(record.code, LONG(offset)), number_of(dtype), packed=True)

    def fill(self, array: Typed, value: Typed) -> None:
        """``array[:] = value``."""
        kind, b = _array(array), self.builder
        if kind.axes > 1 and not kind.strided:
            size = self.size(array)
            array, kind = Typed(Array(kind.element, 1), (array.parts[0], size.code)), Array(kind.element, 1)
        if kind.axes != 1 or isinstance(kind.element, Record):
            raise TypeError("kernels fill no such array")
        value = cast(b, value, kind.element)
        data, count, stride = array.parts[0], _shape(array)[0], self.strides(array)[0]
        before = b.block
        head, body, done = (b.append_basic_block(name) for name in ("fill", "filling", "filled"))
        b.branch(head)
        b.position_at_end(head)
        k = b.phi(LONG)
        k.add_incoming(LONG(0), before)
        b.cbranch(b.icmp_signed("<", k, count), body, done)
        b.position_at_end(body)
        self.store(self.move(data, b.mul(k, stride)), kind.element, value)
        k.add_incoming(b.add(k, LONG(1), flags=("nsw",)), body)
        b.branch(head)
        b.position_at_end(done)

    def size(self, array: Typed) -> Typed:
        """``array.size``."""
        product, *others = _shape(array)
        for length in others:
            product = self.builder.mul(product, length)
        return Typed(WORD, (product,))

    def seen_as(self, array: Typed, number: Number) -> Typed:
        """``array.view(number)`` of an array of one axis."""
        kind = _array(array)
        if kind.axes != 1 or kind.strided:
            raise TypeError("kernels see only arrays of one axis in another way")
        if number.size > kind.element.size:
            raise TypeError("an array of narrow numbers need not start where wide ones do")
        size = self.builder.mul(array.parts[1], LONG(kind.element.size))
        return Typed(Array(number, 1), (array.parts[0], self.builder.udiv(size, LONG(number.size))))

    def strides(self, array: Typed) -> list[Code]:
        """Distances in bytes along each axis."""
        kind = _array(array)
        if kind.strided:
            return list(array.parts[1 + kind.axes :])
        found = [LONG(kind.element.size)]
        for length in reversed(_shape(array)[1:]):
            found.insert(0, self.builder.mul(found[0], length))
        return found

    def move(self, place: Code, distance: Code) -> Code:
        """A place so many bytes further on."""
        return self.builder.gep(place, [distance], inbounds=True)

    def word(self, value: Typed) -> Code:
        """An index as 64 bits."""
        if value.type == UNSIGNED:
            return value.code
        if value.type in (FLAG_TYPE, FLOAT):
            raise TypeError("an index or the end of a range is an integer")
        return cast(self.builder, value, WORD).code

    def require_positive(self, step: Code) -> None:
        """Stop at the step of a range that is not positive."""
        self._check(self.builder.sub(step, LONG(1)), LONG((1 << 63) - 1), inside=True)

    def _check(self, index: Code, end: Code, *, inside: bool = False) -> None:
        if not self.checked:
            return
        b = self.builder
        wrong = b.icmp_unsigned(">=" if inside else ">", index, end)
        with b.if_then(wrong):
            b.call(declare_trap(b), [])


def _array(value: Typed) -> Array:
    if not isinstance(value.type, Array):
        raise TypeError(f"{value.type} is no array")
    return value.type


def _shape(array: Typed) -> list[Code]:
    return list(array.parts[1 : 1 + _array(array).axes])
