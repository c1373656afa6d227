"""What any input at all can do to the integers of a population."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hsnn.ir import arithmetic as rules
from hsnn.ir.populations import Neuron, ResonatorPopulation, SigmaDeltaPopulation
from hsnn.ir.projections import ConvProjection, Projection
from hsnn.passes.simulation.synapses import extreme_sums

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SUM_MAX = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class WorstCase:
    """Bounds as fractions of the range: at most 1 means that it never happens.

    Attributes:
        current: Of the current, before it wraps.
        voltage: Of the voltage, before it saturates.
        sums: Of the sum of a projection, before that wraps; the worst one.
    """

    current: float
    voltage: float
    sums: float


def worst_case(
    neuron: Neuron, incoming: Sequence[Projection], payloads: Mapping[str, tuple[int, bool]], *, timesteps: int
) -> WorstCase:
    """Bound the states of a population over all inputs.

    Args:
        neuron: Integer population.
        incoming: All projections that end there.
        payloads: Largest magnitude that each source sends, and whether it may be negative.
        timesteps: Timesteps per sample.
    """
    lowest = highest = sums = 0.0
    for projection in incoming:
        payload, signed = payloads[projection.pre]
        low, high = (x * payload * 2.0**projection.weight_exp for x in extreme_sums(projection, signed=signed))
        lowest, highest = lowest + low, highest + high
        limit = rules.VOLTAGE_MAX if isinstance(projection, ConvProjection) else _SUM_MAX
        sums = max(sums, -low / limit, high / limit)
    arriving = max(-lowest, highest)
    if isinstance(neuron, SigmaDeltaPopulation):
        total = arriving * (timesteps if neuron.accumulate else 1)
        wanted = total + float(np.max(np.abs(neuron.bias.astype(np.int64))))
        return WorstCase(total / rules.VOLTAGE_MAX, wanted / rules.VOLTAGE_MAX, sums)
    if isinstance(neuron, ResonatorPopulation):
        # Both parts get as much at the same time; what is kept of it is the radius.
        step = arriving * 2.0**rules.STATE_SHIFT
        kept = np.hypot(neuron.cos_decay, neuron.sin_decay) / rules.DECAY_ONE
        reached = math.sqrt(2.0) * step * growth(1.0 - kept, timesteps)
        return WorstCase(step / rules.VOLTAGE_MAX, reached / rules.VOLTAGE_MAX, sums)
    # Synaptic input is shifted in 32 bits; a shift that overflows them is beyond the current's range too.
    current = arriving * 2.0**rules.STATE_SHIFT * growth((neuron.du + 1) / rules.DECAY_ONE, timesteps)
    bias = float(np.max(np.abs(neuron.bias.astype(np.int64))))
    voltage = (current + bias) * growth(neuron.dv / rules.DECAY_ONE, timesteps)
    return WorstCase(current / rules.VOLTAGE_MAX, voltage / rules.VOLTAGE_MAX, sums)


def growth(decay: NDArray[np.float64], timesteps: int) -> float:
    """Largest sum that a state with these decays reaches from a constant input of 1.

    Args:
        decay: Fractions lost per timestep, 0 to 1, any shape; the smallest counts.
        timesteps: Timesteps, in each of which 1 is added.

    >>> growth(np.array([0.5, 1.0]), 3), growth(np.array(0.0), 3)
    (1.75, 3.0)
    """
    kept = 1.0 - float(decay.min())
    return float(timesteps) if kept == 1.0 else (1.0 - kept**timesteps) / (1.0 - kept)
