"""The flat arrays of a program while it is being planned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Element = TypeVar("Element", np.int8, np.int16, np.int32)


class Heap(Generic[Element]):
    """Arrays laid end to end.

    >>> heap = Heap(np.int32)
    >>> heap.add(np.array([7, 8], np.int32)), heap.add(np.array([9], np.int32)), heap.size
    (0, 2, 3)
    """

    def __init__(self, dtype: type[Element]) -> None:
        self._parts: list[NDArray[Element]] = [np.zeros(0, dtype)]
        self.size = 0

    def add(self, part: NDArray[Element]) -> int:
        """Append an array and return where it starts."""
        start = self.size
        self._parts.append(part)
        self.size += part.size
        return start

    def flat(self) -> NDArray[Element]:
        """Return everything as one array, and forget the parts one by one: together they may be large."""
        parts = [part for part in self._parts if part.size] or self._parts[:1]
        self._parts = []
        if len(parts) == 1:
            return parts[0]
        whole = np.empty(self.size, parts[0].dtype)
        end = self.size
        while parts:
            part = parts.pop()
            whole[end - part.size : end] = part
            end -= part.size
        return whole
