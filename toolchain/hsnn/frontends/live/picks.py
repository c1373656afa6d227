"""How a loop takes one timestep out of a tensor: ``x[:, t]``, ``x.unbind(1)``, ``x[:, t:t+1].squeeze(1)``."""

from __future__ import annotations

import operator
from typing import Any, TypeAlias

from torch import fx

from hsnn.frontends.live.operators import argument, name_of, passes_on

Pick: TypeAlias = tuple[fx.Node, int, int]
"""A tensor, an axis from 0, and an index along it."""

_SQUEEZES = ("aten.squeeze.dim", "aten.squeeze.dims", "aten.squeeze.default")


def pick(node: fx.Node) -> Pick | None:
    """Return source, axis and index of a node that takes one index of an axis, and drops the axis."""
    name = name_of(node)
    if name == "aten.select.int":
        source, axis, index = node.args
        one = _part(unwrapped(source))
        if one is not None and one[1] == axis and index in (0, -1):
            return one
        return from_zero(unwrapped(source), axis, index)
    if node.target is operator.getitem and name_of(node.args[0]) == "aten.unbind.int":  # type: ignore[arg-type]
        source = node.args[0]
        return from_zero(unwrapped(source.args[0]), argument(source, 1, "dim", 0), node.args[1])  # type: ignore[union-attr,arg-type]
    if name in _SQUEEZES:
        one = _part(unwrapped(node.args[0]))
        return one if one is not None and _drops(node, one[1]) else None
    return None


def unwrapped(node: Any) -> fx.Node:
    """Leave out what returns what it is given."""
    while passes_on(node):
        node = node.args[0]
    return node  # type: ignore[no-any-return]


def _part(node: fx.Node) -> Pick | None:
    """Return source, axis and index of a node that takes one index of an axis, and keeps the axis."""
    name = name_of(node)
    if name == "aten.slice.Tensor":
        start, stop = argument(node, 2, "start", 0), argument(node, 3, "end", None)
        if isinstance(start, int) and isinstance(stop, int) and stop - start == 1:
            return from_zero(unwrapped(node.args[0]), argument(node, 1, "dim", 0), start)
    if name == "aten.narrow.default" and node.args[3] == 1:
        return from_zero(unwrapped(node.args[0]), node.args[1], node.args[2])
    if node.target is operator.getitem and name_of(node.args[0]) in ("aten.split.Tensor", "aten.chunk.default"):  # type: ignore[arg-type]
        whole: Any = node.args[0]
        found = from_zero(unwrapped(whole.args[0]), argument(whole, 2, "dim", 0), node.args[1])
        return found if found is not None and node.meta["val"].shape[found[1]] == 1 else None
    return None


def _drops(squeeze: fx.Node, axis: int) -> bool:
    """Tell whether a squeeze drops one axis, and no other."""
    before, after = squeeze.args[0].meta["val"].shape, squeeze.meta["val"].shape  # type: ignore[union-attr]
    dims: Any = squeeze.args[1] if len(squeeze.args) > 1 else [axis]
    dims = [dims] if isinstance(dims, int) else dims
    return len(after) == len(before) - 1 and axis in [dim % len(before) for dim in dims]


def from_zero(source: fx.Node, axis: Any, index: Any) -> Pick | None:
    """Count axis and index from 0; None where the index is no number."""
    shape = source.meta["val"].shape
    axis %= len(shape)
    extent = shape[axis]
    return (source, axis, index % extent if isinstance(extent, int) else index) if isinstance(index, int) else None
