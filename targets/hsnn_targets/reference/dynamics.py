"""What one timestep does to synapses and neurons, one function per rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from hsnn.ir import arithmetic as rules
from hsnn.ir.populations import (
    AdaptiveLifPopulation,
    LifPopulation,
    Neuron,
    ResonatorPopulation,
    SigmaDeltaPopulation,
    adaptation,
    spike_limits,
)
from hsnn.ir.projections import ConvProjection, DenseProjection, Projection, SparseProjection
from hsnn.ir.shape import part_indices, size

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Int32 = NDArray[np.int32]
    Int64 = NDArray[np.int64]


@dataclass(slots=True)
class State:
    """State of one population for a batch; all arrays are ``(batch, *feature)``."""

    u: Int32
    v: Int32
    held: Int32
    """Timesteps that the voltage is still held after a spike."""
    raised: Int32
    """What spikes have added to the threshold of adaptive neurons."""
    refractory: Int32
    """What they have set against the voltage."""
    sent: list[Int32] = field(default_factory=list)
    """What the population sent at each timestep so far."""


def rest(shape: tuple[int, ...]) -> State:
    """State of a population at the start of a sample."""
    u, v, held, raised, refractory = (np.zeros(shape, np.int32) for _ in range(5))
    return State(u, v, held, raised, refractory)


def total_activation(parts: Sequence[Int32], shape: tuple[int, ...]) -> Int32:
    """Sum what several projections deliver, and wrap the sum at 32 bits; all of shape ``(batch, *feature)``."""
    total = np.zeros(shape, np.int64)
    for part in parts:
        total += part
    return rules.wrap_int32(total)


def deliver(projection: Projection, spikes: Int32, post_shape: tuple[int, ...]) -> Int32:
    """Pass one timestep of spikes through synapses.

    Args:
        projection: The synapses.
        spikes: What the source sends, ``(batch, *pre)``: spikes or payloads.
        post_shape: Feature shape of what is delivered.

    Returns:
        Weighted sums times ``2**weight_exp``, int32, shape ``(batch, *post_shape)``; they wrap at 32 bits, those of
        convolutions at 24, as Lava's do.
    """
    batch = spikes.shape[0]
    flat = spikes.reshape(batch, -1).astype(np.int64)
    match projection:
        case DenseProjection():
            summed = flat @ projection.weights.T.astype(np.int64)
            return rules.wrap_int32(summed << projection.weight_exp).reshape(batch, *post_shape)
        case SparseProjection():
            gathered = np.zeros((batch, size(post_shape)), np.int64)
            rows = np.repeat(np.arange(size(post_shape)), np.diff(projection.indptr))
            for sample in range(batch):
                np.add.at(gathered[sample], rows, projection.data * flat[sample, projection.indices])
            return rules.wrap_int32(gathered << projection.weight_exp).reshape(batch, *post_shape)
        case ConvProjection():
            return rules.wrap_int24(_correlate(projection, spikes, post_shape) << projection.weight_exp)


def _correlate(projection: ConvProjection, spikes: Int32, post_shape: tuple[int, ...]) -> Int64:
    """Correlate ``(batch, C, H, W)`` with the kernel, one kernel position at a time."""
    (pad_h, pad_w), (step_h, step_w), (dil_h, dil_w) = (
        projection.padding,
        projection.stride,
        projection.dilation,
    )
    padded = np.pad(spikes, ((0, 0), (0, 0), (pad_h, pad_h), (pad_w, pad_w))).astype(np.int64)
    out_c, in_c, kernel_h, kernel_w = projection.weights.shape
    _, height, width = post_shape
    out = np.zeros((spikes.shape[0], *post_shape), np.int64)
    per_group = out_c // projection.groups
    for group in range(projection.groups):
        outputs = slice(group * per_group, (group + 1) * per_group)
        channels = padded[:, group * in_c : (group + 1) * in_c]
        for y in range(kernel_h):
            for x in range(kernel_w):
                rows = slice(y * dil_h, y * dil_h + (height - 1) * step_h + 1, step_h)
                columns = slice(x * dil_w, x * dil_w + (width - 1) * step_w + 1, step_w)
                kernel = projection.weights[outputs, :, y, x].astype(np.int64)
                out[:, outputs] += np.einsum("oc,bchw->bohw", kernel, channels[:, :, rows, columns])
    return out


def step(neuron: Neuron, state: State, activation: Int32) -> Int32:
    """Advance one population by one timestep and return what it sends.

    Args:
        neuron: The population.
        state: Its state, arrays of shape ``(batch, *feature)``; it is changed.
        activation: What arrived, int32, shape ``(batch, *feature)``, for resonators that of
            :func:`hsnn.ir.populations.received_shape`.

    Returns:
        Spikes (0 or 1), counts of spikes, messages, or the voltages of integrators: int32, ``(batch, *feature)``.
    """
    if isinstance(neuron, SigmaDeltaPopulation):
        return _step_sigma_delta(neuron, state, activation)
    if isinstance(neuron, ResonatorPopulation):
        return _step_resonator(neuron, state, activation)
    state.u = rules.advance_current(state.u, activation, neuron.du)
    moved = rules.advance_voltage(state.v, state.u, neuron.bias, neuron.dv)
    if not isinstance(neuron, LifPopulation):
        state.v = moved
        return moved.copy()
    if isinstance(neuron, AdaptiveLifPopulation):
        state.v = moved
        fired, state.raised, state.refractory = rules.adapt(moved, state.raised, state.refractory, **adaptation(neuron))
        return fired.astype(np.int32)
    held = state.held > 0
    state.v = np.where(held, state.v, moved)
    most, floor = spike_limits(neuron)
    counts = np.where(held, 0, rules.count_spikes(state.v, neuron.threshold, most)).astype(np.int32)
    spikes = counts > 0
    state.held = np.where(spikes, neuron.refractory, np.maximum(state.held - 1, 0)).astype(np.int32)
    match neuron.reset:
        case "zero":
            state.v = np.where(spikes, 0, state.v).astype(np.int32)
        case "subtract":
            state.v = (state.v - counts * neuron.reset_amount).astype(np.int32)
        case "none":
            pass
    state.v = np.maximum(state.v, floor)
    return counts


def _step_resonator(neuron: ResonatorPopulation, state: State, activation: Int32) -> Int32:
    """Advance resonators: ``u`` is the real part of their state, ``v`` the imaginary one."""
    real, imag = part_indices(neuron.shape)
    flat = activation.reshape(len(activation), -1)
    spikes, state.u, state.v = rules.resonate(
        state.u,
        state.v,
        (flat[:, real], flat[:, imag]),
        decays=(neuron.cos_decay, neuron.sin_decay),
        threshold=neuron.threshold,
        firing=neuron.firing,
    )
    return spikes.astype(np.int32)


def _step_sigma_delta(neuron: SigmaDeltaPopulation, state: State, activation: Int32) -> Int32:
    """Advance sigma-delta neurons: ``u`` is the running sum, ``v`` what has been sent."""
    state.u = rules.accumulate(state.u, activation) if neuron.accumulate else activation
    wanted = rules.rectify_sum(state.u, neuron.bias, rectify=neuron.rectify)
    message, state.v = rules.encode_delta(
        wanted, state.v, neuron.threshold, shift=neuron.message_shift, keep_rest=neuron.keep_rest
    )
    return message
