"""From an integer network to the Lava processes that compute it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.plastic import LearnerPopulation, PlasticProjection
from hsnn.ir.populations import ConstantSource, InputPort, Neuron, largest_payload, received_shape
from hsnn.ir.projections import Projection
from hsnn.ir.shape import size
from hsnn_targets.lava.blueprint import Blueprint, Part, Ring, Wire
from hsnn_targets.lava.layout import lava_shape
from hsnn_targets.lava.plastic import plastic_part
from hsnn_targets.lava.populations import neuron_part, part_name
from hsnn_targets.lava.schedule import Schedule, ring_dtype
from hsnn_targets.lava.sender import Sender
from hsnn_targets.lava.synapses import synapse_parts

if TYPE_CHECKING:
    from hsnn.ir.populations import Population

MESSAGE_BITS_MAX = 24
"""Most that Lava is told; any number but 0 lets whole payloads pass."""
SINK_PORTS = 8
"""Ports of one :class:`~hsnn_targets.lava.spike_sink.process.SpikeSink`."""


def plan_processes(
    network: IntegerNetwork,
    schedule: Schedule,
    *,
    recorded: Sequence[str],
    board: bool = False,
    learns: bool = False,
) -> Blueprint:
    """Describe every Lava process of a network.

    Args:
        network: A valid network without idle projections.
        schedule: Its schedule.
        recorded: Names of the neuron populations to record.
        board: Whether only processes that a board has may be used where there is a choice.
        learns: Whether plastic projections learn.
    """
    draft = _Draft(network, schedule, board, learns)
    for port in network.inputs:
        _add_input(draft, port)
    for neuron in network.neurons:
        draft.parts.append(_neuron(draft, neuron))
        if isinstance(neuron, LearnerPopulation):
            _add_label(draft, neuron)
    for projection in network.projections:
        _add_projection(draft, projection)
    _add_sinks(draft, recorded)
    return Blueprint(tuple(draft.parts), tuple(draft.wires), tuple(draft.feeds), tuple(draft.records))


@dataclass(slots=True)
class _Draft:
    network: IntegerNetwork
    schedule: Schedule
    board: bool
    learns: bool
    parts: list[Part] = field(default_factory=list)
    wires: list[Wire] = field(default_factory=list)
    feeds: list[Ring] = field(default_factory=list)
    records: list[Ring] = field(default_factory=list)
    waiting: dict[tuple[str, int], str] = field(default_factory=dict)
    """Delay lines by what they delay and how long."""
    ahead: dict[str, int] = field(default_factory=dict)
    """Timesteps that an input's source already waits, so that no projection from it has to."""


def _neuron(draft: _Draft, neuron: Neuron) -> Part:
    projections = draft.network.projections
    heard = any(p.delay > 0 for p in projections if p.pre == neuron.name)
    heard |= any(isinstance(p, PlasticProjection) and neuron.name in (p.pre, p.post) for p in projections)
    window = draft.schedule.window(neuron.name)
    return neuron_part(neuron, window, must_be_silent_between_samples=heard)


def _add_label(draft: _Draft, neuron: LearnerPopulation) -> None:
    """Add the source of a label port, in step with the neurons that it teaches."""
    shape = (draft.schedule.slots, draft.schedule.timesteps, 1)
    ring = Ring(neuron.label, f"in{len(draft.feeds)}.ring", "int32", shape)
    name = f"label:{neuron.label}"
    _add_source(draft, name, ring, lag=draft.schedule.window(neuron.name).lag)
    draft.wires.append(Wire(name, "s_out", part_name(neuron.name), "label_in"))


def _add_input(draft: _Draft, port: InputPort) -> None:
    extras = [draft.schedule.timing.extra[p.name] for p in draft.network.projections if p.pre == port.name]
    if not extras:
        return
    draft.ahead[port.name] = min(extras)
    shape = (draft.schedule.slots, draft.schedule.timesteps, *lava_shape(port.shape))
    ring = Ring(port.name, f"in{len(draft.feeds)}.ring", ring_dtype(port), shape)
    window = draft.schedule.window(port.name)
    _add_source(draft, f"input:{port.name}", ring, lag=window.lag + draft.ahead[port.name])


def _add_source(draft: _Draft, name: str, ring: Ring, *, lag: int) -> None:
    window = draft.schedule.window(ring.name)._replace(lag=lag)
    settings = {
        "shape": ring.shape[2:],
        "ring": ring.file,
        "dtype": ring.dtype,
        "slots": ring.shape[0],
        "window": window,
    }
    draft.feeds.append(ring)
    draft.parts.append(Part(name, "source", settings))


