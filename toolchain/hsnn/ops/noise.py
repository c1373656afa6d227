"""The noise of ``PoissonEncode``: a counter hash that every library computes alike.

It works in the field of integers modulo the prime ``P = 2**31 - 1``, so that no product leaves int64.
One round is ``h -> h**5 + c``; raising to the fifth is a permutation of this field because 5 does not divide
``P - 1``. Rounds of a power and a constant are the idea of the block cipher MiMC (Albrecht et al., 2016).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

P = 2**31 - 1
ROUND_CONSTANTS = (314159265, 2718281828 % P, 1618033988, 1414213562)
"""Digits of pi, e, the golden ratio and the square root of 2; any constants would do."""


def mix(h: NDArray[np.int64]) -> NDArray[np.int64]:
    """Permute 0 .. P - 1.

    Args:
        h: Integers from 0 to ``2 * P``, int64, any shape.

    Returns:
        Integers from 0 to ``P - 1``, same shape.

    >>> mix(np.arange(3)).tolist() == mix(np.arange(P, P + 3)).tolist()
    True
    """
    h = h % P
    for constant in ROUND_CONSTANTS:
        square = h * h % P
        fourth = square * square % P
        h = (fourth * h % P + constant) % P
    return h


def counter_noise(seed: int, timesteps: int, features: int) -> NDArray[np.float32]:
    """Return uniform noise on a grid of ``2**-24``.

    Args:
        seed: 0 to ``P - 1``.
        timesteps: Timesteps.
        features: Number of features.

    Returns:
        float32 in [0, 1), shape ``(timestep, feature)``: a pure function of seed, timestep and feature.
    """
    key = mix(np.asarray(seed, np.int64))
    times = mix(key + np.arange(timesteps, dtype=np.int64))
    indices = mix(np.arange(features, dtype=np.int64))
    return (mix(times[:, None] + indices) // 128).astype(np.float32) * np.float32(2**-24)
