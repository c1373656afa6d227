"""Kernels of events: spikes as the indices of those that fired, timestep after timestep, and payloads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hsnn_targets.emulator.jit import inner
from hsnn_targets.emulator.memory_ir import copy_bytes, count_ones, nonzero_bytes, pack_bits
from hsnn_targets.emulator.port_rows import look_at_row, read_row
from hsnn_targets.emulator.spike_lists import list_spikes
from hsnn_targets.emulator.tables import ALWAYS, CONSTANT, PORT, TILE, Place, Program, Run, Scratch, Span

if TYPE_CHECKING:
    from hsnn_targets.emulator.tables import Int32, Record, UInt8
    from hsnn_targets.emulator.vector_tables import Vector


@inner
def pack(node: Record, vector: Vector | None, scratch: Scratch, span: Span) -> None:
    """Turn the spikes of some timesteps of the window into events."""
    start, at = scratch.start[node["start_at"] + node["history"] :], node["events_at"]
    for t in range(span.first, span.last):
        row = node["plane_at"] + t * node["plane_stride"]
        to = list_spikes(vector, scratch.fired, row, node["plane_stride"], scratch.events, at + start[t])
        start[t + 1] = to - at


@inner
def count_spikes(node: Record, scratch: Scratch, span: Span) -> int:
    """Count the spikes of some timesteps of the window."""
    first = node["plane_at"] + span.first * node["plane_stride"]
    total = 0
    for at in range(first, first + (span.last - span.first) * node["plane_stride"], TILE):
        total += count_ones(nonzero_bytes(scratch.fired, at))
    return total


@inner
def send_spikes(node: Record, vector: Vector | None, scratch: Scratch, span: Span, wanted: bool) -> int:
    """Count the spikes of a population, and turn them into events if anybody wants them."""
    start = scratch.start[node["start_at"] + node["history"] :]
    if not wanted and node["limit"] < ALWAYS:
        sent = count_spikes(node, scratch, span)
        if sent > node["limit"] * (span.last - span.first):
            empty(node, scratch, span)
            return sent
    pack(node, vector, scratch, span)
    return int(start[span.last] - start[span.first])


@inner
def empty(node: Record, scratch: Scratch, span: Span) -> None:
    """Leave no events, where nobody asks for them."""
    start = scratch.start[node["start_at"] + node["history"] :]
    for t in range(span.first, span.last):
        start[t + 1] = start[t]


@inner
def send_timestep(population: Record, program: Program, scratch: Scratch, t: int, row: int, sent: Int32) -> None:
    """Write what a population sent at timestep ``t`` of the window, ``row`` of its sums, to the results."""
    order = program.tables[population["order_at"] :]
    if population["node"] < 0 or population["graded"] != 0:
        value = scratch.sums[row * population["sums"] :]
        for i in range(sent.size):
            sent[order[i]] = value[i]
        return
    node = program.nodes[population["node"]]
    at = node["start_at"] + node["history"] + t
    for k in range(node["events_at"] + scratch.start[at], node["events_at"] + scratch.start[at + 1]):
        sent[order[scratch.events[k]]] = 1


@inner
def send_bits(node: Record, scratch: Scratch, t: int, bits: UInt8) -> None:
    """Write the spikes of timestep ``t`` of the window as bits, the first neuron in the lowest."""
    pack_bits(scratch.fired, node["plane_at"] + t * node["plane_stride"], bits)


@inner
def count_payloads(inputs: Int32, n: int, stride: int, steps: int) -> int:
    """Count the payloads of a window that are not 0."""
    sent = 0
    for t in range(steps):
        row = inputs[t * stride : t * stride + n]
        for i in range(n):
            sent += row[i] != 0
    return sent


@inner
def check_row(node: Record, scratch: Scratch, largest: int) -> None:
    """Keep in mind if a row has payloads that the port may not bring; ``largest`` is the row's largest, raised."""
    if largest > node["reach"]:
        scratch.broken[0] = 1


@inner
def read_plane(
    node: Record, program: Program, scratch: Scratch, inputs: Int32 | UInt8, stride: int, first: int, last: int
) -> None:
    """Write the payloads of timesteps ``first .. last - 1`` of a window as bytes, and zeros up to the next's."""
    order, n = program.tables[node["order_at"] :], node["count"]
    for t in range(first, last):
        at = node["plane_at"] + t * node["plane_stride"]
        plane = scratch.fired[at:]
        row = inputs[t * stride : t * stride + n]
        if node["ordered"]:
            for i in range(n):
                plane[np.uint32(order[i])] = np.uint8(row[i])  # an index without a sign needs no look at it
            check_row(node, scratch, look_at_row(row, n, node["raised"], scratch.fired, at))
        else:
            check_row(node, scratch, read_row(row, n, node["raised"], scratch.fired, at))
        plane[n : node["plane_stride"]] = 0


