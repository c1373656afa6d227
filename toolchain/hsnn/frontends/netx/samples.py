"""Samples for networks whose integers are known, so that a build has something to record."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hsnn.ir.hybrid import HybridModel

SAMPLES = 8
RATE = 0.2
"""Probability of a spike at one timestep."""


def random_samples(model: HybridModel, *, seed: int) -> NDArray[np.float32]:
    """Draw inputs of a model that was read from a ``.net`` file.

    Args:
        model: The model.
        seed: Seed of the generator.

    Returns:
        ``(sample, *input)``: spikes where spikes enter, else values from 0 to 1.
    """
    drawn = np.random.default_rng(seed).random((SAMPLES, *(extent or 1 for extent in model.inputs[0].shape[1:])))
    if model.record().get("input") == "spikes":
        return (drawn < RATE).astype(np.float32)
    return drawn.astype(np.float32)
