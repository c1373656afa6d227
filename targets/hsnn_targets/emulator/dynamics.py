"""What a population's states can reach: which rules of neurons its kernel needs.

All bounds hold for any input that fits the network's ports, so they are found once, from the weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hsnn.ir.arithmetic import DECAY_ONE, STATE_LIMIT, STATE_SHIFT, VOLTAGE_MAX
from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.populations import AdaptiveLifPopulation, CountingLifPopulation, LifPopulation, Neuron, largest_payload
from hsnn.ir.projections import Projection, SparseProjection
from hsnn_targets.emulator.rows import signed_row_sums
from hsnn_targets.emulator.vector_tables import Dynamics

if TYPE_CHECKING:
    from numpy.typing import NDArray


def dynamics_of(network: IntegerNetwork, neuron: Neuron, projections: tuple[Projection, ...]) -> Dynamics:
    """Choose the kernel of a population that these projections lead to.

    Vectors need ``|u| <= 2**24``. Input of at most ``2**24`` is enough: a current within ``2**23`` is
    within ``3 * 2**23`` after it, and one wrap brings that back within ``2**23``.
    """
    special = AdaptiveLifPopulation | CountingLifPopulation
    if not isinstance(neuron, LifPopulation) or isinstance(neuron, special) or neuron.refractory > 0:
        return Dynamics.PORTABLE
    received = sum(_largest_sum(network, projection) for projection in projections) << STATE_SHIFT
    if received > 2 * STATE_LIMIT:
        return Dynamics.PORTABLE
    if neuron.reset != "zero":
        return Dynamics.SUBTRACT
    current = _accumulated(received, DECAY_ONE - 1 - int(np.min(neuron.du)), network.timesteps)
    if current >= STATE_LIMIT:
        return Dynamics.WRAP
    step = current + int(np.max(np.abs(neuron.bias)))
    voltage = _accumulated(step, DECAY_ONE - int(np.min(neuron.dv)), network.timesteps)
    return Dynamics.FREE if voltage <= VOLTAGE_MAX else Dynamics.CLIP


def _accumulated(step: int, keep: int, timesteps: int) -> int:
    """Bound a state that grows by ``step`` at most and keeps ``keep / 4096``; rounding toward zero only helps."""
    if keep >= DECAY_ONE:
        return step * timesteps
    return min(step * timesteps, -(-step * DECAY_ONE // (DECAY_ONE - keep)))


def _largest_sum(network: IntegerNetwork, projection: Projection) -> int:
    """Largest magnitude that a projection can bring to a neuron in a timestep, before any wrap."""
    payload, signed = largest_payload(network.source(projection.pre))
    up, down = _signed_sums(projection)
    if not up.size:
        return 0
    reach = up + down if signed else np.maximum(up, down)
    return int(reach.max()) * payload << projection.weight_exp


def _signed_sums(projection: Projection) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sums of the positive weights, and of the negative ones without their sign, of each kind of neuron."""
    if isinstance(projection, SparseProjection):
        return signed_row_sums(projection)
    rows = projection.weights.reshape(projection.weights.shape[0], -1)
    up: NDArray[np.int64] = np.asarray(np.sum(rows, axis=1, dtype=np.int64, where=rows > 0))
    return up, up - np.asarray(np.sum(rows, axis=1, dtype=np.int64))
