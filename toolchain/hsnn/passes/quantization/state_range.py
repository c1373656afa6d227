"""How large the states of a population get, and how much of the integers they may use."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hsnn.ir import arithmetic as rules
from hsnn.ir.spiking import (
    CurrentNeuron,
    FloatConv,
    FloatCountingLif,
    FloatLif,
    FloatProjection,
    FloatResonator,
    counts_spikes,
)
from hsnn.passes.quantization.quantize_neurons import BIAS_MAX
from hsnn.passes.quantization.quantize_weights import MANTISSA_MAX
from hsnn.passes.quantization.worst_case import growth
from hsnn.passes.simulation.float_neurons import PopulationStatistics
from hsnn.passes.simulation.synapses import extreme_sums, weights_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float = NDArray[np.float64]

THRESHOLDS_OF_ROOM = 4.0
"""State range of a population that calibration never drove further, in thresholds."""
TRUNCATION_BITS = 13
"""A run of T timesteps wants ``T << 13`` voltage units in a threshold: each timestep truncates two
states by less than one unit, so truncation then stays below 1/4096 of the threshold."""
_STATE_MAX = float(rules.STATE_LIMIT - (1 << rules.STATE_SHIFT))
_CONV_SUM_MAX = float(rules.STATE_LIMIT - 1)
_SUM_MAX = float((1 << 31) - 1)
MANTISSA_UNIT = float(1 << rules.STATE_SHIFT)
"""Voltage units that an effective weight of 1 at exponent 0 adds."""


@dataclass(frozen=True, slots=True, eq=False)
class Incoming:
    """A projection with what its source sends.

    Attributes:
        projection: Synapses.
        payload_scale: Value of one unit of what the source sends.
        max_payload: Largest magnitude that the source can send, in those units.
        signed: Whether it can send negative payloads.
        mean_square: Mean square of what it sent during calibration.
        noise: Mean square error of a value, by its rounding to payloads.
        delivery: Largest magnitude of ``W . s`` during calibration.
    """

    projection: FloatProjection
    payload_scale: float
    max_payload: int
    signed: bool
    mean_square: float
    noise: float
    delivery: float

    @property
    def weights(self) -> Float:
        """Weights for one unit of payload, in the shape in which the projection holds them."""
        return weights_of(self.projection).astype(np.float64) * self.payload_scale

    @property
    def largest(self) -> float:
        """Largest magnitude that the source can send, as a value."""
        return self.payload_scale * self.max_payload

    @property
    def peak(self) -> float:
        """Largest magnitude of a weight, for one unit of payload."""
        weights = weights_of(self.projection).astype(np.float64, copy=False)
        return max(float(weights.max()), -float(weights.min())) * self.payload_scale if weights.size else 0.0

    @property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest value of ``W . s`` that any input can cause."""
        low, high = extreme_sums(self.projection, signed=self.signed)
        return low * self.largest, high * self.largest

    @property
    def sum_limit(self) -> float:
        """Largest magnitude of its own integer sum that does not wrap."""
        return _CONV_SUM_MAX if isinstance(self.projection, FloatConv) else _SUM_MAX


@dataclass(frozen=True, slots=True)
class StateRange:
    """Magnitudes of the states of a population, in units of the model.

    Attributes:
        current, voltage: Magnitudes that have to fit: those of calibration with the margin, but no
            more than any input can cause. Voltages that a reset to zero forgets do not count.
    """

    current: float
    voltage: float


