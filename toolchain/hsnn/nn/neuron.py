"""What all neurons share: decays and bias, their ranges, and how they are trained."""

from __future__ import annotations

from typing import TypeAlias

import torch
from torch import Tensor, nn

from hsnn.errors import UsageError
from hsnn.ir.shape import broadcasts
from hsnn.nn.surrogate import straight_through
from hsnn.nn.symbolic import TRAIN_AXES, OpLayer, exporting, require_input

Parameter: TypeAlias = "float | Tensor"

_DECAY = "a decay is the fraction lost per timestep: 0 is no decay, 1 is no memory"


class Neuron(OpLayer):
    """A layer of neurons with a synaptic current and a voltage."""

    decay_input: int
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
                fix=_DECAY if name.endswith("decay") else "choose a number within the range",
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
        require_input(self, x, at_least=3, axes=TRAIN_AXES)
        feature = tuple(x.shape[2:])
        for value in values:
            if not broadcasts(tuple(value.shape), feature):
                raise UsageError(
                    "HSNN-U022",
                    f"a parameter of {self.op.name} has shape {tuple(value.shape)}, its features {feature}",
                    allowed="a shape that broadcasts to the feature shape, such as (C, 1, 1) for (C, H, W)",
                )
