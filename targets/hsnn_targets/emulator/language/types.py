"""Types of the language, and values: what they are in LLVM's terms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]

from hsnn_targets.emulator.lowering import BYTE, LONG

Code: TypeAlias = Any
"""A value or type of LLVM's; llvmlite has no types to check."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number, or a flag.

    Attributes:
        letter: ``b``, ``i``, ``u`` or ``f``.
        bits: Its size; 1 for flags, which are bytes in memory.
    """

    letter: str
    bits: int

    @property
    def code(self) -> tuple[Code, ...]:
        """LLVM's types of its parts."""
        return (ir.DoubleType(),) if self.letter == "f" else (ir.IntType(self.bits),)

    @property
    def size(self) -> int:
        """Bytes in memory."""
        return (self.bits + 7) // 8


@dataclass(frozen=True, slots=True)
class Record:
    """A record: the place where it lies."""

    dtype: Any

    @property
    def code(self) -> tuple[Code, ...]:
        """LLVM's types of its parts."""
        return (BYTE.as_pointer(),)

    @property
    def size(self) -> int:
        """Bytes in memory."""
        return int(self.dtype.itemsize)


@dataclass(frozen=True, slots=True)
class Array:
    """An array: where it lies, its shape, and, where it does not lie straight in memory, its strides in bytes."""

    element: Number | Record
    axes: int
    strided: bool = False

    @property
    def code(self) -> tuple[Code, ...]:
        """LLVM's types of its parts."""
        return (BYTE.as_pointer(), *[LONG] * (self.axes * (1 + self.strided)))


@dataclass(frozen=True, slots=True)
class Group:
    """A tuple, named or not: its parts, one after the other."""

    kind: type
    parts: tuple[Type, ...]

    @property
    def code(self) -> tuple[Code, ...]:
        """LLVM's types of its parts."""
        return tuple(code for part in self.parts for code in part.code)


@dataclass(frozen=True, slots=True)
class Nothing:
    """The type of None."""

    @property
    def code(self) -> tuple[Code, ...]:
        """LLVM's types of its parts: there are none."""
        return ()


Type: TypeAlias = Number | Record | Array | Group | Nothing
FLAG_TYPE, WORD, UNSIGNED, FLOAT = Number("b", 1), Number("i", 64), Number("u", 64), Number("f", 64)


@dataclass(frozen=True, slots=True)
class Typed:
    """A value.

    Attributes:
        type: Its type.
        parts: LLVM's values, as many as ``type.code``.
    """

    type: Type
    parts: tuple[Code, ...] = ()

    @property
    def code(self) -> Code:
        """LLVM's value of a number or a record."""
        return self.parts[0]


NONE = Typed(Nothing())


def number_of(dtype: Any) -> Number:
    """The number that numpy calls so.

    >>> number_of(np.int16)
    Number(letter='i', bits=16)
    """
    found = np.dtype(dtype)
    if (found.kind not in "biu" and found != np.float64) or not found.isnative:
        raise TypeError(f"kernels know no {found}")
    return Number(found.kind, 1 if found.kind == "b" else 8 * found.itemsize)


def type_of(kind: Any) -> Type:
    """Type of an argument of a :data:`~hsnn_targets.emulator.arguments.Kind`."""
    if not isinstance(kind, tuple):
        return Nothing() if kind is None else FLAG_TYPE if kind is bool else WORD
    first, second = kind
    if isinstance(first, np.dtype):
        return Array(Record(first) if first.names else number_of(first), second)
    return Group(first, tuple(type_of(part) for part in second))


def constant(value: object) -> Typed | None:
    """A number of Python's or numpy's as a value; None for anything else."""
    if isinstance(value, (bool, np.bool_)):
        return Typed(FLAG_TYPE, (ir.Constant(ir.IntType(1), int(value)),))
    if isinstance(value, np.generic):
        number = number_of(value.dtype)
        return Typed(number, (ir.Constant(number.code[0], cast("Any", value).item()),))
    if isinstance(value, int):
        if not -(1 << 63) <= value < 1 << 63:
            raise TypeError(f"{value} does not fit 64 bits")
        return Typed(WORD, (LONG(value),))
    if isinstance(value, float):
        return Typed(FLOAT, (ir.Constant(ir.DoubleType(), value),))
    return None


def known(value: Typed) -> int | None:
    """The integer or flag that a value is, if that is known already."""
    if isinstance(value.type, Number) and value.type.letter != "f" and isinstance(value.code, ir.Constant):
        found = value.code.constant
        return None if found is ir.Undefined else int(found)
    return None


def split(value: Typed) -> list[Typed]:
    """Parts of a tuple."""
    if not isinstance(value.type, Group):
        raise TypeError(f"{value.type} is no tuple")
    found, at = [], 0
    for part in value.type.parts:
        count = len(part.code)
        found.append(Typed(part, value.parts[at : at + count]))
        at += count
    return found


def group(kind: type, parts: list[Typed]) -> Typed:
    """Make a tuple."""
    return Typed(Group(kind, tuple(part.type for part in parts)), tuple(code for part in parts for code in part.parts))
