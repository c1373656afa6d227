"""When events cost less than a product: what both take, as far as a plan can know it.

The figures are nanoseconds on one core at about 2.5 GHz with everything in its second-level cache.
They only decide which of two equal ways is taken, so being wrong costs time and never a bit.
"""

from __future__ import annotations

import math

from hsnn.ir.integer import ConvProjection, Projection
from hsnn_targets.emulator.vector_pack import Product

DOT = 0.17
"""One ``vpdpbusd``: 16 neurons, 4 bytes."""
CALL = 0.8
"""Starting the product of one pixel and two blocks, per timestep."""
SCAN = 0.1
"""Looking for a spike at one neuron."""
EVENT = 4.0
"""Fetching what a spike leads to."""
DENSE_SYNAPSE = 0.014
"""Adding one weight of a row, rows of eight spikes at once."""
RUN = 3.0
"""Starting a run of a convolution's weights."""
CONV_SYNAPSE = 0.035
"""Adding one weight of a run."""


def events_limit(projection: Projection, product: Product, neurons: int) -> int:
    """Events in a timestep up to which they cost less than the product; below 0 where they never do.

    Args:
        projection: The synapses.
        product: The same as a product.
        neurons: Neurons that may send events.
    """
    calls = product.pixels * (product.blocks + 1) // 2
    saved: float = product.pixels * product.blocks * product.taps.size * DOT + calls * CALL - neurons * SCAN
    if not isinstance(projection, ConvProjection):
        return math.floor(saved / (EVENT + product.lanes * DENSE_SYNAPSE))
    height, width = projection.weights.shape[2:]
    lines: float = height / projection.stride[0]
    reached: float = lines * width / projection.stride[1] * product.lanes
    return math.floor(saved / (EVENT + max(lines, 1.0) * RUN + reached * CONV_SYNAPSE))
