"""The flat arrays of a program while it is being planned, and arrays that start where cache lines do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Element = TypeVar("Element", np.int8, np.int16, np.int32)
Integer = TypeVar("Integer", np.int8, np.uint8, np.int16, np.int32)
LINE = 64
"""Bytes of a cache line: a vector of as many that lies across two takes twice as long."""


def aligned(count: int, dtype: type[Integer]) -> NDArray[Integer]:
    """Allocate an array of zeros that starts where a cache line does."""
    bytes_ = np.zeros(count * np.dtype(dtype).itemsize + LINE, np.uint8)
    first = -bytes_.ctypes.data % LINE
    found: NDArray[Integer] = bytes_[first : first + bytes_.size - LINE].view(dtype)
    return found


class Heap(Generic[Element]):
    """Arrays laid end to end; those of bytes, which vectors read, start where cache lines do.

    >>> heap = Heap(np.int32)
    >>> heap.add(np.array([7, 8], np.int32)), heap.add(np.array([9], np.int32)), heap.size
    (0, 2, 3)
    """

    def __init__(self, dtype: type[Element]) -> None:
        self._dtype: type[Element] = dtype
        self._step = LINE if dtype is np.int8 else 1
        self._parts: list[NDArray[Element]] = [np.zeros(0, dtype)]
        self.size = 0

    def add(self, part: NDArray[Element]) -> int:
        """Append an array and return where it starts."""
        start = self.size
        self._parts.append(part)
        self.size += -(-part.size // self._step) * self._step
        return start

    def flat(self) -> NDArray[Element]:
        """Return everything as one array, and forget the parts one by one: together they may be large."""
        parts = [part for part in self._parts if part.size] or self._parts[:1]
        self._parts = []
        if len(parts) == 1 and parts[0].ctypes.data % self._step == 0:
            return parts[0]
        whole, end = aligned(self.size, self._dtype), self.size
        while parts:
            part = parts.pop()
            end -= -(-part.size // self._step) * self._step
            whole[end : end + part.size] = part
        return whole
