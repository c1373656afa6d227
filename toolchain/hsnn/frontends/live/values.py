"""What a value of the traced model is in the rolled one, and the forms that it is held in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, fx

from hsnn.errors import UnsupportedError
from hsnn.frontends.live.program import Program, Ref
from hsnn.nn import Delay, DirectEncode, MembraneDecode, MergeTime, RateDecode, SplitTime, TrainDecode, WindowSumDecode

Layout: TypeAlias = Literal["step", "time_first", "batch_first", "merged_time_first", "merged_batch_first", "time_last"]
"""Axes beside the features in the user's model; ``step`` is the batch of one timestep."""

Form: TypeAlias = Literal["static", "merged", "train"]
"""How it is held: ``(batch, *feature)``, the same at every timestep; ``(timestep * batch, *feature)``; or a train."""

LEADING: dict[str, int] = {
    "step": 1,
    "time_first": 2,
    "batch_first": 2,
    "merged_time_first": 1,
    "merged_batch_first": 1,
    "time_last": 2,
}
"""Axes beside the features, which stand in front of them except in ``time_last``."""

BATCH_SIZE = 10007
"""Stands for the batch where shapes are compared: a prime that no feature axis is a multiple of."""


@dataclass(frozen=True, slots=True)
class Plain:
    """An ordinary value.

    Attributes:
        ref: Its result in the rolled model.
        shape: Its shape, the batch being ``BATCH_SIZE``; ``None`` for a number.
    """

    ref: Ref
    shape: tuple[int, ...] | None

    @property
    def has_batch(self) -> bool:
        """Whether it depends on the sample."""
        return self.shape is not None and any(extent % BATCH_SIZE == 0 and extent for extent in self.shape)


@dataclass(frozen=True, slots=True)
class Timed:
    """A value that has a value for each timestep.

    Attributes:
        ref: Its result in the rolled model.
        form: How it is held there.
        timesteps: Timesteps.
        layout: Axes that it has in the user's model.
    """

    ref: Ref
    form: Form
    timesteps: int
    layout: Layout

    def seen_as(self, layout: Layout) -> Timed:
        """Return the same value with other axes in the user's model."""
        return replace(self, layout=layout)


class Forms:
    """Turns values from one form into another.

    Args:
        program: Where the steps go.
    """

    def __init__(self, program: Program) -> None:
        self._program = program
        self._trains: dict[Ref, Ref] = {}
        self._merged: dict[Ref, Ref] = {}
        self._decoded: dict[Ref, Ref] = {}

    def train(self, value: Timed, scope: str) -> Ref:
        """Return it as ``(timestep, batch, *feature)``."""
        if value.form == "train":
            return value.ref
        if value.ref not in self._trains:
            encode: Callable[..., Any] = direct_encode if value.form == "static" else split_time
            train = self._program.function(encode, value.ref, value.timesteps, scope=scope)
            self._trains[value.ref] = train
            if value.form == "merged":
                self._merged[train] = value.ref
        return self._trains[value.ref]

    def merged(self, value: Timed, scope: str) -> Ref:
        """Return it as ``(timestep * batch, *feature)``."""
        if value.form == "merged":
            return value.ref
        train = self.train(value, scope)
        if train not in self._merged:
            self._merged[train] = self._program.function(merge_time, train, scope=scope)
        return self._merged[train]

    def decoded(self, value: Timed, scope: str) -> Ref:
        """Return the whole of it as an ordinary value, ``(batch, timestep, *feature)``."""
        if value.ref not in self._decoded:
            if value.form == "merged":
                found = self._program.function(merged_decode, value.ref, value.timesteps, scope=scope)
            else:
                found = self._program.function(train_decode, self.train(value, scope), scope=scope)
            self._decoded[value.ref] = found
        return self._decoded[value.ref]


def shape_of(node: fx.Node, batch: Any) -> tuple[int, ...] | None:
    """Return the shape of a node's tensor with ``BATCH_SIZE`` for the batch; ``None`` if it is no tensor.

    Raises:
        UnsupportedError: ``HSNN-F013``, if an extent depends on values.
    """
    value = node.meta.get("val")
    if not isinstance(value, Tensor):
        return None
    return tuple(_extent(extent, batch, node) for extent in value.shape)


def _extent(extent: int | torch.SymInt, batch: Any, node: fx.Node) -> int:
    if not isinstance(extent, torch.SymInt):
        return extent
    found = extent.node.expr.subs(batch, BATCH_SIZE)
    if not found.is_Integer:
        raise UnsupportedError(
            "HSNN-F013",
            f"the shape that {node.target} gives in {scope_of(node) or 'the model'} depends on the values of a tensor",
            allowed="shapes that follow from those of the inputs",
            fix="take extents from x.shape, not from tensors: .item(), .tolist() and int() of a tensor",
        )
    return int(found)


def scope_of(node: fx.Node) -> str:
    """Return the path of the user's module that a node is part of."""
    stack = list(node.meta.get("nn_module_stack", {}).values())
    path = str(stack[-1][0]) if stack else ""
    return "" if path.startswith("_empty") else path.split("@")[0]


def direct_encode(x: Tensor, timesteps: int) -> Tensor:
    """A value that is the same at every timestep, as a train."""
    encoded: Tensor = DirectEncode(timesteps).forward(x)
    return encoded


def merge_time(x: Tensor) -> Tensor:
    """Time and batch as one axis."""
    return MergeTime().forward(x)


def split_time(x: Tensor, timesteps: int) -> Tensor:
    """Time and batch as two axes."""
    return SplitTime(timesteps).forward(x)


def delay(x: Tensor, steps: int) -> Tensor:
    """A train, later."""
    return Delay(steps).forward(x)


def mean_over_time(x: Tensor) -> Tensor:
    """The mean of a train."""
    return RateDecode().forward(x)


def sum_over_time(x: Tensor, start: int, stop: int) -> Tensor:
    """The sum of some timesteps of a train."""
    return WindowSumDecode(start, stop=stop).forward(x)


def read_membrane(x: Tensor, mode: str) -> Tensor:
    """The last, largest or mean value of a train."""
    return MembraneDecode(mode).forward(x)


def train_decode(x: Tensor) -> Tensor:
    """A whole train as an ordinary value, batch first."""
    decoded: Tensor = TrainDecode().forward(x)
    return decoded


def merged_decode(x: Tensor, timesteps: int) -> Tensor:
    """The same of time and batch as one axis; what was compared may be truth values, which no train holds."""
    return train_decode(split_time(x.float(), timesteps)).to(x.dtype)


def merged_reshape(x: Tensor, feature: tuple[int, ...]) -> Tensor:
    """Another shape of the features, the first axis as it is."""
    return x.reshape(-1, *feature)
