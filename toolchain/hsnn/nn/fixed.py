"""Neurons whose states are numbers of fixed point already in float, as lava-dl trains them.

They are what the importers of lava-dl build. Input, and what a state keeps from one timestep to the next, are rounded
toward zero to whole multiples of ``resolution``, so voltages are those of a chip whose unit that is. They compute
without gradients: networks are trained in lava-dl, or with the layers of the same names without ``Fixed``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TypeAlias

import torch
from torch import Tensor

from hsnn.errors import UsageError
from hsnn.nn.neuron import Neuron, Parameter
from hsnn.nn.symbolic import exporting

Fire: TypeAlias = "Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]"
_BORDER = 10.0
"""How much nearer than a threshold a value has to be to a border of rounding to count as undecided."""


def border_margin(x: Tensor, resolution: float) -> Tensor:
    """How near an input ever was to a border of rounding, relative to the largest: margin of all timesteps behind.

    Input that lies on the grid, as spikes through weights on a grid bring it, is not near one: it is infinite then.

    Args:
        x: Input, time axis first.
        resolution: Unit of the grid, above 0.

    Returns:
        Shape of ``x``, at least 0; a single infinite number where all input lies on the grid.
    """
    parts = x.double() / resolution
    off = (parts - parts.round()).abs() * (resolution / float(x.abs().max().clamp(min=resolution)))
    if not bool((off > 0).any()):
        return torch.full((), math.inf)
    border: Tensor = torch.cummin(_BORDER * off.float(), 0).values
    return border


class FixedNeuron(Neuron):
    """Neurons with a current and a voltage on a grid."""

    resolution: float

    def __init__(
        self, op: str, *, current_decay: Parameter, voltage_decay: Parameter, bias: Parameter, **attributes: float | str
    ) -> None:
        super().__init__(op, attributes)
        self._add_value("current_decay", current_decay, learn=False, low=0.0, high=1.0)
        self._add_value("voltage_decay", voltage_decay, learn=False, low=0.0, high=1.0)
        self._add_value("bias", bias, learn=False, low=-math.inf, high=math.inf)

    def _add_feedback(self, recurrent_weight: Tensor) -> None:
        shape = tuple(recurrent_weight.shape)
        if len(shape) != 2 or shape[0] != shape[1]:
            raise UsageError("HSNN-U021", f"recurrent_weight of {self.op.name} has shape {shape}", allowed="a square")
        self._add_value("recurrent_weight", recurrent_weight, learn=False, low=-math.inf, high=math.inf)

    def _parameters_in_order(self) -> tuple[Tensor, ...]:
        return tuple(getattr(self, name) for name in self.op.inputs[1:])

    def forward(self, x: Tensor) -> Tensor:
        """Return spikes (0 or 1) or voltages for ``x``, both ``(timestep, batch, *feature)``; raises ``HSNN-U022``."""
        values = self._parameters_in_order()
        weight: Tensor | None = getattr(self, "recurrent_weight", None)
        self._check_input(x, *(value for value in values if value is not weight))
        if weight is not None and x.shape[-1] != weight.shape[0]:
            raise UsageError(
                "HSNN-U022",
                f"{self.op.name} got a tensor of shape {tuple(x.shape)}",
                allowed=f"(timestep, batch, {weight.shape[0]})",
            )
        if exporting():
            return self.emit((x, *values))
        with torch.no_grad():
            return torch.stack([sent for sent, _ in self._steps(x)])

    def decision_margin(self, x: Tensor) -> Tensor | None:
        """See :meth:`OpLayer.decision_margin`; a border of rounding that an input was next to counts from then on."""
        with torch.no_grad():
            distance = torch.stack([distance for _, distance in self._steps(x)]).abs()
            margin = distance / torch.maximum(distance.max(), self._largest())
        return torch.minimum(margin, border_margin(x, self.resolution))

    def _largest(self) -> Tensor:
        return torch.zeros(())

    def _feedback(self, sent: Tensor) -> Tensor | None:
        return None

    def _steps(self, x: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield what is sent and how far it was from its threshold, in the order of operations of the ONNX function."""
        keep_u, keep_v = (1 - self.current_decay).double(), (1 - self.voltage_decay).double()
        u = v = sent = torch.zeros_like(x[0])
        fire = self._firing(u)
        for arriving in x.unbind(0):
            back = self._feedback(sent)
            current = self._cut(keep_u * u.double()) + self._cut(
                (arriving if back is None else arriving + back).double()
            )
            v = (self._cut(keep_v * v.double()) + current).float() + self.bias
            u = current.float()
            sent, distance, v = fire(v)
            yield sent, distance

    def _firing(self, rest: Tensor) -> Fire:
        """Return what tells at each timestep of one run which neurons fire; ``rest`` is a state of zeros."""
        return self._fire

    def _fire(self, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return what is sent for a voltage, how far that was from its threshold, and the voltage behind it.

        Here the voltage is sent, and nothing is decided.
        """
        return v, v, v

    def _cut(self, wide: Tensor) -> Tensor:
        return wide - torch.fmod(wide, self.resolution)


class FixedLif(FixedNeuron):
    """:class:`~hsnn.nn.Lif` with reset to zero, on a grid.

    Args:
        threshold: Above 0. Like all values: a number, or a tensor that broadcasts to the feature shape.
        resolution: Unit of current and voltage; above 0. Weights and biases should be multiples of it.
        current_decay: Fraction of the current lost per timestep, 0 to 1.
        voltage_decay: Fraction of the voltage lost per timestep, 0 to 1.
        bias: Added to the voltage at every timestep.
        comparison: ``>`` or ``>=``.

    Raises:
        UsageError: ``HSNN-U020`` or ``HSNN-U023``, if an argument is out of range.
    """

    threshold: Tensor
    comparison: str

    def __init__(
        self,
        threshold: Parameter = 1.0,
        *,
        resolution: float,
        current_decay: Parameter = 1.0,
        voltage_decay: Parameter = 0.5,
        bias: Parameter = 0.0,
        comparison: str = ">",
    ) -> None:
        super().__init__(
            self._op_name(),
            current_decay=current_decay,
            voltage_decay=voltage_decay,
            bias=bias,
            comparison=comparison,
            resolution=resolution,
        )
        self._add_value("threshold", threshold, learn=False, low=torch.finfo(torch.float32).tiny, high=math.inf)

    @staticmethod
    def _op_name() -> str:
        return "FixedLif"

    def _largest(self) -> Tensor:
        return self.threshold.max()

    def _fire(self, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        over = v > self.threshold if self.comparison == ">" else v >= self.threshold
        return over.to(v.dtype), v - self.threshold, torch.where(over, torch.zeros((), dtype=v.dtype), v)


class FixedRecurrentLif(FixedLif):
    """:class:`FixedLif` neurons whose spikes come back: the input is ``x[t] + recurrent_weight @ s[t - 1]``.

    Args:
        recurrent_weight: Shape ``(post, pre)``; features are ``(post,)``.
        threshold: As in :class:`FixedLif`, as are all others.
        resolution: As in :class:`FixedLif`.
        current_decay: As in :class:`FixedLif`.
        voltage_decay: As in :class:`FixedLif`.
        bias: As in :class:`FixedLif`.
        comparison: As in :class:`FixedLif`.

    Raises:
        UsageError: As in :class:`FixedLif`; ``HSNN-U021``, if the weights are no square.
    """

    recurrent_weight: Tensor

    def __init__(
        self,
        recurrent_weight: Tensor,
        *,
        threshold: Parameter = 1.0,
        resolution: float,
        current_decay: Parameter = 1.0,
        voltage_decay: Parameter = 0.5,
        bias: Parameter = 0.0,
        comparison: str = ">",
    ) -> None:
        super().__init__(
            threshold,
            resolution=resolution,
            current_decay=current_decay,
            voltage_decay=voltage_decay,
            bias=bias,
            comparison=comparison,
        )
        self._add_feedback(recurrent_weight)

    @staticmethod
    def _op_name() -> str:
        return "FixedRecurrentLif"

    def _feedback(self, sent: Tensor) -> Tensor:
        return sent @ self.recurrent_weight.t()


class FixedLeakyIntegrator(FixedNeuron):
    """:class:`~hsnn.nn.LeakyIntegrator` on a grid.

    Args:
        voltage_decay: Fraction of the voltage lost per timestep, 0 to 1.
        resolution: As in :class:`FixedLif`.
        current_decay: As in :class:`FixedLif`.
        bias: As in :class:`FixedLif`.

    Raises:
        UsageError: As in :class:`FixedLif`.
    """

    def __init__(
        self,
        voltage_decay: Parameter = 0.5,
        *,
        resolution: float,
        current_decay: Parameter = 1.0,
        bias: Parameter = 0.0,
    ) -> None:
        super().__init__(
            "FixedLeakyIntegrator",
            current_decay=current_decay,
            voltage_decay=voltage_decay,
            bias=bias,
            resolution=resolution,
        )

    def decision_margin(self, x: Tensor) -> None:
        """Return None: a voltage decides nothing."""
