"""ONNX operators that are linear over the feature axes, and what each does to an affine value.

An operator on spike trains belongs on the chip only if it acts on every timestep alike and linearly;
:data:`LINEAR_OPS` is the whole list. A rule gets the node and a :class:`View` of its operands and
returns the result, or raises :class:`NotLinearError` with the reason why this use is not linear.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from hsnn.ir.arithmetic import DELAY_MAX
from hsnn.ir.shape import Shape, size
from hsnn.passes.trains.linear import (
    Affine,
    ConvMap,
    LinearMap,
    MatrixMap,
    ReshapeMap,
    SparseMap,
    average_pool,
    conv_windows,
    permutation,
    selection,
    transposed,
)

if TYPE_CHECKING:
    import onnx_ir as ir
    from numpy.typing import NDArray

    Float = NDArray[np.float64]


class NotLinearError(Exception):
    """An operator is not linear over the feature axes; the text says why, as part of a sentence.

    Attributes:
        mixes_time: Whether it also treats time or batch as a feature, so that no host could run it per
            timestep either.
    """

    def __init__(self, reason: str, *, mixes_time: bool = False) -> None:
        self.mixes_time = mixes_time
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class View:
    """What a rule may ask about its node.

    Attributes:
        node: The ONNX node.
        lead: Number of leading axes that are not features: 2 for ``(timestep, batch, ...)``, 1 where
            time and batch are merged.
        shape: Feature shape of the result.
        affine: The operands that are spike trains, by position.
        constants: The operands that are constants, by position.
    """

    node: ir.Node
    lead: int
    shape: Shape
    affine: Mapping[int, Affine]
    constants: Mapping[int, NDArray[np.generic]]

    def spikes(self, position: int = 0) -> Affine:
        """Return the spike train at that position."""
        if position not in self.affine:
            raise NotLinearError(f"operand {position} is not a spike train")
        return self.affine[position]

    def constant(self, position: int) -> NDArray[np.generic]:
        """Return the constant at that position."""
        if position not in self.constants:
            raise NotLinearError(f"operand {position} is not a constant")
        return self.constants[position]

    def feature_constant(self, position: int) -> Float:
        """Return a constant that broadcasts over the feature axes only."""
        array = np.asarray(self.constant(position), np.float64)
        extra = array.ndim - len(self.shape)
        if extra > 0 and any(extent != 1 for extent in array.shape[:extra]):
            raise NotLinearError("a constant differs between timesteps or samples", mixes_time=True)
        return array.reshape(array.shape[max(extra, 0) :])

    def int_attribute(self, name: str, default: int) -> int:
        """Return an integer attribute."""
        attribute = self.node.attributes.get(name)
        return default if attribute is None else attribute.as_int()

    def float_attribute(self, name: str, default: float) -> float:
        """Return a float attribute."""
        attribute = self.node.attributes.get(name)
        return default if attribute is None else attribute.as_float()

    def string_attribute(self, name: str, default: str) -> str:
        """Return an attribute that is a word."""
        attribute = self.node.attributes.get(name)
        return default if attribute is None else attribute.as_string()

    def ints_attribute(self, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
        """Return an attribute that is a list of integers."""
        attribute = self.node.attributes.get(name)
        return default if attribute is None else tuple(attribute.as_ints())

    def feature_axes(self, axes: tuple[int, ...]) -> tuple[int, ...]:
        """Turn axes of the whole array into axes of the feature shape."""
        rank = self.lead + len(self.spikes().shape)
        absolute = tuple(axis % rank for axis in axes)
        if any(axis < self.lead for axis in absolute):
            raise NotLinearError("it works along the time or batch axis", mixes_time=True)
        return tuple(axis - self.lead for axis in absolute)


Rule: TypeAlias = "Callable[[View], Affine]"


def _same(view: View) -> Affine:
    return view.spikes()


def _delay(view: View) -> Affine:
    return view.spikes().delayed(view.int_attribute("steps", 0))


def _axonal_delay(view: View) -> Affine:
    """Split into the neurons of each delay, and delay each part: one projection for every delay."""
    value = view.spikes()
    steps = view.feature_constant(1)
    if not np.all((steps >= 0) & (steps < DELAY_MAX) & (steps == np.floor(steps))):
        raise NotLinearError(f"its delays are not whole numbers from 0 to {DELAY_MAX - 1}", mixes_time=True)
    each = np.broadcast_to(steps, value.shape)
    index = np.arange(size(value.shape)).reshape(value.shape)
    found = [int(delay) for delay in np.unique(each)]
    if len(found) == 1:
        return value.delayed(found[0])
    parts = [value.then(selection(value.shape, np.where(each == delay, index, -1))).delayed(delay) for delay in found]
    total = parts[0]
    for part in parts[1:]:
        total = total.plus(part)
    return total


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


def _add(view: View) -> Affine:
    return _sum(view, 1.0)


def _subtract(view: View) -> Affine:
    return _sum(view, -1.0)


def _sum(view: View, sign: float) -> Affine:
    total: Affine | None = None
    for position, factor in ((0, 1.0), (1, sign)):
        if position not in view.affine:
            continue
        value = view.affine[position]
        if value.shape != view.shape:
            value = _broadcast(value, view.shape)
        value = value.scaled(np.asarray(factor))
        total = value if total is None else total.plus(value)
    if total is None:
        raise NotLinearError("no operand is a spike train")
    for position, factor in ((0, 1.0), (1, sign)):
        if position not in view.affine:
            total = total.shifted(factor * view.feature_constant(position))
    return total


def _broadcast(value: Affine, shape: Shape) -> Affine:
    index = np.broadcast_to(np.arange(size(value.shape)).reshape(value.shape), shape)
    return value.then(selection(value.shape, index))


def _negate(view: View) -> Affine:
    return view.spikes().scaled(np.asarray(-1.0))


def _multiply(view: View) -> Affine:
    if len(view.affine) == 2:
        raise NotLinearError("it multiplies two spike trains")
    (position,) = view.affine
    return _scaled_to(view, view.affine[position], view.feature_constant(1 - position))


def _divide(view: View) -> Affine:
    if 1 in view.affine:
        raise NotLinearError("it divides by a spike train")
    return _scaled_to(view, view.spikes(), 1.0 / view.feature_constant(1))


def _scaled_to(view: View, value: Affine, factor: Float) -> Affine:
    return (value if value.shape == view.shape else _broadcast(value, view.shape)).scaled(factor)


def _matmul(view: View) -> Affine:
    value, weights = view.spikes(), np.asarray(view.constant(1), np.float64)
    if weights.ndim != 2:
        raise NotLinearError("its weights are not a matrix")
    return value.then(_rowwise(value.shape, weights.T))


def _gemm(view: View) -> Affine:
    if view.lead != 1 or view.int_attribute("transA", 0):
        raise NotLinearError("it transposes or mixes time and batch", mixes_time=True)
    weights = np.asarray(view.constant(1), np.float64) * view.float_attribute("alpha", 1.0)
    value = view.spikes()
    result = value.then(_rowwise(value.shape, weights if view.int_attribute("transB", 0) else weights.T))
    if len(view.node.inputs) < 3 or view.node.inputs[2] is None:
        return result
    return result.shifted(view.feature_constant(2) * view.float_attribute("beta", 1.0))


def _rowwise(pre: Shape, weights: Float) -> MatrixMap | SparseMap:
    """Map that multiplies the last feature axis by ``weights`` (post, pre)."""
    post = (*pre[:-1], weights.shape[0])
    if len(pre) == 1:
        return MatrixMap(np.ascontiguousarray(weights), pre, post)
    from scipy.sparse import block_diag, csr_array

    return SparseMap(csr_array(block_diag([weights] * size(pre[:-1]))), pre, post)


def _conv(view: View) -> Affine:
    value, weights = view.spikes(), np.asarray(view.constant(1), np.float64)
    spatial = weights.ndim - 2
    _require_merged(view)
    if spatial not in (1, 2):
        raise NotLinearError(f"it is a {spatial}-dimensional convolution")
    _require_explicit_padding(view)
    ones = (1,) * spatial
    pre, post = _as_image(value.shape), _as_image(view.shape)
    pads = view.ints_attribute("pads", (0,) * (2 * spatial))
    conv = ConvMap(
        weights=weights.reshape(*weights.shape[:2], *(1,) * (2 - spatial), *weights.shape[2:]),
        pre=pre,
        post=post,
        stride=_pair(view.ints_attribute("strides", ones), 1),
        pads=(*_pair(pads[:spatial], 0), *_pair(pads[spatial:], 0)),
        dilation=_pair(view.ints_attribute("dilations", ones), 1),
        groups=view.int_attribute("group", 1),
    )
    result = _through_image(value, conv, view.shape)
    if len(view.node.inputs) < 3 or view.node.inputs[2] is None:
        return result
    return result.shifted(np.asarray(view.constant(2), np.float64).reshape(-1, *ones))


def _conv_transpose(view: View) -> Affine:
    """Turn around the convolution that leads from the result to the operand."""
    value, weights = view.spikes(), np.asarray(view.constant(1), np.float64)
    spatial = weights.ndim - 2
    _require_merged(view)
    if spatial not in (1, 2):
        raise NotLinearError(f"it is a {spatial}-dimensional transposed convolution")
    _require_explicit_padding(view)
    if "output_shape" in view.node.attributes:
        raise NotLinearError("its padding follows from output_shape; export it with explicit pads")
    ones = (1,) * spatial
    pads = view.ints_attribute("pads", (0,) * (2 * spatial))
    conv = ConvMap(
        weights=weights.reshape(*weights.shape[:2], *(1,) * (2 - spatial), *weights.shape[2:]),
        pre=_as_image(view.shape),
        post=_as_image(value.shape),
        stride=_pair(view.ints_attribute("strides", ones), 1),
        pads=(*_pair(pads[:spatial], 0), *_pair(pads[spatial:], 0)),
        dilation=_pair(view.ints_attribute("dilations", ones), 1),
        groups=view.int_attribute("group", 1),
    )
    result = _through_image(value, transposed(conv), view.shape)
    if len(view.node.inputs) < 3 or view.node.inputs[2] is None:
        return result
    return result.shifted(np.asarray(view.constant(2), np.float64).reshape(-1, *ones))


_NEAREST = frozenset(
    {("asymmetric", "floor"), ("half_pixel", "round_prefer_floor"), ("half_pixel", "round_prefer_ceil")}
)
"""Ways to look up the nearest place that agree, ``i // factor``, where the size grows by a whole factor."""


