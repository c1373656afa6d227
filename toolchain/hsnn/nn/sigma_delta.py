"""Sigma-delta neurons: ``(timestep, batch, *feature)`` to graded messages of the same shape."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from hsnn.nn.neuron import Neuron, Parameter
from hsnn.nn.surrogate import straight_through
from hsnn.nn.symbolic import exporting


class Delta(Neuron):
    """Send a value when it has moved far enough from what has been sent.

    ::

        d = x[t] - sent;   s[t] = d where |d| >= threshold, else 0;   sent = sent + s[t]

    The gradient takes every difference as sent.

    Args:
        threshold: Smallest change that is sent, 0 or more; a number, or a tensor that broadcasts to the feature shape.

    Raises:
        UsageError: ``HSNN-U023``, if the threshold is out of range.
    """

    threshold: Tensor

    def __init__(self, threshold: Parameter = 0.1) -> None:
        super().__init__("Delta", {})
        self._add_value("threshold", threshold, learn=False, low=0.0, high=math.inf)

    def forward(self, x: Tensor) -> Tensor:
        """Return the messages for ``x``, both ``(timestep, batch, *feature)``; raises ``HSNN-U022``."""
        self._check_input(x, self.threshold)
        if exporting():
            return self.emit((x, self.threshold))
        return torch.stack([message for message, _ in _encode(x.unbind(0), self.threshold)])

    @property
    def quantum(self) -> float:
        """Smallest message that can be."""
        return float(self.threshold.min())

    def decision_margin(self, x: Tensor) -> Tensor:
        """See :meth:`OpLayer.decision_margin`."""
        return _margin(list(_encode(x.unbind(0), self.threshold)), self.threshold)


class SigmaDelta(Neuron):
    """Sum what comes, and send how the activation of the sum changes.

    ::

        sigma = sigma + x[t];   a = relu(sigma + bias)  or  sigma + bias
        d = a - sent;   s[t] = d where |d| >= threshold, else 0;   sent = sent + s[t]

    Layers between sigma-delta neurons should have no bias of their own: it would be summed at every timestep.
    The gradient takes every difference as sent.

    Args:
        threshold: Smallest change that is sent, 0 or more. Like ``bias``: a number, or a tensor that broadcasts to
            the feature shape.
        bias: Added to the sum.
        activation: ``relu`` or ``identity``.
        learn_bias: Whether the bias is trained.

    Raises:
        UsageError: ``HSNN-U020`` or ``HSNN-U023``, if an argument is out of range.
    """

    threshold: Tensor
    activation: str

    def __init__(
        self,
        threshold: Parameter = 0.1,
        *,
        bias: Parameter = 0.0,
        activation: str = "relu",
        learn_bias: bool = False,
    ) -> None:
        super().__init__("SigmaDelta", {"activation": activation})
        self._add_value("threshold", threshold, learn=False, low=0.0, high=math.inf)
        self._add_value("bias", bias, learn=learn_bias, low=-math.inf, high=math.inf)

    def forward(self, x: Tensor) -> Tensor:
        """Return the messages for ``x``, both ``(timestep, batch, *feature)``; raises ``HSNN-U022``."""
        self._check_input(x, self.threshold, self.bias)
        if exporting():
            return self.emit((x, self.threshold, self.bias))
        return torch.stack(
            [message for message, _ in _encode(activations(x, self.bias, self.activation), self.threshold)]
        )

    @property
    def quantum(self) -> float:
        """Smallest message that can be."""
        return float(self.threshold.min())

    def decision_margin(self, x: Tensor) -> Tensor:
        """See :meth:`OpLayer.decision_margin`."""
        return _margin(list(_encode(activations(x, self.bias, self.activation), self.threshold)), self.threshold)


def activations(x: Tensor, bias: Tensor, activation: str) -> Iterator[Tensor]:
    """Yield the activation of the sum at every timestep; the order of operations is that of the ONNX function.

    Args:
        x: Messages, shape ``(timestep, batch, *feature)``.
        bias: Added to the sum, not summed up itself; broadcasts to the feature shape.
        activation: ``relu``, or anything else for none.

    Yields:
        Shape ``(batch, *feature)``.
    """
    sigma = torch.zeros_like(x[0])
    for arriving in x.unbind(0):
        sigma = sigma + arriving
        biased = sigma + bias
        yield biased.relu() if activation == "relu" else biased


def _encode(activations: Iterator[Tensor] | tuple[Tensor, ...], threshold: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield messages, and the differences that were compared; the order of operations is that of the ONNX function."""
    sent: Tensor | None = None
    for activation in activations:
        due = activation if sent is None else activation - sent
        message = straight_through(due, torch.where(due.detach().abs() >= threshold, due.detach(), 0.0))
        sent = message if sent is None else sent + message
        yield message, due


def _margin(steps: list[tuple[Tensor, Tensor]], threshold: Tensor) -> Tensor:
    due = torch.stack([due for _, due in steps]).abs()
    largest = torch.maximum(due.max(), threshold.max()).clamp(min=torch.finfo(due.dtype).tiny)
    return (due - threshold).abs() / largest
