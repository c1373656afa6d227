"""Advance float neurons by one timestep, and record what they do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from hsnn.ir.shape import Shape, part_indices
from hsnn.ir.spiking import (
    FloatAdaptiveLif,
    FloatCountingLif,
    FloatIntegrator,
    FloatLif,
    FloatNeuron,
    FloatResonator,
    FloatSigmaDelta,
    counts_spikes,
)

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
        message: Largest magnitude of a message, or largest count, of neurons that send such; spikes count those other
            than 0.
        power: Sum of the squares of all messages.

    Of sigma-delta neurons, ``u`` is the running sum and the voltage the activation.
    """

    activation: float
    current: float
    voltage_low: float
    voltage_high: float
    spikes: NDArray[np.int64]
    updates: int
    message: float = 0.0
    power: float = 0.0
    adaptation: float = 0.0
    """Largest magnitude of what spikes of adaptive neurons have set against the voltage, and of their threshold."""

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
            max(self.message, other.message),
            self.power + other.power,
            max(self.adaptation, other.adaptation),
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
    raised: Float = field(default_factory=lambda: np.zeros(()))
    """What spikes have added to the threshold of adaptive neurons."""
    against: Float = field(default_factory=lambda: np.zeros(()))
    """What they have set against the voltage."""
    adaptation: float = 0.0


def new_state(neuron: FloatNeuron, shape: Shape) -> NeuronState:
    """Return the zero state of a run whose output has shape ``(timestep, batch, *feature)``."""
    held = np.zeros(shape[1:], np.int32)
    binary = isinstance(neuron, FloatLif) and not counts_spikes(neuron)
    sent: Sent = np.zeros(shape, np.bool_ if binary else np.float64)
    return NeuronState(np.zeros(shape[1:]), np.zeros(shape[1:]), held, sent)


def step(neuron: FloatNeuron, state: NeuronState, activation: Float) -> Sent:
    """Advance one population by one timestep and return what it sends.

    Args:
        neuron: The population.
        state: Its state, shape ``(batch, *feature)`` each; it is advanced in place.
        activation: Sum of all synaptic input of this timestep, in units of the model: ``(batch, *feature)``; real
            and imaginary parts of what resonators get take turns along the first feature axis.

    Returns:
        Spikes (bool), or counts or messages (float64), shape ``(batch, *feature)``.
    """
    if isinstance(neuron, FloatSigmaDelta):
        return _step_sigma_delta(neuron, state, activation)
    if isinstance(neuron, FloatResonator):
        return _step_resonator(neuron, state, activation)
    unit = neuron.resolution
    state.u = _cut((1.0 - neuron.current_decay) * state.u, unit) + _cut(activation, unit)
    moved = _cut((1.0 - neuron.voltage_decay) * state.v, unit) + state.u + neuron.bias
    held = state.held > 0
    state.v = np.where(held, state.v, moved) if isinstance(neuron, FloatLif) and neuron.refractory else moved
    state.activation = max(state.activation, largest(activation))
    state.current = max(state.current, largest(state.u))
    state.low, state.high = min(state.low, float(state.v.min())), max(state.high, float(state.v.max()))
    if not isinstance(neuron, FloatLif):
        return state.v
    if isinstance(neuron, FloatAdaptiveLif):
        return _adapt(neuron, state)
    if isinstance(neuron, FloatCountingLif):
        return _count(neuron, state)
    above = state.v >= neuron.threshold if neuron.comparison == ">=" else state.v > neuron.threshold
    spikes = above & ~held
    state.held = np.where(spikes, neuron.refractory, np.maximum(state.held - 1, 0)).astype(np.int32)
    match neuron.reset:
        case "zero":
            state.v = np.where(spikes, 0.0, state.v)
        case "subtract":
            state.v = np.where(spikes, state.v - neuron.amount, state.v)
        case "none":
            pass
    return spikes


def _count(neuron: FloatCountingLif, state: NeuronState) -> Sent:
    """Let neurons that count fire, after their current and voltage have advanced."""
    counts = np.clip(np.floor(state.v / neuron.threshold), 0.0, neuron.max_spikes)
    after = np.where(counts > 0.0, 0.0, state.v) if neuron.reset == "zero" else state.v - counts * neuron.amount
    state.v = np.maximum(after, neuron.v_min)
    return counts


