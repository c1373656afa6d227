"""Arguments of kernels as words of 64 bits.

A kernel takes one array of words. An integer is one word; an array is the address of its first element and then
its shape; a named tuple is what its fields are, one after the other; None takes no room. What the words mean is
their kind, and machine code is made for kinds.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Kind: TypeAlias = "type | tuple[Any, Any] | None"
"""``int``; ``bool``, a type of its own; None; the type of an array's elements and how many axes
it has; or the class of a named tuple, at which kernels may look, and the kinds of its fields. Kinds are looked up at
every call, so they are made of what Python hashes fast."""


@dataclass(frozen=True, slots=True)
class Words:
    """An argument taken apart, for those that are passed again and again.

    Attributes:
        kind: What the words mean.
        words: The words.
        held: The argument itself: addresses hold nothing alive.
    """

    kind: Kind
    words: tuple[int, ...]
    held: object


def take_apart(value: object) -> Words:
    """Take an argument apart.

    Raises:
        TypeError: If kernels take no such argument; that is an error of the caller.
    """
    if isinstance(value, Words):
        return value
    words: list[int] = []
    return Words(_take(value, words), tuple(words), value)


def _take(value: object, words: list[int]) -> Kind:
    if isinstance(value, np.ndarray):
        flags = value.flags
        if not (flags.c_contiguous and flags.aligned):
            raise TypeError("kernels take arrays that lie straight in memory")
        words.append(address_of(value))
        words.extend(value.shape)
        return value.dtype, value.ndim
    if isinstance(value, tuple):
        return type(value), tuple([_take(part, words) for part in value])
    if value is None:
        return None
    if isinstance(value, (int, np.integer)):
        words.append(int(value))
        return bool if isinstance(value, bool) else int
    raise TypeError(f"kernels take no {type(value).__name__}")


def address_of(array: NDArray[Any]) -> int:
    """Address of the first element, 0 where there is none; arrays that can be written tell it in a third of the time.

    The array has to lie straight in memory.
    """
    if not array.size:
        return 0
    if array.flags.writeable:
        return ctypes.addressof(ctypes.c_char.from_buffer(cast("Any", array)))
    return int(array.ctypes.data)


def describe(kind: Kind) -> str:
    """Describe a kind in full: equal kinds have equal descriptions, and so in every process.

    >>> describe(take_apart((np.zeros(3, np.int32), True, None)).kind)
    'builtins.tuple(<i4[1], bool, None)'
    """
    if not isinstance(kind, tuple):
        return str(kind) if kind is None else kind.__name__
    first, second = kind
    if isinstance(first, np.dtype):
        return f"{first.descr if first.names else first.str}[{second}]"
    return f"{first.__module__}.{first.__qualname__}({', '.join(describe(part) for part in second)})"