def _resize(view: View) -> Affine:
    """Repeat every value: un-pooling."""
    value = view.spikes()
    _require_merged(view)
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


def _average_pool(view: View) -> Affine:
    value = view.spikes()
    kernel = view.ints_attribute("kernel_shape", ())
    _require_merged(view)
    if len(kernel) not in (1, 2):
        raise NotLinearError(f"it is a {len(kernel)}-dimensional pooling")
    _require_explicit_padding(view)
    ones = (1,) * len(kernel)
    pads = view.ints_attribute("pads", (0,) * (2 * len(kernel)))
    stencil = ConvMap(
        weights=np.ones((1, 1, *_pair(kernel, 1))),
        pre=_as_image(value.shape),
        post=_as_image(view.shape),
        stride=_pair(view.ints_attribute("strides", ones), 1),
        pads=(*_pair(pads[: len(kernel)], 0), *_pair(pads[len(kernel) :], 0)),
        dilation=_pair(view.ints_attribute("dilations", ones), 1),
        groups=1,
    )
    counted = _counted_places(stencil, with_padding=bool(view.int_attribute("count_include_pad", 0)))
    windows = conv_windows(stencil)
    channels, area = stencil.pre[0], size(stencil.pre[1:])
    base = np.arange(channels)[:, None, None] * area
    every = np.where(windows >= 0, windows + base, -1).reshape(-1, windows.shape[1])
    weights = np.tile(np.repeat(1.0 / counted[:, None], windows.shape[1], axis=1), (channels, 1))
    return _through_image(value, average_pool(stencil.pre, every, weights, stencil.post), view.shape)


