"""Windows of slayer's pools, which may reach from one channel into the next.

slayer puts the channels of an image below each other and pools that as one tall image (``synapse/layer.py``, classes
``Pool`` and ``Unpool`` of lava-dl 0.6.0). That is pooling only where every window stays within its own channel.
"""

from __future__ import annotations

import numpy as np

from hsnn.errors import UnsupportedError
from hsnn.frontends.netx.layers import PoolLayer, Shape


def require_own_rows(layer: PoolLayer, shape: Shape) -> None:
    """Check that no window of a pool reads, or of an un-pooling writes, rows of another channel.

    Args:
        layer: The pool.
        shape: ``(C, H, W)`` of what it reads.

    Raises:
        UnsupportedError: ``HSNN-F072``, naming the layer.
    """
    channels, height, _ = shape
    apart = _unpools_apart(layer) if layer.transposed else _pools_apart(layer, height)
    if channels > 1 and not apart:
        window = layer.window
        raise UnsupportedError(
            "HSNN-F072",
            f"layer {layer.index}: windows of height {window.kernel[0]} at stride {window.stride[0]}, padding "
            f"{window.padding[0]} and dilation {window.dilation[0]} reach from one channel, {height} high, into the "
            "next, since slayer puts channels below each other",
            allowed="windows that stay within a channel, such as a stride of the kernel's height without padding",
            fix="train a Conv block with as many groups as channels instead",
        )


def _pools_apart(layer: PoolLayer, height: int) -> bool:
    window = layer.window
    # Rows of zeros that slayer puts behind each channel.
    whole = height + height % window.kernel[0]
    if whole % window.stride[0]:
        return False
    first = np.arange(0, whole, window.stride[0])[:, None] - window.padding[0]
    rows = first + np.arange(window.kernel[0]) * window.dilation[0]
    # A row before the first is the last one of the channel before, which may be of zeros.
    return bool(np.all((rows < whole) & ((rows >= 0) | (rows + whole >= height))))


def _unpools_apart(layer: PoolLayer) -> bool:
    window = layer.window
    reach = window.dilation[0] * (window.kernel[0] - 1) + 1
    return window.padding[0] == 0 and reach == window.stride[0]
