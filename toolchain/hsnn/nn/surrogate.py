"""Surrogate gradients: what stands in for the derivative of a spike with respect to the voltage.

Only training sees them; the forward value of a spike is exactly 0 or 1. ``x`` is the distance of the
voltage from the threshold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from hsnn.errors import UsageError


class Surrogate(Protocol):
    """Anything that gives a derivative for the distance from the threshold."""

    def derivative(self, distance: Tensor) -> Tensor:
        """Return the derivative of a spike by the voltage.

        Args:
            distance: Voltage less threshold, of any shape.

        Returns:
            Of the same shape and type.
        """
        ...


@dataclass(frozen=True, slots=True)
class Atan:
    """``alpha / 2 / (1 + (pi / 2 * alpha * x)**2)``; Fang et al., ICCV 2021 (arXiv 2007.05785)."""

    alpha: float = 2.0

    def derivative(self, distance: Tensor) -> Tensor:
        """Return the derivative of the arc tangent, ``alpha / 2`` at the threshold; shape and dtype of ``distance``."""
        return self.alpha / 2 / (1 + (math.pi / 2 * self.alpha * distance).square())


@dataclass(frozen=True, slots=True)
class FastSigmoid:
    """``1 / (1 + slope * |x|)**2``; Zenke and Ganguli, Neural Computation 2018 (SuperSpike)."""

    slope: float = 10.0

    def derivative(self, distance: Tensor) -> Tensor:
        """Return the derivative of the fast sigmoid, scaled to 1 at the threshold; shape and dtype of ``distance``."""
        return (1 + self.slope * distance.abs()).square().reciprocal()


@dataclass(frozen=True, slots=True)
class Triangle:
    """``max(0, 1 - |x| / width) / width``; after Bellec et al., NeurIPS 2018 (arXiv 1803.09574)."""

    width: float = 1.0

    def derivative(self, distance: Tensor) -> Tensor:
        """Return a triangle of area 1, zero from ``width`` on; shape and dtype of ``distance``."""
        return (1 - distance.abs() / self.width).clamp(min=0) / self.width


SURROGATES: dict[str, Surrogate] = {"atan": Atan(), "fast_sigmoid": FastSigmoid(), "triangle": Triangle()}


def find_surrogate(surrogate: str | Surrogate) -> Surrogate:
    """Return the surrogate of that name, or the one that was given.

    Raises:
        UsageError: ``HSNN-U024``, if there is none of that name.
    """
    if not isinstance(surrogate, str):
        return surrogate
    if surrogate not in SURROGATES:
        raise UsageError(
            "HSNN-U024",
            f"there is no surrogate gradient {surrogate!r}",
            allowed=", ".join(SURROGATES) + ", or an object with a method derivative",
            fix="choose one of them, or give hsnn.nn.Surrogate",
        )
    return SURROGATES[surrogate]


def spike(distance: Tensor, fires: Tensor, surrogate: Surrogate) -> Tensor:
    """Return the spikes, with a surrogate gradient toward ``distance``.

    Args:
        distance: Voltage minus threshold, any shape.
        fires: Where there is a spike, bool, same shape.
        surrogate: Derivative to use.

    Returns:
        0 or 1, dtype and shape of ``distance``.
    """
    spikes: Tensor = _Spike.apply(distance, fires, surrogate)  # type: ignore[no-untyped-call]  # torch has no types
    return spikes


def straight_through(value: Tensor, hard: Tensor) -> Tensor:
    """Return ``hard``, and pass its gradient on to ``value`` unchanged; both have the same shape."""
    result: Tensor = _StraightThrough.apply(value, hard)  # type: ignore[no-untyped-call]  # torch has no types
    return result


class _Spike(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, distance: Tensor, fires: Tensor, surrogate: Surrogate) -> Tensor:
        ctx.save_for_backward(distance)
        ctx.surrogate = surrogate
        return fires.to(distance.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (distance,) = ctx.saved_tensors
        return gradients[0] * ctx.surrogate.derivative(distance), None, None


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, hard: Tensor) -> Tensor:
        return hard.view_as(hard)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None
