"""Layers that move time about: any torch layer at every timestep, delays."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hsnn.errors import UsageError
from hsnn.nn.symbolic import TRAIN_AXES, OpLayer, exporting, require_input

AXONAL_DELAY_MAX = 62
"""Largest delay of an axon, in timesteps: a synapse of the hardware adds one more of its own."""


class MergeTime(OpLayer):
    """``(timestep, batch, *feature)`` to ``(timestep * batch, *feature)``."""

    def __init__(self) -> None:
        super().__init__("MergeTime", {})

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x``, ``(timestep, batch, *feature)``, as ``(timestep * batch, *feature)``; raises ``HSNN-U022``."""
        require_input(self, x, at_least=2, axes=TRAIN_AXES)
        if not exporting():
            return x.flatten(0, 1)
        return self.emit((x,))


class SplitTime(OpLayer):
    """``(timestep * batch, *feature)`` back to ``(timestep, batch, *feature)``.

    Args:
        timesteps: Timesteps, at least 1.

    Raises:
        UsageError: ``HSNN-U020``, if it is less.
    """

    timesteps: int

    def __init__(self, timesteps: int) -> None:
        super().__init__("SplitTime", {"timesteps": timesteps})

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x``, ``(timestep * batch, *feature)``, as ``(timestep, batch, *feature)``.

        Raises:
            UsageError: ``HSNN-U022``, if the first axis is no multiple of the timesteps.
        """
        if not exporting():
            if x.shape[0] % self.timesteps:
                raise UsageError(
                    "HSNN-U022",
                    f"SplitTime got a tensor of shape {tuple(x.shape)}",
                    allowed=f"a first axis that is a multiple of {self.timesteps}",
                )
            split: Tensor = x.unflatten(0, (self.timesteps, x.shape[0] // self.timesteps))
            return split
        return self.emit((x,))


class Delay(OpLayer):
    """``out[t] = x[t - steps]``, zero before.

    Args:
        steps: Timesteps of delay, at least 0.

    Raises:
        UsageError: ``HSNN-U020``, if it is negative.
    """

    steps: int

    def __init__(self, steps: int) -> None:
        super().__init__("Delay", {"steps": steps})

    def forward(self, x: Tensor) -> Tensor:
        """Delay ``x``, ``(timestep, batch, *feature)``; same shape; raises ``HSNN-U022``."""
        require_input(self, x, at_least=2, axes=TRAIN_AXES)
        if exporting():
            return self.emit((x,))
        return torch.cat((x.new_zeros((self.steps, *x.shape[1:])), x))[: x.shape[0]]


class AxonalDelay(OpLayer):
    """What each neuron sends arrives its own time later: ``y[t, b, f] = x[t - steps[f], b, f]``, zero before.

    These are the delays of lava-dl's blocks, which delay a block's outputs: put it behind the neurons. lava-dl trains
    real delays and uses their floor.

    Args:
        steps: Whole numbers from 0 to 62; a tensor that broadcasts to the feature shape.

    Raises:
        UsageError: ``HSNN-U025``, if a delay is out of range or not whole.
    """

    steps: Tensor

    def __init__(self, steps: Tensor) -> None:
        super().__init__("AxonalDelay", {})
        values = torch.as_tensor(steps, dtype=torch.float32).detach().clone()
        if not bool(((values >= 0) & (values <= AXONAL_DELAY_MAX) & (values == values.floor())).all()):
            raise UsageError(
                "HSNN-U025",
                f"delays of AxonalDelay are {values.min():g} to {values.max():g}, or not whole",
                allowed=f"whole numbers from 0 to {AXONAL_DELAY_MAX}",
                fix="round trained delays down, as lava-dl does",
            )
        self.register_buffer("steps", values)

    def forward(self, x: Tensor) -> Tensor:
        """Delay ``x``, ``(timestep, batch, *feature)`` with a feature axis; same shape; raises ``HSNN-U022``."""
        require_input(self, x, at_least=3, axes=TRAIN_AXES)
        if exporting():
            return self.emit((x, self.steps))
        sent_at = torch.arange(x.shape[0]).reshape(-1, *(1,) * (x.ndim - 1)) - self.steps.long()
        taken = x.gather(0, sent_at.clamp(min=0).expand(x.shape))
        return torch.where(sent_at < 0, x.new_zeros(()), taken)


class TimeDistributed(nn.Module):
    """A module of ordinary layers, applied to every timestep on its own.

    Time and batch become one axis, so that layers such as ``Conv2d``, ``BatchNorm2d`` and ``AvgPool2d`` see
    ``(timestep * batch, *feature)``. In training, batch norm takes its statistics over both.

    Args:
        module: Takes and returns one tensor, batch axis first.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        """Apply the module to every timestep.

        Args:
            x: Shape ``(timestep, batch, *feature)``.

        Returns:
            Shape ``(timestep, batch, *made)``, where the module makes ``(batch, *made)`` of ``(batch, *feature)``.

        Raises:
            UsageError: ``HSNN-U022``, if ``x`` is no such train, or the module changes the length of the first axis to
                no multiple of the timesteps.
        """
        merge = MergeTime()
        require_input(merge, x, at_least=2, axes=TRAIN_AXES)
        timesteps = x.shape[0]
        merged: Tensor = self.module(merge(x))
        return SplitTime(timesteps).forward(merged)
