"""Kernels of synapses: what events add to the sums of a population.

Sums are kept modulo 2**32 in ``int32``. That is exact: the rules wrap them at 32 bits (``Dense``,
``Sparse``) or keep the low 24 (``Conv``), which depends on nothing but the low 32 bits; and sums,
products and left shifts keep the low 32 bits right whatever is lost above.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hsnn_targets.emulator.event_rows import add_shorts, add_woven, add_woven_row
from hsnn_targets.emulator.jit import inner
from hsnn_targets.emulator.tables import CONV, DENSE, STATE_SHIFT, Program, Scratch, Span

if TYPE_CHECKING:
    from hsnn_targets.emulator.tables import Int16, Int32, Record, Weights
    from hsnn_targets.emulator.vector_tables import Vector

int32 = np.int32


@inner
def add_row(total: Int32, row: Int16) -> None:
    """Add one row of weights."""
    for j in range(row.size):
        total[j] = int32(total[j] + row[j])


@inner
def add_scaled_row(total: Int32, row: Weights, payload: int) -> None:
    """Add one row of weights, multiplied by the payload of a graded spike."""
    for j in range(row.size):
        total[j] = int32(total[j] + int32(payload * row[j]))


@inner
def deliver_scaled(rows: Weights, index: Int32, payload: Int32, total: Int32, n: int, scale: int) -> None:
    """Add rows of ``n`` weights, multiplied by payloads and shifted left by ``scale``, for one timestep of events."""
    for k in range(index.size):
        add_scaled_row(total, rows[index[k] * n : index[k] * n + n], payload[k] << scale)


@inner
def deliver_dense(
    p: Record, s: int, program: Program, vector: Vector | None, index: Int32, payload: Int32, total: Int32
) -> None:
    """Add what one timestep of events brings through stripe ``s`` of all-to-all synapses.

    Counts of spikes are mostly 1: all rows are added once, then those of higher counts as often as they still lack.
    """
    first, scale = s * p["stripe"], p["scale"]
    at, n = p["weights_at"] + p["sources"] * first, min(p["stripe"], p["stride"] - first)
    total = total[first : first + n]
    once = p["counts"] != 0 or payload.size == 0
    if p["bytes"] != 0:
        rows = program.bytes[at:]
        if once:
            add_woven(vector, total, rows, index, n, scale)
            for k in range(payload.size):
                if payload[k] > 1:
                    add_woven_row(total, rows, index[k] * n, n, (payload[k] - 1) << scale)
        else:
            deliver_scaled(rows, index, payload, total, n, scale)
        return
    shorts = program.weights[at:]
    if once:
        add_shorts(vector, total, shorts, index, n, 0)
        for k in range(payload.size):
            if payload[k] > 1:
                add_scaled_row(total, shorts[index[k] * n : index[k] * n + n], payload[k] - 1)
    else:
        deliver_scaled(shorts, index, payload, total, n, 0)


@inner
def deliver_conv(p: Record, program: Program, index: Int32, payload: Int32, total: Int32) -> None:
    """Add what one timestep of events brings through a convolution.

    Features lie channels last, so the weights that one input reaches form a few contiguous runs,
    the same for all channels of an input pixel.
    """
    n, weights = p["channels"], program.weights[p["weights_at"] :]
    starts = program.tables[p["table_at"] :]
    pixels = starts[p["sources"] + 1 :]
    shifts = pixels[p["sources"] * n :]
    runs = shifts[n:]
    if payload.size:
        for k in range(index.size):
            pixel = pixels[index[k]]
            channel = index[k] - pixel * n
            for r in range(starts[pixel], starts[pixel + 1]):
                to, row, length = (
                    runs[3 * r] + shifts[channel],
                    runs[3 * r + 1] + channel * p["stride"],
                    runs[3 * r + 2],
                )
                add_scaled_row(total[to : to + length], weights[row : row + length], payload[k])
        return
    for k in range(index.size):
        pixel = pixels[index[k]]
        channel = index[k] - pixel * n
        for r in range(starts[pixel], starts[pixel + 1]):
            to, row, length = runs[3 * r] + shifts[channel], runs[3 * r + 1] + channel * p["stride"], runs[3 * r + 2]
            add_row(total[to : to + length], weights[row : row + length])


@inner
def deliver_sparse(p: Record, program: Program, index: Int32, payload: Int32, total: Int32) -> None:
    """Add what one timestep of events brings through single synapses, stored source by source."""
    tables, weights = program.tables[p["table_at"] :], program.weights[p["weights_at"] :]
    targets = tables[p["sources"] + 1 :]
    for k in range(index.size):
        value = payload[k] if payload.size else int32(1)
        for s in range(tables[index[k]], tables[index[k] + 1]):
            total[targets[s]] = int32(total[targets[s]] + int32(value * weights[s]))


@inner
def deliver(p: Record, s: int, program: Program, vector: Vector | None, scratch: Scratch, t: int, total: Int32) -> None:
    """Add what stripe ``s`` of a projection brings at timestep ``t`` of the window to the sums of a population."""
    node = program.nodes[p["node"]]
    at = node["start_at"] + node["history"] + t - p["delay"]
    first, last = scratch.start[at], scratch.start[at + 1]
    index = scratch.events[node["events_at"] + first : node["events_at"] + last]
    payload = scratch.payload[:0]
    if node["payload_at"] >= 0:
        payload = scratch.payload[node["payload_at"] + first : node["payload_at"] + last]
    if p["kind"] == DENSE:
        deliver_dense(p, s, program, vector, index, payload, total)
    elif p["kind"] == CONV:
        deliver_conv(p, program, index, payload, total)
    else:
        deliver_sparse(p, program, index, payload, total)


@inner
def deliver_all(
    p: Record, program: Program, vector: Vector | None, scratch: Scratch, span: Span, at: int, width: int
) -> None:
    """Add what a projection brings in some timesteps to sums that start at ``at`` and lie ``width`` apart.

    Stripe after stripe, so that the weights of one stay in the cache for all timesteps.
    """
    stripes = 1
    if p["kind"] == DENSE:
        stripes = (p["stride"] + p["stripe"] - 1) // p["stripe"]
    for s in range(stripes):
        for t in range(span.first, span.last):
            to = at + (t - span.first) * width
            deliver(p, s, program, vector, scratch, t, scratch.sums[to : to + width])


@inner
def merges(population: Record, program: Program) -> bool:
    """Whether the sums of groups have to be merged: where there is more than one, or it wraps."""
    if population["groups"] == 0:
        return False
    return bool(population["groups"] > 1 or program.groups[population["first_group"]]["wrap"] != 0)


@inner
def shift_due(population: Record, program: Program) -> int:
    """The left shift that sums still need after :func:`merge_groups`."""
    if population["groups"] == 0 or merges(population, program):
        return STATE_SHIFT
    return STATE_SHIFT + int(program.groups[population["first_group"]]["exponent"])


@inner
def clear_sums(population: Record, scratch: Scratch, span: Span) -> None:
    """Set the sums of all groups to 0."""
    width = population["sums"]
    for g in range(max(population["groups"], 1)):
        at = (g * (span.end - span.begin) - span.begin) * width
        scratch.sums[at + span.first * width : at + span.last * width] = 0


@inner
def merge_groups(population: Record, program: Program, sums: Int32, span: Span) -> None:
    """Shift, wrap and add up the sums of all groups, in place of the first."""
    if not merges(population, program):
        return
    width = population["sums"]
    at, size = (span.first - span.begin) * width, (span.last - span.first) * width
    total = sums[at : at + size]
    for g in range(population["groups"]):
        group = program.groups[population["first_group"] + g]
        begin = at + g * (span.end - span.begin) * width
        part = sums[begin : begin + size]
        lost = 8 if group["wrap"] else 0
        for j in range(size):
            value = int32(int32(part[j] << (group["exponent"] + lost)) >> lost)
            total[j] = int32(total[j] + value) if g > 0 else value


@inner
def collect(population: Record, program: Program, scratch: Scratch, span: Span) -> None:
    """Sum the synaptic input of some timesteps of the window; :func:`shift_due` tells what shift it lacks."""
    width = population["sums"]
    size = width * (span.end - span.begin)
    clear_sums(population, scratch, span)
    for g in range(population["groups"]):
        group = program.groups[population["first_group"] + g]
        at = g * size + (span.first - span.begin) * width
        for q in range(group["first"], group["last"]):
            deliver_all(program.projections[q], program, None, scratch, span, at, width)
    merge_groups(population, program, scratch.sums, span)
