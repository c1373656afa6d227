"""Projections that deliver nothing: hardware is spared them, and nothing has to wait for them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.plastic import PlasticProjection
from hsnn.ir.projections import Projection, SparseProjection


def without_idle_projections(network: IntegerNetwork) -> IntegerNetwork:
    """Drop projections that deliver nothing: all weights zero for good, or a delay as long as a sample."""
    return replace(network, projections=tuple(p for p in network.projections if _delivers(p, network.timesteps)))


def _delivers(projection: Projection, timesteps: int) -> bool:
    if isinstance(projection, PlasticProjection):
        return True
    weights = projection.data if isinstance(projection, SparseProjection) else projection.weights
    return projection.delay < timesteps and bool(np.any(weights))
