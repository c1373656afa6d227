"""Gradients for bit planes: what stands in for the derivative of a bit with respect to the value.

A bit plane is a square wave of ``z = levels * x'``, whose derivative is zero or infinite. Each of the three
published surrogates smooths it, with ``r = z / 2**k`` and ``sigma`` the logistic function::

    sig_sine        u = -10 sin(pi r)      dB_k/dz = sigma(u) (1 - sigma(u)) u'
    tanh_sine       u = -10 sin(pi r)      dB_k/dz = 1/2 sech(u)**2 u'
    fourier_sine                           dB_k/dz = 1/2 - sum_{n = 1, 3, 5, 7, 9} 2 / 2**k cos(n pi r)

and all three weight plane ``k`` of ``n`` with the order-aware factor ``G_k = k / 2**(n - 1 - k)``::

    dL/dx' = levels * sum_k dL/dB_k G_k dB_k/dz

so the least significant plane has no gradient, and a single plane none at all. ``straight_through`` gives
every plane the gradient of ``x'``. The forward value is never touched.

Source: HAS-8, arXiv 2509.24411, and its code luutn2002/has-8 @ faa28fc, from where the constants are: also the
1/2 of ``fourier_sine``, which the derivative of its Fourier series would not have.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import torch
from torch import Tensor

from hsnn.nn.surrogate import straight_through

PlaneGradient: TypeAlias = Callable[[Tensor, Tensor, "tuple[int, ...]"], Tensor]
"""Takes the rescaled values, the planes, and for each timestep the significance ``k`` of its plane; returns
the planes with a gradient."""
Derivative: TypeAlias = Callable[[Tensor, int], Tensor]
"""Derivative of plane ``k`` with respect to ``z``; takes ``z`` and ``k``."""

ALPHA: Final = -10.0
HARMONICS: Final = 5


def order_factor(k: int, planes: int) -> float:
    """Weight of plane ``k`` (0 is the least significant) of ``planes`` in the gradient: ``k / 2**(planes - 1 - k)``."""
    return k / 2.0 ** (planes - 1 - k)


def sig_sine(z: Tensor, k: int) -> Tensor:
    """Derivative of ``sigma(-10 sin(pi z / 2**k))`` by ``z``; constants from ``luutn2002/has-8 @ faa28fc``.

    Args:
        z: Rescaled values times ``2**planes - 1``, any shape, floating point.
        k: Significance of the plane, 0 for the least.

    Returns:
        Shape and dtype of ``z``.
    """
    u, slope = _sine(z, k)
    return torch.sigmoid(u) * torch.sigmoid(-u) * slope


def tanh_sine(z: Tensor, k: int) -> Tensor:
    """Derivative of ``(1 + tanh(-10 sin(pi z / 2**k))) / 2`` by ``z``; arguments and result as :func:`sig_sine`."""
    u, slope = _sine(z, k)
    return slope / (2 * torch.cosh(u).square())


def fourier_sine(z: Tensor, k: int) -> Tensor:
    """Derivative of a square wave's first five harmonics, plus the published 1/2; arguments as :func:`sig_sine`."""
    phase = _phase(z, k)
    waves = [torch.cos(n * phase) for n in range(1, 2 * HARMONICS, 2)]
    return 0.5 - 2.0 / 2.0**k * torch.stack(waves).sum(0)


def _phase(z: Tensor, k: int) -> Tensor:
    """``pi z / 2**k`` within one period: the remainder is exact, so large ``z`` cost no precision."""
    return math.pi * torch.remainder(z / 2.0**k, 2.0)


def _sine(z: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """``u = alpha sin(pi z / 2**k)`` and its derivative."""
    phase = _phase(z, k)
    return ALPHA * torch.sin(phase), ALPHA * math.pi / 2.0**k * torch.cos(phase)


def _straight_through(rescaled: Tensor, planes: Tensor, significance: tuple[int, ...]) -> Tensor:
    return straight_through(rescaled.unsqueeze(0).expand_as(planes), planes)


def _smoothed(derivative: Derivative) -> PlaneGradient:
    def gradient(rescaled: Tensor, planes: Tensor, significance: tuple[int, ...]) -> Tensor:
        z = rescaled * (2.0 ** len(significance) - 1)
        result: Tensor = _Planes.apply(z, planes, derivative, significance)  # type: ignore[no-untyped-call]  # torch
        return result

    return gradient


class _Planes(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, planes: Tensor, derivative: Derivative, significance: tuple[int, ...]) -> Tensor:
        ctx.save_for_backward(z)
        ctx.derivative, ctx.significance = derivative, significance
        return planes.view_as(planes)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (z,) = ctx.saved_tensors
        total = torch.zeros_like(z)
        # One plane after the other: all at once would take eight times the memory of the spikes.
        for gradient, k in zip(gradients[0], ctx.significance, strict=True):
            factor = order_factor(k, len(ctx.significance))
            if factor:
                total += gradient * (factor * ctx.derivative(z, k))
        return total, None, None, None


PLANE_GRADIENTS: dict[str, PlaneGradient] = {
    "straight_through": _straight_through,
    "sig_sine": _smoothed(sig_sine),
    "tanh_sine": _smoothed(tanh_sine),
    "fourier_sine": _smoothed(fourier_sine),
}
"""Gradients of :class:`hsnn.nn.BitPlaneEncode` by name."""
