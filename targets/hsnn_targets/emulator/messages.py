"""Kernels of neurons that send graded messages: the rules of sigma-delta neurons, and messages as events.

Arithmetic is modulo 2**32, as in :mod:`hsnn_targets.emulator.neurons`. Messages replace the sums of their timestep
and become events with payloads, like those of graded ports.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hsnn_targets.emulator.events import pack
from hsnn_targets.emulator.jit import inner
from hsnn_targets.emulator.tables import BIAS, STATE_SHIFT, THRESHOLD, TILE, Program, Scratch, Span, U, V

if TYPE_CHECKING:
    from hsnn_targets.emulator.tables import Int32, Record, UInt8
    from hsnn_targets.emulator.vector_tables import Vector

int32 = np.int32
LOWEST = int32(-(1 << 31))


@inner
def update_sigma_delta(population: Record, tile: Int32, sums: Int32, shift: int) -> None:
    """Advance one tile of sigma-delta neurons by one timestep; the messages replace the sums."""
    lost = population["message_shift"]
    for j in range(TILE):
        arriving = int32(sums[j] << (shift - STATE_SHIFT))
        total = int32(tile[U * TILE + j] + arriving) if population["accumulate"] != 0 else arriving
        wanted = int32(total + tile[BIAS * TILE + j])
        if population["rectify"] != 0:
            wanted = max(wanted, int32(0))
        sent, threshold = tile[V * TILE + j], tile[THRESHOLD * TILE + j]
        due = int32(wanted - sent)
        if due == LOWEST or (due < threshold and due > -threshold):
            due = int32(0)
        message = int32(due >> lost)
        taken = int32(message << lost) if population["keep_rest"] != 0 else due
        tile[U * TILE + j] = total
        tile[V * TILE + j] = int32(sent + taken)
        sums[j] = message


@inner
def send_counts(population: Record, node: Record, vector: Vector | None, scratch: Scratch, span: Span) -> int:
    """Turn the counts of some timesteps of the window, and the bytes that say where they are, into events."""
    pack(node, vector, scratch, span)
    index, payload = scratch.events[node["events_at"] :], scratch.payload[node["payload_at"] :]
    start = scratch.start[node["start_at"] + node["history"] :]
    for t in range(span.first, span.last):
        row = scratch.sums[(t - span.first) * population["sums"] :]
        for k in range(start[t], start[t + 1]):
            payload[k] = row[index[k]]
    return int(start[span.last] - start[span.first])


@inner
def send_messages(population: Record, program: Program, scratch: Scratch, span: Span) -> int:
    """Turn the messages of some timesteps of the window into events, and count them."""
    node = program.nodes[population["node"]]
    index, payload = scratch.events[node["events_at"] :], scratch.payload[node["payload_at"] :]
    start = scratch.start[node["start_at"] + node["history"] :]
    width = population["sums"]
    for t in range(span.first, span.last):
        k = start[t]
        row = scratch.sums[(t - span.first) * width :]
        for i in range(population["count"]):
            index[k] = i
            payload[k] = row[i]
            k += row[i] != 0
        start[t + 1] = k
    return int(start[span.last] - start[span.first])


@inner
def send_message_bits(population: Record, row: Int32, bits: UInt8) -> None:
    """Write which neurons sent a message in a timestep, the first neuron in the lowest bit."""
    bits[:] = 0
    for i in range(population["count"]):
        if row[i] != 0:
            bits[i // 8] |= np.uint8(1 << (i % 8))
