"""Operators on values that carry a time axis in the user's model, such as ``(timestep, batch, *feature)``."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import fx

from hsnn.errors import UnsupportedError
from hsnn.frontends.live.arguments import flat, mapped
from hsnn.frontends.live.layouts import axis_order, batch_axis, feature_extents, layout_of, time_axis
from hsnn.frontends.live.opaque import LATER_NODE
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
from hsnn.frontends.live.place import Placer
from hsnn.frontends.live.program import Program, Ref
from hsnn.frontends.live.roll import Roller
from hsnn.frontends.live.values import (
    BATCH_SIZE,
    LEADING,
    Forms,
    Layout,
    Plain,
    Timed,
    delay,
    mean_over_time,
    merged_reshape,
    read_membrane,
    scope_of,
    shape_of,
    sum_over_time,
)
from hsnn.nn import AxonalDelay


class _MixedTimeError(UnsupportedError):
    """An operator does not treat every timestep alike."""


class TimeAxes:
    """Applies operators to values with a time axis.

    Args:
        program: Where the steps go.
        forms: Turns values into the form that a step wants.
        roller: Applies operators to values whose leading axis is a batch.
        placer: Starts a train where a value with the axes of one meets it.
        batch: Symbol of the batch.
    """

    def __init__(self, program: Program, *, forms: Forms, roller: Roller, placer: Placer, batch: Any) -> None:
        self._program, self._forms, self._roller, self._batch = program, forms, roller, batch
        self._placer = placer
        self._wholes: dict[tuple[Ref, Layout], Ref] = {}

    def apply(self, node: fx.Node, args: Any, kwargs: Any) -> Any:
        """Apply a node's operator; one that does not treat every timestep alike gets whole trains as ordinary values.

        Raises:
            UnsupportedError: ``HSNN-F094``, if it mixes time with anything else inside of a loop over time, or where
                every timestep is the same.
        """
        try:
            return self._in_time(node, args, kwargs)
        except _MixedTimeError:
            trains = [item for item in flat((args, kwargs)) if isinstance(item, Timed)]
            if any(item.layout == "step" or item.form == "static" for item in trains):
                raise
        scope = scope_of(node)

        def whole(item: Any) -> Any:
            return self._whole(item, scope) if isinstance(item, Timed) else item

        return self._roller.apply(node, mapped(args, whole), mapped(kwargs, whole))

    def _whole(self, value: Timed, scope: str) -> Plain:
        """Return a train as the ordinary value that it is in the user's model."""
        key = (value.ref, value.layout)
        if key not in self._wholes:
            ref = self._forms.decoded(value, scope)
            if value.layout in ("time_first", "merged_time_first"):
                ref = self._program.function(torch.transpose, ref, 0, 1, scope=scope)
            if value.layout == "time_last":
                ref = self._program.function(torch.movedim, ref, 1, -1, scope=scope)
            if value.layout in ("merged_time_first", "merged_batch_first"):
                ref = self._program.function(torch.flatten, ref, 0, 1, scope=scope)
            self._wholes[key] = ref
        return Plain(self._wholes[key], None)

    def _in_time(self, node: fx.Node, args: Any, kwargs: Any) -> Any:
        """Apply an operator to all timesteps alike."""
        name = name_of(node)
        value = next(item for item in flat((args, kwargs)) if isinstance(item, Timed))
        args = mapped(args, lambda item: self._as_train(node, item, value))
        if passes_on(node):
            return args[0]
        if node.target is LATER_NODE:
            return self._later(node, args[0], args[1])
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

    def _as_train(self, node: fx.Node, item: Any, value: Timed) -> Any:
        """Return a value that has all axes of a train as one; others as they are."""
        if not isinstance(item, Plain) or item.shape is None:
            return item
        steps, shape = value.timesteps, item.shape
        if value.layout == "step" or len(shape) <= LEADING[value.layout]:
            return item
        front: tuple[int, ...] = (steps * BATCH_SIZE,)
        if value.layout in ("time_first", "batch_first"):
            front = (steps, BATCH_SIZE) if value.layout == "time_first" else (BATCH_SIZE, steps)
        elif value.layout == "time_last":
            front = (BATCH_SIZE,) if shape[-1] == steps else (0,)
        if shape[: len(front)] != front:
            return item
        return self._placer.start(item, value.layout, node, merged=steps)

    def _layout_of(self, node: fx.Node, value: Timed) -> Layout | None:
        """Return the layout that a result with the order of elements of ``value`` has, by its shape."""
        return layout_of(shape_of(node, self._batch) or (), value)

    def _reshaped(self, node: fx.Node, value: Timed) -> Timed:
        layout = self._layout_of(node, value)
        if layout is None:
            raise self._mixed(node, value)
        scope = scope_of(node)
        feature = feature_extents(shape_of(node, self._batch) or (), layout)
        before = feature_extents(shape_of(node.args[0], self._batch) or (), value.layout)  # type: ignore[arg-type]
        if math.prod(feature) != math.prod(before):
            raise self._mixed(node, value)
        if feature == before:
            return value.seen_as(layout)
        ref = value.ref if value.form == "static" else self._forms.merged(value, scope)
        ref = self._program.function(merged_reshape, ref, feature, scope=scope)
        return Timed(ref, "static" if value.form == "static" else "merged", value.timesteps, layout)

    def _permuted(self, node: fx.Node, value: Timed) -> Timed:
        rank = len(shape_of(node, self._batch) or ())
        order = axis_order(node, rank)
        beside = (batch_axis(value), time_axis(value, rank))
        places = (order.index(beside[0]), order.index(beside[1]))
        layout = {(1, 0): "time_first", (0, 1): "batch_first", (0, rank - 1): "time_last"}.get(places)
        if layout is None:
            raise self._mixed(node, value)
        before = [axis for axis in range(rank) if axis not in beside]
        features = [before.index(axis) for axis in order if axis not in beside]
        if features == sorted(features):
            return value.seen_as(layout)  # type: ignore[arg-type]
        turned = self._on_merged(node, value, torch.permute, [0, *(axis + 1 for axis in features)])
        return turned.seen_as(layout)  # type: ignore[arg-type]

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
                return self._without_leading_ones(node, self._without_time(node, item, value), rank)
            if (
                value.layout == "time_last"
                and len(item.shape) == rank
                and (item.shape[0], item.shape[-1])
                == (
                    BATCH_SIZE,
                    1,
                )
            ):
                ref = self._program.function(merged_reshape, item.ref, item.shape[1:-1], scope=scope_of(node))
                return Timed(ref, "static", value.timesteps, value.layout)
            if len(item.shape) == rank - 1 and value.layout == "time_first" and item.shape[0] == BATCH_SIZE:
                return Timed(item.ref, "static", value.timesteps, value.layout)
            raise self._mixed(node, value)

        return self._roller.apply(node, mapped(args, fitted), mapped(kwargs, fitted)).seen_as(value.layout)  # type: ignore[no-any-return]

    def _without_time(self, node: fx.Node, item: Plain, value: Timed) -> Plain:
        """Take the time axis off a constant that broadcasts to ``(batch, *feature, timestep)``."""
        shape = item.shape or ()
        if value.layout != "time_last" or not shape:
            return item
        if shape[-1] != 1 or name_of(node) == "aten.linear.default":
            raise self._mixed(node, value)
        ref = self._program.function(torch.reshape, item.ref, shape[:-1], scope=scope_of(node))
        return Plain(ref, shape[:-1])

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
        rank = len(shape_of(node.args[0], self._batch) or ())  # type: ignore[arg-type]
        time, first = time_axis(value, rank), 1 if value.layout == "time_last" else 2
        given: Any = args[1] if len(args) > 1 else node.kwargs.get("dim")
        dims = [given] if isinstance(given, int) else list(given or range(rank))
        dims = [dim % rank for dim in dims]
        keeps = bool(argument(node, 2, "keepdim", False)) and name != "aten.select.int"
        if any(dim < first and dim != time for dim in dims) or (time in dims and (len(dims) > 1 or keeps)):
            raise self._mixed(node, value)
        if time not in dims:
            if name in ("aten.max.dim", "aten.select.int"):
                return self._on_merged(node, value, node.target, dims[0] - first + 1, *args[2:])
            return self._on_merged(node, value, node.target, [dim - first + 1 for dim in dims], *args[2:])
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
        timed = [item for item in flat(args) if isinstance(item, Timed | Plain)]
        first, time = (1 if value.layout == "time_last" else 2), time_axis(value, rank)
        if (
            dim < first
            or dim == time
            or any(not isinstance(item, Timed) or item.layout != value.layout for item in timed)
        ):
            raise self._mixed(node, value)
        moved = [*args]
        moved[position : position + 1] = [dim - first + 1]
        rest = {key: item for key, item in kwargs.items() if key != "dim"}
        return self._roller.apply(node, tuple(moved), rest)  # type: ignore[no-any-return]

    def _later(self, node: fx.Node, value: Timed, steps: list[int]) -> Timed:
        """Delay a train, by one number of timesteps or one for each channel."""
        if not any(steps):
            return value
        scope = scope_of(node)
        train = self._forms.train(value, scope)
        if len(set(steps)) == 1:
            ref = self._program.function(delay, train, steps[0], scope=scope)
        else:
            features = feature_extents(shape_of(node, self._batch) or (), value.layout)
            each = torch.tensor(steps).reshape(-1, *(1,) * (len(features) - 1))
            ref = self._program.layer(scope or "delays", AxonalDelay(each), train)
        return Timed(ref, "train", value.timesteps, value.layout)

    def _on_merged(self, node: fx.Node, value: Timed, function: Any, *args: Any) -> Timed:
        scope = scope_of(node)
        static = value.form == "static"
        ref = value.ref if static else self._forms.merged(value, scope)
        ref = self._program.function(function, ref, *args, scope=scope)
        return Timed(ref, "static" if static else "merged", value.timesteps, value.layout)

    def _mixed(self, node: fx.Node, value: Timed | None) -> _MixedTimeError:
        scope = scope_of(node)
        axes = f" of axes {value.layout.replace('_', ' ')}" if value else ""
        return _MixedTimeError(
            "HSNN-F094",
            f"{name_of(node)} in {scope or 'the model'} mixes the timesteps of a spike train{axes} with something else",
            allowed="operations that treat every timestep alike; mean, sum, max and the last value over time",
            fix="apply layers to (timestep * batch, *feature), and reduce over time alone",
        )
