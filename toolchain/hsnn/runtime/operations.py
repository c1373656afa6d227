"""Synaptic operations: how many synapses the spikes of a run went through."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.populations import ConstantSource, received_shape
from hsnn.ir.projections import ConvProjection, DenseProjection, Projection, SparseProjection
from hsnn.ir.shape import size

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hsnn.runtime.result import ChipTrace

    Int64 = NDArray[np.int64]


def synaptic_operations(network: IntegerNetwork, trace: ChipTrace) -> dict[str, int]:
    """Count the synapses that each projection's spikes went through, over all samples of a trace.

    A spike counts once for every synapse that leads on from its neuron, borders of a convolution
    included, whatever its weight and payload; not if its delay carries it beyond the sample.
    """
    return {p.name: _operations(network, trace, p) for p in network.projections}


def fan_out(network: IntegerNetwork, projection: Projection) -> Int64:
    """Synapses that lead on from each presynaptic neuron, in C order; shape ``(pre neurons,)``."""
    pre, post = network.source(projection.pre).shape, received_shape(network.source(projection.post))
    match projection:
        case DenseProjection():
            return np.full(size(pre), size(post), np.int64)
        case SparseProjection():
            return np.bincount(projection.indices, minlength=size(pre)).astype(np.int64)
        case ConvProjection():
            reached = [_reached(projection, axis, extent=pre[1 + axis], out=post[1 + axis]) for axis in (0, 1)]
            plane = np.multiply.outer(*reached) * (post[0] // projection.groups)
            return np.asarray(np.tile(plane.reshape(-1), pre[0]), np.int64)


def _reached(projection: ConvProjection, axis: int, *, extent: int, out: int) -> Int64:
    """How many output positions each input position reaches along an axis."""
    kernel = np.arange(projection.weights.shape[2 + axis]) * projection.dilation[axis]
    offset = np.arange(extent)[:, None] + projection.padding[axis] - kernel
    stride = projection.stride[axis]
    hit = (offset % stride == 0) & (offset >= 0) & (offset // stride < out)
    return np.asarray(np.count_nonzero(hit, axis=1), np.int64)


def _operations(network: IntegerNetwork, trace: ChipTrace, projection: Projection) -> int:
    steps = max(network.timesteps - projection.delay, 0)
    fans = fan_out(network, projection)
    source = network.source(projection.pre)
    if isinstance(source, ConstantSource):
        batch = next(iter(trace.result.outputs.values())).shape[1]
        return int(fans.sum()) * steps * int(batch)
    packed = trace.result.packed.get(source.name)
    if packed is not None:
        return int(packed.neuron_counts(steps).reshape(-1) @ fans)
    sent = trace.payloads[source.name] if source.name in trace.payloads else trace.result.spikes[source.name]
    fired = np.count_nonzero(sent[:steps].reshape(-1, size(source.shape)), axis=0)
    return int(fired @ fans)
