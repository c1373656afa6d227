"""Compare the spikes of integers with those of floats: precision, recall, rates, and neurons gone silent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Sent = NDArray[np.generic]


EVIDENCE = 5
"""Float spikes from which on a neuron's silence in integers is no chance: where one spike in two is lost, all five of a
neuron are lost once in 32 times."""


@dataclass(frozen=True, slots=True)
class SpikeQuality:
    """How well spikes agree, over all timesteps, samples and neurons.

    Attributes:
        precision: Share of the integer spikes that are float spikes; 1 if there are none.
        recall: Share of the float spikes that are integer spikes; 1 if there are none.
        f1: Their harmonic mean; 1 if both layers are silent.
        float_spikes, integer_spikes: Numbers of spikes; neurons that count may send several in a timestep.
        float_rate, integer_rate: Spikes per neuron and timestep.
        rate_error: Difference of the rates relative to float; 1 if only the integer layer spikes.
        newly_dead: Neurons that spike :data:`EVIDENCE` times or more in float and never in integers.
        dead: Neurons that spike in neither.
    """

    precision: float
    recall: float
    f1: float
    float_spikes: int
    integer_spikes: int
    float_rate: float
    integer_rate: float
    rate_error: float
    newly_dead: int
    dead: int


def compare_spikes(wanted: Sent, found: Sent) -> SpikeQuality:
    """Compare spike trains.

    Args:
        wanted: Float spikes, bool or counts, shape ``(timestep, batch, *feature)``, not empty.
        found: Integer spikes or counts, same shape.
    """
    first, second = wanted.astype(np.int64), found.astype(np.int64)
    both, float_spikes, integer_spikes = (int(x.sum()) for x in (np.minimum(first, second), first, second))
    sent_float, silent = first.sum(axis=(0, 1)), ~second.any(axis=(0, 1))
    difference = abs(integer_spikes - float_spikes)
    return SpikeQuality(
        precision=both / integer_spikes if integer_spikes else 1.0,
        recall=both / float_spikes if float_spikes else 1.0,
        f1=2.0 * both / (float_spikes + integer_spikes) if float_spikes + integer_spikes else 1.0,
        float_spikes=float_spikes,
        integer_spikes=integer_spikes,
        float_rate=float_spikes / wanted.size,
        integer_rate=integer_spikes / found.size,
        rate_error=difference / float_spikes if float_spikes else float(difference > 0),
        newly_dead=int(np.count_nonzero((sent_float >= EVIDENCE) & silent)),
        dead=int(np.count_nonzero((sent_float == 0) & silent)),
    )
