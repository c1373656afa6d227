"""Adaptive average pooling whose windows differ in size, written as a product: what ONNX has for it is no synapse.

A VGG ends in such a layer, which makes 7 x 7 features of whatever it gets. Where all windows are of one size it is an
ordinary average pooling, and stays one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

POOLS: dict[Callable[..., Any], int] = {
    torch.adaptive_avg_pool1d: 1,
    functional.adaptive_avg_pool2d: 2,
    torch._C._nn.adaptive_avg_pool2d: 2,
}
"""The functions, and how many axes they pool."""
MOST_WEIGHTS = 1 << 18
"""Weights of a product, a megabyte; a larger one stays what it is."""


class UnevenPools(TorchFunctionMode):
    """Context in which adaptive average pooling with windows of several sizes is a product with their shares."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call a function of torch, or what stands in for it."""
        kwargs = kwargs or {}
        axes = POOLS.get(func)
        if axes is None:
            return func(*args, **kwargs)
        x, sizes = _arguments(*args, **kwargs)
        inputs = tuple(x.shape[-axes:])
        named = (sizes,) * axes if isinstance(sizes, int) else tuple(sizes)
        outputs = tuple(before if after is None else after for before, after in zip(inputs, named, strict=True))
        even = all(before % after == 0 for before, after in zip(inputs, outputs, strict=True))
        if even or math.prod((*inputs, *outputs)) > MOST_WEIGHTS:
            return func(*args, **kwargs)
        return _pooled(x, inputs, outputs)


def window_shares(inputs: int, outputs: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the share that each input has in each output, shape ``(inputs, outputs)``.

    Window ``i`` goes from ``floor(i * inputs / outputs)`` to below ``ceil((i + 1) * inputs / outputs)``
    (torch, ``aten/src/ATen/native/AdaptivePooling.h``).

    >>> window_shares(3, 2)
    array([[0.5, 0. ],
           [0.5, 0.5],
           [0. , 0.5]])
    """
    shares = np.zeros((inputs, outputs))
    for index in range(outputs):
        first, last = index * inputs // outputs, -(-(index + 1) * inputs // outputs)
        shares[first:last, index] = 1 / (last - first)
    return shares


def _arguments(input: Tensor, output_size: Any) -> tuple[Tensor, Any]:
    """The arguments, by torch's names for them."""
    return input, output_size


def _pooled(x: Tensor, inputs: Sequence[int], outputs: Sequence[int]) -> Tensor:
    shares = np.ones((1, 1))
    for pair in zip(inputs, outputs, strict=True):
        shares = np.kron(shares, window_shares(*pair))
    flat = x.flatten(-len(inputs)) @ torch.tensor(shares, dtype=x.dtype)
    return flat.reshape(*x.shape[: -len(inputs)], *outputs)