@inner
def open_port(node: Record, program: Program, scratch: Scratch, inputs: Int32, stride: int, steps: int) -> None:
    """Turn graded payloads of a window into events and bytes, as far as anybody asks for them."""
    for t in range(steps):
        check_row(node, scratch, look_at_row(inputs[t * stride :], node["count"], node["raised"], scratch.fired, 0))
    if node["plane_at"] >= 0:
        sent = count_payloads(inputs, node["count"], stride, steps)
        scratch.level[node["number"]] = sent
        if sent > node["floor"] * steps:
            read_plane(node, program, scratch, inputs, stride, 0, steps)
        if sent > node["limit"] * steps:
            empty(node, scratch, Span(0, steps, 0, steps))
            return
    read_payloads(node, program, scratch, inputs, stride, steps)


@inner
def read_payloads(node: Record, program: Program, scratch: Scratch, inputs: Int32, stride: int, steps: int) -> None:
    """Turn the payloads of a window into events; ``inputs`` starts at the first, timesteps lie ``stride`` apart."""
    order, n = program.tables[node["order_at"] :], node["count"]
    index, start = scratch.events[node["events_at"] :], scratch.start[node["start_at"] + node["history"] :]
    payload = scratch.payload[node["payload_at"] :]
    for t in range(steps):
        k = start[t]
        row = inputs[t * stride : t * stride + n]
        for i in range(n):
            index[k] = order[i]
            payload[k] = row[i]
            k += row[i] != 0
        start[t + 1] = k


@inner
def place_in_inputs(node: Record, run: Run, place: Place) -> int:
    """Where the payloads of a port start in the inputs, for the window at a place."""
    at = node["input_at"] * run.timesteps + place.origin * node["count"]
    return int(at * run.input_samples + place.input_sample * node["count"])


@inner
def read_port(node: Record, program: Program, scratch: Scratch, run: Run, place: Place, first: int, last: int) -> None:
    """Write what a port that is not graded brings in timesteps ``first .. last - 1`` of a window as bytes."""
    at, stride = place_in_inputs(node, run, place), run.input_samples * node["count"]
    if run.narrow.size:
        read_plane(node, program, scratch, run.narrow[at:], stride, first, last)
    else:
        read_plane(node, program, scratch, run.inputs[at:], stride, first, last)


@inner
def open_node(
    node: Record,
    program: Program,
    vector: Vector | None,
    scratch: Scratch,
    run: Run,
    place: Place,
    steps: int,
    read: bool,
) -> None:
    """Write the events of a port or a constant source in a window; ``read`` is whether its bytes are still to be."""
    if node["kind"] == PORT:
        if node["payload_at"] >= 0:
            at, stride = place_in_inputs(node, run, place), run.input_samples * node["count"]
            open_port(node, program, scratch, run.inputs[at:], stride, steps)
            return
        if read:
            read_port(node, program, scratch, run, place, 0, steps)
        scratch.level[node["number"]] = send_spikes(node, vector, scratch, Span(0, steps, 0, steps), False)
    elif node["kind"] == CONSTANT:
        start = scratch.start[node["start_at"] + node["history"] :]
        for t in range(steps):
            for i in range(node["count"]):
                scratch.events[node["events_at"] + start[t] + i] = i
            start[t + 1] = start[t] + node["count"]


@inner
def slide_window(program: Program, scratch: Scratch, steps: int) -> None:
    """Keep the events and bytes that delays still ask for after a window of ``steps`` timesteps."""
    for q in range(program.nodes.size):
        node = program.nodes[q]
        kept, row = node["kept"], node["plane_stride"]
        for t in range(-kept, 0):
            copy_bytes(scratch.fired, node["plane_at"] + t * row, node["plane_at"] + (steps + t) * row, row)
        start = scratch.start[node["start_at"] :]
        first, last = start[steps], start[steps + node["history"]]
        for k in range(first, last):
            scratch.events[node["events_at"] + k - first] = scratch.events[node["events_at"] + k]
            if node["payload_at"] >= 0:
                scratch.payload[node["payload_at"] + k - first] = scratch.payload[node["payload_at"] + k]
        for t in range(node["history"] + 1):
            start[t] = start[steps + t] - first
