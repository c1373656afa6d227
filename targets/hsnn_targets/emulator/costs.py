"""When events cost less than a product: what both take, as far as a plan can know it.

The figures are nanoseconds on one core with everything in its second-level cache.
They only decide which of two equal ways is taken, so being wrong costs time and never a bit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from hsnn.ir.projections import ConvProjection, Projection
from hsnn_targets.emulator.pack import STRIPES
from hsnn_targets.emulator.tiers import Tier
from hsnn_targets.emulator.vector_pack import Product


@dataclass(frozen=True, slots=True)
class Costs:
    """What the parts take, in nanoseconds.

    Attributes:
        dot: Products of one word of spikes with 16 neurons' weights.
        call: Starting the product of one pixel and two blocks, per timestep.
        scan: Looking for a spike at one neuron.
        event: Fetching what a spike leads to.
        dense_synapse: Adding one weight of a row.
        striped_synapse: The same where the rows of all spikes together outgrow the second-level cache.
        far_synapse: The same where a stripe of them outgrows half of it.
        run: Starting a run of a convolution's weights.
        conv_synapse: Adding one weight of a run.
    """

    dot: float
    call: float = 0.8
    scan: float = 0.04
    event: float = 0.4
    dense_synapse: float = 0.0075
    striped_synapse: float = 0.0085
    far_synapse: float = 0.014
    run: float = 4.0
    conv_synapse: float = 0.038


COSTS: Mapping[Tier, Costs] = {
    "avx2": Costs(
        dot=0.3,
        call=1.6,
        scan=0.05,
        event=0.5,
        dense_synapse=0.011,
        striped_synapse=0.014,
        far_synapse=0.028,
        run=3.0,
        conv_synapse=0.13,
    ),
    "avx512": Costs(dot=0.14),
    "amx": Costs(dot=0.05),
}


CACHE = Path("/sys/devices/system/cpu/cpu0/cache/index2/size")
"""Where Linux tells the size of a core's second-level cache, in KiB."""
USUAL_CACHE = 1 << 19


@cache
def _second_cache() -> int:
    """Bytes of a core's second-level cache, where the system tells."""
    try:
        return int(CACHE.read_text().strip().removesuffix("K")) << 10
    except (OSError, ValueError):
        return USUAL_CACHE


def events_limit(projection: Projection, product: Product, neurons: int, tier: Tier) -> int:
    """Events in a timestep up to which they cost less than the product; below 0 where they never do.

    Args:
        projection: The synapses.
        product: The same as a product.
        neurons: Neurons that may send events.
        tier: Kernels that run both.
    """
    costs = COSTS[tier]
    calls = product.pixels * (product.blocks + 1) // 2
    saved: float = (
        product.pixels * product.blocks * product.taps.size * costs.dot + calls * costs.call - neurons * costs.scan
    )
    if not isinstance(projection, ConvProjection):
        return math.floor(saved / (costs.event + product.lanes * _dense_synapse(neurons, product.lanes, tier)))
    height, width = projection.weights.shape[2:]
    lines: float = height / projection.stride[0]
    reached: float = lines * width / projection.stride[1] * product.lanes
    return math.floor(saved / (costs.event + max(lines, 1.0) * costs.run + reached * costs.conv_synapse))


def _dense_synapse(neurons: int, lanes: int, tier: Tier) -> float:
    """Nanoseconds to add one weight of a row, where ``neurons`` have rows of ``lanes`` weights."""
    costs = COSTS[tier]
    if neurons * lanes <= _second_cache():
        return costs.dense_synapse
    near = 2 * neurons * min(lanes, STRIPES[tier]) <= _second_cache()
    return costs.striped_synapse if near else costs.far_synapse
