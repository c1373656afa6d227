"""Operators on values that carry a time axis in the user's model, such as ``(timestep, batch, *feature)``."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

from hsnn.errors import UnsupportedError
from hsnn.frontends.live.operators import (
    ALONG_AN_AXIS,
    PERMUTES,
    POINTWISE,
    REDUCTIONS,
    RESHAPES,
    argument,
    name_of,
    passes_on,
)
from hsnn.frontends.live.program import Program
from hsnn.frontends.live.roll import Roller
from hsnn.frontends.live.values import (
    BATCH_SIZE,
    LEADING,
    Forms,
    Layout,
    Plain,
    Timed,
    mean_over_time,
    merged_reshape,
    read_membrane,
    scope_of,
    shape_of,
    sum_over_time,
)

_FAMILY: dict[str, str] = {
    "time_first": "time_first",
    "merged_time_first": "time_first",
    "batch_first": "batch_first",
    "merged_batch_first": "batch_first",
}


class TimeAxes:
    """Applies operators to values with a time axis.

    Args:
        program: Where the steps go.
        forms: Turns values into the form that a step wants.
        roller: Applies operators to values whose leading axis is a batch.
        batch: Symbol of the batch.
    """

    def __init__(self, program: Program, *, forms: Forms, roller: Roller, batch: Any) -> None:
        self._program, self._forms, self._roller, self._batch = program, forms, roller, batch

    def apply(self, node: fx.Node, args: Any, kwargs: Any) -> Any:
        """Apply a node's operator.

        Raises:
            UnsupportedError: ``HSNN-F094``, if it mixes time with anything else.
        """
        name = name_of(node)
        value = next(item for item in _flat((args, kwargs)) if isinstance(item, Timed))
        if passes_on(node):
            return args[0]
        if name in RESHAPES or (name == "aten.expand.default" and self._layout_of(node, value) is not None):
            return self._reshaped(node, args[0])
        if LEADING[value.layout] == 1:
            if self._layout_of(node, value) != value.layout:
                raise self._mixed(node, value)
            return self._roller.apply(node, args, kwargs)
        if name in PERMUTES:
            return self._permuted(node, args[0])
        if name in POINTWISE:
            return self._pointwise(node, args, kwargs, value)
        if name in REDUCTIONS or name in ("aten.max.dim", "aten.select.int"):
            return self._reduced(node, args, value)
        if name in ALONG_AN_AXIS:
            return self._along(node, args, kwargs, value)
        raise self._mixed(node, value)

    def _layout_of(self, node: fx.Node, value: Timed) -> Layout | None:
        """Return the layout that a result with the order of elements of ``value`` has, by its shape."""
        shape = shape_of(node, self._batch) or ()
        family = _FAMILY.get(value.layout)
        pair = (value.timesteps, BATCH_SIZE) if family == "time_first" else (BATCH_SIZE, value.timesteps)
        if shape[:2] == pair:
            return "time_first" if family == "time_first" else "batch_first"
        if shape[:1] == (value.timesteps * BATCH_SIZE,):
            return "merged_time_first" if family == "time_first" else "merged_batch_first"
        return None

    def _reshaped(self, node: fx.Node, value: Timed) -> Timed:
        layout = self._layout_of(node, value)
        if layout is None:
            raise self._mixed(node, value)
        scope = scope_of(node)
        feature = (shape_of(node, self._batch) or ())[LEADING[layout] :]
        before = (shape_of(node.args[0], self._batch) or ())[LEADING[value.layout] :]  # type: ignore[arg-type]
        if feature == before:
            return value.seen_as(layout)
        ref = value.ref if value.form == "static" else self._forms.merged(value, scope)
        ref = self._program.function(merged_reshape, ref, feature, scope=scope)
        return Timed(ref, "static" if value.form == "static" else "merged", value.timesteps, layout)

    def _permuted(self, node: fx.Node, value: Timed) -> Timed:
        rank = len(shape_of(node, self._batch) or ())
        order = _order(node, rank)
        if sorted(order[:2]) != [0, 1]:
            raise self._mixed(node, value)
        layout = value.layout
        if order[:2] == [1, 0]:
            layout = "batch_first" if layout == "time_first" else "time_first"
        if order[2:] == list(range(2, rank)):
            return value.seen_as(layout)
        return self._on_merged(node, value, torch.permute, [0, *(axis - 1 for axis in order[2:])]).seen_as(layout)

    def _pointwise(self, node: fx.Node, args: Any, kwargs: Any, value: Timed) -> Timed:
        """Apply an operator that broadcasts from the last axis, with one leading axis in place of two."""
        rank = len(shape_of(node, self._batch) or ())

        def fitted(item: Any) -> Any:
            if isinstance(item, Timed):
                if item.layout != value.layout:
                    raise self._mixed(node, item)
                return item
            if not isinstance(item, Plain) or item.shape is None:
                return item
            if not item.has_batch:
                return self._without_leading_ones(node, item, rank)
            if len(item.shape) == rank - 1 and value.layout == "time_first" and item.shape[0] == BATCH_SIZE:
                return Timed(item.ref, "static", value.timesteps, value.layout)
            raise self._mixed(node, value)

        return self._roller.apply(node, _mapped(args, fitted), _mapped(kwargs, fitted)).seen_as(value.layout)  # type: ignore[no-any-return]

    def _without_leading_ones(self, node: fx.Node, item: Plain, rank: int) -> Plain:
        shape = item.shape or ()
        if len(shape) <= rank - 2 or name_of(node) == "aten.linear.default":
            return item
        extra = len(shape) - (rank - 2)
        if any(extent != 1 for extent in shape[:extra]):
            raise self._mixed(node, None)
        ref = self._program.function(torch.reshape, item.ref, shape[extra:], scope=scope_of(node))
        return Plain(ref, shape[extra:])

    def _reduced(self, node: fx.Node, args: Any, value: Timed) -> Any:
        name, scope = name_of(node), scope_of(node)
        time = 0 if value.layout == "time_first" else 1
        rank = len(shape_of(node.args[0], self._batch) or ())  # type: ignore[arg-type]
        given: Any = args[1] if len(args) > 1 else node.kwargs.get("dim")
        dims = [given] if isinstance(given, int) else list(given or range(rank))
        dims = [dim % rank for dim in dims]
        keeps = bool(argument(node, 2, "keepdim", False)) and name != "aten.select.int"
        if any(dim < 2 and dim != time for dim in dims) or (time in dims and (len(dims) > 1 or keeps)):
            raise self._mixed(node, value)
        if time not in dims:
            if name in ("aten.max.dim", "aten.select.int"):
                return self._on_merged(node, value, node.target, dims[0] - 1, *args[2:])
            return self._on_merged(node, value, node.target, [dim - 1 for dim in dims], *args[2:])
        train = self._forms.train(value, scope)
        if name == "aten.select.int":
            at = args[2] % value.timesteps
            if at == value.timesteps - 1:
                ref = self._program.function(read_membrane, train, "last", scope=scope)
            else:
                ref = self._program.function(sum_over_time, train, at, at + 1, scope=scope)
        elif name == "aten.mean.dim":
            ref = self._program.function(mean_over_time, train, scope=scope)
        elif name == "aten.sum.dim_IntList":
            ref = self._program.function(sum_over_time, train, 0, value.timesteps, scope=scope)
        else:
            ref = self._program.function(read_membrane, train, "max", scope=scope)
        shape = shape_of(node, self._batch)
        return (Plain(ref, shape), None) if name == "aten.max.dim" else Plain(ref, shape)

    def _along(self, node: fx.Node, args: Any, kwargs: Any, value: Timed) -> Timed:
        """Apply an operator that works along one axis, which has to be one of the features."""
        rank = len(shape_of(node, self._batch) or ())
        position = ALONG_AN_AXIS[name_of(node)]
        dim = argument(node, position, "dim", 0) % rank
        timed = [item for item in _flat(args) if isinstance(item, Timed | Plain)]
        if dim < 2 or any(not isinstance(item, Timed) or item.layout != value.layout for item in timed):
            raise self._mixed(node, value)
        moved = [*args]
        moved[position : position + 1] = [dim - 1]
        rest = {key: item for key, item in kwargs.items() if key != "dim"}
        return self._roller.apply(node, tuple(moved), rest)  # type: ignore[no-any-return]

    def _on_merged(self, node: fx.Node, value: Timed, function: Any, *args: Any) -> Timed:
        scope = scope_of(node)
        static = value.form == "static"
        ref = value.ref if static else self._forms.merged(value, scope)
        ref = self._program.function(function, ref, *args, scope=scope)
        return Timed(ref, "static" if static else "merged", value.timesteps, value.layout)

    def _mixed(self, node: fx.Node, value: Timed | None) -> UnsupportedError:
        scope = scope_of(node)
        axes = f" of axes {value.layout.replace('_', ' ')}" if value else ""
        return UnsupportedError(
            "HSNN-F094",
            f"{name_of(node)} in {scope or 'the model'} mixes the timesteps of a spike train{axes} with something else",
            allowed="operations that treat every timestep alike; mean, sum, max and the last value over time",
            fix="apply layers to (timestep * batch, *feature), and reduce over time alone",
        )


def _order(node: fx.Node, rank: int) -> list[int]:
    """Return the order of axes that a transposition gives, found by doing it."""
    dummy: Tensor = torch.empty(tuple(range(2, rank + 2)))
    args = [dummy, *node.args[1:]]
    return [extent - 2 for extent in node.target(*args, **node.kwargs).shape]  # type: ignore[operator]


def _flat(item: Any) -> list[Any]:
    if isinstance(item, dict):
        return _flat(list(item.values()))
    return [part for inner in item for part in _flat(inner)] if isinstance(item, list | tuple) else [item]


def _mapped(item: Any, function: Any) -> Any:
    if isinstance(item, dict):
        return {key: _mapped(part, function) for key, part in item.items()}
    if isinstance(item, list | tuple):
        return type(item)(_mapped(part, function) for part in item)
    return function(item)
