"""Models that see time in another way than hsnn: one timestep a call, timesteps first, states among their outputs."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hsnn.errors import UsageError

_INPUTS, _OUTPUTS = ("repeat", "train"), ("mean", "sum", "last", "train")


class OverTime(nn.Module):
    """Calls a module once for each timestep; for models with neurons of snnTorch, SpikingJelly or Norse.

    A module whose ``forward`` takes a ``state``, as Norse's do, gets the one that its last call returned. It does not
    reset neurons that keep their state themselves: that is for whoever calls it, as without it. A compiled program
    starts every sample from zero.

    Args:
        module: Takes one timestep, ``(batch, *feature)``; of a tuple or dictionary, the first entry counts.
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
        self._has_state = "state" in inspect.signature(module.forward).parameters

    def forward(self, x: Tensor) -> Tensor:
        """Run all timesteps."""
        sent, state = list[Tensor](), None
        for t in range(self.timesteps):
            step = x if self.inputs == "repeat" else x[:, t]
            output = self.module(step, state) if self._has_state else self.module(step)
            if self._has_state and isinstance(output, tuple):
                state = output[1]
            sent.append(self._first(output))
        if self.outputs == "last":
            return sent[-1]
        train = torch.stack(sent, dim=1)
        if self.outputs == "train":
            return train
        return train.mean(1) if self.outputs == "mean" else train.sum(1)

    @staticmethod
    def _first(output: Any) -> Tensor:
        if isinstance(output, Mapping):
            output = tuple(output.values())
        first: Tensor = output[0] if isinstance(output, tuple) else output
        return first

    def extra_repr(self) -> str:
        """Arguments, for ``print(module)``."""
        return f"timesteps={self.timesteps}, inputs={self.inputs!r}, outputs={self.outputs!r}"


class TimeFirst(nn.Module):
    """Hands a module its input with time first; for models that take ``(timestep, batch, *feature)``.

    Samples of hsnn have the batch first; what the module returns stays as it is.

    Args:
        module: Takes one tensor, ``(timestep, batch, *feature)``.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Any:
        """Turn ``(batch, timestep, *feature)`` around, and call the module."""
        return self.module(x.transpose(0, 1))


class MergedTime(nn.Module):
    """Hands a module its input with batch and time in one axis; for models with sinabs's squeezed layers.

    Such layers split ``(batch * timestep, *feature)`` by a number of samples or of timesteps that they keep. In the
    copy that this holds they keep the number of timesteps, so that the number of samples is free.

    Args:
        module: Takes one tensor, ``(batch * timestep, *feature)``, and returns such tensors, one or a tuple, list or
            dictionary of them; it is copied.
        timesteps: Timesteps of a sample, at least 1.

    Raises:
        UsageError: ``HSNN-U021``, if there is no timestep.
    """

    def __init__(self, module: nn.Module, *, timesteps: int) -> None:
        super().__init__()
        if timesteps < 1:
            raise UsageError("HSNN-U021", f"MergedTime has timesteps {timesteps}", allowed="at least 1")
        self.module, self.timesteps = copy.deepcopy(module), timesteps
        for part in self.module.modules():
            if hasattr(part, "batch_size") and hasattr(part, "num_timesteps"):
                part.__dict__.update(batch_size=-1, num_timesteps=timesteps)

    def forward(self, x: Tensor) -> Any:
        """Merge ``(batch, timestep, *feature)``, call the module, and split what it returns.

        Raises:
            UsageError: ``HSNN-U022``, if the input has another number of timesteps.
        """
        if x.ndim < 3 or x.shape[1] != self.timesteps:
            raise UsageError(
                "HSNN-U022",
                f"MergedTime got a tensor of shape {tuple(x.shape)}",
                allowed=f"(batch, {self.timesteps}, *feature)",
            )
        outputs = self.module(x.flatten(0, 1))
        if isinstance(outputs, Mapping):
            return {name: item.unflatten(0, (-1, self.timesteps)) for name, item in outputs.items()}
        if isinstance(outputs, tuple | list):
            return tuple(item.unflatten(0, (-1, self.timesteps)) for item in outputs)
        return outputs.unflatten(0, (-1, self.timesteps))

    def extra_repr(self) -> str:
        """Arguments, for ``print(module)``."""
        return f"timesteps={self.timesteps}"


class KeepOutputs(nn.Module):
    """Leaves outputs of a module out, such as states that only its training needs.

    Args:
        module: Takes one tensor or several, and returns a tuple, a list or a dictionary.
        keep: Which of its outputs to return, in this order: by place, from 0, or by key or name of a field.

    Raises:
        UsageError: ``HSNN-U021``, if nothing is kept, or an index is below 0.
    """

    def __init__(self, module: nn.Module, keep: Sequence[int | str]) -> None:
        super().__init__()
        kept = [keep] if isinstance(keep, int | str) else list(keep)
        if not kept or any(isinstance(item, int) and item < 0 for item in kept):
            raise UsageError("HSNN-U021", f"KeepOutputs keeps {kept}", allowed="one output or more, from 0 or by name")
        self.module, self.keep = module, tuple(kept)

    @property  # A function made for the module that is held: the exporter takes names of inputs from its signature.
    def forward(self) -> Callable[..., Any]:  # type: ignore[override]  # nobody sets it
        """Call the module, and return some of what it returns: of a dictionary another, a lone output by itself.

        It takes what the module takes, under the same names.

        Raises:
            UsageError: ``HSNN-U022``, if it does not return such outputs.
        """

        @functools.wraps(self.module.forward)
        def forward(*inputs: Any, **named: Any) -> Any:
            return self._kept(self.module(*inputs, **named))

        return forward

    def _kept(self, outputs: Any) -> Any:
        by_key = isinstance(outputs, Mapping)
        if not by_key and not isinstance(outputs, tuple | list):
            raise self._absent("one output", "a module that returns a tuple, a list or a dictionary")
        names = tuple(outputs) if by_key else getattr(outputs, "_fields", ())
        places = [names.index(item) if isinstance(item, str) and item in names else item for item in self.keep]
        known = [place for place in places if isinstance(place, int) and place < len(outputs)]
        if len(known) < len(places):
            listed = f" or {', '.join(map(repr, names))}" if names else ""
            raise self._absent(f"{len(outputs)} outputs", f"0 to {len(outputs) - 1}{listed}")
        if by_key:
            return {names[place]: outputs[names[place]] for place in known}
        kept = tuple(outputs[place] for place in known)
        return kept if len(kept) > 1 else kept[0]

    def _absent(self, found: str, allowed: str) -> UsageError:
        return UsageError("HSNN-U022", f"KeepOutputs keeps {list(self.keep)} of {found}", allowed=allowed)

    def extra_repr(self) -> str:
        """Arguments, for ``print(module)``."""
        return f"keep={self.keep}"
