"""Round the parameters of neurons to integers, and measure what that changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hsnn.ir import arithmetic as rules
from hsnn.ir.populations import (
    AdaptiveLifPopulation,
    IntegratorPopulation,
    LifPopulation,
    ResonatorPopulation,
    counting,
)
from hsnn.ir.shape import Shape
from hsnn.ir.spiking import (
    CurrentNeuron,
    FloatAdaptiveLif,
    FloatCountingLif,
    FloatIntegrator,
    FloatLif,
    FloatResonator,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float = NDArray[np.float64]
    Int32 = NDArray[np.int32]

BIAS_MAX = rules.BIAS_MANT_MAX << rules.BIAS_EXP_MAX
"""Largest bias in integer voltage; the most negative one is larger by one mantissa step."""


_ROUNDING = 1e-12
"""Relative error that float64 itself causes."""


@dataclass(frozen=True, slots=True)
class DecayError:
    """What rounding a decay to 1/4096 changes.

    Attributes:
        wanted: Smallest and largest decay of the model, per timestep.
        effective: The same after rounding.
        largest: Largest difference of one neuron.
        vanished: Whether a decay that is not 0 became 0, so that a state never leaks away.
    """

    wanted: tuple[float, float]
    effective: tuple[float, float]
    largest: float
    vanished: bool


@dataclass(frozen=True, slots=True)
class NeuronError:
    """What rounding the parameters of a population changes.

    Attributes:
        current_decay, voltage_decay: Of the decays.
        threshold: Largest relative error of the threshold; 0 for integrators.
        bias: Largest error of the bias, in units of the model's voltage.
    """

    current_decay: DecayError
    voltage_decay: DecayError
    threshold: float
    bias: float


def quantize_neuron(
    neuron: CurrentNeuron, scale: float
) -> tuple[LifPopulation | IntegratorPopulation | ResonatorPopulation, NeuronError]:
    """Round a population.

    Args:
        neuron: Valid neurons.
        scale: Integer voltage units per unit of the model's voltage.

    Returns:
        The integer population and its errors.
    """
    current, current_error = _quantize_decay(neuron.current_decay)
    voltage, voltage_error = _quantize_decay(neuron.voltage_decay)
    mantissa, exponent = quantize_bias(neuron.bias * scale)
    bias_error = float(np.max(np.abs(mantissa * 2.0**exponent / scale - neuron.bias)))
    leak = _Leak(
        uniform(current - 1, neuron.shape), uniform(voltage, neuron.shape), uniform(mantissa, neuron.shape), exponent
    )
    if isinstance(neuron, FloatIntegrator):
        population = IntegratorPopulation(neuron.name, neuron.shape, leak.du, leak.dv, leak.bias_mant, leak.bias_exp)
        return population, NeuronError(current_error, voltage_error, 0.0, bias_error)
    level = np.rint(neuron.threshold * scale)
    threshold_error = float(np.max(np.abs(level / (neuron.threshold * scale) - 1.0)))
    threshold_error = 0.0 if threshold_error < _ROUNDING else threshold_error
    if isinstance(neuron, FloatResonator):
        return _quantize_resonator(neuron, level, threshold_error)
    errors = NeuronError(current_error, voltage_error, threshold_error, bias_error)
    if isinstance(neuron, FloatAdaptiveLif):
        return _quantize_adaptive(neuron, leak, level, scale), errors
    return _quantize_lif(neuron, leak, level, scale), errors


@dataclass(frozen=True, slots=True)
class _Leak:
    """What all neurons with a current have: decays and bias, as the fields of integer populations."""

    du: Int32
    dv: Int32
    bias_mant: Int32
    bias_exp: int


def _quantize_lif(neuron: FloatLif, leak: _Leak, level: Float, scale: float) -> LifPopulation:
    """Round the rest of LIF neurons; ``level`` is their threshold in integers."""
    population = LifPopulation(
        name=neuron.name,
        shape=neuron.shape,
        du=leak.du,
        dv=leak.dv,
        # v >= x is v > x - 1 in integers.
        threshold=uniform(level - (neuron.comparison == ">="), neuron.shape),
        bias_mant=leak.bias_mant,
        bias_exp=leak.bias_exp,
        reset=neuron.reset,
        reset_amount=uniform(_taken_off(neuron, level, scale), neuron.shape),
        refractory=neuron.refractory,
    )
    if not isinstance(neuron, FloatCountingLif):
        return population
    floor = uniform(np.maximum(np.rint(neuron.v_min * scale), -rules.VOLTAGE_MAX), neuron.shape)
    return counting(population, max_spikes=neuron.max_spikes, v_min=floor)


def _quantize_adaptive(neuron: FloatAdaptiveLif, leak: _Leak, level: Float, scale: float) -> AdaptiveLifPopulation:
    """Round the rest of adaptive neurons; ``level`` is their threshold at rest in integers."""
    return AdaptiveLifPopulation(
        name=neuron.name,
        shape=neuron.shape,
        du=leak.du,
        dv=leak.dv,
        threshold=uniform(level, neuron.shape),
        bias_mant=leak.bias_mant,
        bias_exp=leak.bias_exp,
        reset="none",
        threshold_decay=uniform(_quantize_decay(neuron.threshold_decay)[0], neuron.shape),
        refractory_decay=uniform(_quantize_decay(neuron.refractory_decay)[0], neuron.shape),
        threshold_step=uniform(np.rint(neuron.threshold_step * scale), neuron.shape),
    )


def _quantize_resonator(
    neuron: FloatResonator, level: Float, threshold_error: float
) -> tuple[ResonatorPopulation, NeuronError]:
    """Round cosine and sine to 1/4096; the error of the voltage decay is that of the radius, or of either part."""
    cos, sin = np.rint(neuron.cos_decay * rules.DECAY_ONE), np.rint(neuron.sin_decay * rules.DECAY_ONE)
    kept = np.hypot(cos, sin) / rules.DECAY_ONE
    lost = np.asarray(1.0 - kept)
    wanted = ((cos, neuron.cos_decay), (sin, neuron.sin_decay))
    largest = max(float(np.max(np.abs(fixed / rules.DECAY_ONE - decay))) for fixed, decay in wanted)
    radius = DecayError(
        (float(neuron.voltage_decay.min()), float(neuron.voltage_decay.max())),
        (float(lost.min()), float(lost.max())),
        largest,
        bool(np.any((neuron.voltage_decay > 0.0) & (kept >= 1.0))),
    )
    population = ResonatorPopulation(
        neuron.name,
        neuron.shape,
        uniform(cos, neuron.shape),
        uniform(sin, neuron.shape),
        uniform(level, neuron.shape),
        neuron.firing,
    )
    return population, NeuronError(_quantize_decay(neuron.current_decay)[1], radius, threshold_error, 0.0)


def _taken_off(neuron: FloatLif, level: Float, scale: float) -> Float:
    """Return the integer amount of a reset by subtraction; the threshold itself where it is that."""
    if neuron.reset != "subtract":
        return np.zeros(())
    return level if neuron.reset_amount is None else np.rint(neuron.reset_amount * scale)


def uniform_threshold(neuron: FloatLif) -> float | None:
    """Return the threshold that all neurons share, or None if they differ."""
    first = float(neuron.threshold.flat[0])
    return first if bool(np.all(neuron.threshold == first)) else None


def uniform(values: NDArray[np.generic], shape: Shape) -> Int32:
    """Return integers as int32 of shape () if they are all the same, else of the whole shape.

    >>> uniform(np.array([[3.0], [3.0]]), (2, 5))
    array(3, dtype=int32)
    """
    whole = values.astype(np.int32)
    if np.all(whole == whole.flat[0]):
        return np.array(whole.flat[0], np.int32)
    return np.broadcast_to(whole, shape).copy()


def _quantize_decay(decay: Float) -> tuple[Int32, DecayError]:
    """Round decays to 1/4096; the integers are 0 to 4096, same shape."""
    fixed = np.rint(decay * rules.DECAY_ONE).astype(np.int32)
    effective = fixed / rules.DECAY_ONE
    return fixed, DecayError(
        (float(decay.min()), float(decay.max())),
        (float(effective.min()), float(effective.max())),
        float(np.max(np.abs(effective - decay))),
        bool(np.any((decay > 0.0) & (fixed == 0))),
    )


def quantize_bias(wanted: Float) -> tuple[Float, int]:
    """Round biases to mantissas that share the smallest exponent that holds them.

    Args:
        wanted: Biases in integer units of voltage, any shape.

    Returns:
        Mantissas, whole numbers from -4096 to 4095 as float64, same shape, clipped where no exponent holds them; and
        the exponent, 0 to 7.
    """
    for exponent in range(rules.BIAS_EXP_MAX + 1):
        mantissa = np.rint(wanted / 2.0**exponent)
        if mantissa.min() >= rules.BIAS_MANT_MIN and mantissa.max() <= rules.BIAS_MANT_MAX:
            break
    return np.clip(mantissa, rules.BIAS_MANT_MIN, rules.BIAS_MANT_MAX), exponent
