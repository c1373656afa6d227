"""Pools of .net files: their windows must not reach from one channel into the next, as slayer's do."""

from __future__ import annotations

import numpy as np
import pytest

from hsnn.errors import UnsupportedError
from hsnn.frontends.netx.layers import Cuba, PoolLayer, Window
from hsnn.frontends.netx.pool_windows import require_own_rows

ZERO = np.zeros((), np.int64)


def layer(kernel, stride, padding, dilation, *, transposed=False):
    window = Window((kernel, 2), (stride, 2), (padding, 0), (dilation, 1))
    return PoolLayer(3, (1, 1, 1), window, np.ones((kernel, 2), np.int64), Cuba(ZERO, ZERO, 1), transposed)


def tall(channels, height, pool):
    """What slayer's convolution over all rows gives, and what pooling each channel gives; None for different sizes."""
    kernel, stride, padding, dilation = (
        getattr(pool.window, name)[0] for name in ("kernel", "stride", "padding", "dilation")
    )
    x = np.random.default_rng(0).integers(1, 1000, (channels, height))
    x = np.concatenate([x, np.zeros((channels, height % kernel), int)], axis=1)

    def pooled(rows):
        rows = np.pad(rows, padding)
        count = (len(rows) - dilation * (kernel - 1) - 1) // stride + 1
        taps = np.arange(kernel) * dilation
        return np.array([rows[first * stride + taps].sum() for first in range(count)])

    return pooled(x.reshape(-1)), np.concatenate([pooled(rows) for rows in x])


def test_pools_that_stay_apart_are_those_that_equal_slayers_tall_image():
    """By brute force: whatever is accepted pools each channel, and whatever is refused does not."""
    accepted = refused = 0
    for height in range(4, 10):
        for kernel, stride, padding, dilation in np.ndindex(3, 4, 2, 2):
            pool = layer(kernel + 1, stride + 1, padding, dilation + 1)
            both, each = tall(3, height, pool)
            if len(both) != len(each):
                continue  # slayer fails
            if np.array_equal(both, each):
                require_own_rows(pool, (3, height, 8))
                accepted += 1
                continue
            with pytest.raises(UnsupportedError, match=r"HSNN-F072.*layer 3"):
                require_own_rows(pool, (3, height, 8))
            refused += 1
    assert accepted > 20
    assert refused > 20


def test_one_channel_has_no_neighbour():
    require_own_rows(layer(3, 2, 1, 1), (1, 9, 8))


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "apart"),
    [(2, 2, 0, True), (3, 3, 0, True), (4, 2, 1, False), (3, 2, 0, False), (1, 2, 0, False)],
)
def test_unpooling(kernel, stride, padding, apart):
    pool = layer(kernel, stride, padding, 1, transposed=True)
    if apart:
        require_own_rows(pool, (2, 5, 5))
        return
    with pytest.raises(UnsupportedError, match="HSNN-F072"):
        require_own_rows(pool, (2, 5, 5))
