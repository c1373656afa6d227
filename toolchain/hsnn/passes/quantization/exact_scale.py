"""Find the scale at which the integers of neurons on a grid are exactly what the model says.

Networks that lava-dl trains have states, weights and thresholds of fixed point already. One unit of their grid then
becomes one unit of the chip, and every integer is that of training. Where a value is not on the grid, such as real
input or weights of more bits, the scale is chosen as for any other model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from hsnn.ir import arithmetic as rules
from hsnn.ir.spiking import CurrentNeuron, FloatConv, FloatSigmaDelta, SpikingGraph
from hsnn.ir.validate_neurons import MESSAGE_SHIFT_MAX
from hsnn.passes.quantization.quantize_neurons import quantize_neuron
from hsnn.passes.quantization.quantize_weights import quantize_projection
from hsnn.passes.quantization.require_exact import changes
from hsnn.passes.quantization.state_range import Incoming, StateRange, largest_scale
from hsnn.passes.simulation.synapses import weights_of

if TYPE_CHECKING:
    from hsnn.passes.simulation.calibrate import Calibration

STATE_EXPONENT = 6
"""Bits of a sigma-delta state below a unit of its messages; what netx gives Lava, lava-dl 0.6.0."""

_STATE_MAX = float((1 << 31) - 1)


def exact_scale(
    neuron: CurrentNeuron, incoming: Sequence[Incoming], needed: StateRange, *, margin: float
) -> float | None:
    """Return units of the chip per unit of the model's voltage; None if nothing would be exact.

    Args:
        neuron: Neurons.
        incoming: Their projections.
        needed: Magnitudes that have to fit.
        margin: Factor on what calibration saw.
    """
    if not neuron.resolution or any(item.noise for item in incoming):
        return None
    scale = 1.0 / neuron.resolution
    if largest_scale(neuron, incoming, needed, margin=margin) < scale:
        return None
    _, errors = quantize_neuron(neuron, scale)
    rounded = [quantize_projection(item.projection, scale, payload_scale=item.payload_scale)[1] for item in incoming]
    return None if changes(neuron, rounded, errors, scale) else scale


def exact_messages(
    graph: SpikingGraph, neuron: FloatSigmaDelta, calibration: Calibration, ports: Mapping[str, float], *, margin: float
) -> float | None:
    """Return units of a sigma-delta state per unit of the model; None if nothing would be exact.

    A message has ``2**STATE_EXPONENT`` of them, or as many as the scale that the model fixes gives it.

    Args:
        graph: A segment.
        neuron: Neurons on a grid.
        calibration: What they did with real samples.
        ports: Scale of each input: value of one unit of payload.
        margin: Factor on what calibration saw.
    """
    if not neuron.resolution:
        return None
    scale = neuron.scale or 2.0**STATE_EXPONENT / neuron.resolution
    if math.log2(scale * neuron.resolution) not in range(MESSAGE_SHIFT_MAX + 1):
        return None
    stats = calibration.populations[neuron.name]
    # States and sums have 32 bits, those of convolutions 24.
    reach = margin * scale * max(stats.current, stats.activation, stats.voltage_high, -stats.voltage_low)
    values = [neuron.bias * scale]
    for projection in graph.into(neuron.name):
        source = graph.source(projection.pre)
        unit = source.resolution if isinstance(source, FloatSigmaDelta) else ports.get(projection.pre, 1.0)
        if not unit or math.log2(unit) % 1:
            return None
        summed = margin * scale * calibration.deliveries[projection.name]
        if isinstance(projection, FloatConv) and summed >= rules.STATE_LIMIT:
            return None
        reach = max(reach, summed)
        _, errors = quantize_projection(projection, scale * 2.0**rules.STATE_SHIFT, payload_scale=unit)
        if errors.snr_db:
            return None
        values.append(weights_of(projection).astype(np.float64) * unit * scale)
    exact = all(np.all(array == np.rint(array)) for array in values)
    return scale if exact and reach < _STATE_MAX else None
