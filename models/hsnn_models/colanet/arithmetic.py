"""Two functions that both ways of learning share, so that they agree to the last bit."""

from __future__ import annotations

import math

_TERMS = 16
"""Terms of the exponential series; the next would be below 1e-16."""


def halved(stability: float) -> float:
    """Return ``2**-stability`` for a stability of at least 0.

    Library functions differ in the last bit from one machine, and one compiler, to the next; this one does not.

    >>> halved(0.0), halved(1.0), round(halved(2.5), 12) == round(2**-2.5, 12)
    (1.0, 0.5, True)
    """
    whole = math.floor(min(stability, 1000.0))
    x = -0.6931471805599453 * (min(stability, 1000.0) - whole)
    total = 1.0
    for k in range(_TERMS, 0, -1):
        total = 1.0 + total * x / k
    return math.ldexp(total, -whole)


def stabilized(distance: int, isi_max: int) -> float:
    """Return by what a reward counts for stability that comes ``distance`` timesteps after the spike.

    >>> [stabilized(distance, 10) for distance in (0, 10, 20, 60)]
    [1.0, 2.0, 1.0, -1.0]
    """
    return max(2.0 - abs(distance - isi_max) / isi_max, -1.0)
