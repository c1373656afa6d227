"""Resonate-and-fire neurons: ``(timestep, batch, 2 C, ...)`` to spikes ``(timestep, batch, C, ...)``."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from hsnn.errors import UsageError
from hsnn.nn.fixed import border_margin
from hsnn.nn.neuron import Neuron, Parameter
from hsnn.nn.surrogate import Surrogate, find_surrogate, spike
from hsnn.nn.symbolic import OpLayer, exporting

PERIOD_MIN = 2.0
"""A shorter oscillation cannot be told from a longer one in whole timesteps."""


class ResonateFire(Neuron):
    """Neurons with a complex state that turns and shrinks; Lava's RF and RF_IZ, lava-dl's ``rf`` and ``rf_iz``.

    ::

        z = (1 - decay) * exp(2 pi i / period) * z + x_real[t] + i * x_imag[t]
        s = [re z >= threshold and im z >= 0 and im z before < 0]                firing: phase
        s = [im z >= threshold];  re z = 0, im z = threshold   where s           firing: izhikevich

    Channel ``2 c`` of the input is the real part for channel ``c`` of the spikes, channel ``2 c + 1`` the imaginary
    one: a ``Linear`` or ``Conv2d`` in front has twice the channels. No gradient goes through the phase: ``phase``
    neurons learn from the timesteps in which the imaginary part crosses zero.

    Args:
        threshold: Above 0. Like all values: a number, or a tensor that broadcasts to the features of the spikes.
        period: Timesteps of a turn, 2 or more.
        decay: Fraction of the radius lost per timestep, 0 to 1.
        firing: ``phase`` or ``izhikevich``.
        learn_decay: Whether decay and period are trained, as ``cos_decay`` and ``sin_decay``; the radius stays up to 1.
        surrogate: ``atan``, ``fast_sigmoid``, ``triangle``, or an object with a method ``derivative``.

    Raises:
        UsageError: ``HSNN-U020``, ``HSNN-U023`` or ``HSNN-U024``, if an argument is out of range.
    """

    threshold: Tensor
    cos_decay: Tensor
    sin_decay: Tensor
    firing: str

    def __init__(
        self,
        threshold: Parameter = 1.0,
        *,
        period: Parameter = 8.0,
        decay: Parameter = 0.1,
        firing: str = "phase",
        learn_decay: bool = False,
        surrogate: str | Surrogate = "atan",
    ) -> None:
        super().__init__("ResonateFire", {"firing": firing})
        turn = torch.as_tensor(period, dtype=torch.float64)
        lost = torch.as_tensor(decay, dtype=torch.float64)
        _require_range("period", turn, PERIOD_MIN, math.inf)
        _require_range("decay", lost, 0.0, 1.0)
        angle = 2 * math.pi / turn
        self._add_value("cos_decay", (1 - lost) * angle.cos(), learn=learn_decay, low=-1.0, high=1.0)
        self._add_value("sin_decay", (1 - lost) * angle.sin(), learn=learn_decay, low=-1.0, high=1.0)
        self._add_value("threshold", threshold, learn=False, low=torch.finfo(torch.float32).tiny, high=math.inf)
        self.surrogate = find_surrogate(surrogate)

    @property
    def decay(self) -> Tensor:
        """Fraction of the radius lost per timestep."""
        cos, sin = self._turn()
        return 1 - torch.hypot(cos, sin)

    @property
    def period(self) -> Tensor:
        """Timesteps of a turn."""
        cos, sin = self._turn()
        return 2 * math.pi / torch.atan2(sin, cos)

    def forward(self, x: Tensor) -> Tensor:
        """Return the spikes, 0 or 1.

        Args:
            x: Real and imaginary parts in turn, shape ``(timestep, batch, 2 * channel, ...)``.

        Returns:
            Shape ``(timestep, batch, channel, ...)``.

        Raises:
            UsageError: ``HSNN-U022``, if ``x`` has another shape or a parameter does not broadcast to the channels.
        """
        _check_parts(self, x)
        cos, sin = self._turn()
        self._check_input(x[:, :, ::2], cos, sin, self.threshold)
        if exporting():
            return self.emit((x, cos, sin, self.threshold))
        return torch.stack([spikes for spikes, _ in self._steps(x)])

    def decision_margin(self, x: Tensor) -> Tensor:
        """See :meth:`OpLayer.decision_margin`."""
        distance = torch.stack([distance for _, distance in self._steps(x)]).abs()
        return distance / torch.maximum(distance.max(), self.threshold.max())

    def _turn(self) -> tuple[Tensor, Tensor]:
        """Cosine and sine of a timestep, whose radius is 1 at most."""
        if "cos_decay" not in self._parameters:
            return self.cos_decay, self.sin_decay
        cos, sin = self._held("cos_decay", -1.0, 1.0), self._held("sin_decay", -1.0, 1.0)
        radius = (cos * cos + sin * sin).sqrt().clamp(min=1.0)
        return cos / radius, sin / radius

    def _steps(self, x: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield spikes, and how far each was from coming out differently, in the order of the ONNX function."""
        cos, sin = self._turn()
        real = imag = torch.zeros_like(x[0, :, ::2])
        for a_real, a_imag in zip(x[:, :, ::2].unbind(0), x[:, :, 1::2].unbind(0), strict=True):
            before = imag
            real, imag = cos * real - sin * imag + a_real, sin * real + cos * imag + a_imag
            if self.firing == "izhikevich":
                distance = imag - self.threshold
                s = spike(distance, imag >= self.threshold, self.surrogate)
                fired = s.detach() > 0
                real = torch.where(fired, torch.zeros_like(real), real)
                imag = torch.where(fired, self.threshold, imag)
                yield s, distance
                continue
            crossing = (imag >= 0) & (before < 0)
            distance = real - self.threshold
            s = spike(distance, real >= self.threshold, self.surrogate) * crossing
            yield s, torch.minimum(torch.minimum(distance, imag), -before)


