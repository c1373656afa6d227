"""How features of any range become spike rates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from hsnn.errors import UsageError
from hsnn_models.colanet.features import finite_features
from hsnn_models.colanet.state import Floats

QUANTILE: Final = 0.9
"""Share of a feature's values that lie below its scale."""
CENTRE: Final = 0.5
"""Share of a feature's mean that sends nothing."""
SMALLEST_SCALE: Final = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Scaling:
    """How features become spike rates: ``(feature - offset) / scale``, clipped to [0, 1].

    Attributes:
        offset: Value that sends nothing, float32, shape ``(feature,)``.
        scale: Distance from there to the value that spikes at every timestep, float32, above 0, shape ``(feature,)``.
    """

    offset: Floats
    scale: Floats

    @classmethod
    def of(cls, features: Floats, *, quantile: float = QUANTILE, centre: float = CENTRE) -> Scaling:
        """Measure the range of each feature on samples that may be learned from.

        Args:
            features: Shape ``(sample, feature)``.
            quantile: Share of values below the largest rate.
            centre: Share of a feature's mean that is subtracted from it.

        Raises:
            UsageError: ``HSNN-U222`` or ``HSNN-U224``, as `ColanetHead.learn`.
        """
        values = checked_features(features, None)
        offset = (values.mean(axis=0) * np.float32(centre)).astype(np.float32)
        top = np.quantile(values, quantile, axis=0).astype(np.float32)
        return cls(offset, np.maximum(top - offset, np.float32(SMALLEST_SCALE)))

    def __call__(self, features: Floats) -> Floats:
        """Return the rates, not clipped yet; float32, shape of ``features``."""
        return (features - self.offset) / self.scale


def checked_features(features: Floats, count: int | None) -> Floats:
    """Return features as contiguous float32 of shape ``(sample, feature)``.

    Args:
        features: What was given.
        count: Wanted number of features; None takes any, but at least one sample.

    Raises:
        UsageError: ``HSNN-U222``, if one is NaN or infinite; ``HSNN-U224``, if they are no floats of that shape.
    """
    values = np.asarray(features)
    right = values.ndim == 2 and values.dtype.kind == "f" and (count is None or values.shape[1] == count)
    if not right or (count is None and not len(values)):
        raise UsageError(
            "HSNN-U224",
            f"features are {values.dtype} of shape {values.shape}",
            allowed=f"floats of shape (sample, {'feature' if count is None else count})",
        )
    finite_features(values)
    return np.ascontiguousarray(values, np.float32)
