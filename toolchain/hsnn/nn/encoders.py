"""Encoders: ``(batch, *feature)`` to ``(timestep, batch, *feature)``. All can be trained through.

The forward value is exactly that of the operator. The backward pass is straight through: where the
operator rounds or thresholds, the gradient is that of the value before, and it is zero where the value was clipped.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hsnn.errors import UsageError
from hsnn.nn.surrogate import straight_through
from hsnn.nn.symbolic import SAMPLE_AXES, OpLayer, exporting, require_input
from hsnn.ops.noise import counter_noise


class RateEncode(OpLayer):
    """Deterministic rate code: a value is the number of spikes per timestep.

    ::

        a = clip(x / scale, 0, 1);  S = initial
        for t < timesteps - silent:   S += a;  s[t] = [S >= 1];  S -= s[t]

    Args:
        timesteps: Timesteps, at least 1.
        scale: Value that spikes at every timestep, above 0.
        initial: What the sum starts with, at least 0 and below 1; 0.5 rounds where 0 floors.
        silent: Timesteps at the end without spikes, at most ``timesteps``.

    Raises:
        UsageError: ``HSNN-U020`` or ``HSNN-U021``, if an argument is out of range.
    """

    timesteps: int
    scale: float
    initial: float
    silent: int

    def __init__(self, timesteps: int, *, scale: float = 1.0, initial: float = 0.0, silent: int = 0) -> None:
        super().__init__("RateEncode", {"timesteps": timesteps, "scale": scale, "initial": initial, "silent": silent})
        if silent > timesteps:
            raise UsageError(
                "HSNN-U021",
                f"RateEncode has {silent} silent timesteps of {timesteps}",
                fix="leave one timestep or more that may spike",
            )

    def forward(self, x: Tensor) -> Tensor:
        """Return the train of ``x``, ``(batch, *feature)``; shape ``(timestep, batch, *feature)``.

        Raises:
            UsageError: ``HSNN-U022``, if ``x`` is not floating point or has no feature axis.
        """
        require_input(self, x, at_least=2, axes=SAMPLE_AXES)
        if exporting():
            return self.emit((x,))
        a = self._rate(x)
        soft = torch.cat((_repeat(a, self.timesteps - self.silent), _repeat(torch.zeros_like(a), self.silent)))
        return straight_through(soft, (self._totals(a.detach()) >= 1).to(x.dtype))

    def decision_margin(self, x: Tensor) -> Tensor:
        """See :meth:`OpLayer.decision_margin`."""
        return (self._totals(self._rate(x)) - 1).abs()

    def _rate(self, x: Tensor) -> Tensor:
        return (x / x.new_tensor(self.scale)).clamp(0, 1)

    def _totals(self, a: Tensor) -> Tensor:
        """Return the sum that is compared with 1 at every timestep, minus infinity at silent ones."""
        totals = a.new_full((self.timesteps, *a.shape), -math.inf)
        total = torch.full_like(a, self.initial)
        for t in range(self.timesteps - self.silent):
            total = total + a
            totals[t] = total
            total = total - (total >= 1).to(a.dtype)
        return totals


class PoissonEncode(OpLayer):
    """Random rate code: a spike with probability ``clip(x / scale, 0, 1)`` at every timestep.

    The noise is a function of seed, timestep and feature only: every sample of every batch sees the same.

    Args:
        timesteps: Timesteps, at least 1.
        seed: 0 to ``2**31 - 2``.
        scale: Value that spikes at every timestep, above 0.

    Raises:
        UsageError: ``HSNN-U020``, if an argument is out of range.
    """

    timesteps: int
    scale: float
    seed: int

    def __init__(self, timesteps: int, *, seed: int, scale: float = 1.0) -> None:
        super().__init__("PoissonEncode", {"timesteps": timesteps, "scale": scale, "seed": seed})

    def forward(self, x: Tensor) -> Tensor:
        """Return the train of ``x``, ``(batch, *feature)``; shape ``(timestep, batch, *feature)``.

        Raises:
            UsageError: ``HSNN-U022``, if ``x`` is not floating point or has no feature axis.
        """
        require_input(self, x, at_least=2, axes=SAMPLE_AXES)
        if exporting():
            return self.emit((x,))
        p = (x / x.new_tensor(self.scale)).clamp(0, 1)
        below = self._noise(x) < p.detach()
        return straight_through(_repeat(p, self.timesteps), below.to(x.dtype))

    def decision_margin(self, x: Tensor) -> Tensor:
        """See :meth:`OpLayer.decision_margin`."""
        return (self._noise(x) - (x / x.new_tensor(self.scale)).clamp(0, 1)).abs()

    def _noise(self, x: Tensor) -> Tensor:
        noise = torch.from_numpy(counter_noise(self.seed, self.timesteps, math.prod(x.shape[1:])))
        return noise.to(x.device).reshape(self.timesteps, 1, *x.shape[1:])


class DirectEncode(OpLayer):
    """The value itself at every timestep, as a constant current.

    Args:
        timesteps: Timesteps, at least 1.

    Raises:
        UsageError: ``HSNN-U020``, if it is less.
    """

    timesteps: int

    def __init__(self, timesteps: int) -> None:
        super().__init__("DirectEncode", {"timesteps": timesteps})

    def forward(self, x: Tensor) -> Tensor:
        """Return the train of ``x``, ``(batch, *feature)``; shape ``(timestep, batch, *feature)``.

        Raises:
            UsageError: ``HSNN-U022``, if ``x`` is not floating point or has no feature axis.
        """
        require_input(self, x, at_least=2, axes=SAMPLE_AXES)
        return self.emit((x,)) if exporting() else _repeat(x, self.timesteps)


class GradedEncode(OpLayer):
    """One graded spike: the quantized value at timestep 0, nothing later.

    Args:
        timesteps: Timesteps, at least 1.
        step: Quantization step, above 0.
        bits: Bits of the integer payload, 1 to 24.
        signed: Whether it is a two's-complement integer; else negative values become 0.

    Raises:
        UsageError: ``HSNN-U020``, if an argument is out of range.
    """

    timesteps: int
    step: float
    bits: int
    signed: int

    def __init__(self, timesteps: int, *, step: float, bits: int = 8, signed: bool = False) -> None:
        super().__init__("GradedEncode", {"timesteps": timesteps, "step": step, "bits": bits, "signed": signed})

    def forward(self, x: Tensor) -> Tensor:
        """Return the train of ``x``, ``(batch, *feature)``; shape ``(timestep, batch, *feature)``.

        Raises:
            UsageError: ``HSNN-U022``, if ``x`` is not floating point or has no feature axis.
        """
        require_input(self, x, at_least=2, axes=SAMPLE_AXES)
        if exporting():
            return self.emit((x,))
        step = x.new_tensor(self.step)
        ratio = x / step
        limit = 2 ** (self.bits - self.signed)
        payload = straight_through(ratio, ratio.detach().round()).clamp(-limit if self.signed else 0, limit - 1)
        return torch.cat(((payload * step)[None], x.new_zeros((self.timesteps - 1, *x.shape))))

    def decision_margin(self, x: Tensor) -> Tensor:
        """See :meth:`OpLayer.decision_margin`."""
        ratio = x / x.new_tensor(self.step)
        border = (ratio - ratio.floor() - 0.5).abs() / ratio.abs().max().clamp(min=1)
        return torch.cat((border[None], x.new_full((self.timesteps - 1, *x.shape), math.inf)))


class TrainEncode(OpLayer):
    """A spike train that comes from outside: ``(batch, timestep, *feature)`` to ``(timestep, batch, *feature)``.

    Here every value is passed on, so that the layer can be traced with any numbers. A compiled program ends with
    ``HSNN-R111`` where a train that was declared binary has other values than 0 and 1.

    Args:
        timesteps: Length of axis 1 of the input, at least 1.
        values: ``binary``: spikes of one bit; ``graded``: any number, sent as payloads that calibration chooses.

    Raises:
        UsageError: ``HSNN-U020``, if an argument is out of range.
    """

    timesteps: int
    values: str

    def __init__(self, timesteps: int, *, values: str = "binary") -> None:
        super().__init__("TrainEncode", {"timesteps": timesteps, "values": values})

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x``, ``(batch, timestep, *feature)``, with the first two axes exchanged.

        Raises:
            UsageError: ``HSNN-U022``, if ``x`` has another number of axes or of timesteps.
        """
        require_input(self, x, at_least=3, axes="(batch, timestep, *feature) with at least one feature axis")
        if x.shape[1] != self.timesteps:
            raise UsageError(
                "HSNN-U022",
                f"TrainEncode got a tensor of shape {tuple(x.shape)}",
                allowed=f"(batch, {self.timesteps}, *feature)",
            )
        return self.emit((x,)) if exporting() else x.transpose(0, 1)


def _repeat(x: Tensor, timesteps: int) -> Tensor:
    return x.unsqueeze(0).expand(timesteps, *x.shape)
