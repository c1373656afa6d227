"""Synapses of a ``.net`` layer as nodes of a hybrid model, with the delays of what they read."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from hsnn.errors import UnsupportedError
from hsnn.frontends.netx.layers import ConvLayer, DenseLayer, PoolLayer, Shape, Window
from hsnn.frontends.netx.pool_windows import require_own_rows
from hsnn.ops import DOMAIN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hsnn.frontends.netx.graph import Graph

    Ints = NDArray[np.int64]

WEIGHT_ONE = 64
"""Weights, biases and thresholds have 6 fractional bits."""


@dataclass(frozen=True, slots=True, eq=False)
class Train:
    """A spike train while the chain is being built.

    Attributes:
        value: Name of the value.
        shape: Feature shape.
        timesteps: Timesteps.
        shift: Timesteps by which whoever reads it sees it late.
        delays: Axonal delays of its neurons, int64 of shape ``shape``, beyond ``shift``; None if all are 0.
        spikes: Whether it carries spikes of one bit rather than voltages.
        sums: Whether what it carries has to be summed up over time where it leaves.
    """

    value: str
    shape: Shape
    timesteps: int
    shift: int = 0
    delays: Ints | None = None
    spikes: bool = True
    sums: bool = False

    def groups(self) -> list[tuple[int, NDArray[np.bool_]]]:
        """Delays that occur, each with the neurons that have it."""
        if self.delays is None:
            return [(self.shift, np.ones(self.shape, np.bool_))]
        return [(self.shift + int(delay), self.delays == delay) for delay in np.unique(self.delays)]


def delayed(graph: Graph, train: Train, steps: int) -> str:
    """Return the value ``steps`` timesteps late."""
    return graph.node(f"{DOMAIN}.Delay", train.value, steps=steps) if steps else train.value


def flattened(graph: Graph, train: Train) -> Train:
    """Return the train with one feature axis."""
    if len(train.shape) == 1:
        return train
    value = graph.each_timestep(train.value, train.timesteps, "Flatten", axis=1)
    delays = None if train.delays is None else train.delays.reshape(-1)
    return replace(train, value=value, shape=(math.prod(train.shape),), delays=delays)


def dense(graph: Graph, layer: DenseLayer, train: Train, *, exponent: int = 0) -> Train:
    """Add all-to-all synapses.

    Args:
        graph: Where to.
        layer: Synapses, integer weights of shape ``(post, pre)``.
        train: What they read; more feature axes than one are flattened.
        exponent: Weights count so many powers of two more.

    Returns:
        What arrives, one feature axis of ``post`` neurons.

    Raises:
        UnsupportedError: ``HSNN-F071`` for another number of neurons than ``pre``; as :func:`real_weights`.
    """
    train = flattened(graph, train)
    if layer.weight.shape[1] != train.shape[0]:
        raise _mismatch(
            layer.index, f"reads {layer.weight.shape[1]} neurons", f"{train.shape[0]}, as the layer before sends"
        )
    weights = real_weights(layer.index, layer.weight, exponent)
    parts = []
    for steps, members in train.groups():
        value, chosen = delayed(graph, train, steps), weights
        if not members.all():
            indices = np.flatnonzero(members)
            value = graph.node("Gather", value, graph.constant(indices, np.int64), axis=2)
            chosen = weights[:, indices]
        parts.append(graph.node("MatMul", value, graph.constant(chosen.T)))
    return Train(_sum(graph, parts), (len(weights),), train.timesteps)


def conv(graph: Graph, layer: ConvLayer, train: Train, *, exponent: int = 0) -> Train:
    """Add a convolution, transposed if the layer is; arguments as :func:`dense`.

    Raises:
        UnsupportedError: ``HSNN-F071``, if the train has other channels, or the window gives another shape than the
            layer says; as :func:`real_weights`.
    """
    weights, groups = real_weights(layer.index, layer.weight, exponent), layer.groups
    channels = layer.weight.shape[0] if layer.transposed else layer.weight.shape[1] * groups
    if len(train.shape) != 3 or train.shape[0] != channels:
        raise _mismatch(layer.index, f"reads {channels} channels", f"{train.shape}, as the layer before sends")
    if layer.transposed:
        return _transposed(graph, layer.index, layer.shape, layer.window, weights, groups, train)
    return _correlate(graph, layer.index, layer.shape, layer.window, weights, groups, train)


def pool(graph: Graph, layer: PoolLayer, train: Train) -> Train:
    """Add sum pooling: a convolution of every channel with the same kernel.

    slayer adds as many zeros behind an axis as its extent leaves over the kernel's (``synapse/layer.py``).

    Args:
        graph: Where to.
        layer: Synapses; integer weights ``(kernel H, kernel W)`` that all channels share.
        train: What they read, feature shape ``(C, H, W)``.

    Raises:
        UnsupportedError: ``HSNN-F071`` or ``HSNN-F072``, naming the layer.
    """
    if len(train.shape) != 3:
        raise _mismatch(layer.index, "pools (C, H, W)", f"{train.shape}, as the layer before sends")
    require_own_rows(layer, train.shape)
    channels, extents, kernel = train.shape[0], train.shape[1:], layer.window.kernel
    weights = np.tile(real_weights(layer.index, layer.weight, 0), (channels, 1, 1, 1))
    if layer.transposed:
        return _transposed(graph, layer.index, layer.shape, layer.window, weights, channels, train)
    extra = (extents[0] % kernel[0], extents[1] % kernel[1])
    return _correlate(graph, layer.index, layer.shape, layer.window, weights, channels, train, extra=extra)


def complex_pool(graph: Graph, layer: PoolLayer, imaginary: Ints, train: Train) -> Train:
    """Add sum pooling of every channel into a real and an imaginary one, which take turns.

    Args:
        graph: Where to.
        layer: Synapses, with the real weights.
        imaginary: Imaginary weights, integers of the shape of the real ones.
        train: What they read, feature shape ``(C, H, W)``.

    Returns:
        What arrives: twice the channels of the layer, real parts in the even ones.

    Raises:
        UnsupportedError: As :func:`pool`.
    """
    if len(train.shape) != 3:
        raise _mismatch(layer.index, "pools (C, H, W)", f"{train.shape}, as the layer before sends")
    require_own_rows(layer, train.shape)
    channels, extents, kernel = train.shape[0], train.shape[1:], layer.window.kernel
    shape = (2 * layer.shape[0], *layer.shape[1:])
    both = real_weights(layer.index, np.stack((layer.weight, imaginary)), 0)
    if layer.transposed:
        weights = np.tile(both, (channels, 1, 1, 1))
        return _transposed(graph, layer.index, shape, layer.window, weights, channels, train)
    weights = np.tile(both[:, None], (channels, 1, 1, 1))
    extra = (extents[0] % kernel[0], extents[1] % kernel[1])
    return _correlate(graph, layer.index, shape, layer.window, weights, channels, train, extra=extra)


def real_weights(index: int, weights: Ints, exponent: int) -> NDArray[np.float64]:
    """Weights in units of the hybrid model.

    Args:
        index: Number of the layer, for the message.
        weights: Integers of any shape, not empty.
        exponent: Power of two that they are multiplied by.

    Returns:
        ``weights * 2**exponent / 64``, float64, same shape.

    Raises:
        UnsupportedError: ``HSNN-F072``, if 8 bits of mixed sign cannot hold them.
    """
    if weights.min() < -256 or weights.max() > 254 or np.any(weights % 2):
        raise UnsupportedError(
            "HSNN-F072",
            f"layer {index}: weights reach from {weights.min()} to {weights.max()}"
            + (", some of them odd" if np.any(weights % 2) else ""),
            allowed="even integers from -256 to 254, as slayer's 8-bit hook gives",
            fix="train with the neuron's quantize_8bit as pre_hook_fx, which is the default",
        )
    scaled: NDArray[np.float64] = weights * np.float64(2.0**exponent / WEIGHT_ONE)
    return scaled


def _correlate(
    graph: Graph,
    index: int,
    shape: Shape,
    window: Window,
    weights: NDArray[np.float64],
    groups: int,
    train: Train,
    *,
    extra: tuple[int, int] = (0, 0),
) -> Train:
    found = tuple(
        (extent + more + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1
        for extent, more, pad, dilation, kernel, stride in zip(
            train.shape[1:], extra, window.padding, window.dilation, window.kernel, window.stride, strict=True
        )
    )
    if (len(weights), *found) != shape:
        raise _mismatch(index, f"has the shape {shape}", f"{(len(weights), *found)}, which its window gives")
    ends = [pad + more for pad, more in zip(window.padding, extra, strict=True)]
    parts = []
    for steps, members in train.groups():
        chosen = weights * _per_input(members, groups, weights.shape)
        parts.append(
            graph.each_timestep(
                delayed(graph, train, steps),
                train.timesteps,
                "Conv",
                graph.constant(chosen),
                strides=list(window.stride),
                pads=[*window.padding, *ends],
                dilations=list(window.dilation),
                kernel_shape=list(window.kernel),
                group=groups,
            )
        )
    return Train(_sum(graph, parts), shape, train.timesteps)


def _per_input(members: NDArray[np.bool_], groups: int, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Which weights read neurons of the group of delays, broadcastable to ``(C_out, C_in / groups, H, W)``.

    Delays are per channel, so one place of a channel tells about all.
    """
    channels = members.reshape(members.shape[0], -1)[:, 0].reshape(groups, 1, -1)
    whole = np.broadcast_to(channels, (groups, shape[0] // groups, shape[1]))
    return whole.reshape(shape[0], shape[1], 1, 1).astype(np.float64)


def _transposed(
    graph: Graph,
    index: int,
    shape: Shape,
    window: Window,
    weights: NDArray[np.float64],
    groups: int,
    train: Train,
) -> Train:
    found = tuple(
        (extent - 1) * stride - 2 * pad + dilation * (kernel - 1) + 1
        for extent, pad, dilation, kernel, stride in zip(
            train.shape[1:], window.padding, window.dilation, window.kernel, window.stride, strict=True
        )
    )
    if (weights.shape[1] * groups, *found) != shape:
        raise _mismatch(index, f"has the shape {shape}", f"{(weights.shape[1] * groups, *found)}, by its window")
    parts = []
    for steps, members in train.groups():
        # Delays are per channel, so one place of a channel tells about all.
        reads = members.reshape(len(members), -1)[:, 0].reshape(-1, 1, 1, 1)
        parts.append(
            graph.each_timestep(
                delayed(graph, train, steps),
                train.timesteps,
                "ConvTranspose",
                graph.constant(weights * reads),
                strides=list(window.stride),
                pads=[*window.padding, *window.padding],
                dilations=list(window.dilation),
                kernel_shape=list(window.kernel),
                group=groups,
            )
        )
    return Train(_sum(graph, parts), shape, train.timesteps)


def _sum(graph: Graph, parts: list[str]) -> str:
    total = parts[0]
    for part in parts[1:]:
        total = graph.node("Add", total, part)
    return total


def _mismatch(index: int, found: str, allowed: str) -> UnsupportedError:
    return UnsupportedError("HSNN-F071", f"layer {index} {found}", allowed=allowed)
