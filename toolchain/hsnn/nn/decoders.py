"""Decoders: ``(timestep, batch, *feature)`` to ``(batch, *feature)``."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hsnn.errors import UsageError
from hsnn.nn.symbolic import TRAIN_AXES, OpLayer, exporting, require_input
from hsnn.ops.spec import float32


class RateDecode(OpLayer):
    """Mean over time."""

    def __init__(self) -> None:
        super().__init__("RateDecode", {})

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean over time of ``x``, ``(timestep, batch, *feature)``; shape ``(batch, *feature)``.

        Raises:
            UsageError: ``HSNN-U022``, if ``x`` is no such train.
        """
        require_input(self, x, at_least=2, axes=TRAIN_AXES)
        return self.emit((x,)) if exporting() else x.mean(0)


class WindowSumDecode(OpLayer):
    """Sum over the timesteps ``start <= t < stop``.

    Args:
        start: First timestep, at least 0.
        stop: Timestep behind the last, above ``start``; at most the number of timesteps.

    Raises:
        UsageError: ``HSNN-U020`` or ``HSNN-U021``, if an argument is out of range.
    """

    start: int
    stop: int

    def __init__(self, start: int = 0, *, stop: int) -> None:
        super().__init__("WindowSumDecode", {"start": start, "stop": stop})
        if stop <= start:
            raise UsageError("HSNN-U021", f"WindowSumDecode goes from {start} to {stop}", allowed="stop above start")

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum of the window, shape ``(batch, *feature)``.

        Args:
            x: Spikes or messages, shape ``(timestep, batch, *feature)``.

        Raises:
            UsageError: ``HSNN-U022``, if ``x`` is no such train or ends before the window does.
        """
        require_input(self, x, at_least=2, axes=TRAIN_AXES)
        if self.stop > x.shape[0]:
            raise UsageError(
                "HSNN-U022",
                f"WindowSumDecode stops at timestep {self.stop} of {x.shape[0]}",
                allowed="at most the number of timesteps",
            )
        return self.emit((x,)) if exporting() else x[self.start : self.stop].sum(0)


class WeightedSumDecode(OpLayer):
    """Weighted sum over time: ``sum_t weights[t] * x[t] / divisor``.

    The weights are recorded on their own, whatever the encoder's order of bits was.

    Args:
        weights: One weight a timestep, shape ``(timestep,)``; for bit planes ``1, 2, 4, ...`` or its reverse.
        divisor: Not 0; for bit planes ``2**planes - 1``.
        learn_weights: Whether the weights are trained.

    Raises:
        UsageError: ``HSNN-U020`` or ``HSNN-U021``, if an argument is out of range.
    """

    weights: Tensor
    divisor: float

    def __init__(
        self, weights: Tensor | list[float] | tuple[float, ...], *, divisor: float = 1.0, learn_weights: bool = False
    ) -> None:
        super().__init__("WeightedSumDecode", {"divisor": divisor})
        tensor = torch.as_tensor(weights, dtype=torch.float32).detach().clone()
        if tensor.ndim != 1 or not bool(tensor.isfinite().all()):
            raise UsageError(
                "HSNN-U021",
                f"weights of WeightedSumDecode have shape {tuple(tensor.shape)}",
                allowed="finite weights of shape (timestep,)",
            )
        if float32(divisor) == 0:
            raise UsageError("HSNN-U021", "divisor of WeightedSumDecode is 0", allowed="not 0")
        if learn_weights:
            self.weights = nn.Parameter(tensor)
        else:
            self.register_buffer("weights", tensor)

    def forward(self, x: Tensor) -> Tensor:
        """Return the weighted sum, shape ``(batch, *feature)``.

        Args:
            x: Spikes or messages, shape ``(timestep, batch, *feature)``.

        Raises:
            UsageError: ``HSNN-U022``, if ``x`` is no such train or has not one timestep for each weight.
        """
        require_input(self, x, at_least=2, axes=TRAIN_AXES)
        if self.weights.shape[0] != x.shape[0]:
            raise UsageError(
                "HSNN-U022",
                f"WeightedSumDecode has {self.weights.shape[0]} weights for {x.shape[0]} timesteps",
                allowed="one weight a timestep",
            )
        if exporting():
            return self.emit((x, self.weights))
        column = self.weights.reshape(-1, *(1,) * (x.ndim - 1))
        return (x * column).sum(0) / x.new_tensor(self.divisor)


class TrainDecode(OpLayer):
    """The whole train, spikes or voltages, batch axis first: ``(batch, timestep, *feature)``."""

    def __init__(self) -> None:
        super().__init__("TrainDecode", {})

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x``, ``(timestep, batch, *feature)``, with the first two axes exchanged.

        Raises:
            UsageError: ``HSNN-U022``, if ``x`` is no such train.
        """
        require_input(self, x, at_least=2, axes=TRAIN_AXES)
        return self.emit((x,)) if exporting() else x.transpose(0, 1)


class MembraneDecode(OpLayer):
    """Read a voltage trace once.

    Args:
        mode: ``last``, ``max`` or ``mean`` over time.

    Raises:
        UsageError: ``HSNN-U020``, if it is anything else.
    """

    mode: str

    def __init__(self, mode: str = "last") -> None:
        super().__init__("MembraneDecode", {"mode": mode})

    def forward(self, x: Tensor) -> Tensor:
        """Return the reading of ``x``, ``(timestep, batch, *feature)``; shape ``(batch, *feature)``.

        Raises:
            UsageError: ``HSNN-U022``, if ``x`` is no such train.
        """
        require_input(self, x, at_least=2, axes=TRAIN_AXES)
        if exporting():
            return self.emit((x,))
        if self.mode == "last":
            return x[-1]
        return x.amax(0) if self.mode == "max" else x.mean(0)
