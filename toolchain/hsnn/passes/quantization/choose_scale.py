"""Choose the one scale that the weights, biases and threshold of a population share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hsnn.errors import QuantizationError
from hsnn.ir.spiking import CurrentNeuron, FloatIntegrator, FloatLif, FloatSparse
from hsnn.passes.quantization.exact_scale import exact_scale
from hsnn.passes.quantization.quantize_neurons import quantize_bias, uniform_threshold
from hsnn.passes.quantization.quantize_weights import round_weights
from hsnn.passes.quantization.state_range import MANTISSA_UNIT, Incoming, StateRange, largest_scale, wanted_scale

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float = NDArray[np.float64]

_WEIGHT_SAMPLE = 1 << 14
"""Weights of a projection on which candidate scales are compared."""
_SPREAD = 32
"""Candidates spread over the octave, beside the ones that make weights exact."""
_SILENT = 1e-3
"""Mean square that a source gets at least, relative to its range: calibration may not have reached it."""
_SCALE_MIN, _SCALE_MAX = 1e-90, 1e90


def choose_scale(
    neuron: CurrentNeuron,
    incoming: Sequence[Incoming],
    needed: StateRange,
    *,
    timesteps: int,
    margin: float,
) -> float:
    """Choose integer voltage units per unit of the model's voltage, where the model does not fix them itself.

    The states with their margin must fit, which limits the scale; where more precision than useful
    would be left, the rest stays as headroom. Within the octave below that, the scale with the least
    rounding noise in the synaptic input wins. Candidates are scales that make the largest weight of a
    projection an exact mantissa, which makes all of them exact for weights that were trained in 8 bits
    or are dyadic. A threshold that all neurons share stays exact: it becomes a multiple of 64 for
    ``>``, as Lava's LIF holds it, and an integer for ``>=``. Neurons on a grid keep that, where all of it is exact.

    Args:
        neuron: Neurons.
        incoming: Their projections.
        needed: Magnitudes that have to fit.
        timesteps: Timesteps per sample.
        margin: Factor on what calibration saw.

    Raises:
        QuantizationError: ``HSNN-Q012`` if 24 bits cannot hold both the threshold and the states.
    """
    if neuron.scale is not None:
        return neuron.scale
    exact = exact_scale(neuron, incoming, needed, margin=margin)
    if exact is not None:
        return exact
    high = highest_scale(neuron, incoming, needed, timesteps=timesteps, margin=margin)
    if high == np.inf:
        return MANTISSA_UNIT
    _check(neuron, high, needed)
    candidates = _candidates(neuron, incoming, high)
    samples = [_sample(item) for item in incoming]
    noise = np.array([_noise(neuron, samples, float(scale)) for scale in candidates])
    # Among equals, up to the rounding of float64, the largest scale keeps the most state precision.
    signal = sum(sample.power for sample in samples) + float(np.mean(neuron.bias * neuron.bias))
    equal = noise <= noise.min() * (1.0 + 1e-9) + 1e-24 * signal
    return float(candidates[equal].max())


def highest_scale(
    neuron: CurrentNeuron, incoming: Sequence[Incoming], needed: StateRange, *, timesteps: int, margin: float
) -> float:
    """Return the top of the octave that is searched, in units of the chip per unit of the model's voltage.

    Args:
        neuron: Neurons with a current and a voltage.
        incoming: Their projections, with what the sources send.
        needed: Magnitudes of states, in the units of the model, that have to fit.
        timesteps: Timesteps of a sample, over which truncation adds up.
        margin: Factor on what calibration saw.

    Returns:
        At most twice the scale above which precision is of no use; infinity if there is nothing to quantize.
    """
    limit = largest_scale(neuron, incoming, needed, margin=margin)
    wanted = wanted_scale(neuron, incoming, needed, timesteps=timesteps)
    return min(limit, 2.0 * wanted) if wanted > 0.0 else limit


def relative_noise(incoming: Sequence[Incoming], scale: float) -> float:
    """Noise power that rounding weights and payloads adds to synaptic input, relative to its power."""
    samples = [_sample(item) for item in incoming]
    signal = sum(sample.power for sample in samples)
    if signal == 0.0:
        return 0.0
    payloads = sum(sample.power * item.noise / _power(item) for sample, item in zip(samples, incoming, strict=True))
    return (sum(_weight_noise(sample, scale) for sample in samples) + payloads) / signal


@dataclass(frozen=True, slots=True, eq=False)
class _Sample:
    """Some weights of a projection.

    Attributes:
        weights: For one unit of payload, float64, one axis.
        gain: Turns the sum of their squares, or squared errors, into power at a neuron's input.
    """

    weights: Float
    gain: float

    @property
    def power(self) -> float:
        return self.gain * float(self.weights @ self.weights)


def _sample(item: Incoming) -> _Sample:
    projection = item.projection
    # A convolution has one row of weights for each output channel, as all its positions share it.
    rows = len(projection.indptr) - 1 if isinstance(projection, FloatSparse) else len(projection.weights)
    flat = item.weights.ravel()
    some = flat[:: max(1, -(-flat.size // _WEIGHT_SAMPLE))]
    if flat.size > some.size:
        some = np.append(some, (flat.min(), flat.max()))
    return _Sample(some, _power(item) / item.payload_scale**2 * flat.size / max(1, some.size * rows))


def _power(item: Incoming) -> float:
    return max(item.mean_square, _SILENT * item.largest**2)


def _noise(neuron: CurrentNeuron, samples: Sequence[_Sample], scale: float) -> float:
    """Mean square error per timestep at the input of a neuron, in units of the model."""
    mantissa, exponent = quantize_bias(neuron.bias * scale)
    errors = mantissa * (2.0**exponent / scale) - neuron.bias
    return float(np.mean(errors * errors)) + sum(_weight_noise(sample, scale) for sample in samples)


def _weight_noise(sample: _Sample, scale: float) -> float:
    unit = scale / MANTISSA_UNIT
    errors, exponent = round_weights(sample.weights, unit)
    errors *= 2.0**exponent / unit
    errors -= sample.weights
    return sample.gain * float(errors @ errors)


def _check(neuron: CurrentNeuron, scale: float, needed: StateRange) -> None:
    smallest = float(neuron.threshold.min()) if isinstance(neuron, FloatLif) else np.inf
    if _SCALE_MIN < scale < _SCALE_MAX and scale * smallest >= MANTISSA_UNIT:
        return
    reach = max(needed.current, needed.voltage, float(np.max(np.abs(neuron.bias))))
    raise QuantizationError(
        "HSNN-Q012",
        f"population {neuron.name!r} has states or biases up to {reach:.3g} and thresholds down to {smallest:.3g}",
        allowed="states up to about 2**17 times the smallest threshold, biases up to 2**13 times, and thresholds "
        "of one population within a factor of 2**17",
        fix="let states leak, clip the weights, or split the population; check the scale of its inputs",
    )


def _candidates(neuron: CurrentNeuron, incoming: Sequence[Incoming], high: float) -> Float:
    """Scales in the octave below ``high``, snapped so that a shared threshold is exact."""
    low = high / 2.0
    scales = [low * 2.0 ** (np.arange(1, _SPREAD + 1) / _SPREAD), np.array([2.0 ** math.floor(math.log2(high))])]
    for item in incoming:
        peak = item.peak
        if peak > 0.0:
            scales.append(_exact_peaks(peak, low, high))
    found = np.concatenate(scales)
    step = _threshold_step(neuron)
    if not step:
        return np.unique(found)
    return np.unique(np.clip(np.rint(found / step), 1, max(1, math.floor(high / step)))) * step


def _threshold_step(neuron: CurrentNeuron) -> float:
    """Scales that are multiples of this keep a shared threshold exact; 0 if there is none."""
    if isinstance(neuron, FloatIntegrator):
        return 0.0
    threshold = uniform_threshold(neuron)
    if threshold is None:
        return 0.0
    return (MANTISSA_UNIT if neuron.comparison == ">" else 1.0) / threshold


def _exact_peaks(peak: float, low: float, high: float) -> Float:
    """Scales in the octave at which the largest weight of a projection is an exact even mantissa."""
    base = 2.0 * np.arange(1, 129) * MANTISSA_UNIT / peak
    shifts = np.maximum(0.0, np.ceil(np.log2(low / base)))
    scales: Float = base * 2.0**shifts
    return scales[(scales >= low) & (scales <= high)]
