"""What a conversion costs: error, agreement and accuracy against timesteps, and the timesteps that suffice."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from hsnn.frontends.spike.convert import MOST_TIMESTEPS, SpikeOptions, conversion
from hsnn.frontends.spike.plain import add_record, run
from hsnn.ir.hybrid import RECORD_KEY, HybridModel

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

    Array = NDArray[Any]

ENOUGH_ERROR = 0.02
"""Relative error that :attr:`SpikeCurve.enough` asks for where outputs are no classes."""
ENOUGH_SCORE = 0.01
"""Fraction of samples by which agreement or accuracy may stay below what it could be."""


@dataclass(frozen=True, slots=True)
class SpikePoint:
    """How a conversion compares with the network that it comes from.

    Attributes:
        timesteps: Timesteps of the conversion.
        error: Mean absolute difference of the first output, relative to its largest magnitude.
        agreement: Fraction of samples with the same largest output; None for outputs that are no classes.
        accuracy: Fraction of samples whose largest output is their label; None without labels.
    """

    timesteps: int
    error: float
    agreement: float | None = None
    accuracy: float | None = None


@dataclass(frozen=True, slots=True)
class SpikeCurve:
    """Conversions of more and more timesteps.

    Attributes:
        points: Conversions, fewest timesteps first; at least one.
        accuracy: Accuracy of the plain network on the same samples; None without labels.
        samples: How many samples were compared.
    """

    points: tuple[SpikePoint, ...]
    accuracy: float | None
    samples: int

    @property
    def enough(self) -> int:
        """The fewest timesteps that suffice, or the most of the curve if none do.

        Accuracy within a point of the network's where there are labels, else agreement of 99 %, else an error of 2 %.
        """
        return next((point.timesteps for point in self.points if self._suffices(point)), self.points[-1].timesteps)

    def _suffices(self, point: SpikePoint) -> bool:
        if point.accuracy is not None and self.accuracy is not None:
            return point.accuracy >= self.accuracy - ENOUGH_SCORE
        if point.agreement is not None:
            return point.agreement >= 1 - ENOUGH_SCORE
        return point.error <= ENOUGH_ERROR

    def to_json(self) -> str:
        """The curve as text; :meth:`from_json` reads it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> SpikeCurve:
        """Read what :meth:`to_json` wrote."""
        found = cast("dict[str, Any]", json.loads(text))
        return cls(tuple(SpikePoint(**point) for point in found["points"]), found["accuracy"], found["samples"])


def spike_curve(
    source: str | os.PathLike[str] | onnx.ModelProto,
    samples: Mapping[str, Array],
    options: SpikeOptions,
    labels: Array | None = None,
) -> SpikeCurve:
    """Compare conversions of 1, 2, 4, ... timesteps, up to those asked for, with the network itself, in float.

    Args:
        source: As for :func:`~hsnn.frontends.spike.convert.from_ann`.
        samples: For each input: samples to compare on, batch axis first, float32.
        options: What becomes spiking; ``timesteps`` is the last that is compared.
        labels: For each sample the index of its class.

    Raises:
        UsageError, UnsupportedError: As ``from_ann``.
    """
    counts = [1 << power for power in range(MOST_TIMESTEPS.bit_length()) if 1 << power < options.timesteps]
    ready = conversion(source, samples, options)
    expected = run(ready.network, samples, [])[0]
    points = [
        _point(timesteps, run(ready.at(timesteps).proto, samples, [])[0], expected, labels)
        for timesteps in (*counts, options.timesteps)
    ]
    exact = None if labels is None or not _classes(expected) else float(np.mean(expected.argmax(1) == labels))
    return SpikeCurve(tuple(points), exact, len(expected))


def with_curve(hybrid: HybridModel, curve: SpikeCurve) -> HybridModel:
    """Keep the comparison with the model, so that the artifact records it and its report draws it."""
    add_record(hybrid.proto, {CURVE_KEY: curve.to_json()})
    return hybrid


def _point(timesteps: int, made: Array, expected: Array, labels: Array | None) -> SpikePoint:
    largest = max(float(np.abs(expected).max()), 1e-12)
    error = float(np.abs(made - expected).mean()) / largest
    if not _classes(expected):
        return SpikePoint(timesteps, error)
    winners = made.argmax(1)
    accuracy = None if labels is None else float(np.mean(winners == labels))
    return SpikePoint(timesteps, error, float(np.mean(winners == expected.argmax(1))), accuracy)


def _classes(output: Array) -> bool:
    return output.ndim == 2 and output.shape[1] > 1


CURVE_KEY = f"{RECORD_KEY}spike_curve"
"""Where a hybrid model keeps its curve."""
