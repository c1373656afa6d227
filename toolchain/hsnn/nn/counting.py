"""Neurons that may send several spikes in one timestep: ``(timestep, batch, *feature)`` to counts of the same shape."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from hsnn.ir.arithmetic import VOLTAGE_MAX
from hsnn.nn.feedback import Feedback
from hsnn.nn.neuron import Neuron, Parameter
from hsnn.nn.surrogate import Surrogate, find_surrogate, spike, straight_through
from hsnn.nn.symbolic import exporting
from hsnn.ops.counting import NO_FLOOR


class CountingLif(Neuron):
    """Leaky integrate-and-fire neurons that send a spike for every threshold that their voltage holds.

    ::

        u = (1 - current_decay) * u + x[t]
        v = (1 - voltage_decay) * v + g * u + bias     g = voltage_decay with decay_input, else 1
        s = clip(floor(v / threshold), 0, max_spikes)
        v = max(0 where s > 0 | v - s * threshold, v_min)      reset: zero | subtract

    With ``max_spikes`` 1 they are :class:`~hsnn.nn.Lif` neurons with ``>=`` and a floor. Source: ``MultiSpike``,
    ``MaxSpike`` and ``lif_forward_single`` of sinabs 3.1.3.

    Args:
        threshold: Above 0. Like all values: a number, or a tensor that broadcasts to the feature shape.
        max_spikes: Most spikes of a neuron in a timestep, 1 to 8388607; None for as many as that.
        v_min: Lowest voltage that a timestep leaves, 0 at most; None for no floor.
        current_decay: Fraction of the current lost per timestep, 0 to 1; 1 is no memory.
        voltage_decay: Fraction of the voltage lost per timestep, 0 to 1.
        bias: Added to the voltage at every timestep.
        reset: ``zero`` or ``subtract``.
        decay_input: Whether the current is scaled by ``voltage_decay``.
        learn_decay: Whether both decays are trained; they are held in [0, 1].
        learn_bias: Whether the bias is trained.
        detach_reset: Whether the reset is left out of the gradient.
        surrogate: ``atan``, ``fast_sigmoid``, ``triangle``, or an object with a method ``derivative``; it stands around
            every multiple of the threshold.

    Raises:
        UsageError: ``HSNN-U020``, ``HSNN-U023`` or ``HSNN-U024``, if an argument is out of range.
    """

    threshold: Tensor
    v_min: Tensor
    reset: str
    max_spikes: int

    def __init__(
        self,
        threshold: Parameter = 1.0,
        *,
        max_spikes: int | None = None,
        v_min: Parameter | None = None,
        current_decay: Parameter = 1.0,
        voltage_decay: Parameter = 0.0,
        bias: Parameter = 0.0,
        reset: str = "subtract",
        decay_input: bool = False,
        learn_decay: bool = False,
        learn_bias: bool = False,
        detach_reset: bool = True,
        surrogate: str | Surrogate = "atan",
    ) -> None:
        most = VOLTAGE_MAX if max_spikes is None else max_spikes
        super().__init__(self._op_name(), {"reset": reset, "max_spikes": most, "decay_input": decay_input})
        self._add_value("current_decay", current_decay, learn=learn_decay, low=0.0, high=1.0)
        self._add_value("voltage_decay", voltage_decay, learn=learn_decay, low=0.0, high=1.0)
        self._add_value("threshold", threshold, learn=False, low=torch.finfo(torch.float32).tiny, high=math.inf)
        self._add_value("bias", bias, learn=learn_bias, low=-math.inf, high=math.inf)
        self._add_value("v_min", NO_FLOOR if v_min is None else v_min, learn=False, low=NO_FLOOR, high=0.0)
        self.detach_reset = detach_reset
        self.surrogate = find_surrogate(surrogate)

    @staticmethod
    def _op_name() -> str:
        return "CountingLif"

    def values(self) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Current decay, voltage decay, threshold, bias and floor as they are used."""
        return *self._decays(), self.threshold, self.bias, self.v_min

    def forward(self, x: Tensor) -> Tensor:
        """Return the counts for ``x``, both floats ``(timestep, batch, *feature)``; raises ``HSNN-U022``."""
        values = self.values()
        self._check_input(x, *values)
        if exporting():
            return self.emit((x, *values))
        return torch.stack([counts for counts, _ in self._steps(x)])

    def decision_margin(self, x: Tensor) -> Tensor:
        """See :meth:`OpLayer.decision_margin`: the distance from the nearest multiple of the threshold."""
        voltage = torch.stack([voltage for _, voltage in self._steps(x)])
        return (voltage - self._nearest(voltage)).abs() / torch.maximum(voltage.abs().max(), self.threshold.max())

    def _nearest(self, voltage: Tensor) -> Tensor:
        return (voltage / self.threshold).round().clamp(1, self.max_spikes) * self.threshold

    def _recurrent_input(self, counts: Tensor) -> Tensor | None:
        return None

    def _steps(self, x: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield counts and voltage before reset; the order of operations is that of the ONNX function."""
        current_decay, voltage_decay = self._decays()
        keep_u, keep_v = 1 - current_decay, 1 - voltage_decay
        u = v = s = torch.zeros_like(x[0])
        for x_t in x.unbind(0):
            back = self._recurrent_input(s)
            u = keep_u * u + (x_t if back is None else x_t + back)
            open_ = keep_v * v + (voltage_decay * u if self.decay_input else u) + self.bias
            s = self._count(open_)
            fired = s.detach() if self.detach_reset else s
            after = torch.where(s == 0, open_, 0.0) if self.reset == "zero" else open_ - fired * self.threshold
            v = torch.maximum(after, self.v_min)
            yield s, open_

    def _count(self, voltage: Tensor) -> Tensor:
        counts = (voltage / self.threshold).floor().clamp(0, self.max_spikes).detach()
        level = self._nearest(voltage).detach()
        return straight_through(spike(voltage - level, voltage >= level, self.surrogate), counts)


class RecurrentCountingLif(Feedback, CountingLif):
    """:class:`CountingLif` neurons whose counts come back: the input is ``x[t] + recurrent_weight @ s[t - 1]``.

    Args:
        size: Number of neurons; features are ``(size,)``.
        recurrent_weight: Shape ``(post, pre)`` = ``(size, size)``.
        learn_recurrent: Whether the recurrent weights are trained.
        threshold: As in :class:`CountingLif`, as are all others.
        max_spikes: As in :class:`CountingLif`.
        v_min: As in :class:`CountingLif`.
        current_decay: As in :class:`CountingLif`.
        voltage_decay: As in :class:`CountingLif`.
        bias: As in :class:`CountingLif`.
        reset: As in :class:`CountingLif`.
        decay_input: As in :class:`CountingLif`.
        learn_decay: As in :class:`CountingLif`.
        learn_bias: As in :class:`CountingLif`.
        detach_reset: As in :class:`CountingLif`.
        surrogate: As in :class:`CountingLif`.

    Raises:
        UsageError: As in :class:`CountingLif`; ``HSNN-U021``, if the weights are not ``(size, size)``.
    """

    def __init__(
        self,
        size: int,
        *,
        recurrent_weight: Tensor,
        learn_recurrent: bool = True,
        threshold: Parameter = 1.0,
        max_spikes: int | None = None,
        v_min: Parameter | None = None,
        current_decay: Parameter = 1.0,
        voltage_decay: Parameter = 0.0,
        bias: Parameter = 0.0,
        reset: str = "subtract",
        decay_input: bool = False,
        learn_decay: bool = False,
        learn_bias: bool = False,
        detach_reset: bool = True,
        surrogate: str | Surrogate = "atan",
    ) -> None:
        super().__init__(
            threshold,
            max_spikes=max_spikes,
            v_min=v_min,
            current_decay=current_decay,
            voltage_decay=voltage_decay,
            bias=bias,
            reset=reset,
            decay_input=decay_input,
            learn_decay=learn_decay,
            learn_bias=learn_bias,
            detach_reset=detach_reset,
            surrogate=surrogate,
        )
        self._add_feedback(size, recurrent_weight, learn=learn_recurrent)

    @staticmethod
    def _op_name() -> str:
        return "RecurrentCountingLif"

    def forward(self, x: Tensor) -> Tensor:
        """Return the counts for ``x``, both floats ``(timestep, batch, size)``; raises ``HSNN-U022``."""
        values = self.values()
        self._check_input(x, *values)
        self._check_size(x)
        if exporting():
            return self.emit((x, *values, self.recurrent_weight))
        return torch.stack([counts for counts, _ in self._steps(x)])
