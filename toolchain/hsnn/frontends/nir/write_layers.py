"""Linear operators of a hybrid model as NIR nodes, one rule an operator.

Whatever has no node of its own, such as a slice, is written as the matrix that it is, if its result has one feature
axis: NIR's ``Linear`` gives nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from hsnn.frontends.nir.graph_builder import MATRIX_MAX, GraphBuilder, Wire
from hsnn.frontends.nir.write_neurons import refused
from hsnn.passes.trains.affine import Affine, Term
from hsnn.passes.trains.linear import as_matrix
from hsnn.passes.trains.linear_ops import LINEAR_OPS
from hsnn.passes.trains.rule import View

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One operator that is to be written.

    Attributes:
        name: Wanted name of its node.
        view: Its attributes and constants; the operands are spike trains of themselves.
        wires: Its operands that are spike trains, by position.
        builder: Where to write.
        dt: Seconds of a timestep.
    """

    name: str
    view: View
    wires: Mapping[int, Wire]
    builder: GraphBuilder
    dt: float

    @property
    def wire(self) -> Wire:
        """The only operand that is a spike train."""
        (wire,) = self.wires.values()
        return wire


def write_layer(layer: Layer) -> Wire:
    """Write an operator.

    Raises:
        UnsupportedError: ``HSNN-F087`` for what NIR does not have.
    """
    rule = _RULES.get(layer.view.node.op_type)
    made = None if rule is None else rule(layer)
    return _as_matrices(layer) if made is None else made


def _same(layer: Layer) -> Wire:
    return layer.wire


def _matmul(layer: Layer) -> Wire | None:
    import nir

    weights = np.asarray(layer.view.constant(1))
    return layer.builder.put(layer.name, nir.Linear(np.float32(weights.T)), layer.wire, layer.view.shape)


def _gemm(layer: Layer) -> Wire:
    import nir

    view = layer.view
    given = np.asarray(view.constant(1), np.float64) * view.float_attribute("alpha", 1.0)
    weights = np.asarray(given if view.int_attribute("transB", 0) else given.T, np.float32)
    if 2 not in view.constants:
        return layer.builder.put(layer.name, nir.Linear(weights), layer.wire, view.shape)
    bias = np.asarray(view.constant(2), np.float64) * view.float_attribute("beta", 1.0)
    affine = nir.Affine(weights, np.float32(np.broadcast_to(bias, (1, weights.shape[0]))[0]))
    return layer.builder.put(layer.name, affine, layer.wire, view.shape)


def _conv(layer: Layer) -> Wire:
    import nir

    view = layer.view
    weights = np.asarray(view.constant(1), np.float32)
    axes = weights.ndim - 2
    ones = (1,) * axes
    stride, dilation = view.ints_attribute("strides", ones), view.ints_attribute("dilations", ones)
    bias = np.asarray(view.constant(2), np.float32) if 2 in view.constants else np.zeros(weights.shape[0], np.float32)
    padding = _padding(layer, axes, tuple(d * (k - 1) for k, d in zip(weights.shape[2:], dilation, strict=True)))
    groups, size = view.int_attribute("group", 1), layer.wire.shape[1:]
    if axes == 1:
        padding = padding if isinstance(padding, str) else padding[0]
        node = nir.Conv1d(size[0], weights, stride[0], padding, dilation[0], groups, bias)
    else:
        node = nir.Conv2d(size, weights, stride, padding, dilation, groups, bias)
    return layer.builder.put(layer.name, node, layer.wire, view.shape)


