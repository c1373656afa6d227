"""The loop over time around a model whose neurons keep their state from call to call."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from hsnn.errors import UsageError

_INPUTS, _OUTPUTS = ("repeat", "train"), ("mean", "sum", "last", "train")


class OverTime(nn.Module):
    """Calls a module once for each timestep; for models with neurons of snnTorch or SpikingJelly.

    It does not reset the neurons: that is for whoever calls it, as without it. A compiled program starts every sample
    from zero.

    Args:
        module: Takes one timestep, ``(batch, *feature)``; if it returns a tuple, the first entry counts.
        timesteps: Timesteps, at least 1.
        inputs: ``repeat``: the input is the same at every timestep; ``train``: it is ``(batch, timestep, *feature)``.
        outputs: ``mean``, ``sum`` or ``last`` over time, or ``train``: ``(batch, timestep, *feature)``.

    Raises:
        UsageError: ``HSNN-U021``, if an argument is out of range.
    """

    def __init__(self, module: nn.Module, *, timesteps: int, inputs: str = "repeat", outputs: str = "mean") -> None:
        super().__init__()
        if timesteps < 1 or inputs not in _INPUTS or outputs not in _OUTPUTS:
            raise UsageError(
                "HSNN-U021",
                f"OverTime has timesteps {timesteps}, inputs {inputs!r} and outputs {outputs!r}",
                allowed=f"at least 1; {' or '.join(_INPUTS)}; {' or '.join(_OUTPUTS)}",
            )
        self.module, self.timesteps, self.inputs, self.outputs = module, timesteps, inputs, outputs

    def forward(self, x: Tensor) -> Tensor:
        """Run all timesteps."""
        sent = [self._first(self.module(x if self.inputs == "repeat" else x[:, t])) for t in range(self.timesteps)]
        if self.outputs == "last":
            return sent[-1]
        train = torch.stack(sent, dim=1)
        if self.outputs == "train":
            return train
        return train.mean(1) if self.outputs == "mean" else train.sum(1)

    @staticmethod
    def _first(output: Any) -> Tensor:
        first: Tensor = output[0] if isinstance(output, tuple) else output
        return first

    def extra_repr(self) -> str:
        """Arguments, for ``print(module)``."""
        return f"timesteps={self.timesteps}, inputs={self.inputs!r}, outputs={self.outputs!r}"