def _adapt(neuron: FloatAdaptiveLif, state: NeuronState) -> Sent:
    """Let adaptive neurons fire, after their current and voltage have advanced."""
    raised = _cut((1.0 - neuron.threshold_decay) * state.raised, neuron.resolution)
    against = _cut((1.0 - neuron.refractory_decay) * state.against, neuron.resolution)
    level = neuron.threshold + raised
    spikes: Sent = state.v - against >= level
    state.raised = np.where(spikes, raised + neuron.threshold_step, raised)
    state.against = np.where(spikes, against + 2.0 * level, against)
    highest = float(np.max(neuron.threshold + state.raised))
    state.adaptation = max(state.adaptation, largest(state.against), highest)
    return spikes


def _step_resonator(neuron: FloatResonator, state: NeuronState, activation: Float) -> Sent:
    """Advance resonators: ``u`` is the real part of their state, ``v`` the imaginary one."""
    places = part_indices(neuron.shape)
    flat = activation.reshape(len(activation), -1)
    before, cos, sin, unit = state.v, neuron.cos_decay, neuron.sin_decay, neuron.resolution
    to_real, to_imag = (_cut(flat[:, part], unit) for part in places)
    real = _cut(cos * state.u, unit) - _cut(sin * state.v, unit) + to_real
    imag = _cut(sin * state.u, unit) + _cut(cos * state.v, unit) + to_imag
    state.activation = max(state.activation, largest(activation))
    state.current = max(state.current, largest(activation))
    state.low = min(state.low, float(real.min()), float(imag.min()))
    state.high = max(state.high, float(real.max()), float(imag.max()))
    spikes: Sent
    if neuron.firing == "phase":
        spikes = (real >= neuron.threshold) & (imag >= 0.0) & (before < 0.0)
        state.u, state.v = real, imag
        return spikes
    spikes = imag >= neuron.threshold
    state.u, state.v = np.where(spikes, 0.0, real), np.where(spikes, neuron.threshold - unit, imag)
    return spikes


def _step_sigma_delta(neuron: FloatSigmaDelta, state: NeuronState, activation: Float) -> Float:
    """Advance sigma-delta neurons: ``u`` is the running sum, ``v`` what has been sent."""
    state.u = state.u + activation if neuron.accumulate else activation
    wanted = np.maximum(state.u + neuron.bias, 0.0) if neuron.rectify else state.u + neuron.bias
    due = wanted - state.v
    message: Float = np.where(np.abs(due) >= neuron.threshold, due, 0.0)
    state.v = state.v + message
    state.activation = max(state.activation, largest(activation))
    state.current = max(state.current, largest(state.u))
    state.low, state.high = min(state.low, float(wanted.min())), max(state.high, float(wanted.max()))
    return np.floor(message / neuron.resolution) * neuron.resolution if neuron.resolution else message


def _cut(values: Float, unit: float) -> Float:
    """Round toward zero to multiples of a unit; 0 is no unit."""
    return values - np.fmod(values, unit) if unit else values


def statistics_of(neuron: FloatNeuron, state: NeuronState) -> PopulationStatistics:
    """Sum up a run."""
    sends = not isinstance(neuron, FloatIntegrator)
    spikes = np.count_nonzero(state.sent, axis=(0, 1)).astype(np.int64) if sends else np.zeros(neuron.shape, np.int64)
    updates = state.sent.shape[0] * state.sent.shape[1]
    message = power = 0.0
    if isinstance(neuron, FloatSigmaDelta) or counts_spikes(neuron):
        messages = state.sent.astype(np.float64, copy=False)
        message, power = largest(messages), float(np.sum(messages * messages))
    return PopulationStatistics(
        state.activation, state.current, state.low, state.high, spikes, updates, message, power, state.adaptation
    )


def largest(array: Float) -> float:
    """Return the largest magnitude in an array of any shape that is not empty."""
    return max(float(array.max()), -float(array.min()))
