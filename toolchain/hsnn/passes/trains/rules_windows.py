"""Rules of convolutions, pooling, and sums and means over axes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from hsnn.ir.shape import Shape, size
from hsnn.passes.trains.affine import Affine
from hsnn.passes.trains.linear import ConvMap, LinearMap, ReshapeMap, average_pool, conv_windows, transposed
from hsnn.passes.trains.rule import NotLinearError, Rule, View, require_merged

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float = NDArray[np.float64]


def _conv(view: View) -> Affine:
    value, weights = view.spikes(), _kernel(view, "convolution")
    linear = _conv_map(view, weights, value.shape, view.shape, groups=view.int_attribute("group", 1))
    return _biased(view, _through_image(value, linear, view.shape))


def _conv_transpose(view: View) -> Affine:
    """Turn around the convolution that leads from the result to the operand."""
    value, weights = view.spikes(), _kernel(view, "transposed convolution")
    if "output_shape" in view.node.attributes:
        raise NotLinearError("its padding follows from output_shape; export it with explicit pads")
    linear = _conv_map(view, weights, view.shape, value.shape, groups=view.int_attribute("group", 1))
    return _biased(view, _through_image(value, transposed(linear), view.shape))


def _kernel(view: View, what: str) -> Float:
    """Weights of a convolution of one or two dimensions, ``(_, _, *kernel)``."""
    weights = np.asarray(view.constant(1), np.float64)
    require_merged(view)
    if weights.ndim not in (3, 4):
        raise NotLinearError(f"it is a {weights.ndim - 2}-dimensional {what}")
    _require_explicit_padding(view)
    return weights


def _conv_map(view: View, weights: Float, pre: Shape, post: Shape, *, groups: int) -> ConvMap:
    """Convolution with the strides, pads and dilations of a node; ``(C, L)`` is an image of height one."""
    spatial = weights.ndim - 2
    ones = (1,) * spatial
    pads = view.ints_attribute("pads", (0,) * (2 * spatial))
    return ConvMap(
        weights=weights.reshape(*weights.shape[:2], *(1,) * (2 - spatial), *weights.shape[2:]),
        pre=_as_image(pre),
        post=_as_image(post),
        stride=_pair(view.ints_attribute("strides", ones), 1),
        pads=(*_pair(pads[:spatial], 0), *_pair(pads[spatial:], 0)),
        dilation=_pair(view.ints_attribute("dilations", ones), 1),
        groups=groups,
    )


def _biased(view: View, result: Affine) -> Affine:
    """Add the bias of a convolution, one number a channel, if it has one."""
    if len(view.node.inputs) < 3 or view.node.inputs[2] is None:
        return result
    return result.shifted(np.asarray(view.constant(2), np.float64).reshape(-1, *(1,) * (len(view.shape) - 1)))


def _average_pool(view: View) -> Affine:
    value = view.spikes()
    kernel = view.ints_attribute("kernel_shape", ())
    require_merged(view)
    if len(kernel) not in (1, 2):
        raise NotLinearError(f"it is a {len(kernel)}-dimensional pooling")
    _require_explicit_padding(view)
    stencil = _conv_map(view, np.ones((1, 1, *kernel)), value.shape, view.shape, groups=1)
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
    require_merged(view)
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


WINDOW_RULES: Mapping[tuple[str, str], Rule] = {
    ("", "AveragePool"): _average_pool,
    ("", "Conv"): _conv,
    ("", "ConvTranspose"): _conv_transpose,
    ("", "GlobalAveragePool"): _global_average_pool,
    ("", "ReduceMean"): _reduce_mean,
    ("", "ReduceSum"): _reduce_sum,
}
