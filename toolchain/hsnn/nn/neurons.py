"""Spiking neurons: ``(timestep, batch, *feature)`` to the same shape; state is zero at the start of every call."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from hsnn.errors import UsageError
from hsnn.nn.feedback import Feedback
from hsnn.nn.neuron import Neuron, Parameter
from hsnn.nn.surrogate import Surrogate, find_surrogate, spike
from hsnn.nn.symbolic import exporting

THRESHOLD_MIN = 1e-3
"""Smallest threshold that training can reach."""


class Lif(Neuron):
    """Leaky integrate-and-fire neurons with a synaptic current.

    ::

        u = (1 - current_decay) * u + x[t]
        v = (1 - voltage_decay) * v + g * u + bias     g = voltage_decay with decay_input, else 1
        s = [v > threshold] or [v >= threshold]
        v = 0 | v - threshold | v   where s            reset: zero | subtract | none

    ``subtract_late`` takes the threshold off at the next timestep, behind the decay; that is to take off
    ``threshold / (1 - voltage_decay)`` at once, which is how it is computed.

    For ``refractory`` timesteps after a spike the voltage is held and there is no spike.

    Args:
        threshold: Above 0. Like all values: a number, or a tensor that broadcasts to the feature shape.
        current_decay: Fraction of the current lost per timestep, 0 to 1; 1 is no memory.
        voltage_decay: Fraction of the voltage lost per timestep, 0 to 1; ``1 / tau`` in other libraries.
        bias: Added to the voltage at every timestep.
        reset: ``zero``, ``subtract``, ``subtract_late`` or ``none``.
        comparison: ``>`` or ``>=``.
        refractory: Timesteps without a spike after one, 0 to 64.
        decay_input: Whether the current is scaled by ``voltage_decay``.
        learn_decay: Whether both decays are trained; they are held in [0, 1].
        learn_threshold: Whether the threshold is trained; it stays positive.
        learn_bias: Whether the bias is trained.
        detach_reset: Whether the reset is left out of the gradient.
        surrogate: ``atan``, ``fast_sigmoid``, ``triangle``, or an object with a method ``derivative``.

    Raises:
        UsageError: ``HSNN-U020``, ``HSNN-U023`` or ``HSNN-U024``, if an argument is out of range.
    """

    threshold: Tensor
    reset: str
    comparison: str
    refractory: int

    def __init__(
        self,
        threshold: Parameter = 1.0,
        *,
        current_decay: Parameter = 1.0,
        voltage_decay: Parameter = 0.5,
        bias: Parameter = 0.0,
        reset: str = "zero",
        comparison: str = ">",
        refractory: int = 0,
        decay_input: bool = False,
        learn_decay: bool = False,
        learn_threshold: bool = False,
        learn_bias: bool = False,
        detach_reset: bool = True,
        surrogate: str | Surrogate = "atan",
    ) -> None:
        super().__init__(
            self._op_name(),
            {"reset": reset, "comparison": comparison, "refractory": refractory, "decay_input": decay_input},
        )
        self._add_value("current_decay", current_decay, learn=learn_decay, low=0.0, high=1.0)
        self._add_value("voltage_decay", voltage_decay, learn=learn_decay, low=0.0, high=1.0)
        lowest = THRESHOLD_MIN if learn_threshold else torch.finfo(torch.float32).tiny
        self._add_value("threshold", threshold, learn=learn_threshold, low=lowest, high=math.inf)
        self._add_value("bias", bias, learn=learn_bias, low=-math.inf, high=math.inf)
        if reset == "subtract_late" and not bool((self.voltage_decay < 1).all()):
            raise UsageError(
                "HSNN-U023",
                f"voltage_decay of {self.op.name} is 1 with reset subtract_late",
                allowed="below 1: a voltage that is forgotten cannot be lowered",
            )
        self.detach_reset = detach_reset
        self.surrogate = find_surrogate(surrogate)

    @staticmethod
    def _op_name() -> str:
        return "Lif"

    def values(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Current decay, voltage decay, threshold and bias as they are used."""
        current_decay, voltage_decay = self._decays()
        return current_decay, voltage_decay, self._held("threshold", THRESHOLD_MIN, math.inf), self.bias

    def forward(self, x: Tensor) -> Tensor:
        """Return the spikes, 0 or 1, of ``x``, both ``(timestep, batch, *feature)``; raises ``HSNN-U022``."""
        values = self.values()
        self._check_input(x, *values)
        if exporting():
            return self.emit((x, *values))
        return torch.stack([spikes for spikes, _ in self._steps(x)])

    def trace(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the spikes, and the voltage that was compared with the threshold; both have the shape of ``x``."""
        spikes, voltage = zip(*self._steps(x), strict=True)
        return torch.stack(spikes), torch.stack(voltage)

    def decision_margin(self, x: Tensor) -> Tensor:
        """See :meth:`OpLayer.decision_margin`."""
        _, voltage = self.trace(x)
        threshold = self.values()[2]
        return (voltage - threshold).abs() / torch.maximum(voltage.abs().max(), threshold.abs().max())

    def _recurrent_input(self, spikes: Tensor) -> Tensor | None:
        return None

    def _steps(self, x: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield spikes and voltage before reset; the order of operations is that of the ONNX function."""
        current_decay, voltage_decay, threshold, bias = self.values()
        keep_u, keep_v = 1 - current_decay, 1 - voltage_decay
        u = v = s = wait = torch.zeros_like(x[0])
        for x_t in x.unbind(0):
            back = self._recurrent_input(s)
            u = keep_u * u + (x_t if back is None else x_t + back)
            v_open = keep_v * v + (voltage_decay * u if self.decay_input else u) + bias
            v_in = torch.where(wait <= 0, v_open, v) if self.refractory else v_open
            over = v_in > threshold if self.comparison == ">" else v_in >= threshold
            s = spike(v_in - threshold, over, self.surrogate)
            if self.refractory:
                s = s * (wait <= 0)
                wait = torch.where(s > 0, torch.full_like(wait, self.refractory), (wait - 1).clamp(min=0))
            v = self._after_spike(v_in, s, threshold / keep_v if self.reset == "subtract_late" else threshold)
            yield s, v_in

    def _after_spike(self, v: Tensor, s: Tensor, amount: Tensor) -> Tensor:
        if self.reset == "none":
            return v
        fired = s.detach() if self.detach_reset else s
        return v * (1 - fired) if self.reset == "zero" else v - fired * amount


class RecurrentLif(Feedback, Lif):
    """:class:`Lif` neurons whose spikes come back: the input is ``x[t] + recurrent_weight @ s[t - 1]``.

    Args:
        size: Number of neurons; features are ``(size,)``.
        recurrent_weight: Shape ``(post, pre)`` = ``(size, size)``; random, uniform within
            ``1 / sqrt(size)``, if not given.
        learn_recurrent: Whether the recurrent weights are trained.
        threshold: As in :class:`Lif`, as are all others.
        current_decay: As in :class:`Lif`.
        voltage_decay: As in :class:`Lif`.
        bias: As in :class:`Lif`.
        reset: As in :class:`Lif`.
        comparison: As in :class:`Lif`.
        refractory: As in :class:`Lif`.
        decay_input: As in :class:`Lif`.
        learn_decay: As in :class:`Lif`.
        learn_threshold: As in :class:`Lif`.
        learn_bias: As in :class:`Lif`.
        detach_reset: As in :class:`Lif`.
        surrogate: As in :class:`Lif`.

    Raises:
        UsageError: As in :class:`Lif`; ``HSNN-U021``, if the weights are not ``(size, size)``.
    """

    def __init__(
        self,
        size: int,
        *,
        recurrent_weight: Tensor | None = None,
        learn_recurrent: bool = True,
        threshold: Parameter = 1.0,
        current_decay: Parameter = 1.0,
        voltage_decay: Parameter = 0.5,
        bias: Parameter = 0.0,
        reset: str = "zero",
        comparison: str = ">",
        refractory: int = 0,
        decay_input: bool = False,
        learn_decay: bool = False,
        learn_threshold: bool = False,
        learn_bias: bool = False,
        detach_reset: bool = True,
        surrogate: str | Surrogate = "atan",
    ) -> None:
        super().__init__(
            threshold,
            current_decay=current_decay,
            voltage_decay=voltage_decay,
            bias=bias,
            reset=reset,
            comparison=comparison,
            refractory=refractory,
            decay_input=decay_input,
            learn_decay=learn_decay,
            learn_threshold=learn_threshold,
            learn_bias=learn_bias,
            detach_reset=detach_reset,
            surrogate=surrogate,
        )
        self._add_feedback(size, recurrent_weight, learn=learn_recurrent)

    @staticmethod
    def _op_name() -> str:
        return "RecurrentLif"

    def forward(self, x: Tensor) -> Tensor:
        """Return the spikes, 0 or 1, of ``x``, both ``(timestep, batch, size)``; raises ``HSNN-U022``."""
        values = self.values()
        self._check_input(x, *values)
        self._check_size(x)
        if exporting():
            return self.emit((x, *values, self.recurrent_weight))
        return torch.stack([spikes for spikes, _ in self._steps(x)])