def _padding(layer: Layer, axes: int, total: tuple[int, ...]) -> Any:
    """Padding of both ends where they are equal, else ``same`` where it is that."""
    view = layer.view
    pads = view.ints_attribute("pads", (0,) * 2 * axes)
    begin, end = pads[:axes], pads[axes:]
    if begin == end:
        return begin
    strides = view.ints_attribute("strides", (1,) * axes)
    if begin == tuple(t // 2 for t in total) and end == tuple(t - t // 2 for t in total) and max(strides) == 1:
        return "same"
    raise refused(f"{layer.name!r} pads {begin} before and {end} after", "the same on both sides")


def _average_pool(layer: Layer) -> Wire | None:
    view = layer.view
    kernel = view.ints_attribute("kernel_shape", ())
    if len(kernel) != 2:
        return None
    ones = (1, 1)
    stride = view.ints_attribute("strides", ones)
    pads = _padding(layer, 2, (0, 0))
    fits = tuple(
        (n + 2 * p - k) // s + 1 for n, p, k, s in zip(layer.wire.shape[1:], pads, kernel, stride, strict=True)
    )
    uneven = any(pads) and not view.int_attribute("count_include_pad", 0)
    if uneven or view.ints_attribute("dilations", ones) != ones or fits != view.shape[1:]:
        raise refused(
            f"{layer.name!r} counts its padding out, is dilated, or has windows that reach over the edge",
            "count_include_pad=True, no dilation and ceil_mode=False",
        )
    return _pooled(layer, kernel, stride, pads)


def _pooled(layer: Layer, kernel: tuple[int, ...], stride: tuple[int, ...], pads: tuple[int, ...]) -> Wire:
    import nir

    channels = layer.wire.shape[0]
    extents = zip(layer.wire.shape[1:], pads, kernel, stride, strict=True)
    shape = (channels, *((n + 2 * p - k) // s + 1 for n, p, k, s in extents))
    node = nir.AvgPool2d(np.array(kernel), np.array(stride), np.array(pads))
    return layer.builder.put(layer.name, node, layer.wire, shape)


def _global_pool(layer: Layer) -> Wire | None:
    size = layer.wire.shape[1:]
    return _pooled(layer, size, size, (0, 0)) if len(size) == 2 else None


def _reduce_mean(layer: Layer) -> Wire | None:
    """Write a mean over height and width as a pool."""
    shape = layer.wire.shape
    if len(shape) != 3 or layer.view.shape not in ((shape[0],), (shape[0], 1, 1)) or shape[0] == 1:
        return None
    made = _pooled(layer, shape[1:], shape[1:], (0, 0))
    return made if len(layer.view.shape) == 3 else layer.builder.flat(f"{layer.name}.flatten", made)


def _reshape(layer: Layer) -> Wire | None:
    before, after = layer.wire.shape, layer.view.shape
    if before == after:
        return layer.wire
    for first in range(len(before)):
        for last in range(first, len(before)):
            merged = (*before[:first], math.prod(before[first : last + 1]), *before[last + 1 :])
            if merged == after:
                return layer.builder.flattened(layer.name, layer.wire, first, last)
    raise refused(f"{layer.name!r} reshapes {before} to {after}", "axes that become one")


def _add(layer: Layer) -> Wire | None:
    return _sum(layer, 1.0)


def _subtract(layer: Layer) -> Wire | None:
    return _sum(layer, -1.0)


def _sum(layer: Layer, sign: float) -> Wire | None:
    builder, signs = layer.builder, (1.0, sign)
    if any(wire.shape != layer.view.shape for wire in layer.wires.values()):
        return None
    if len(layer.wires) == 2:
        return builder.added(
            layer.name, layer.wires[0], builder.scaled(layer.name, layer.wires[1], np.asarray(sign, np.float64))
        )
    ((position, wire),) = layer.wires.items()
    wire = builder.scaled(layer.name, wire, np.asarray(signs[position]))
    kept = replace(wire, private=wire.private or wire is not layer.wire)
    return builder.shifted(layer.name, kept, signs[1 - position] * layer.view.feature_constant(1 - position))


def _negate(layer: Layer) -> Wire:
    return layer.builder.scaled(layer.name, layer.wire, np.asarray(-1.0))


def _multiply(layer: Layer) -> Wire | None:
    (position,) = layer.wires
    return _times(layer, layer.view.feature_constant(1 - position))


def _divide(layer: Layer) -> Wire | None:
    return _times(layer, 1.0 / layer.view.feature_constant(1))


def _times(layer: Layer, factor: Array) -> Wire | None:
    if layer.wire.shape != layer.view.shape:
        return None
    return layer.builder.scaled(layer.name, layer.wire, factor)


def _batch_normalization(layer: Layer) -> Wire:
    view = layer.view
    gamma, beta, mean, variance = (np.asarray(view.constant(i), np.float64) for i in range(1, 5))
    factor = gamma / np.sqrt(variance + view.float_attribute("epsilon", 1e-5))
    channel = (-1, *(1,) * (len(view.shape) - 1))
    wire = layer.builder.scaled(layer.name, layer.wire, factor.reshape(channel))
    return layer.builder.shifted(f"{layer.name}.bias", wire, (beta - mean * factor).reshape(channel))


def _delay(layer: Layer) -> Wire:
    return _delayed(layer, np.asarray(layer.view.int_attribute("steps", 0)))


def _axonal_delay(layer: Layer) -> Wire:
    return _delayed(layer, layer.view.feature_constant(1))


def _delayed(layer: Layer, steps: Array) -> Wire:
    import nir

    seconds = np.array(np.broadcast_to(np.asarray(steps, np.float64), layer.wire.shape)) * layer.dt
    return layer.builder.put(layer.name, nir.Delay(seconds), layer.wire, layer.wire.shape)


def _as_matrices(layer: Layer) -> Wire:
    """Write the matrix from every operand to the result."""
    import nir

    view, node = layer.view, layer.view.node
    columns = max(math.prod(wire.shape) for wire in layer.wires.values())
    if len(view.shape) != 1 or view.shape[0] * columns > MATRIX_MAX:
        found = f"{layer.name!r} ({node.op_type}) makes features of shape {view.shape}"
        raise refused(found, "an operator that NIR has, or a result with one feature axis that is not too large")
    result = LINEAR_OPS[node.domain, node.op_type](view)
    total: Wire | None = None
    for term in result.terms:
        source = layer.builder.flat(f"{layer.name}.flatten", layer.wires[int(term.source)])
        weights = as_matrix(term.maps).toarray() if term.maps else np.eye(view.shape[0])
        made = layer.builder.put(layer.name, nir.Linear(np.float32(weights)), source, view.shape)
        total = made if total is None else layer.builder.added(layer.name, total, made)
    if total is None:
        raise refused(f"{layer.name!r} ({node.op_type}) has no operand", "spike trains")
    return layer.builder.shifted(layer.name, replace(total, private=True), result.biases.get(0, np.zeros(view.shape)))


def operands(wires: Mapping[int, Wire]) -> dict[int, Affine]:
    """Each operand as a spike train of itself, named by its position, as :class:`Layer` wants it in its view."""
    return {position: Affine(wire.shape, (Term(str(position)),)) for position, wire in wires.items()}


_RULES: Mapping[str, Callable[[Layer], Wire | None]] = {
    "Add": _add,
    "AveragePool": _average_pool,
    "AxonalDelay": _axonal_delay,
    "BatchNormalization": _batch_normalization,
    "Conv": _conv,
    "Delay": _delay,
    "Div": _divide,
    "Dropout": _same,
    "Flatten": _reshape,
    "Gemm": _gemm,
    "GlobalAveragePool": _global_pool,
    "Identity": _same,
    "MatMul": _matmul,
    "MergeTime": _same,
    "Mul": _multiply,
    "Neg": _negate,
    "ReduceMean": _reduce_mean,
    "Reshape": _reshape,
    "SplitTime": _same,
    "Squeeze": _reshape,
    "Sub": _subtract,
    "Unsqueeze": _reshape,
}
"""By operator; a rule returns None for what only a matrix can say."""
