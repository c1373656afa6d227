"""The rate code of a head, and its spikes as lists of events."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hsnn_models.colanet.parameters import Parameters


@dataclass(frozen=True, slots=True, eq=False)
class Events:
    """Input spikes of some samples.

    Attributes:
        features: Which features spike, ascending within a timestep, int32, shape ``(spike,)``.
        starts: Where the spikes of a timestep start, int64, shape ``(sample, timestep + 1)``; the last is their end.
    """

    features: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]

    def at(self, sample: int, timestep: int) -> npt.NDArray[np.int32]:
        """Return the features that spike in a timestep of a sample."""
        return self.features[self.starts[sample, timestep] : self.starts[sample, timestep + 1]]


def encode(values: npt.NDArray[np.float32], parameters: Parameters) -> Events:
    """Encode as ``hsnn.nn.RateEncode`` does with a scale of 1; nothing is carried from sample to sample.

    Args:
        values: Features by their scales, float32, shape ``(sample, feature)``; clipped to [0, 1].
        parameters: For ``active``, ``wait`` and ``initial``.
    """
    rate = np.clip(values, np.float32(0), np.float32(1))
    total = np.full_like(rate, parameters.initial)
    spikes = np.zeros((len(rate), parameters.timesteps, rate.shape[1]), np.bool_)
    for t in range(parameters.active):
        total += rate
        spikes[:, t] = total >= 1
        total -= spikes[:, t]
    counts = spikes.sum(axis=2).reshape(-1)
    ends = np.concatenate((np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)))
    rows = np.arange(len(rate))[:, None] * parameters.timesteps
    return Events(np.nonzero(spikes)[2].astype(np.int32), ends[rows + np.arange(parameters.timesteps + 1)])
