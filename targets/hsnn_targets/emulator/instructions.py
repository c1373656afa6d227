"""What a vector tier is made of: the few operations that each tier does with instructions of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from hsnn_targets.emulator.instructions_amx import AmxInstructions
from hsnn_targets.emulator.instructions_avx2 import Avx2Instructions
from hsnn_targets.emulator.instructions_avx512 import Avx512Instructions
from hsnn_targets.emulator.language.types import Group, Typed
from hsnn_targets.emulator.lowering import Builder, Value
from hsnn_targets.emulator.operands import Operands, Store
from hsnn_targets.emulator.vector_ir import Array
from hsnn_targets.emulator.vector_tables import Amx, Avx2, Avx512


class Instructions(Protocol):
    """Operations of a tier; they add code at the builder's place."""

    @property
    def lanes(self) -> int:
        """32-bit lanes of a vector."""

    @property
    def together(self) -> int:
        """Vectors of neurons whose state fits the registers: enough in flight to hide the latency of the decay."""

    @property
    def rows(self) -> tuple[int, ...]:
        """How many rows of bytes it multiplies at once."""

    @property
    def pairs(self) -> bool:
        """Whether it multiplies them with two blocks of weights at once, too."""

    @property
    def shorts(self) -> int:
        """16-bit lanes of a vector."""

    @property
    def masks(self) -> bool:
        """Whether flags of lanes have registers of their own, and clear lanes on the way."""

    @property
    def compresses(self) -> bool:
        """Whether it packs the lanes that a mask chooses into the lowest ones at once."""

    @property
    def compresses_bytes(self) -> bool:
        """Whether it does so with lanes of 8 bits, too."""

    def multiply(self, builder: Builder, operands: Operands, rows: int, blocks: int, store: Store) -> None:
        """Multiply ``rows`` rows of bytes with ``blocks`` blocks of weights."""

    def enter(self, builder: Builder) -> Value:
        """Get ready to let states decay; returns what :meth:`leave` needs."""

    def leave(self, builder: Builder, before: Value) -> None:
        """Undo what :meth:`enter` did."""

    def keep(self, builder: Builder, value: Value) -> Value:
        """Prepare what stays of a state, 0 to 4096 parts of 4096, for :meth:`shrink`."""

    def shrink(self, builder: Builder, state: Value, keep: Value, cleared: Value | None = None) -> Value:
        """Let states within ``2**24`` decay: ``state * keep / 4096`` rounded toward zero.

        What is ``cleared`` counts as 0; only asked for where :attr:`masks` is true.
        """

    def store_spikes(self, builder: Builder, fired: Array, at: Value, spikes: Sequence[Value]) -> None:
        """Store the flags of ``together`` vectors as bytes, 0 or 1, end to end."""


@runtime_checkable
class PixelInstructions(Instructions, Protocol):
    """A tier that multiplies several pixels of a convolution with one block of weights, too."""

    def multiply_pixels(self, builder: Builder, operands: Operands, rows: int, apart: Value, store: Store) -> None:
        """Multiply ``rows`` rows of bytes at two places, ``apart`` from each other, with one block of weights."""


@runtime_checkable
class TileInstructions(Instructions, Protocol):
    """A tier that multiplies tiles of bytes, too."""

    def shape(self, builder: Builder, shapes: Value) -> None:
        """Load the shapes of tiles; see :func:`hsnn_targets.emulator.tile_shapes.tile_shapes`."""

    def release(self, builder: Builder) -> None:
        """Give the tiles back."""

    def multiply_tiles(self, builder: Builder, operands: Operands, blocks: int, store: Store) -> None:
        """Multiply ``TILE_ROWS`` rows of bytes with ``blocks`` blocks of weights."""


_OF: dict[type, Instructions] = {
    Avx2: Avx2Instructions(),
    Avx512: Avx512Instructions(),
    Amx: AmxInstructions(),
}


def instructions_of(tables: Typed) -> Instructions:
    """Instructions of a tier, from its :class:`~hsnn_targets.emulator.vector_tables.Vector`."""
    if not isinstance(tables.type, Group):
        raise TypeError(f"{tables.type} belongs to no tier")
    return _OF[tables.type.kind]
