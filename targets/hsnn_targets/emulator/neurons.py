"""Kernels of neurons: the rules of current, voltage and spikes, bit for bit, tile by tile.

Arithmetic is modulo 2**32: ``int32`` is written out after every operation that may pass it, because
kernels compute in 64 bits. That is exact: the current's rule wraps at 32 bits before anything else, and
the voltage never leaves 32 bits on its way to the clip, since ``|shrink(v)| < 2**23``,
``|u| <= 2**31 - 2**24`` after its wrap and ``|bias| <= 2**19``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hsnn_targets.emulator.jit import inner
from hsnn_targets.emulator.memory_ir import quotient
from hsnn_targets.emulator.messages import update_sigma_delta
from hsnn_targets.emulator.tables import (
    ADAPTIVE,
    AMOUNT,
    BIAS,
    COUNTING,
    FIELDS,
    HELD,
    IZHIKEVICH,
    KEEP_U,
    KEEP_V,
    PHASE,
    SIGMA_DELTA,
    THRESHOLD,
    TILE,
    Program,
    Scratch,
    Span,
    U,
    V,
)

if TYPE_CHECKING:
    from hsnn_targets.emulator.tables import Int32, Record, UInt8

int32 = np.int32
STATE_LIMIT = 1 << 23
VOLTAGE_MAX = STATE_LIMIT - 1


@inner
def shrink(x: int32, keep: int32) -> int32:
    """Return ``x * keep / 4096`` rounded toward zero, for 32-bit ``x`` and ``keep`` 0 to 4096.

    The magnitude is split at 12 bits so that both products fit 32.
    """
    magnitude = int32(abs(x))
    high = int32(int32(magnitude >> 12) * keep)
    low = int32(int32(magnitude & 4095) * keep)
    kept = int32(high + int32(low >> 12))
    return int32(-kept) if x < 0 else kept


@inner
def advance_current(u: int32, total: int32, keep: int32, shift: int) -> int32:
    """Advance a current by one timestep and wrap it once at 24 bits, as Lava does."""
    moved = int32(shrink(u, keep) + int32(total << shift))
    down = int32(moved - 2 * STATE_LIMIT) if moved > STATE_LIMIT else moved
    return int32(moved + 2 * STATE_LIMIT) if down <= -STATE_LIMIT else down


@inner
def advance_voltage(v: int32, u: int32, keep: int32, bias: int32) -> int32:
    """Advance a voltage by one timestep; it saturates at 24 bits."""
    moved = int32(shrink(v, keep) + u + bias)
    return min(max(moved, int32(-VOLTAGE_MAX)), int32(VOLTAGE_MAX))


@inner
def update_lif(tile: Int32, sums: Int32, fired: UInt8, shift: int, subtract: bool) -> None:
    """Advance one tile of neurons without refractory time by one timestep."""
    for j in range(TILE):
        u = advance_current(tile[U * TILE + j], sums[j], tile[KEEP_U * TILE + j], shift)
        v = advance_voltage(tile[V * TILE + j], u, tile[KEEP_V * TILE + j], tile[BIAS * TILE + j])
        spike = v > tile[THRESHOLD * TILE + j]
        after = int32(v - tile[AMOUNT * TILE + j]) if subtract else int32(0)
        tile[U * TILE + j] = u
        tile[V * TILE + j] = after if spike else v
        fired[j] = spike


@inner
def update_refractory(tile: Int32, sums: Int32, fired: UInt8, shift: int, subtract: bool, refractory: int) -> None:
    """Advance one tile of neurons with refractory time by one timestep."""
    for j in range(TILE):
        u = advance_current(tile[U * TILE + j], sums[j], tile[KEEP_U * TILE + j], shift)
        before, held = tile[V * TILE + j], tile[HELD * TILE + j]
        moved = advance_voltage(before, u, tile[KEEP_V * TILE + j], tile[BIAS * TILE + j])
        v = before if held > 0 else moved
        spike = (v > tile[THRESHOLD * TILE + j]) & (held <= 0)
        after = int32(v - tile[AMOUNT * TILE + j]) if subtract else int32(0)
        tile[U * TILE + j] = u
        tile[V * TILE + j] = after if spike else v
        tile[HELD * TILE + j] = int32(refractory) if spike else max(int32(held - 1), int32(0))
        fired[j] = spike


@inner
def update_counting(
    tile: Int32, more: Int32, sums: Int32, shift: int, subtract: bool, refractory: int, most: int
) -> None:
    """Advance one tile of neurons that count; the counts replace the sums, and ``more`` has the floor of v.

    There is no branch, so that it becomes vectors.
    """
    for j in range(TILE):
        u = advance_current(tile[U * TILE + j], sums[j], tile[KEEP_U * TILE + j], shift)
        before, held, floor = tile[V * TILE + j], tile[HELD * TILE + j], more[THRESHOLD * TILE + j]
        moved = advance_voltage(before, u, tile[KEEP_V * TILE + j], tile[BIAS * TILE + j])
        v, threshold, amount = before if held > 0 else moved, tile[THRESHOLD * TILE + j], tile[AMOUNT * TILE + j]
        spike = (v > threshold) & (held <= 0)
        count = min(quotient(v if spike else int32(0), int32(threshold + 1)), int32(most))
        after = int32(v - int32(count * amount)) if subtract else int32(0)
        tile[U * TILE + j] = u
        tile[V * TILE + j] = max(after if spike else v, floor)
        tile[HELD * TILE + j] = int32(refractory) if spike else max(int32(held - 1), int32(0))
        sums[j] = count


@inner
def update_counting_tile(
    population: Record, k: int, node: Record, scratch: Scratch, tile: Int32, sums: Int32, shift: int, t: int
) -> None:
    """Advance tile ``k`` of neurons that count by timestep ``t``; counts up to 255 go where spikes are, too."""
    more = (population["first_tile"] + population["tiles"] + k) * FIELDS * TILE
    floors = scratch.tiles[more : more + FIELDS * TILE]
    subtract, refractory = population["subtract"] != 0, population["refractory"]
    update_counting(tile, floors, sums, shift, subtract, refractory, population["max_spikes"])
    start = node["plane_at"] + t * node["plane_stride"] + k * TILE
    fired = scratch.fired[start : start + TILE]
    for j in range(TILE):
        fired[j] = np.uint8(min(sums[j], int32(255)))


@inner
def shrink_wide(x: int32, keep: int32) -> int32:
    """Return ``x * keep / 4096`` rounded toward zero for any 32-bit ``x``."""
    product = np.int64(x) * np.int64(keep)
    return int32(product >> 12) if product >= 0 else int32(-((-product) >> 12))


@inner
def update_adaptive(tile: Int32, more: Int32, sums: Int32, fired: UInt8, shift: int) -> None:
    """Advance one tile of adaptive neurons; ``more`` has what their threshold is raised by, and what is against v."""
    for j in range(TILE):
        u = advance_current(tile[U * TILE + j], sums[j], tile[KEEP_U * TILE + j], shift)
        v = advance_voltage(tile[V * TILE + j], u, tile[KEEP_V * TILE + j], tile[BIAS * TILE + j])
        raised = shrink_wide(more[U * TILE + j], more[KEEP_U * TILE + j])
        against = shrink_wide(more[V * TILE + j], more[KEEP_V * TILE + j])
        level = int32(raised + tile[THRESHOLD * TILE + j])
        spike = int32(v - against) >= level
        tile[U * TILE + j] = u
        tile[V * TILE + j] = v
        more[U * TILE + j] = int32(raised + tile[AMOUNT * TILE + j]) if spike else raised
        more[V * TILE + j] = int32(against + 2 * level) if spike else against
        fired[j] = spike


@inner
def clip_wide(x: np.int64) -> int32:
    """Saturate a 64-bit sum at 24 bits."""
    if x > VOLTAGE_MAX:
        return int32(VOLTAGE_MAX)
    return int32(-VOLTAGE_MAX) if x < -VOLTAGE_MAX else int32(x)


@inner
def update_resonator(
    tile: Int32, row: Int32, real_at: Int32, imag_at: Int32, fired: UInt8, shift: int, izhikevich: bool
) -> None:
    """Advance one tile of resonators: U and V are the parts of their state, KEEP_U the cosine and KEEP_V the sine."""
    for j in range(TILE):
        real, imag = tile[U * TILE + j], tile[V * TILE + j]
        cos, sin = tile[KEEP_U * TILE + j], tile[KEEP_V * TILE + j]
        arriving_real, arriving_imag = int32(row[real_at[j]] << shift), int32(row[imag_at[j]] << shift)
        turned_real = np.int64(shrink_wide(real, cos)) - np.int64(shrink_wide(imag, sin))
        turned_imag = np.int64(shrink_wide(real, sin)) + np.int64(shrink_wide(imag, cos))
        new_real = clip_wide(turned_real + np.int64(arriving_real))
        new_imag = clip_wide(turned_imag + np.int64(arriving_imag))
        level = tile[THRESHOLD * TILE + j]
        if izhikevich:
            spike = new_imag >= level
            tile[U * TILE + j] = int32(0) if spike else new_real
            tile[V * TILE + j] = int32(level - 1) if spike else new_imag
        else:
            spike = (new_real >= level) & (new_imag >= 0) & (imag < 0)
            tile[U * TILE + j] = new_real
            tile[V * TILE + j] = new_imag
        fired[j] = spike


@inner
def update_integrator(tile: Int32, sums: Int32, shift: int) -> None:
    """Advance one tile of read-out neurons by one timestep; the voltages replace the sums."""
    for j in range(TILE):
        u = advance_current(tile[U * TILE + j], sums[j], tile[KEEP_U * TILE + j], shift)
        v = advance_voltage(tile[V * TILE + j], u, tile[KEEP_V * TILE + j], tile[BIAS * TILE + j])
        tile[U * TILE + j] = u
        tile[V * TILE + j] = v
        sums[j] = v


@inner
def update_tile(
    population: Record, k: int, program: Program, scratch: Scratch, span: Span, at: int, stride: int, shift: int
) -> None:
    """Advance tile ``k`` by the timesteps of a span; its sums start at ``at`` and lie ``stride`` apart."""
    first = (population["first_tile"] + k) * FIELDS * TILE
    tile = scratch.tiles[first : first + FIELDS * TILE]
    node = program.nodes[max(population["node"], 0)]
    for t in range(span.first, span.last):
        start_of_sums = at + (t - span.first) * stride
        sums = scratch.sums[start_of_sums : start_of_sums + TILE]
        if population["model"] == SIGMA_DELTA:
            update_sigma_delta(population, tile, sums, shift)
            continue
        if population["model"] == COUNTING:
            update_counting_tile(population, k, node, scratch, tile, sums, shift, t)
            continue
        if population["node"] < 0:
            update_integrator(tile, sums, shift)
            continue
        start = node["plane_at"] + t * node["plane_stride"] + k * TILE
        fired = scratch.fired[start : start + TILE]
        if population["model"] >= PHASE:
            # Its sums do not lie tile by tile, so it looks them up in those of the timestep.
            row = scratch.sums[start_of_sums - k * TILE : start_of_sums - k * TILE + stride]
            real = program.tables[population["parts_at"] + k * TILE :]
            imag = real[population["tiles"] * TILE :]
            update_resonator(tile, row, real, imag, fired, shift, population["model"] == IZHIKEVICH)
        elif population["model"] == ADAPTIVE:
            more = (population["first_tile"] + population["tiles"] + k) * FIELDS * TILE
            update_adaptive(tile, scratch.tiles[more : more + FIELDS * TILE], sums, fired, shift)
        elif population["refractory"] > 0:
            update_refractory(tile, sums, fired, shift, population["subtract"] != 0, population["refractory"])
        else:
            update_lif(tile, sums, fired, shift, population["subtract"] != 0)


@inner
def update(
    population: Record, program: Program, scratch: Scratch, shift: int, span: Span, first: int, last: int
) -> None:
    """Advance tiles ``first .. last - 1`` by a span of timesteps, one by one: their state stays in the cache."""
    for k in range(first, last):
        update_tile(population, k, program, scratch, span, k * TILE, population["sums"], shift)
