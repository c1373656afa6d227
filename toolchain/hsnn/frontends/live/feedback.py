"""Spikes that a neuron layer sends back to itself through a module of its own, as one matrix."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn

from hsnn.frontends.live.spec import inexpressible

MOST_FEEDBACK = 1 << 26
"""Most elements of a recurrent matrix: 8192 neurons, 256 MiB of float32."""


def feedback_of(module: nn.Module, shape: tuple[int, ...]) -> tuple[Tensor, Tensor | None]:
    """Return what an affine module computes between features of one shape.

    Args:
        module: Any affine module from ``(batch, *shape)`` to the same; it is asked for each neuron alone, so the
            matrix holds its very weights.
        shape: Feature shape.

    Returns:
        The matrix ``(post, pre)`` over the features in their order; and what it gives without any spike,
        ``shape``, or ``None`` for nothing.

    Raises:
        UnsupportedError: ``HSNN-F091``, if the features do not fit the module, or are too many.
    """
    neurons = math.prod(shape)
    if neurons * neurons > MOST_FEEDBACK:
        raise inexpressible(
            f"it feeds back among {neurons} neurons of shape {shape}, which hsnn holds as one matrix",
            allowed=f"up to {math.isqrt(MOST_FEEDBACK)} neurons",
            fix="make the layer smaller (a stride or a pool in front of it), or register your own layers with "
            "hsnn.register_neuron",
        )
    silent = copy.deepcopy(module).eval()
    with torch.no_grad():
        try:
            constant = module(torch.zeros(1, *shape))
            for part in silent.modules():
                if isinstance(getattr(part, "bias", None), Tensor):
                    part.bias = None  # type: ignore[assignment]  # torch allows it
            columns = silent(torch.eye(neurons).reshape(neurons, *shape))
        except RuntimeError as error:
            raise inexpressible(
                f"its feedback {type(module).__name__} does not take features of shape {shape}: {error}",
                allowed="features that the feedback returns in the same shape",
            ) from error
    if tuple(columns.shape) != (neurons, *shape):
        raise inexpressible(
            f"its feedback {type(module).__name__} makes {tuple(columns.shape[1:])} of features {shape}",
            allowed="the same shape, as odd kernels give",
        )
    return columns.reshape(neurons, neurons).t().contiguous(), constant[0] if bool(constant.any()) else None
