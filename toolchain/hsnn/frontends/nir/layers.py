"""Layers of NIR as operators of the hybrid model, one rule a type of node."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from hsnn.errors import UnsupportedError
from hsnn.frontends.nir import values
from hsnn.frontends.nir.emit import Emitter
from hsnn.frontends.nir.read import NirNode

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[Any]
    Shape: TypeAlias = tuple[int, ...]

Made: TypeAlias = "tuple[str, Shape]"
"""Name and feature shape of what an operator makes."""
DELAYS = 64
"""Different delays that one Delay node may have."""


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """A node, and what feeds it.

    Attributes:
        name: Path of the node.
        node: The node.
        shape: Feature shape of its input.
        value: Name of the value that is its input.
    """

    name: str
    node: NirNode
    shape: Shape
    value: str


def _linear(emit: Emitter, at: Place) -> Made:
    name, node, shape, value = at.name, at.node, at.shape, at.value
    matrix = values.matrix(name, node, shape)
    made = emit.node("MatMul", [value, emit.constant(f"{name}.weight", matrix.T)], name, name)
    return made, (*shape[:-1], matrix.shape[0])


def _affine(emit: Emitter, at: Place) -> Made:
    name, node, shape = at.name, at.node, at.shape
    made, after = _linear(emit, at)
    bias = values.bias(name, node, values.matrix(name, node, shape))
    return emit.node("Add", [made, emit.constant(f"{name}.bias", bias)], f"{name}/bias", name), after


def _scale(emit: Emitter, at: Place) -> Made:
    name, node, shape, value = at.name, at.node, at.shape, at.value
    scale = values.parameter(name, "scale", node.fields["scale"], shape)
    return emit.node("Mul", [value, emit.constant(f"{name}.scale", scale)], name, name), shape


def _conv1d(emit: Emitter, at: Place) -> Made:
    return _conv(emit, at, axes=1)


def _conv2d(emit: Emitter, at: Place) -> Made:
    return _conv(emit, at, axes=2)


def _conv(emit: Emitter, at: Place, *, axes: int) -> Made:
    name, node, shape, value = at.name, at.node, at.shape, at.value
    weight = np.asarray(node.fields["weight"])
    groups = values.ints(name, "groups", node.fields["groups"])
    stride, dilation = (values.pair(name, key, node.fields[key], axes, least=1) for key in ("stride", "dilation"))
    stated = node.fields.get("input_shape")
    wanted = shape[1:] if stated is None else values.ints(name, "input_shape", stated)
    fits = len(shape) == axes + 1 and weight.ndim == axes + 2 and len(groups) == 1 and groups[0] >= 1
    if not fits or weight.shape[1] * groups[0] != shape[0] or weight.shape[0] % groups[0] or wanted != shape[1:]:
        raise UnsupportedError(
            "HSNN-F082",
            f"{name!r} ({node.kind}) has weights {weight.shape}, groups {groups} and input_shape {wanted}",
            allowed=f"what fits its input of shape {shape}",
        )
    kernel = weight.shape[2:]
    pads = values.pads(name, node.fields["padding"], kernel, stride, dilation)
    after = values.windows(name, shape[1:], kernel, stride, pads, dilation)
    bias = np.asarray(node.fields["bias"], np.float64).reshape(-1)
    if bias.size not in (1, weight.shape[0]):
        raise UnsupportedError("HSNN-F082", f"bias of {name!r} has {bias.size} values", allowed=str(weight.shape[0]))
    constants = [
        emit.constant(f"{name}.weight", weight),
        emit.constant(f"{name}.bias", np.broadcast_to(bias, weight.shape[:1])),
    ]
    options = {"strides": stride, "dilations": dilation, "pads": pads, "group": groups[0], "kernel_shape": kernel}
    return emit.merged("Conv", name, value, constants, options), (weight.shape[0], *after)


def _avgpool2d(emit: Emitter, at: Place) -> Made:
    name, node, shape, value = at.name, at.node, at.shape, at.value
    kernel, stride = (values.pair(name, key, node.fields[key], 2, least=1) for key in ("kernel_size", "stride"))
    pads = values.pads(name, node.fields["padding"], kernel, stride, (1, 1))
    if len(shape) != 3:
        raise UnsupportedError("HSNN-F082", f"{name!r} pools {shape}", allowed="(channel, height, width)")
    if any(pad >= extent for pad, extent in zip(pads, (*kernel, *kernel), strict=True)):
        raise UnsupportedError("HSNN-F083", f"{name!r} pads by {pads}", allowed="less than the kernel")
    after = values.windows(name, shape[1:], kernel, stride, pads, (1, 1))
    options = {"kernel_shape": kernel, "strides": stride, "pads": pads, "count_include_pad": 1}
    return emit.merged("AveragePool", name, value, [], options), (shape[0], *after)


def _sumpool2d(emit: Emitter, at: Place) -> Made:
    name, node = at.name, at.node
    made, after = _avgpool2d(emit, at)
    count = np.asarray(math.prod(values.pair(name, "kernel_size", node.fields["kernel_size"], 2, least=1)), np.float64)
    return emit.node("Mul", [made, emit.constant(f"{name}.count", count)], f"{name}/sum", name), after


def _flatten(emit: Emitter, at: Place) -> Made:
    name, node, shape, value = at.name, at.node, at.shape, at.value
    start, end = (values.ints(name, key, node.fields[key]) for key in ("start_dim", "end_dim"))
    first, last = (int(item[0]) % len(shape) if len(item) == 1 else -1 for item in (start, end))
    if first < 0 or last < first or max(abs(start[0]), abs(end[0])) > len(shape):
        raise UnsupportedError(
            "HSNN-F082", f"{name!r} flattens axes {start} to {end} of {shape}", allowed="axes of its input"
        )
    after = (*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :])
    target = emit.constant(f"{name}.shape", np.array([0, 0, *after], np.int64))
    return emit.node("Reshape", [value, target], name, name), after


def _delay(emit: Emitter, at: Place) -> Made:
    name, node, shape, value = at.name, at.node, at.shape, at.value
    steps = values.parameter(name, "delay", node.fields["delay"], shape) / emit.dt
    whole = np.rint(steps)
    if bool((np.abs(steps - whole) > 1e-3).any()) or whole.min() < 0 or whole.max() >= emit.timesteps:
        raise UnsupportedError(
            "HSNN-F083",
            f"{name!r} delays by {steps.min():g} to {steps.max():g} timesteps",
            allowed=f"whole timesteps, fewer than {emit.timesteps}",
            fix="name the dt that the file was written with: --nir-policy NAME,dt=SECONDS",
        )
    kinds = np.unique(whole)
    if kinds.size > DELAYS:
        raise UnsupportedError("HSNN-F086", f"{name!r} has {kinds.size} different delays", allowed=str(DELAYS))
    parts = []
    for count in kinds:
        mask = (whole == count).astype(np.float64)
        kept = value if kinds.size == 1 else emit.scaled(f"{name}.{int(count)}", value, mask, owner=name)
        parts.append(emit.node("Delay", [kept], f"{name}/delay", name, steps=int(count)))
    made = parts[0]
    for part in parts[1:]:
        made = emit.node("Add", [made, part], f"{name}/sum", name)
    return made, shape


LAYERS: Mapping[str, Callable[[Emitter, Place], Made]] = {
    "Affine": _affine,
    "AvgPool2d": _avgpool2d,
    "Conv1d": _conv1d,
    "Conv2d": _conv2d,
    "Delay": _delay,
    "Flatten": _flatten,
    "Linear": _linear,
    "Scale": _scale,
    "SumPool2d": _sumpool2d,
}
"""By type of node."""