def measure_range(
    neuron: CurrentNeuron,
    incoming: Sequence[Incoming],
    *,
    stats: PopulationStatistics,
    timesteps: int,
    margin: float,
) -> StateRange:
    """Combine what calibration saw with what is possible at all.

    Args:
        neuron: Neurons.
        incoming: Their projections.
        stats: What they did during calibration.
        timesteps: Timesteps per sample.
        margin: Factor on what calibration saw, 1 or more.
    """
    room = 0.0
    if isinstance(neuron, FloatLif) and not stats.spikes.any():
        # Calibration left the layer silent, so what it saw says nothing about a layer that works.
        room = THRESHOLDS_OF_ROOM * float(neuron.threshold.max())
    # One synapse may never wrap the current.
    synapse = max((item.peak * item.max_payload for item in incoming), default=0.0)
    lows, highs = zip((0.0, 0.0), *(item.bounds for item in incoming), strict=True)
    current_bound = max(-sum(lows), sum(highs)) * growth(neuron.current_decay, timesteps)
    bias = float(np.max(np.abs(neuron.bias)))
    voltage_bound = (current_bound + bias) * growth(neuron.voltage_decay, timesteps)
    if isinstance(neuron, FloatResonator):
        voltage_bound *= math.sqrt(2.0)  # both parts may get as much at the same time
    current = max(margin * max(stats.current, stats.activation), room, synapse)
    voltage = max(margin * lasting_voltage(neuron, stats), 0.0 if forgets(neuron) else room)
    # What adaptive neurons compare the voltage with lies in the same 24 bits.
    return StateRange(min(current_bound, current), max(min(voltage_bound, voltage), margin * stats.adaptation))


def lasting_voltage(neuron: CurrentNeuron, stats: PopulationStatistics) -> float:
    """Largest magnitude of a voltage during calibration that mattered afterwards."""
    floor = float(neuron.v_min.min()) if isinstance(neuron, FloatCountingLif) else -math.inf
    return max(-max(stats.voltage_low, floor), 0.0 if forgets(neuron) else stats.voltage_high, 0.0)


def forgets(neuron: CurrentNeuron) -> bool:
    """Whether a spike forgets how far the voltage was above the threshold, so that it may saturate there."""
    return isinstance(neuron, FloatLif) and neuron.reset == "zero" and not counts_spikes(neuron)


def largest_scale(neuron: CurrentNeuron, incoming: Sequence[Incoming], needed: StateRange, *, margin: float) -> float:
    """Return the largest scale at which nothing wraps or leaves its range; infinity if nothing is there.

    Args:
        neuron: Neurons with a current and a voltage.
        incoming: Their projections, with what the sources send.
        needed: Magnitudes of states, in the units of the model, that have to fit.
        margin: Factor on what calibration saw.

    Returns:
        Units of the chip per unit of the model's voltage.
    """
    limits = [_STATE_MAX / magnitude for magnitude in (needed.current, needed.voltage) if magnitude > 0.0]
    if isinstance(neuron, FloatLif):
        limits.append(rules.STOCK_VTH_MAX * MANTISSA_UNIT / float(neuron.threshold.max()))
        if neuron.reset == "subtract":
            limits.append(_STATE_MAX / max(float(neuron.amount.max()), float(neuron.threshold.max())))
    bias = float(np.max(np.abs(neuron.bias)))
    if bias > 0.0:
        limits.append(BIAS_MAX / bias)
    for item in incoming:
        low, high = item.bounds
        delivery = min(max(-low, high), margin * item.delivery)
        if delivery > 0.0:
            limits.append(item.sum_limit * MANTISSA_UNIT / delivery)
    return min(limits, default=np.inf)


def wanted_scale(neuron: CurrentNeuron, incoming: Sequence[Incoming], needed: StateRange, *, timesteps: int) -> float:
    """Return the scale above which more state precision is of no use; 0 if any scale will do.

    Args:
        neuron: Neurons with a current and a voltage.
        incoming: Their projections, with what the sources send.
        needed: Magnitudes of states, in the units of the model, that occur.
        timesteps: Timesteps of a sample, over which truncation adds up.

    Returns:
        Units of the chip per unit of the model's voltage.
    """
    reference = float(neuron.threshold.min()) if isinstance(neuron, FloatLif) else needed.voltage
    wanted = [(timesteps << TRUNCATION_BITS) / reference] if reference > 0.0 else []
    weights = (item.peak for item in incoming)
    bias = float(np.max(np.abs(neuron.bias)))
    wanted += [-2.0 * rules.BIAS_MANT_MIN / bias] if bias > 0.0 else []
    wanted += [2.0 * MANTISSA_MAX * MANTISSA_UNIT / weight for weight in weights if weight > 0.0]
    return max(wanted, default=0.0)
