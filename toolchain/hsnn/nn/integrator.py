"""Read-out neurons: ``(timestep, batch, *feature)`` to voltages of the same shape."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hsnn.nn.neuron import Neuron, Parameter
from hsnn.nn.symbolic import exporting


class LeakyIntegrator(Neuron):
    """Read-out neurons that integrate like :class:`~hsnn.nn.Lif` and never spike; the output is their voltage.

    Args:
        voltage_decay: Fraction of the voltage lost per timestep, 0 to 1.
        current_decay: Fraction of the current lost per timestep, 0 to 1; 1 is no memory.
        bias: Added to the voltage at every timestep.
        decay_input: Whether the current is scaled by ``voltage_decay``.
        learn_decay: Whether both decays are trained; they are held in [0, 1].
        learn_bias: Whether the bias is trained.

    Raises:
        UsageError: ``HSNN-U020`` or ``HSNN-U023``, if an argument is out of range.
    """

    def __init__(
        self,
        voltage_decay: Parameter = 0.5,
        *,
        current_decay: Parameter = 1.0,
        bias: Parameter = 0.0,
        decay_input: bool = False,
        learn_decay: bool = False,
        learn_bias: bool = False,
    ) -> None:
        super().__init__("LeakyIntegrator", {"decay_input": decay_input})
        self._add_value("current_decay", current_decay, learn=learn_decay, low=0.0, high=1.0)
        self._add_value("voltage_decay", voltage_decay, learn=learn_decay, low=0.0, high=1.0)
        self._add_value("bias", bias, learn=learn_bias, low=-math.inf, high=math.inf)

    def forward(self, x: Tensor) -> Tensor:
        """Return the voltages for ``x``, both ``(timestep, batch, *feature)``; raises ``HSNN-U022``."""
        current_decay, voltage_decay = self._decays()
        self._check_input(x, current_decay, voltage_decay, self.bias)
        if exporting():
            return self.emit((x, current_decay, voltage_decay, self.bias))
        keep_u, keep_v = 1 - current_decay, 1 - voltage_decay
        u = v = torch.zeros_like(x[0])
        trace = []
        for a in x.unbind(0):
            u = keep_u * u + a
            v = keep_v * v + (voltage_decay * u if self.decay_input else u) + self.bias
            trace.append(v)
        return torch.stack(trace)