def _add_projection(draft: _Draft, projection: Projection) -> None:
    pre, post = draft.network.source(projection.pre), draft.network.source(projection.post)
    extra = 0
    if not isinstance(pre, ConstantSource):
        extra = draft.schedule.timing.extra[projection.name] - draft.ahead.get(pre.name, 0)
    if draft.learns and isinstance(projection, PlasticProjection):
        parts, wait = [_plastic(draft, projection, pre)], extra
    else:
        parts, wait = synapse_parts(projection, _sender(pre), received_shape(post), extra=extra, board=draft.board)
    source = _outlet(draft, pre, projection)
    if wait:
        source = _delay_line(draft, source, pre, wait)
    for part in parts:
        draft.parts.append(part)
        draft.wires.append(Wire(source, "s_out", part.name, "s_in"))
        draft.wires.append(Wire(part.name, "a_out", part_name(post.name), "a_in"))


def _plastic(draft: _Draft, projection: PlasticProjection, pre: InputPort | Population) -> Part:
    """Describe synapses that learn, and tell them what their neurons do."""
    post = draft.network.source(projection.post)
    third_factor = isinstance(post, LearnerPopulation)
    part = plastic_part(projection, _sender(pre), post.shape, third_factor=third_factor)
    draft.wires.append(Wire(part_name(post.name), "s_out", part.name, "s_in_bap"))
    for trace in ("y1", "y2") if third_factor else ():
        draft.wires.append(Wire(part_name(post.name), f"s_out_{trace}", part.name, f"s_in_{trace}"))
    return part


def _sender(pre: InputPort | Population) -> Sender:
    payload, signed = largest_payload(pre)
    if payload == 1 and not signed:
        return Sender(pre.shape)
    return Sender(pre.shape, payload, min(payload.bit_length() + signed, MESSAGE_BITS_MAX))


def _outlet(draft: _Draft, pre: InputPort | Population, projection: Projection) -> str:
    """Name the part whose ``s_out`` feeds a projection."""
    if isinstance(pre, InputPort):
        return f"input:{pre.name}"
    if isinstance(pre, ConstantSource):
        return _constant(draft, pre, projection)
    return part_name(pre.name)


def _constant(draft: _Draft, source: ConstantSource, projection: Projection) -> str:
    """Find or add what plays a constant source to a projection.

    Without a delay it is a neuron that always fires: what arrives outside a window is ignored or reset.
    With one, each sample starts with zeros, in step with the population that receives them.
    """
    if not projection.delay:
        name = f"constant:{source.name}"
        if all(part.name != name for part in draft.parts):
            draft.parts.append(Part(name, "always", {"shape": lava_shape(source.shape)}))
        return name
    depth = draft.schedule.timing.depth[projection.post]
    name = f"constant:{source.name}:{depth}:{projection.delay}"
    if all(part.name != name for part in draft.parts):
        timesteps = draft.schedule.timesteps
        ones = np.ones((1, timesteps, size(source.shape)), np.uint8)
        ones[:, : projection.delay] = 0
        ring = Ring(source.name, f"in{len(draft.feeds)}.ring", "uint8", ones.shape, ones)
        _add_source(draft, name, ring, lag=depth - 1)
    return name


def _delay_line(draft: _Draft, source: str, pre: InputPort | Population, wait: int) -> str:
    if (source, wait) not in draft.waiting:
        name = f"wait:{source}:{wait}"
        draft.parts.append(Part(name, "delay_line", {"shape": lava_shape(pre.shape), "delay": wait}))
        draft.wires.append(Wire(source, "s_out", name, "s_in"))
        draft.waiting[source, wait] = name
    return draft.waiting[source, wait]


def _add_sinks(draft: _Draft, recorded: Sequence[str]) -> None:
    schedule = draft.schedule
    for name in recorded:
        neuron = draft.network.source(name)
        shape = (schedule.slots, schedule.timesteps, *lava_shape(neuron.shape))
        draft.records.append(Ring(name, f"out{len(draft.records)}.ring", ring_dtype(neuron), shape))
    for first in range(0, len(recorded), SINK_PORTS):
        rings = draft.records[first : first + SINK_PORTS]
        sink = f"sink:{first // SINK_PORTS}"
        channels = [
            {"ring": r.file, "dtype": r.dtype, "shape": r.shape[2:], "lag": schedule.window(r.name).lag} for r in rings
        ]
        settings = {
            "channels": channels,
            "slots": schedule.slots,
            "period": schedule.period,
            "timesteps": schedule.timesteps,
        }
        draft.parts.append(Part(sink, "sink", settings))
        for index, ring in enumerate(rings):
            draft.wires.append(Wire(part_name(ring.name), "s_out", sink, f"in_{index}"))
        if first:
            draft.wires.append(Wire(f"sink:{first // SINK_PORTS - 1}", "chain_out", sink, "chain_in"))
