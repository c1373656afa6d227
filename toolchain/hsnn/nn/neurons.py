"""Neurons: ``(timestep, batch, *feature)`` to the same shape; state is zero at the start of every call."""

from __future__ import annotations

import math
from typing import TypeAlias

import torch
from torch import Tensor, nn

from hsnn.errors import UsageError
from hsnn.nn.surrogate import Surrogate, find_surrogate, spike, straight_through
from hsnn.nn.symbolic import TRAIN_AXES, OpLayer, exporting, require_rank

Parameter: TypeAlias = "float | Tensor"

THRESHOLD_MIN = 1e-3
"""Smallest threshold that training can reach."""


class _Neuron(OpLayer):
    """What neurons share: current and voltage decay, bias."""

    current_decay: Tensor
    voltage_decay: Tensor
    bias: Tensor

    def _add_value(self, name: str, value: Parameter, *, learn: bool, low: float, high: float) -> None:
        tensor = torch.as_tensor(value, dtype=torch.float32).detach().clone()
        if not bool(((tensor >= low) & (tensor <= high)).all()) or not bool(tensor.isfinite().all()):
            raise UsageError(
                "HSNN-U023",
                f"{name} of {self.op.name} is {tensor.min():g} to {tensor.max():g}",
                allowed=f"finite, {low:g} to {high:g}",
                fix="a decay is the fraction lost per timestep: 0 is no decay, 1 is no memory",
            )
        if learn:
            self.register_parameter(name, nn.Parameter(tensor))
        else:
            self.register_buffer(name, tensor)

    def _held(self, name: str, low: float, high: float) -> Tensor:
        """Return a value; if it is trained, clip it, and let the gradient pass as if it were not clipped."""
        value: Tensor = getattr(self, name)
        if name not in self._parameters:
            return value
        if exporting():
            return value.clamp(low, high)
        return straight_through(value, value.detach().clamp(low, high))

    def _decays(self) -> tuple[Tensor, Tensor]:
        return self._held("current_decay", 0.0, 1.0), self._held("voltage_decay", 0.0, 1.0)

    def _check_input(self, x: Tensor, *values: Tensor) -> None:
        require_rank(self, x, at_least=3, axes=TRAIN_AXES)
        feature = tuple(x.shape[2:])
        for value in values:
            if not _broadcasts(tuple(value.shape), feature):
                raise UsageError(
                    "HSNN-U022",
                    f"a parameter of {self.op.name} has shape {tuple(value.shape)}, its features {feature}",
                    allowed="a shape that broadcasts to the feature shape, such as (C, 1, 1) for (C, H, W)",
                )


class Lif(_Neuron):
    """Leaky integrate-and-fire neurons with a synaptic current.

    ::

        u = (1 - current_decay) * u + x[t]
        v = (1 - voltage_decay) * v + g * u + bias     g = voltage_decay with decay_input, else 1
        s = [v > threshold] or [v >= threshold]
        v = 0 | v - threshold | v   where s            reset: zero | subtract | none

    For ``refractory`` timesteps after a spike the voltage is held and there is no spike.

    Args:
        threshold: Above 0. Like all values: a number, or a tensor that broadcasts to the feature shape.
        current_decay: Fraction of the current lost per timestep, 0 to 1; 1 is no memory.
        voltage_decay: Fraction of the voltage lost per timestep, 0 to 1; ``1 / tau`` in other libraries.
        bias: Added to the voltage at every timestep.
        reset: ``zero``, ``subtract`` or ``none``.
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
        self._add_value("threshold", threshold, learn=learn_threshold, low=math.ulp(0.0), high=math.inf)
        self._add_value("bias", bias, learn=learn_bias, low=-math.inf, high=math.inf)
        self.reset, self.comparison, self.refractory = reset, comparison, refractory
        self.decay_input, self.detach_reset = decay_input, detach_reset
        self.surrogate = find_surrogate(surrogate)

    @staticmethod
    def _op_name() -> str:
        return "Lif"

    def values(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Current decay, voltage decay, threshold and bias as they are used."""
        current_decay, voltage_decay = self._decays()
        return current_decay, voltage_decay, self._held("threshold", THRESHOLD_MIN, math.inf), self.bias

    def forward(self, x: Tensor) -> Tensor:
        """Return the spikes, shape of ``x``."""
        values = self.values()
        self._check_input(x, *values)
        if exporting():
            return self.emit((x, *values))
        return self._run(x, None)

    def _run(self, x: Tensor, to_post: Tensor | None) -> Tensor:
        current_decay, voltage_decay, threshold, bias = self.values()
        keep_u, keep_v = 1 - current_decay, 1 - voltage_decay
        u = v = s = wait = torch.zeros_like(x[0])
        spikes = []
        for a in x.unbind(0):
            u = keep_u * u + (a if to_post is None else a + s @ to_post)
            v_open = keep_v * v + (voltage_decay * u if self.decay_input else u) + bias
            v_in = torch.where(wait <= 0, v_open, v) if self.refractory else v_open
            over = v_in > threshold if self.comparison == ">" else v_in >= threshold
            s = spike(v_in - threshold, over, self.surrogate)
            if self.refractory:
                s = s * (wait <= 0)
                wait = torch.where(s > 0, torch.full_like(wait, self.refractory), (wait - 1).clamp(min=0))
            v = self._after_spike(v_in, s, threshold)
            spikes.append(s)
        return torch.stack(spikes)

    def _after_spike(self, v: Tensor, s: Tensor, threshold: Tensor) -> Tensor:
        if self.reset == "none":
            return v
        fired = s.detach() if self.detach_reset else s
        return v * (1 - fired) if self.reset == "zero" else v - fired * threshold


class RecurrentLif(Lif):
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

    recurrent_weight: Tensor

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
        if size < 1:
            raise UsageError("HSNN-U021", f"RecurrentLif has size {size}", allowed="at least 1")
        if recurrent_weight is None:
            recurrent_weight = (torch.rand(size, size) * 2 - 1) / math.sqrt(size)
        if tuple(recurrent_weight.shape) != (size, size):
            raise UsageError(
                "HSNN-U021",
                f"recurrent_weight of RecurrentLif has shape {tuple(recurrent_weight.shape)}",
                allowed=f"({size}, {size})",
            )
        self.size = size
        self._add_value("recurrent_weight", recurrent_weight, learn=learn_recurrent, low=-math.inf, high=math.inf)

    @staticmethod
    def _op_name() -> str:
        return "RecurrentLif"

    def forward(self, x: Tensor) -> Tensor:
        """Return the spikes, shape of ``x``, which is ``(timestep, batch, size)``."""
        values = self.values()
        self._check_input(x, *values)
        if x.ndim != 3 or x.shape[2] != self.size:
            raise UsageError(
                "HSNN-U022",
                f"RecurrentLif got a tensor of shape {tuple(x.shape)}",
                allowed=f"(timestep, batch, {self.size})",
            )
        if exporting():
            return self.emit((x, *values, self.recurrent_weight))
        return self._run(x, self.recurrent_weight.t())


class LeakyIntegrator(_Neuron):
    """Read-out neurons that integrate like :class:`Lif` and never spike; the output is their voltage.

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
        self.decay_input = decay_input

    def forward(self, x: Tensor) -> Tensor:
        """Return the voltage of every timestep, shape of ``x``."""
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


def _broadcasts(shape: tuple[int, ...], feature: tuple[int, ...]) -> bool:
    return len(shape) <= len(feature) and all(
        extent in (1, other) for extent, other in zip(shape[::-1], feature[::-1], strict=False)
    )
