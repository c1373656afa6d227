"""Call kernels without numba: as machine code that was kept on disk, and that numba makes where there is none.

Numba takes half a second to import, and as long again to find and load what it has kept. A kernel is one function
of machine code, so what is kept is an object file, which LLVM loads in milliseconds.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import TypeAlias

from hsnn_targets.emulator.arguments import Kind, take_apart

Entry: TypeAlias = Callable[[bytes], int]
"""Takes an array of words; a call releases the GIL."""
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
