"""When events cost less than a product: what both take, as far as a plan can know it.

The figures are nanoseconds on one core at about 2.5 GHz with everything in its second-level cache.
They only decide which of two equal ways is taken, so being wrong costs time and never a bit.
"""

from __future__ import annotations

from hsnn.ir.integer import ConvProjection, Projection
from hsnn_targets.emulator.vector_pack import Product

DOT = 0.3
"""One ``vpdpbusd``: 16 neurons, 4 bytes."""
CALL = 1.5
"""Starting the product of one pixel and two blocks, per timestep."""
EVENT = 4.0
"""Finding a spike, and its row or runs."""
SYNAPSE = 0.045
"""Adding a 16-bit weight of a row."""
RUN = 3.0
"""Starting a run of a convolution's weights."""


def events_limit(projection: Projection, product: Product) -> int:
    """Events in a timestep up to which they cost less than the product."""
    calls = product.pixels * (product.blocks + 1) // 2
    dense = product.pixels * product.blocks * product.taps.size * DOT + calls * CALL
    if not isinstance(projection, ConvProjection):
        return int(dense / (EVENT + product.lanes * SYNAPSE))
    height, width = projection.weights.shape[2:]
    lines = height / projection.stride[0]
    reached = lines * width / projection.stride[1] * product.lanes
    return int(dense / (EVENT + max(lines, 1.0) * RUN + reached * SYNAPSE))
