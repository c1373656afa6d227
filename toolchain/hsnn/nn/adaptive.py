"""Adaptive spiking neurons: ``(timestep, batch, *feature)`` to spikes of the same shape."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from hsnn.nn.neuron import Neuron, Parameter
from hsnn.nn.surrogate import Surrogate, find_surrogate, spike
from hsnn.nn.symbolic import exporting


class AdaptiveLif(Neuron):
    """Leaky integrate-and-fire neurons whose threshold rises with every spike; lava-dl's ALIF, Lava's ATRLIF.

    ::

        u = (1 - current_decay) * u + x[t]
        v = (1 - voltage_decay) * v + g * u + bias     g = voltage_decay with decay_input, else 1
        raised = (1 - threshold_decay) * raised;   refractory = (1 - refractory_decay) * refractory
        s = [v - refractory >= threshold + raised]
        refractory = refractory + 2 * (threshold + raised);   raised = raised + threshold_step     where s

    A spike does not change the voltage.

    Args:
        threshold: Threshold at rest, above 0. Like all values: a number, or a tensor that broadcasts to the features.
        current_decay: Fraction of the current lost per timestep, 0 to 1; 1 is no memory.
        voltage_decay: Fraction of the voltage lost per timestep, 0 to 1.
        threshold_decay: Fraction lost per timestep of what spikes have added to the threshold, 0 to 1.
        refractory_decay: Fraction lost per timestep of what spikes have set against the voltage, 0 to 1.
        threshold_step: What a spike adds to the threshold, 0 or more.
        bias: Added to the voltage at every timestep.
        decay_input: Whether the current is scaled by ``voltage_decay``.
        learn_decay: Whether the decays of current and voltage are trained; they are held in [0, 1].
        learn_bias: Whether the bias is trained.
        surrogate: ``atan``, ``fast_sigmoid``, ``triangle``, or an object with a method ``derivative``.

    Raises:
        UsageError: ``HSNN-U020``, ``HSNN-U023`` or ``HSNN-U024``, if an argument is out of range.
    """

    threshold: Tensor
    threshold_decay: Tensor
    refractory_decay: Tensor
    threshold_step: Tensor

    def __init__(
        self,
        threshold: Parameter = 1.0,
        *,
        current_decay: Parameter = 1.0,
        voltage_decay: Parameter = 0.5,
        threshold_decay: Parameter = 0.2,
        refractory_decay: Parameter = 0.2,
        threshold_step: Parameter = 0.5,
        bias: Parameter = 0.0,
        decay_input: bool = False,
        learn_decay: bool = False,
        learn_bias: bool = False,
        surrogate: str | Surrogate = "atan",
    ) -> None:
        super().__init__("AdaptiveLif", {"decay_input": decay_input})
        self._add_value("current_decay", current_decay, learn=learn_decay, low=0.0, high=1.0)
        self._add_value("voltage_decay", voltage_decay, learn=learn_decay, low=0.0, high=1.0)
        self._add_value("threshold", threshold, learn=False, low=torch.finfo(torch.float32).tiny, high=math.inf)
        self._add_value("bias", bias, learn=learn_bias, low=-math.inf, high=math.inf)
        self._add_value("threshold_decay", threshold_decay, learn=False, low=0.0, high=1.0)
        self._add_value("refractory_decay", refractory_decay, learn=False, low=0.0, high=1.0)
        self._add_value("threshold_step", threshold_step, learn=False, low=0.0, high=math.inf)
        self.surrogate = find_surrogate(surrogate)

    def forward(self, x: Tensor) -> Tensor:
        """Return the spikes, 0 or 1, of ``x``, both ``(timestep, batch, *feature)``; raises ``HSNN-U022``."""
        values = (
            *self._decays(),
            self.threshold,
            self.bias,
            self.threshold_decay,
            self.refractory_decay,
            self.threshold_step,
        )
        self._check_input(x, *values)
        if exporting():
            return self.emit((x, *values))
        return torch.stack([spikes for spikes, _ in self._steps(x)])

    def decision_margin(self, x: Tensor) -> Tensor:
        """See :meth:`OpLayer.decision_margin`."""
        distance = torch.stack([distance for _, distance in self._steps(x)]).abs()
        return distance / torch.maximum(distance.max(), self.threshold.max())

    def _steps(self, x: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield spikes, and how far each was from its threshold, in the order of operations of the ONNX function."""
        current_decay, voltage_decay = self._decays()
        keep_u, keep_v = 1 - current_decay, 1 - voltage_decay
        keep_raised, keep_refractory = 1 - self.threshold_decay, 1 - self.refractory_decay
        u = v = raised = refractory = torch.zeros_like(x[0])
        for arriving in x.unbind(0):
            u = keep_u * u + arriving
            v = keep_v * v + (voltage_decay * u if self.decay_input else u) + self.bias
            raised, refractory = keep_raised * raised, keep_refractory * refractory
            level, reached = self.threshold + raised, v - refractory
            distance = reached - level
            s = spike(distance, reached >= level, self.surrogate)
            raised, refractory = raised + s * self.threshold_step, refractory + s * (level + level)
            yield s, distance
