"""What the kernels of the vector tiers read besides the program: bytes of weights, and geometry.

Portable kernels get None in its place, and no code is made of what only vectors need.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hsnn_targets.emulator.tables import Int32, Records
    from hsnn_targets.emulator.tiers import Tier

    Int8: TypeAlias = NDArray[np.int8]


LANES = 16
"""Neurons of a block of weights."""


class Dynamics(IntEnum):
    """Kernels of neurons, and what they leave out."""

    PORTABLE = 0
    """Nothing: any neuron, any input."""
    FREE = 1
    """Currents stay below the wrap and voltages below the clip; a spike clears the voltage."""
    CLIP = 2
    """Currents stay below the wrap; a spike clears the voltage."""
    WRAP = 3
    """A spike clears the voltage."""
    SUBTRACT = 4
    """A spike takes an amount off the voltage, or nothing."""


def _record(*fields: str) -> np.dtype[np.void]:
    return np.dtype([(name, np.int64) for name in fields])


LAYER = _record(
    "dynamics",  # a Dynamics
    "fused",  # whether products may go tile by tile straight into the neurons
)
"""A population; parallel to ``Program.populations``."""

PRODUCT = _record(
    "taps",  # four-byte words of spikes that each neuron sees; 0 where events are the only way
    "taps_at",  # taps[taps_at + k] is the place of a word, from the first that a pixel's neurons see
    "piece",  # words that follow each other
    "shapes_at",  # taps[shapes_at :] are the shapes of tiles for pieces of this length; -1 where tiles do not pay
    "weights_at",  # (block of 16 neurons, tap, neuron, byte of the word)
    "chunk",  # words of spikes whose products 16 bits can hold the sums of
    "chunks",  # chunks in all
    "scale",  # left shift of the products, for weights that were halved
    "limit",  # events in a timestep up to which they cost less than the product
    "lanes",  # neurons that see the same bytes: output channels, or all neurons of a dense layer
    "blocks",  # the same in blocks of 16
    "pixels",  # CONV: output pixels; 1
    "columns",  # CONV: output pixels in a line; 1
    "step_y",  # CONV: distance in bytes of what output lines see
    "step_x",  # CONV: distance in bytes of what output columns see
    "plane_at",  # where the bytes of the window's first timestep start
    "plane_stride",  # distance of timesteps
    "lines",  # lines to be copied into a frame of zeros first; 0 where the sender's bytes are used as they are
    "line",  # bytes in a line
    "line_stride",  # distance of lines in the frame
    "first",  # where the first line starts in the frame
)
"""A projection as a matrix product; parallel to ``Program.projections``."""


class Vector(NamedTuple):
    """What vectors need; never written to after planning.

    Its class is the tier: a kernel is compiled for each, and intrinsics look at the class to choose
    their instructions.
    """

    layers: Records
    products: Records
    weights: Int8
    taps: Int32


class Avx2(Vector):
    """For the tier ``avx2``."""

    __slots__ = ()


class Avx512(Vector):
    """For the tier ``avx512``."""

    __slots__ = ()


class Amx(Vector):
    """For the tier ``amx``."""

    __slots__ = ()


VECTORS: Mapping[Tier, type[Vector]] = {"avx2": Avx2, "avx512": Avx512, "amx": Amx}
"""Class of each vector tier."""