def _counted_places(stencil: ConvMap, *, with_padding: bool) -> Float:
    """Divisor of each pooling window; a window that a ceiling pushes past the padding counts less."""
    if not with_padding:
        return np.asarray((conv_windows(stencil) >= 0).sum(axis=1), np.float64)
    top, left, bottom, right = stencil.pads
    channels, height, width = stencil.pre
    padded: ConvMap = ConvMap(
        stencil.weights,
        (channels, height + top + bottom, width + left + right),
        stencil.post,
        stencil.stride,
        (0, 0, 0, 0),
        stencil.dilation,
        1,
    )
    return np.asarray((conv_windows(padded) >= 0).sum(axis=1), np.float64)


def _global_average_pool(view: View) -> Affine:
    _require_merged(view)
    return _mean(view.spikes(), tuple(range(1, len(view.spikes().shape))), view.shape, average=True)


def _reduce_mean(view: View) -> Affine:
    return _reduce(view, average=True)


def _reduce_sum(view: View) -> Affine:
    return _reduce(view, average=False)


def _reduce(view: View, *, average: bool) -> Affine:
    axes = view.ints_attribute("axes", ())
    if len(view.node.inputs) > 1 and view.node.inputs[1] is not None:
        axes = tuple(int(axis) for axis in view.constant(1))
    if not axes:
        raise NotLinearError("it works along the time or batch axis", mixes_time=True)
    return _mean(view.spikes(), view.feature_axes(axes), view.shape, average=average)


