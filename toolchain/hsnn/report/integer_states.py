"""Replay recorded spikes through the integer rules, to see what the states did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hsnn.ir import arithmetic as rules
from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.populations import (
    AdaptiveLifPopulation,
    ConstantSource,
    LifPopulation,
    Neuron,
    ResonatorPopulation,
    SigmaDeltaPopulation,
    adaptation,
    largest_payload,
    received_shape,
    spike_limits,
)
from hsnn.ir.projections import ConvProjection
from hsnn.ir.shape import part_indices
from hsnn.passes.simulation.synapses import deliver

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Int32 = NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class IntegerStates:
    """What the states of one population did.

    Attributes:
        sent: What it sent: int32, shape ``(timestep, batch, *feature)``; spikes of LIF populations, or their
            counts, messages of sigma-delta ones, voltages of integrators.
        saturated: Share of voltage updates that were clipped and mattered: a spike that resets to zero
            forgets the voltage.
        wrapped: Share of current updates that left 24 bits.
    """

    sent: Int32
    saturated: float
    wrapped: float


def replay(network: IntegerNetwork, name: str, sent: Mapping[str, Int32]) -> IntegerStates:
    """Recompute one population from what reached it.

    Args:
        network: A valid network.
        name: A neuron population.
        sent: Payloads of every port and what every population but integrators sent, int32, shape
            ``(timestep, batch, *feature)``.
    """
    neuron = next(item for item in network.neurons if item.name == name)
    activation = _activation(network, neuron, sent)
    if isinstance(neuron, SigmaDeltaPopulation):
        return _replay_sigma_delta(neuron, activation)
    if isinstance(neuron, ResonatorPopulation):
        return _replay_resonator(neuron, activation)
    u, v, held, raised, refractory = (np.zeros(activation.shape[1:], np.int32) for _ in range(5))
    out = np.empty(activation.shape, np.int32)
    saturated = wrapped = 0
    for t, arriving in enumerate(activation):
        wide_u = rules.shrink(u, neuron.du + 1) + (arriving.astype(np.int64) << rules.STATE_SHIFT)
        u = rules.advance_current(u, arriving, neuron.du)
        wrapped += int(np.count_nonzero(u != wide_u))
        moved = rules.advance_voltage(v, u, neuron.bias, neuron.dv)
        clipped = (rules.shrink(v, neuron.dv).astype(np.int64) + u + neuron.bias) != moved
        if isinstance(neuron, AdaptiveLifPopulation):
            v = moved
            out[t], raised, refractory = rules.adapt(v, raised, refractory, **adaptation(neuron))
        elif isinstance(neuron, LifPopulation):
            clipped &= held == 0
            out[t], v, held = _fire(neuron, np.where(held > 0, v, moved), held)
            clipped &= (out[t] == 0) | (neuron.reset != "zero") | (largest_payload(neuron) != (1, False))
            clipped &= (moved > -rules.VOLTAGE_MAX) | (v == -rules.VOLTAGE_MAX)  # a floor forgets how far below it was
        else:
            out[t] = v = moved
        saturated += int(np.count_nonzero(clipped))
    return IntegerStates(out, saturated / out.size, wrapped / out.size)


def _replay_sigma_delta(neuron: SigmaDeltaPopulation, activation: Int32) -> IntegerStates:
    total, before = (np.zeros(activation.shape[1:], np.int32) for _ in range(2))
    out = np.empty(activation.shape, np.int32)
    wide = 0
    for t, arriving in enumerate(activation):
        total = rules.accumulate(total, arriving) if neuron.accumulate else arriving
        wide += int(np.count_nonzero(np.abs(total.astype(np.int64)) >= rules.STATE_LIMIT))
        wanted = rules.rectify_sum(total, neuron.bias, rectify=neuron.rectify)
        out[t], before = rules.encode_delta(
            wanted, before, neuron.threshold, shift=neuron.message_shift, keep_rest=neuron.keep_rest
        )
    return IntegerStates(out, 0.0, wide / out.size)


def _replay_resonator(neuron: ResonatorPopulation, activation: Int32) -> IntegerStates:
    places = part_indices(neuron.shape)
    steps, batch = activation.shape[:2]
    real, imag = (np.zeros((batch, *neuron.shape), np.int32) for _ in range(2))
    out = np.empty((steps, batch, *neuron.shape), np.int32)
    saturated = 0
    for t, arriving in enumerate(activation.reshape(steps, batch, -1)):
        out[t], real, imag = rules.resonate(
            real,
            imag,
            (arriving[:, places[0]], arriving[:, places[1]]),
            decays=(neuron.cos_decay, neuron.sin_decay),
            threshold=neuron.threshold,
            firing=neuron.firing,
        )
        saturated += int(np.count_nonzero(np.maximum(np.abs(real), np.abs(imag)) == rules.VOLTAGE_MAX))
    return IntegerStates(out, saturated / out.size, 0.0)


def _fire(neuron: LifPopulation, v: Int32, held: Int32) -> tuple[Int32, Int32, Int32]:
    """Return spikes, voltage after the reset, and timesteps that the voltage is held from now on."""
    most, floor = spike_limits(neuron)
    counts = rules.count_spikes(v, neuron.threshold, most) * (held == 0)
    spikes = counts > 0
    # reset_amount is 0 unless the reset is subtract.
    after = np.where(spikes, 0 if neuron.reset == "zero" else v - counts * neuron.reset_amount, v).astype(np.int32)
    left = np.where(spikes, neuron.refractory, np.maximum(held - 1, 0)).astype(np.int32)
    return counts, np.maximum(after, floor), left


def _activation(network: IntegerNetwork, neuron: Neuron, sent: Mapping[str, Int32]) -> Int32:
    """Sum all synaptic input of a population, for all timesteps; each projection wraps its own sum."""
    steps = network.timesteps
    batch = next((array.shape[1] for array in sent.values()), 1)
    shape = received_shape(neuron)
    total = np.zeros((steps, batch, *shape), np.int64)
    for projection in network.into(neuron.name):
        if projection.delay >= steps:
            continue
        source = network.source(projection.pre)
        constant = isinstance(source, ConstantSource)
        spikes = np.ones((1, 1, *source.shape), np.int32) if constant else sent[source.name]
        spikes = spikes[: steps - projection.delay]
        summed = deliver(projection, spikes.reshape(-1, *source.shape), shape).astype(np.int64)
        wrap = rules.wrap_int24 if isinstance(projection, ConvProjection) else rules.wrap_int32
        delivered = wrap(summed << projection.weight_exp).reshape(*spikes.shape[:2], *shape)
        total[projection.delay :] += delivered
    return rules.wrap_int32(total)
