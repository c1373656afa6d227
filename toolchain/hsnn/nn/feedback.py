"""What recurrent neurons share: weights from each to each, and what their spikes send back."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hsnn.errors import UsageError
from hsnn.nn.neuron import Neuron


class Feedback(Neuron):
    """Neurons with one feature axis whose spikes come back a timestep later, times ``recurrent_weight``."""

    size: int
    recurrent_weight: Tensor

    def _add_feedback(self, size: int, weight: Tensor | None, *, learn: bool) -> None:
        """Add the weights ``(post, pre)`` of ``size`` neurons: random, within ``1 / sqrt(size)``, if not given."""
        if size < 1:
            raise UsageError("HSNN-U021", f"{self.op.name} has size {size}", allowed="at least 1")
        if weight is None:
            weight = (torch.rand(size, size) * 2 - 1) / math.sqrt(size)
        if tuple(weight.shape) != (size, size):
            raise UsageError(
                "HSNN-U021",
                f"recurrent_weight of {self.op.name} has shape {tuple(weight.shape)}",
                allowed=f"({size}, {size})",
            )
        self.size = size
        self._add_value("recurrent_weight", weight, learn=learn, low=-math.inf, high=math.inf)

    def _check_size(self, x: Tensor) -> None:
        if x.ndim != 3 or x.shape[2] != self.size:
            raise UsageError(
                "HSNN-U022",
                f"{self.op.name} got a tensor of shape {tuple(x.shape)}",
                allowed=f"(timestep, batch, {self.size})",
            )

    def _recurrent_input(self, spikes: Tensor) -> Tensor:
        return spikes @ self.recurrent_weight.t()
