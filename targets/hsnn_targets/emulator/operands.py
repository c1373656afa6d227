"""Operands of a product of bytes, in LLVM's values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from hsnn_targets.emulator.lowering import BYTE, INT, LONG, Builder, Value
from hsnn_targets.emulator.vector_ir import Array, bytes_of

Store: TypeAlias = Callable[[int, int, Value], None]
"""Takes the sums of 16 neurons: the row, the block, and a vector of 16 32-bit integers."""
WORD_WEIGHTS = 64
"""Bytes of the weights of 16 neurons for a word of four spikes."""


@dataclass(frozen=True, slots=True)
class Operands:
    """What a product reads; offsets and strides count elements.

    Attributes:
        spikes, at, stride: Bytes, where the first row's start, and how far rows lie apart.
        taps, taps_at, count: Places of words of four spikes, relative to ``at``.
        weights, weights_at: Signed bytes, ``(block, tap, neuron, byte)``.
        chunk: Words of spikes whose products 16 bits can hold the sums of.
        chunks: Chunks in all.
        piece: Words of spikes that follow each other.
    """

    spikes: Array
    at: Value
    stride: Value
    taps: Array
    taps_at: Value
    count: Value
    weights: Array
    weights_at: Value
    chunk: Value
    chunks: Value
    piece: Value

    def tap(self, builder: Builder, number: Value) -> Value:
        """Place of a word of spikes, relative to where a row starts."""
        return builder.sext(self.taps.load(builder.add(self.taps_at, number), INT), LONG)

    def row(self, builder: Builder, row: int) -> Value:
        """Pointer to where the spikes of a row start."""
        return self.spikes.at(builder.add(self.at, builder.mul(self.stride, LONG(row))), BYTE)

    def word(self, builder: Builder, row: Value, tap: Value) -> Value:
        """Four spikes of a row."""
        place = builder.gep(row, [tap])
        self.spikes.require(place, LONG(bytes_of(INT)))
        return builder.load(builder.bitcast(place, INT.as_pointer()), align=1)

    def first_spike(self, builder: Builder, tap: Value) -> Value:
        """Where the first row's spikes of a tap are."""
        return builder.add(self.at, builder.sext(self.taps.load(builder.add(self.taps_at, tap), INT), LONG))

    def weight(self, builder: Builder, block: int, tap: Value) -> Value:
        """Where the weights of a block for a tap are."""
        size = builder.mul(self.count, LONG(WORD_WEIGHTS * block))
        return builder.add(builder.add(self.weights_at, size), builder.mul(tap, LONG(WORD_WEIGHTS)))
