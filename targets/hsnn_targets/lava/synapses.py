"""Which Lava processes carry a projection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hsnn.ir.plastic import PlasticProjection
from hsnn.ir.projections import ConvProjection, DenseProjection, Projection, SparseProjection
from hsnn.ir.shape import Shape, size
from hsnn_targets.lava.blueprint import Part
from hsnn_targets.lava.layout import lava_shape, neuron_order
from hsnn_targets.lava.plastic import stored_part
from hsnn_targets.lava.sender import Sender

if TYPE_CHECKING:
    from numpy.typing import NDArray

DELAY_DENSE_WORK = 1 << 15
"""Multiplications up to which DelayDense beats a delay line in front of Dense: a process costs Lava about
0.2 ms a timestep, DelayDense touches every weight ``delay + 1`` times in about 5 ns each."""
INT8_MAX, INT32_MAX = (1 << 7) - 1, (1 << 31) - 1


def synapse_parts(
    projection: Projection, sender: Sender, post: Shape, *, extra: int, board: bool = False
) -> tuple[list[Part], int]:
    """Describe the processes of a projection; what they send sums up at the population.

    Args:
        projection: The projection.
        sender: Its source.
        post: Feature shape of the population that receives.
        extra: Timesteps that spikes must wait.
        board: Whether only processes that a board has may be used.

    Returns:
        The parts, and the timesteps that a delay line in front of them has to add.
    """
    match projection:
        case PlasticProjection():
            return [stored_part(projection, sender, post)], extra
        case DenseProjection():
            worth = board or projection.weights.size * (extra + 1) <= DELAY_DENSE_WORK
            delay = extra if worth else 0
            return [_dense(projection, sender, post, delay)], extra - delay
        case SparseProjection():
            delay = extra if board else 0
            return _sparse(projection, sender, post, delay), extra - delay
        case ConvProjection():
            return [_conv(projection, sender)], extra


def _dense(projection: DenseProjection, sender: Sender, post: Shape, delay: int) -> Part:
    weights = projection.weights[np.ix_(neuron_order(post), neuron_order(sender.shape))]
    settings: dict[str, Any] = {
        "weight_exp": projection.weight_exp,
        "num_weight_bits": projection.num_weight_bits,
        "num_message_bits": sender.message_bits,
        "sign_mode": projection.sign_mode,
    }
    name = f"projection:{projection.name}"
    if delay:
        return Part(name, "delay_dense", {**settings, "delays": delay}, {"weights": weights})
    return Part(name, "dense", settings, {"weights": weights})


def _sparse(projection: SparseProjection, sender: Sender, post: Shape, delay: int) -> list[Part]:
    """Give each of several synapses between the same two neurons a part of its own.

    Lava clips entries to 9 bits, so synapses that a matrix would merge cannot share one.
    """
    rows = np.repeat(np.arange(size(post)), np.diff(projection.indptr))
    rows = np.argsort(neuron_order(post))[rows]
    columns = np.argsort(neuron_order(sender.shape))[projection.indices]
    level = _occurrence(rows * size(sender.shape) + columns)
    settings: dict[str, Any] = {
        "shape": [size(post), size(sender.shape)],
        "weight_exp": projection.weight_exp,
        "num_weight_bits": 8,
        "num_message_bits": sender.message_bits,
        "sign_mode": "mixed",
    }
    if delay:
        settings["delays"] = delay
    return [
        Part(
            f"projection:{projection.name}" + (f"#{copy}" if copy else ""),
            "delay_sparse" if delay else "sparse",
            settings,
            {"data": projection.data[level == copy], "rows": rows[level == copy], "columns": columns[level == copy]},
        )
        for copy in range(int(level.max()) + 1)
    ]


def _occurrence(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each key, how often it came before: 0 at its first occurrence."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    starts = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    position = np.arange(keys.size)
    count = np.empty(keys.size, np.int64)
    count[order] = position - np.maximum.accumulate(np.where(starts, position, 0))
    return count


def _conv(projection: ConvProjection, sender: Sender) -> Part:
    """Turn torch's correlation over ``(C, H, W)`` into Lava's flipped convolution over ``(W, H, C)``.

    Lava's Conv ignores ``weight_exp``, so the weights carry it.
    """
    weight = projection.weights.astype(np.int64) << projection.weight_exp
    small = (*weight.shape[2:], *projection.stride, *projection.padding, *projection.dilation, projection.groups)
    obstacle = ""
    if max(small) > INT8_MAX:
        obstacle = f"one of its kernel size, stride, padding, dilation and groups {small} is above {INT8_MAX}"
    elif int(np.abs(weight).sum(axis=(1, 2, 3)).max()) * sender.peak > INT32_MAX:
        obstacle = "its sums may leave 32 bits"
    return Part(
        f"projection:{projection.name}",
        "wide_conv" if obstacle else "conv",
        {
            "input_shape": lava_shape(sender.shape),
            "stride": projection.stride[::-1],
            "padding": projection.padding[::-1],
            "dilation": projection.dilation[::-1],
            "groups": projection.groups,
            "num_message_bits": sender.message_bits,
        },
        {"weight": np.ascontiguousarray(weight.transpose(0, 3, 2, 1)[:, ::-1, ::-1, :])},
        obstacle,
    )
