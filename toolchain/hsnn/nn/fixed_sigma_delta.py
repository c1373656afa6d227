"""Sigma-delta neurons whose messages are numbers of fixed point already in float; see :mod:`hsnn.nn.fixed`."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from hsnn.nn.neuron import Neuron, Parameter
from hsnn.nn.sigma_delta import activations
from hsnn.nn.symbolic import exporting

_SUM_BORDER = 2.0
"""How much nearer than a threshold a value has to be to a border of rounding to count as undecided."""
_FINER = 64.0
"""Messages times the weights that lava-dl trains are multiples of the resolution over 64, whose sums are exact."""


class FixedDelta(Neuron):
    """:class:`~hsnn.nn.Delta` whose messages are rounded down to multiples of ``resolution``.

    What that cuts off is never sent, as on Lava.

    Args:
        threshold: Smallest change that is sent, 0 or more; a number, or a tensor that broadcasts to the feature shape.
        resolution: Unit of messages; above 0.

    Raises:
        UsageError: ``HSNN-U020`` or ``HSNN-U023``, if an argument is out of range.
    """

    threshold: Tensor
    resolution: float

    def __init__(self, threshold: Parameter = 0.1, *, resolution: float) -> None:
        super().__init__("FixedDelta", {"resolution": resolution})
        self._add_value("threshold", threshold, learn=False, low=0.0, high=math.inf)

    def forward(self, x: Tensor) -> Tensor:
        """Return the messages for ``x``, both ``(timestep, batch, *feature)``; raises ``HSNN-U022``."""
        self._check_input(x, self.threshold)
        if exporting():
            return self.emit((x, self.threshold))
        return torch.stack([message for message, _ in self._encode(x.unbind(0))])

    @property
    def quantum(self) -> float:
        """Smallest difference between two messages."""
        return max(float(self.threshold.min()), self.resolution)

    def decision_margin(self, x: Tensor) -> Tensor:
        """See :meth:`OpLayer.decision_margin`."""
        return self._margin(x, x.unbind(0))

    def _margin(self, x: Tensor, activations: Iterator[Tensor] | tuple[Tensor, ...]) -> Tensor:
        due = torch.stack([due for _, due in self._encode(activations)])
        largest = torch.maximum(due.abs().max(), self.threshold.max()).clamp(min=torch.finfo(due.dtype).tiny)
        margin = (due.abs() - self.threshold).abs() / largest
        fine = x.double() * (_FINER / self.resolution)
        if bool((fine != fine.round()).any()):
            # Sums of such values depend on their order, and so does to which side of a border they are rounded.
            units = due.double() / self.resolution
            border = (units - units.round()).abs() * (_SUM_BORDER * self.resolution / float(largest))
            margin = torch.minimum(margin, border.float())
        return margin

    def _encode(self, activations: Iterator[Tensor] | tuple[Tensor, ...]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield messages and differences; the order of operations is that of the ONNX function."""
        sent: Tensor | None = None
        for activation in activations:
            due = activation if sent is None else activation - sent
            wanted = torch.where(due.abs() >= self.threshold, due, torch.zeros((), dtype=due.dtype))
            sent = wanted if sent is None else sent + wanted
            yield torch.floor(wanted / self.resolution) * self.resolution, due


class FixedSigmaDelta(FixedDelta):
    """:class:`~hsnn.nn.SigmaDelta` whose messages are rounded down to multiples of ``resolution``.

    Args:
        threshold: As in :class:`FixedDelta`.
        resolution: As in :class:`FixedDelta`.
        bias: Added to the sum.
        activation: ``relu`` or ``identity``.

    Raises:
        UsageError: As in :class:`FixedDelta`.
    """

    activation: str

    def __init__(
        self, threshold: Parameter = 0.1, *, resolution: float, bias: Parameter = 0.0, activation: str = "relu"
    ) -> None:
        super(FixedDelta, self).__init__("FixedSigmaDelta", {"resolution": resolution, "activation": activation})
        self._add_value("threshold", threshold, learn=False, low=0.0, high=math.inf)
        self._add_value("bias", bias, learn=False, low=-math.inf, high=math.inf)

    def forward(self, x: Tensor) -> Tensor:
        """Return the messages for ``x``, both ``(timestep, batch, *feature)``; raises ``HSNN-U022``."""
        self._check_input(x, self.threshold, self.bias)
        if exporting():
            return self.emit((x, self.threshold, self.bias))
        return torch.stack([message for message, _ in self._encode(activations(x, self.bias, self.activation))])

    def decision_margin(self, x: Tensor) -> Tensor:
        """See :meth:`OpLayer.decision_margin`."""
        return self._margin(x, activations(x, self.bias, self.activation))
