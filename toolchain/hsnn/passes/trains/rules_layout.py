"""Rules of operators that only move neurons: reshape, transpose, concatenate, cut out, repeat."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hsnn.ir.shape import size
from hsnn.passes.trains.affine import Affine
from hsnn.passes.trains.linear import ReshapeMap, permutation, selection
from hsnn.passes.trains.rule import NotLinearError, Rule, View, require_merged


def _reshape(view: View) -> Affine:
    value = view.spikes()
    if size(value.shape) != size(view.shape):
        raise NotLinearError("it mixes feature axes with time or batch", mixes_time=True)
    return value.then(ReshapeMap(value.shape, view.shape))


def _transpose(view: View) -> Affine:
    value = view.spikes()
    rank = view.lead + len(value.shape)
    order = view.ints_attribute("perm", tuple(reversed(range(rank))))
    if order[: view.lead] != tuple(range(view.lead)):
        raise NotLinearError("it moves the time or batch axis", mixes_time=True)
    return value.then(permutation(value.shape, tuple(axis - view.lead for axis in order[view.lead :])))


_NEAREST = frozenset(
    {("asymmetric", "floor"), ("half_pixel", "round_prefer_floor"), ("half_pixel", "round_prefer_ceil")}
)
"""Ways to look up the nearest place that agree, ``i // factor``, where the size grows by a whole factor."""


def _resize(view: View) -> Affine:
    """Repeat every value: un-pooling."""
    value = view.spikes()
    require_merged(view)
    mode = view.string_attribute("mode", "nearest")
    places = view.string_attribute("coordinate_transformation_mode", "half_pixel")
    nearest = view.string_attribute("nearest_mode", "round_prefer_floor")
    if mode != "nearest" or (places, nearest) not in _NEAREST:
        raise NotLinearError(f"it resizes by {mode} with {places} and {nearest}")
    if any(new % old for new, old in zip(view.shape, value.shape, strict=True)):
        raise NotLinearError(f"{value.shape} does not grow to {view.shape} by whole factors")
    index = np.arange(size(value.shape)).reshape(value.shape)
    for axis, (new, old) in enumerate(zip(view.shape, value.shape, strict=True)):
        index = np.repeat(index, new // old, axis=axis)
    return value.then(selection(value.shape, index))


def _concat(view: View) -> Affine:
    values = [view.spikes(position) for position in range(len(view.node.inputs))]
    (axis,) = view.feature_axes((view.int_attribute("axis", 0),))
    total, offset = None, 0
    for value in values:
        index = np.full(view.shape, -1, np.int64)
        window = [slice(None)] * len(view.shape)
        window[axis] = slice(offset, offset + value.shape[axis])
        index[tuple(window)] = np.arange(size(value.shape)).reshape(value.shape)
        offset += value.shape[axis]
        placed = value.then(selection(value.shape, index))
        total = placed if total is None else total.plus(placed)
    if total is None:
        raise NotLinearError("it has no operand")
    return total


def _slice(view: View) -> Affine:
    value = view.spikes()
    starts, ends = view.constant(1), view.constant(2)
    axes = view.constant(3) if len(view.node.inputs) > 3 and view.node.inputs[3] is not None else np.arange(len(starts))
    steps = view.constant(4) if len(view.node.inputs) > 4 and view.node.inputs[4] is not None else np.ones(len(starts))
    window = [slice(None)] * len(value.shape)
    features = view.feature_axes(tuple(int(axis) for axis in axes))
    for axis, start, end, step in zip(features, starts, ends, steps, strict=True):
        if int(step) < 1:
            raise NotLinearError("it runs backwards")
        window[axis] = slice(int(start), int(end), int(step))
    index = np.arange(size(value.shape)).reshape(value.shape)[tuple(window)]
    return value.then(selection(value.shape, index))


def _gather(view: View) -> Affine:
    value = view.spikes()
    (axis,) = view.feature_axes((view.int_attribute("axis", 0),))
    index = np.arange(size(value.shape)).reshape(value.shape)
    return value.then(selection(value.shape, np.take(index, np.asarray(view.constant(1), np.int64), axis=axis)))


LAYOUT_RULES: Mapping[tuple[str, str], Rule] = {
    ("", "Concat"): _concat,
    ("", "Flatten"): _reshape,
    ("", "Gather"): _gather,
    ("", "Reshape"): _reshape,
    ("", "Resize"): _resize,
    ("", "Slice"): _slice,
    ("", "Squeeze"): _reshape,
    ("", "Transpose"): _transpose,
    ("", "Unsqueeze"): _reshape,
}
