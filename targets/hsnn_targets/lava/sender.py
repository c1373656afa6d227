"""What Lava has to know of the population at the start of a projection."""

from __future__ import annotations

from dataclasses import dataclass

from hsnn.ir.shape import Shape


@dataclass(frozen=True, slots=True)
class Sender:
    """What a projection needs to know of its source.

    Attributes:
        shape: Feature shape.
        peak: Largest magnitude of a payload.
        message_bits: Bits of a payload with its sign; 0 for binary spikes.
    """

    shape: Shape
    peak: int = 1
    message_bits: int = 0
