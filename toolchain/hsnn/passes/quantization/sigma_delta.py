"""Quantize sigma-delta neurons: the scale of their states, the unit of their messages, and their parameters.

Scales are powers of two times the unit of the inputs, so dyadic weights, such as those that lava-dl trains, stay
exact from layer to layer. Messages keep what rounding cuts off them for the next one, so what a receiver sums up
stays within one unit of what was sent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hsnn.ir import arithmetic as rules
from hsnn.ir.populations import SigmaDeltaPopulation
from hsnn.ir.spiking import FloatConv, FloatSigmaDelta, SpikingGraph
from hsnn.ir.validate_neurons import MESSAGE_SHIFT_MAX
from hsnn.passes.quantization.exact_scale import exact_messages
from hsnn.passes.quantization.quantize_neurons import DecayError, NeuronError, uniform
from hsnn.passes.quantization.quantize_weights import MANTISSA_MAX
from hsnn.passes.simulation.synapses import weights_of

if TYPE_CHECKING:
    from hsnn.passes.simulation.calibrate import Calibration
    from hsnn.passes.simulation.float_neurons import PopulationStatistics

MESSAGE_BITS = 16
"""Bits that the messages of calibration, with their margin and sign, take at most."""
FINE_BITS = 10
"""Bits that they keep where coarser messages would leave more bits for the weights behind them."""
UNITS_OF_THRESHOLD = 8.0
"""Units that a threshold has at least, likewise."""
THRESHOLD_UNITS = float(1 << 12)
"""Units of a threshold where calibration saw nothing else."""
_TINY = 1e-90
_NO_DECAY = DecayError((0.0, 0.0), (0.0, 0.0), 0.0, False)


@dataclass(frozen=True, slots=True)
class Messages:
    """How a sigma-delta population is scaled.

    Attributes:
        scale: Units of the state per unit of the model.
        shift: Bits of the state below one unit of a message.
        largest: Largest magnitude of a message during calibration with the margin, in units.
        exact: Whether the integers are exactly what the model says; a rest that rounding cuts off is lost then too.
    """

    scale: float
    shift: int
    largest: int
    exact: bool = False

    @property
    def unit(self) -> float:
        """Value of one unit of a message."""
        return 2.0**self.shift / self.scale


def choose_messages(
    graph: SpikingGraph, calibration: Calibration, ports: Mapping[str, float], *, margin: float
) -> dict[str, Messages]:
    """Scale every sigma-delta population.

    Args:
        graph: A segment.
        calibration: Its ranges.
        ports: Value of one unit of payload, of every input.
        margin: Factor on what calibration saw.
    """
    found = [neuron for neuron in graph.neurons if isinstance(neuron, FloatSigmaDelta)]
    exact = {n.name: exact_messages(graph, n, calibration, ports, margin=margin) for n in found}
    scales = {n.name: exact[n.name] or _scale(graph, n, calibration, ports, margin) for n in found}
    return {
        n.name: _exact(n, calibration, scales[n.name], margin)
        if exact[n.name]
        else _messages(graph, n, calibration, scales, margin)
        for n in found
    }


def quantize_sigma_delta(neuron: FloatSigmaDelta, messages: Messages) -> tuple[SigmaDeltaPopulation, NeuronError]:
    """Round a population; see :func:`hsnn.passes.quantization.quantize_neurons.quantize_neuron`."""
    scale = messages.scale
    wanted, bias = neuron.threshold * scale, np.rint(neuron.bias * scale)
    # Differences are integers where all is exact: they reach a threshold where they reach the next integer.
    level = np.ceil(wanted) if messages.exact else np.rint(wanted)
    errors = np.abs(level - wanted) / np.where(wanted > 0.0, wanted, 1.0)
    population = SigmaDeltaPopulation(
        neuron.name,
        neuron.shape,
        threshold=uniform(level, neuron.shape),
        bias=uniform(bias, neuron.shape),
        message_shift=messages.shift,
        accumulate=neuron.accumulate,
        rectify=neuron.rectify,
        keep_rest=not messages.exact,
    )
    bias_error = float(np.max(np.abs(bias / scale - neuron.bias)))
    return population, NeuronError(_NO_DECAY, _NO_DECAY, float(errors.max()), bias_error)


def _scale(
    graph: SpikingGraph,
    neuron: FloatSigmaDelta,
    calibration: Calibration,
    ports: Mapping[str, float],
    margin: float,
) -> float:
    """Largest power of two, in units of the inputs, at which states and sums of convolutions stay within 24 bits."""
    stats = calibration.populations[neuron.name]
    incoming = graph.into(neuron.name)
    units = {ports.get(projection.pre, 1.0) for projection in incoming}
    unit = units.pop() if len(units) == 1 else 1.0
    sums = [calibration.deliveries[p.name] for p in incoming if isinstance(p, FloatConv)]
    reach = max(stats.current, stats.activation, stats.voltage_high, -stats.voltage_low, *sums, 0.0) * margin
    highest = float(neuron.threshold.max())
    limits = [(rules.STATE_LIMIT - 1) / reach] if reach > 0.0 else []
    limits += [(THRESHOLD_UNITS if not limits else float((1 << 31) - 1)) / highest] if highest > 0.0 else []
    return 2.0 ** math.floor(math.log2(min(limits, default=1.0) * unit)) / unit


def _exact(neuron: FloatSigmaDelta, calibration: Calibration, scale: float, margin: float) -> Messages:
    shift = round(math.log2(scale * neuron.resolution))
    units = margin * calibration.populations[neuron.name].message * scale / 2.0**shift
    return Messages(scale, shift, max(1, math.ceil(units)), exact=True)


def _messages(
    graph: SpikingGraph,
    neuron: FloatSigmaDelta,
    calibration: Calibration,
    scales: Mapping[str, float],
    margin: float,
) -> Messages:
    scale = scales[neuron.name]
    reach = margin * calibration.populations[neuron.name].message * scale
    if reach <= 0.0:
        return Messages(scale, 0, 1)
    fits = math.ceil(math.log2(reach / (1 << (MESSAGE_BITS - 1))))
    # Nobody minds a unit that is small next to the threshold, by which a receiver may be wrong anyway.
    coarsest = max(reach / (1 << (FINE_BITS - 1)), float(neuron.threshold.min()) * scale / UNITS_OF_THRESHOLD)
    wanted = min(_for_weights(graph, neuron, calibration, scales, margin), math.floor(math.log2(coarsest)))
    shift = min(max(fits, wanted, 0), MESSAGE_SHIFT_MAX)
    return Messages(scale, shift, math.ceil(reach / 2.0**shift))


def _for_weights(
    graph: SpikingGraph,
    neuron: FloatSigmaDelta,
    calibration: Calibration,
    scales: Mapping[str, float],
    margin: float,
) -> int:
    """Shift at which the weights behind a population fill their mantissas without any exponent."""
    shift = 0
    for projection in graph.projections:
        peak = float(np.max(np.abs(weights_of(projection).astype(np.float64)), initial=0.0))
        if projection.pre != neuron.name or peak == 0.0:
            continue
        post = scales.get(projection.post) or _current_scale(calibration.populations[projection.post], margin)
        shift = max(shift, math.ceil(math.log2(MANTISSA_MAX * scales[neuron.name] / (peak * post))))
    return shift


def _current_scale(stats: PopulationStatistics, margin: float) -> float:
    """About the units of synaptic input per unit of the model that neurons with a current will get."""
    reach = max(stats.current, stats.activation, stats.voltage_high, -stats.voltage_low, _TINY)
    return (rules.STATE_LIMIT >> rules.STATE_SHIFT) / (margin * reach)