class FixedResonateFire(Neuron):
    """:class:`ResonateFire` on a grid, as lava-dl trains it; :mod:`hsnn.nn.fixed` says what that is.

    Products of the state and the turn, and the input, are rounded toward zero to whole multiples of ``resolution``. An
    ``izhikevich`` neuron rests one such multiple below its threshold.

    Args:
        threshold: Above 0. Like all values: a number, or a tensor that broadcasts to the features of the spikes.
        resolution: Unit of the state; above 0. Weights and threshold should be multiples of it.
        cos_decay: Cosine of the turn of a timestep times what is kept of the radius, -1 to 1.
        sin_decay: Sine of it likewise.
        firing: ``phase`` or ``izhikevich``.

    Raises:
        UsageError: ``HSNN-U020``, ``HSNN-U023`` or ``HSNN-U024``, if an argument is out of range.
    """

    threshold: Tensor
    cos_decay: Tensor
    sin_decay: Tensor
    firing: str
    resolution: float

    def __init__(
        self,
        threshold: Parameter = 1.0,
        *,
        resolution: float,
        cos_decay: Parameter,
        sin_decay: Parameter,
        firing: str = "phase",
    ) -> None:
        super().__init__("FixedResonateFire", {"firing": firing, "resolution": resolution})
        self._add_value("cos_decay", cos_decay, learn=False, low=-1.0, high=1.0)
        self._add_value("sin_decay", sin_decay, learn=False, low=-1.0, high=1.0)
        self._add_value("threshold", threshold, learn=False, low=torch.finfo(torch.float32).tiny, high=math.inf)

    def forward(self, x: Tensor) -> Tensor:
        """Return the spikes, 0 or 1.

        Args:
            x: Real and imaginary parts in turn, shape ``(timestep, batch, 2 * channel, ...)``.

        Returns:
            Shape ``(timestep, batch, channel, ...)``.

        Raises:
            UsageError: ``HSNN-U022``, if ``x`` has another shape or a parameter does not broadcast to the channels.
        """
        _check_parts(self, x)
        values = (self.cos_decay, self.sin_decay, self.threshold)
        self._check_input(x[:, :, ::2], *values)
        if exporting():
            return self.emit((x, *values))
        with torch.no_grad():
            return torch.stack([spikes for spikes, _ in self._steps(x)])

    def decision_margin(self, x: Tensor) -> Tensor:
        """See :meth:`OpLayer.decision_margin`; a border of rounding that an input was next to counts from then on."""
        with torch.no_grad():
            distance = torch.stack([distance for _, distance in self._steps(x)]).abs()
            margin = distance / torch.maximum(distance.max(), self.threshold.max())
            for part in (x[:, :, ::2], x[:, :, 1::2]):
                margin = torch.minimum(margin, border_margin(part, self.resolution))
        return margin

    def _steps(self, x: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """As in :class:`ResonateFire`."""
        cos, sin = self.cos_decay.double(), self.sin_decay.double()
        real = imag = torch.zeros_like(x[0, :, ::2])
        for a_real, a_imag in zip(x[:, :, ::2].double().unbind(0), x[:, :, 1::2].double().unbind(0), strict=True):
            before, wide, across = imag, real.double(), imag.double()
            real = (self._cut(cos * wide) - self._cut(sin * across) + self._cut(a_real)).float()
            imag = (self._cut(sin * wide) + self._cut(cos * across) + self._cut(a_imag)).float()
            if self.firing == "izhikevich":
                fired = imag >= self.threshold
                yield fired.to(x.dtype), imag - self.threshold
                real = torch.where(fired, torch.zeros((), dtype=real.dtype), real)
                imag = torch.where(fired, self.threshold - self.resolution, imag)
                continue
            fired = (real >= self.threshold) & (imag >= 0) & (before < 0)
            yield fired.to(x.dtype), torch.minimum(torch.minimum(real - self.threshold, imag), -before)

    def _cut(self, wide: Tensor) -> Tensor:
        return wide - torch.fmod(wide, self.resolution)


def _check_parts(layer: OpLayer, x: Tensor) -> None:
    if x.ndim < 3 or x.shape[2] % 2:
        raise UsageError(
            "HSNN-U022",
            f"{layer.op.name} got a tensor of shape {tuple(x.shape)}",
            allowed="(timestep, batch, 2 * channel, ...): real and imaginary parts in turn",
        )


def _require_range(name: str, values: Tensor, low: float, high: float) -> None:
    if not bool(((values >= low) & (values <= high) & values.isfinite()).all()):
        raise UsageError(
            "HSNN-U023",
            f"{name} of ResonateFire is {values.min():g} to {values.max():g}",
            allowed=f"finite, {low:g} to {high:g}",
            fix="a decay is the fraction of the radius lost per timestep: 0 is no decay, 1 is no memory",
        )
