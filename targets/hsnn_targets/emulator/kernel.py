"""Call kernels: as machine code that was kept on disk, and that is made where there is none.

A kernel is one function of machine code, so what is kept is an object file, which LLVM loads in milliseconds.
"""

from __future__ import annotations

import ctypes
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import TypeAlias

from hsnn_targets.emulator.arguments import Kind, Words, take_apart

Entry: TypeAlias = "Callable[[bytes | ctypes.Array[ctypes.c_int64]], int]"
"""Takes an array of words; a call releases the GIL."""
WORD_BYTES = ctypes.sizeof(ctypes.c_int64)
BEGAN = time.time()
"""When this process began to import what kernels are made of, about."""
_LOADING = Lock()


@dataclass(frozen=True, slots=True)
class Kernel:
    """A function that :func:`hsnn_targets.emulator.jit.kernel` marks; imports nothing until it is called.

    Attributes:
        module: Name of its module.
        name: Its name there.
    """

    module: str
    name: str
    _entries: dict[tuple[Kind, ...], Entry] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __call__(self, *arguments: object) -> None:
        """Run it; machine code is loaded or made where these kinds of arguments come for the first time.

        Args:
            arguments: Arrays that lie straight in memory, integers, None, named tuples of such, and what
                :func:`~hsnn_targets.emulator.arguments.take_apart` made of them.
        """
        parts = [take_apart(argument) for argument in arguments]
        words = [word for part in parts for word in part.words]
        self.entry(tuple([part.kind for part in parts]))(struct.pack(f"{len(words)}q", *words))

    def bind(self, fixed: Sequence[Words], last: Words) -> Bound:
        """Fix all arguments but the last, which changes from call to call but keeps its kind.

        Args:
            fixed: The first arguments.
            last: An example of the last.
        """
        words = [word for part in fixed for word in part.words]
        return Bound(self.entry((*(part.kind for part in fixed), last.kind)), words, len(last.words), fixed)

    def entry(self, kinds: tuple[Kind, ...]) -> Entry:
        """Return the machine code for arguments of these kinds."""
        found = self._entries.get(kinds)
        if found is not None:
            return found
        with _LOADING:
            if kinds not in self._entries:
                from hsnn_targets.emulator.object_store import fetch
                from hsnn_targets.emulator.objects import load

                self._entries[kinds] = load(fetch(self.module, self.name, kinds))
            return self._entries[kinds]


class Bound:
    """A kernel whose first arguments stay: a call writes the words of the last one behind theirs.

    That takes a microsecond, where taking all arguments apart takes ten. One thread may call it at a time.
    """

    __slots__ = ("_at", "_entry", "_held", "_packs", "_rest", "_words")

    def __init__(self, entry: Entry, fixed: Sequence[int], count: int, held: object) -> None:
        self._entry, self._held = entry, held  # addresses hold nothing alive
        self._words = (ctypes.c_int64 * (len(fixed) + count))(*fixed)
        self._at = WORD_BYTES * len(fixed)
        self._packs = [struct.Struct(f"{size}q").pack_into for size in range(count + 1)]
        self._rest: tuple[int, ...] | None = None

    def __call__(self, first: tuple[int, ...], rest: tuple[int, ...]) -> None:
        """Run it with the words of the last argument; whoever calls holds what they are addresses of.

        Args:
            first: Its first words.
            rest: The others; they are only written where this is another tuple than at the call before.
        """
        self._packs[len(first)](self._words, self._at, *first)
        if rest is not self._rest:
            self._packs[len(rest)](self._words, self._at + WORD_BYTES * len(first), *rest)
            self._rest = rest
        self._entry(self._words)