def _mean(value: Affine, axes: tuple[int, ...], post: Shape, *, average: bool) -> Affine:
    kept = tuple(axis for axis in range(len(value.shape)) if axis not in axes)
    index = np.arange(size(value.shape)).reshape(value.shape).transpose((*kept, *axes))
    windows = index.reshape(size(tuple(value.shape[axis] for axis in kept)), -1)
    weight = 1.0 / windows.shape[1] if average else 1.0
    return value.then(average_pool(value.shape, windows, np.full(windows.shape, weight), post))


def _batch_normalization(view: View) -> Affine:
    """Fold ``(x - mean) * gamma / sqrt(var + epsilon) + beta`` per channel."""
    _require_merged(view)
    gamma, beta, mean, variance = (np.asarray(view.constant(i), np.float64) for i in range(1, 5))
    if view.int_attribute("training_mode", 0):
        raise NotLinearError("it is in training mode")
    factor = gamma / np.sqrt(variance + view.float_attribute("epsilon", 1e-5))
    channel = (-1, *(1,) * (len(view.shape) - 1))
    return view.spikes().scaled(factor.reshape(channel)).shifted((beta - mean * factor).reshape(channel))


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


def _require_merged(view: View) -> None:
    """Refuse operators that take the second axis for channels where it is the batch."""
    if view.lead != 1:
        raise NotLinearError("it takes the batch axis for channels", mixes_time=True)


def _require_explicit_padding(view: View) -> None:
    attribute = view.node.attributes.get("auto_pad")
    if attribute is not None and attribute.as_string() not in ("NOTSET", ""):
        raise NotLinearError(f"its padding is {attribute.as_string()}; export it with explicit pads")


def _as_image(shape: Shape) -> Shape:
    """Give a ``(C, L)`` shape a height of one."""
    return shape if len(shape) == 3 else (shape[0], 1, shape[1])


def _pair(values: tuple[int, ...], height: int) -> tuple[int, int]:
    return (values[0], values[1]) if len(values) == 2 else (height, values[0])


def _through_image(value: Affine, linear: LinearMap, post: Shape) -> Affine:
    """Apply a map of images to ``(C, H, W)`` or ``(C, L)`` features."""
    if value.shape != linear.pre:
        value = value.then(ReshapeMap(value.shape, linear.pre))
    result = value.then(linear)
    return result if result.shape == post else result.then(ReshapeMap(linear.post, post))


LINEAR_OPS: Mapping[tuple[str, str], Rule] = {
    ("", "Add"): _add,
    ("", "AveragePool"): _average_pool,
    ("", "BatchNormalization"): _batch_normalization,
    ("", "Concat"): _concat,
    ("", "Conv"): _conv,
    ("", "ConvTranspose"): _conv_transpose,
    ("", "Div"): _divide,
    ("", "Dropout"): _same,
    ("", "Flatten"): _reshape,
    ("", "Gather"): _gather,
    ("", "Gemm"): _gemm,
    ("", "GlobalAveragePool"): _global_average_pool,
    ("", "Identity"): _same,
    ("", "MatMul"): _matmul,
    ("", "Mul"): _multiply,
    ("", "Neg"): _negate,
    ("", "ReduceMean"): _reduce_mean,
    ("", "ReduceSum"): _reduce_sum,
    ("", "Reshape"): _reshape,
    ("", "Resize"): _resize,
    ("", "Slice"): _slice,
    ("", "Squeeze"): _reshape,
    ("", "Sub"): _subtract,
    ("", "Transpose"): _transpose,
    ("", "Unsqueeze"): _reshape,
    ("hsnn", "AxonalDelay"): _axonal_delay,
    ("hsnn", "Delay"): _delay,
    ("hsnn", "MergeTime"): _same,
    ("hsnn", "SplitTime"): _same,
}
"""Every operator that can be a synapse, by domain and name."""
