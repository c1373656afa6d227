"""Where batch, time and features lie among the axes of a value, and what a transposition does to them."""

from __future__ import annotations

import torch
from torch import Tensor, fx

from hsnn.frontends.live.values import BATCH_SIZE, LEADING, Layout, Timed

_FAMILY: dict[str, str] = {
    "time_first": "time_first",
    "merged_time_first": "time_first",
    "batch_first": "batch_first",
    "merged_batch_first": "batch_first",
}


def layout_of(shape: tuple[int, ...], value: Timed) -> Layout | None:
    """Return the layout of a result that has this shape and the order of elements of ``value``, if it has any."""
    if value.layout == "time_last":
        return "time_last" if len(shape) > 1 and (shape[0], shape[-1]) == (BATCH_SIZE, value.timesteps) else None
    family = _FAMILY.get(value.layout)
    pair = (value.timesteps, BATCH_SIZE) if family == "time_first" else (BATCH_SIZE, value.timesteps)
    if shape[:2] == pair:
        return "time_first" if family == "time_first" else "batch_first"
    if shape[:1] == (value.timesteps * BATCH_SIZE,):
        return "merged_time_first" if family == "time_first" else "merged_batch_first"
    return None


def batch_axis(value: Timed) -> int:
    """Return the batch axis of a value whose time and batch are apart."""
    return 1 if value.layout == "time_first" else 0


def time_axis(value: Timed, rank: int) -> int:
    """Return the time axis of a value of that many axes."""
    return {"time_first": 0, "batch_first": 1}.get(value.layout, rank - 1)


def feature_extents(shape: tuple[int, ...], layout: Layout) -> tuple[int, ...]:
    """Return the extents of the features in the shape of a value of that layout."""
    return shape[1:-1] if layout == "time_last" else shape[LEADING[layout] :]


def axis_order(node: fx.Node, rank: int) -> list[int]:
    """Return the order of axes that a transposition gives, found by doing it."""
    dummy: Tensor = torch.empty(tuple(range(2, rank + 2)))
    args = [dummy, *node.args[1:]]
    return [extent - 2 for extent in node.target(*args, **node.kwargs).shape]  # type: ignore[operator]
