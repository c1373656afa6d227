"""What values an input carries: their range, and the grid that they lie on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float = NDArray[np.float64]

_GRID_STEPS = 1 << 16
"""Largest number of grid steps up to the largest magnitude for which a grid is looked for."""
_GRID_SAMPLE = 1 << 12
"""Number of values from which the grid is guessed; all values then have to lie on it."""
_GRID_TOLERANCE = 0.02
"""Distance from the grid, in steps, that is put down to float32."""


@dataclass(frozen=True, slots=True)
class PortRange:
    """Values that an input carried during calibration.

    Attributes:
        magnitude: Largest magnitude.
        signed: Whether any value was negative.
        integral: Whether all values were integers.
        grid: Step of which all values are multiples (to float32 precision), at most ``magnitude``;
            0 if there is none above ``magnitude / 65536``, or if all values were 0.
        mean_square: Mean of the squares.
        count: Number of values.
    """

    magnitude: float
    signed: bool
    integral: bool
    grid: float
    mean_square: float
    count: int

    def merge(self, other: PortRange) -> PortRange:
        """Return the range of both sets of values together."""
        count = self.count + other.count
        return PortRange(
            max(self.magnitude, other.magnitude),
            self.signed or other.signed,
            self.integral and other.integral,
            _common_grid(self, other),
            (self.mean_square * self.count + other.mean_square * other.count) / count,
            count,
        )


def measure_port(values: NDArray[np.generic]) -> PortRange:
    """Measure finite values, at least one, of any shape and dtype; in float64."""
    flat = values.astype(np.float64).ravel()
    magnitudes = np.abs(flat)
    magnitude = float(magnitudes.max())
    return PortRange(
        magnitude,
        bool(np.any(flat < 0)),
        bool(np.all(flat == np.rint(flat))),
        _grid(magnitudes, magnitude),
        float(np.mean(flat * flat)),
        flat.size,
    )


def _grid(magnitudes: Float, largest: float) -> float:
    """Find the step of which all magnitudes are multiples, or return 0."""
    if largest == 0.0:
        return 0.0
    stride = max(1, magnitudes.size // _GRID_SAMPLE)
    step = largest
    for value in np.unique(magnitudes[::stride]):
        step = _divisor(float(value), step, largest / (16 * _GRID_STEPS))
        if step * _GRID_STEPS < largest:
            return 0.0
    # The largest value has the smallest relative error, so the step is taken from it.
    step = largest / round(largest / step)
    off = np.abs(magnitudes / step - np.rint(magnitudes / step))
    return step if float(off.max()) < _GRID_TOLERANCE else 0.0


def _divisor(first: float, second: float, tolerance: float) -> float:
    """Euclid's algorithm on floats: remainders up to ``tolerance`` are rounding errors."""
    larger, smaller = max(first, second), min(first, second)
    while smaller > tolerance:
        larger, smaller = smaller, abs(larger - round(larger / smaller) * smaller)
    return larger


def _common_grid(first: PortRange, second: PortRange) -> float:
    """Find the step of which the steps of both ranges are multiples, or return 0."""
    silent, active = sorted((first, second), key=lambda port: port.magnitude)
    if silent.magnitude == 0.0:
        return active.grid
    if not (silent.grid and active.grid):
        return 0.0
    largest = active.magnitude
    step = _divisor(silent.grid, active.grid, largest / (16 * _GRID_STEPS))
    return largest / round(largest / step) if step * _GRID_STEPS >= largest else 0.0
