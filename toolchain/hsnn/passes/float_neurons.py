"""Advance float neurons by one timestep, and record what they do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hsnn.ir.integer import Shape
from hsnn.ir.spiking import FloatLif, FloatNeuron

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float = NDArray[np.float64]
    Sent = NDArray[np.generic]


@dataclass(frozen=True, slots=True, eq=False)
class PopulationStatistics:
    """What a neuron population did.

    Attributes:
        activation: Largest magnitude of ``a``, the sum of all synaptic input of a timestep.
        current: Largest magnitude of ``u``.
        voltage_low: Lowest voltage, before any reset.
        voltage_high: Highest voltage, before any reset.
        spikes: Spikes of each neuron over all samples and timesteps, int64, feature shape.
        updates: Updates of each neuron: samples times timesteps.
    """

    activation: float
    current: float
    voltage_low: float
    voltage_high: float
    spikes: NDArray[np.int64]
    updates: int

    @property
    def rate(self) -> Float:
        """Spikes per timestep of each neuron, feature shape."""
        return self.spikes / self.updates

    def merge(self, other: PopulationStatistics) -> PopulationStatistics:
        """Return the statistics of both runs together."""
        return PopulationStatistics(
            max(self.activation, other.activation),
            max(self.current, other.current),
            min(self.voltage_low, other.voltage_low),
            max(self.voltage_high, other.voltage_high),
            self.spikes + other.spikes,
            self.updates + other.updates,
        )


@dataclass(slots=True)
class NeuronState:
    """State of one population; arrays are ``(batch, *feature)``."""

    u: Float
    v: Float
    held: NDArray[np.int32]
    """Timesteps that the voltage is still held after a spike."""
    sent: Sent
    activation: float = 0.0
    current: float = 0.0
    low: float = np.inf
    high: float = -np.inf


def new_state(neuron: FloatNeuron, shape: Shape) -> NeuronState:
    """Return the zero state of a run whose output has shape ``(timestep, batch, *feature)``."""
    held = np.zeros(shape[1:], np.int32)
    sent: Sent = np.zeros(shape, np.bool_ if isinstance(neuron, FloatLif) else np.float64)
    return NeuronState(np.zeros(shape[1:]), np.zeros(shape[1:]), held, sent)


def step(neuron: FloatNeuron, state: NeuronState, activation: Float) -> Sent:
    """Advance one population by one timestep and return what it sends."""
    state.u = (1.0 - neuron.current_decay) * state.u + activation
    moved = (1.0 - neuron.voltage_decay) * state.v + state.u + neuron.bias
    held = state.held > 0
    state.v = np.where(held, state.v, moved) if isinstance(neuron, FloatLif) and neuron.refractory else moved
    state.activation = max(state.activation, largest(activation))
    state.current = max(state.current, largest(state.u))
    state.low, state.high = min(state.low, float(state.v.min())), max(state.high, float(state.v.max()))
    if not isinstance(neuron, FloatLif):
        return state.v
    above = state.v >= neuron.threshold if neuron.comparison == ">=" else state.v > neuron.threshold
    spikes = above & ~held
    state.held = np.where(spikes, neuron.refractory, np.maximum(state.held - 1, 0)).astype(np.int32)
    match neuron.reset:
        case "zero":
            state.v = np.where(spikes, 0.0, state.v)
        case "subtract":
            state.v = np.where(spikes, state.v - neuron.threshold, state.v)
        case "none":
            pass
    return spikes


def statistics_of(neuron: FloatNeuron, state: NeuronState) -> PopulationStatistics:
    """Sum up a run."""
    lif = isinstance(neuron, FloatLif)
    spikes = state.sent.sum(axis=(0, 1), dtype=np.int64) if lif else np.zeros(neuron.shape, np.int64)
    updates = state.sent.shape[0] * state.sent.shape[1]
    return PopulationStatistics(state.activation, state.current, state.low, state.high, spikes, updates)


def largest(array: Float) -> float:
    """Return the largest magnitude in an array that is not empty."""
    return max(float(array.max()), -float(array.min()))
