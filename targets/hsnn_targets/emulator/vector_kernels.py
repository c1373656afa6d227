"""Kernels of the vector tiers: synapses as products of bytes, fused with vectors of neurons.

A projection runs as a product or as events, whichever its spikes in this window make cheaper; both add
the same integers modulo 2**32, so the choice never shows in the results.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hsnn_targets.emulator.jit import inner, routine
from hsnn_targets.emulator.memory_ir import copy_bytes
from hsnn_targets.emulator.neurons import update_tile
from hsnn_targets.emulator.synapses import clear_sums, deliver_all, merge_groups, shift_due
from hsnn_targets.emulator.tables import FIELDS, TILE, Program, Scratch, Span
from hsnn_targets.emulator.vector_lif import make_update
from hsnn_targets.emulator.vector_product import (
    has_pairs,
    has_pixels,
    has_tiles,
    make_multiplies,
    make_product,
    shape_tiles,
)
from hsnn_targets.emulator.vector_tables import LANES, Dynamics, Vector

if TYPE_CHECKING:
    from hsnn_targets.emulator.tables import Record

product_16_2, product_16_1 = make_product(16, 2), make_product(16, 1)
product_8_2, product_8_1 = make_product(8, 2), make_product(8, 1)
pixels_8 = make_product(8, 1, pixels=2)
product_4_2, product_4_1 = make_product(4, 2), make_product(4, 1)
product_1_2, product_1_1 = make_product(1, 2), make_product(1, 1)
multiplies_8 = make_multiplies(8)
update_free = make_update(wrap=False, clip=False, subtract=False)
update_clip = make_update(wrap=False, clip=True, subtract=False)
update_wrap = make_update(wrap=True, clip=True, subtract=False)
update_subtract = make_update(wrap=True, clip=True, subtract=True)

FREE, CLIP, WRAP, SUBTRACT = (int(kind) for kind in (Dynamics.FREE, Dynamics.CLIP, Dynamics.WRAP, Dynamics.SUBTRACT))


@inner
def runs_as_product(p: int, program: Program, vector: Vector, scratch: Scratch, span: Span) -> bool:
    """Whether a projection runs as a product in this window."""
    product = vector.products[p]
    if product["taps"] == 0:
        return False
    node = program.projections[p]["node"]
    return bool(scratch.level[node] > product["limit"] * (span.end - span.begin))


@inner
def multiply(
    product: Record,
    vector: Vector,
    scratch: Scratch,
    rows: int,
    source: int,
    block: int,
    wide: bool,
    at: int,
    stride: int,
    add: bool,
) -> None:
    """Multiply ``rows`` timesteps with one block of a pixel's neurons, or two (``wide``), into sums at ``at``.

    The first of the pixel's bytes in the first timestep is at ``source``.
    """
    fired, sums = scratch.fired, scratch.sums
    k, n, step, scale = product["taps_at"], product["taps"], product["plane_stride"], product["scale"]
    chunk, chunks, piece = product["chunk"], product["chunks"], product["piece"]
    w = product["weights_at"] + block * n * 4 * LANES
    t = 0
    if has_tiles(vector) and product["shapes_at"] >= 0:
        while t + 16 <= rows:
            if wide:
                product_16_2(
                    vector, fired, source, step, k, n, w, chunk, chunks, piece, sums, at, stride, scale, add, 0, 0
                )
            else:
                product_16_1(
                    vector, fired, source, step, k, n, w, chunk, chunks, piece, sums, at, stride, scale, add, 0, 0
                )
            t, source, at = t + 16, source + 16 * step, at + 16 * stride
    while multiplies_8(vector) and t + 8 <= rows:
        if wide:
            product_8_2(vector, fired, source, step, k, n, w, chunk, chunks, piece, sums, at, stride, scale, add, 0, 0)
        else:
            product_8_1(vector, fired, source, step, k, n, w, chunk, chunks, piece, sums, at, stride, scale, add, 0, 0)
        t, source, at = t + 8, source + 8 * step, at + 8 * stride
    while t + 4 <= rows:
        if wide:
            product_4_2(vector, fired, source, step, k, n, w, chunk, chunks, piece, sums, at, stride, scale, add, 0, 0)
        else:
            product_4_1(vector, fired, source, step, k, n, w, chunk, chunks, piece, sums, at, stride, scale, add, 0, 0)
        t, source, at = t + 4, source + 4 * step, at + 4 * stride
    while t < rows:
        if wide:
            product_1_2(vector, fired, source, step, k, n, w, chunk, chunks, piece, sums, at, stride, scale, add, 0, 0)
        else:
            product_1_1(vector, fired, source, step, k, n, w, chunk, chunks, piece, sums, at, stride, scale, add, 0, 0)
        t, source, at = t + 1, source + step, at + stride


@inner
def multiply_pixels(
    product: Record, vector: Vector, scratch: Scratch, rows: int, source: int, at: int, stride: int, add: bool
) -> int:
    """Multiply as many of ``rows`` timesteps as go together with the only block of two pixels; returns how many."""
    fired, sums = scratch.fired, scratch.sums
    k, n, step, scale = product["taps_at"], product["taps"], product["plane_stride"], product["scale"]
    chunk, chunks, piece = product["chunk"], product["chunks"], product["piece"]
    w, apart, ahead = product["weights_at"], product["step_x"], product["lanes"]
    t = 0
    while t + 8 <= rows:
        pixels_8(vector, fired, source, step, k, n, w, chunk, chunks, piece, sums, at, stride, scale, add, apart, ahead)
        t, source, at = t + 8, source + 8 * step, at + 8 * stride
    return t


@inner
def shape(product: Record, vector: Vector) -> None:
    """Get tiles ready for a product, where there are tiles and they pay."""
    if has_tiles(vector) and product["shapes_at"] >= 0:
        shape_tiles(vector, product["shapes_at"])


@inner
def frame(p: int, program: Program, vector: Vector, scratch: Scratch, span: Span) -> None:
    """Copy the spikes of some timesteps of the window into a frame of zeros, where a convolution is padded."""
    product, delay = vector.products[p], program.projections[p]["delay"]
    node = program.nodes[program.projections[p]["node"]]
    for t in range(span.first, span.last):
        to = product["plane_at"] + t * product["plane_stride"] + product["first"]
        start = node["plane_at"] + (t - delay) * node["plane_stride"]
        for y in range(product["lines"]):
            copy_bytes(scratch.fired, to + y * product["line_stride"], start + y * product["line"], product["line"])


@routine
def multiply_units(
    product: Record,
    vector: Vector,
    scratch: Scratch,
    t: int,
    rows: int,
    first: int,
    last: int,
    at: int,
    stride: int,
    add: bool,
) -> None:
    """Multiply ``rows`` timesteps from ``t`` on for units ``first .. last - 1``: blocks of 16 neurons, pixel by pixel.

    Sums of timesteps lie ``stride`` apart, and the first pixel's would start at ``at``. The last block of a
    pixel may reach into the next pixel's sums: it adds zeros there.
    """
    shape(product, vector)
    blocks, columns, step = product["blocks"], product["columns"], product["plane_stride"]
    pixel = first // blocks
    line, block, unit = pixel // columns, first - pixel * blocks, first
    column = pixel - line * columns
    while unit < last:
        source = product["plane_at"] + t * step + line * product["step_y"] + column * product["step_x"]
        to, done = at + pixel * product["lanes"] + block * LANES, 0
        pixels = 2 if has_pixels(vector) and blocks == 1 and unit + 1 < last and column + 1 < columns else 1
        wide = has_pairs(vector) and block + 1 < blocks and unit + 1 < last
        if pixels == 2:
            done = multiply_pixels(product, vector, scratch, rows, source, to, stride, add)
        if done < rows:
            for p in range(pixels):
                begin, into = source + done * step + p * product["step_x"], to + done * stride + p * product["lanes"]
                multiply(product, vector, scratch, rows - done, begin, block, wide, into, stride, add)
        units = 2 if wide else pixels
        unit, block = unit + units, block + units
        if block >= blocks:
            pixel, column, block = pixel + pixels, column + pixels, 0
        if column >= columns:
            line, column = line + 1, 0


@inner
def collect_either(q: int, program: Program, vector: Vector, scratch: Scratch, span: Span) -> None:
    """Sum synaptic input like ``collect``, each projection as a product or as events."""
    population = program.populations[q]
    width, rows = population["sums"], span.last - span.first
    size, begins = width * (span.end - span.begin), span.first == span.begin
    clear_sums(population, scratch, span)
    for g in range(population["groups"]):
        group = program.groups[population["first_group"] + g]
        at = g * size + (span.first - span.begin) * width
        for p in range(group["first"], group["last"]):
            if runs_as_product(p, program, vector, scratch, span):
                product = vector.products[p]
                frame(p, program, vector, scratch, span)
                units = product["pixels"] * product["blocks"]
                multiply_units(product, vector, scratch, span.first, rows, 0, units, at, width, True)
                scratch.ways[2 * p] += begins
                continue
            scratch.ways[2 * p + 1] += begins and vector.products[p]["taps"] > 0
            deliver_all(program.projections[p], program, vector, scratch, span, at, width)
    merge_groups(population, program, scratch.sums, span)


@inner
def advance_tile(
    q: int, k: int, program: Program, vector: Vector, scratch: Scratch, span: Span, at: int, stride: int, shift: int
) -> None:
    """Advance tile ``k`` of a population by the timesteps of a span; its sums start at ``at``."""
    population, dynamics = program.populations[q], vector.layers[q]["dynamics"]
    rows = span.last - span.first
    tile = (population["first_tile"] + k) * FIELDS * TILE
    node = program.nodes[max(population["node"], 0)]
    step = node["plane_stride"]
    to = node["plane_at"] + span.first * step + k * TILE
    if dynamics == FREE:
        update_free(vector, scratch.tiles, tile, scratch.sums, at, stride, scratch.fired, to, step, rows, shift)
    elif dynamics == CLIP:
        update_clip(vector, scratch.tiles, tile, scratch.sums, at, stride, scratch.fired, to, step, rows, shift)
    elif dynamics == WRAP:
        update_wrap(vector, scratch.tiles, tile, scratch.sums, at, stride, scratch.fired, to, step, rows, shift)
    elif dynamics == SUBTRACT:
        update_subtract(vector, scratch.tiles, tile, scratch.sums, at, stride, scratch.fired, to, step, rows, shift)
    else:
        update_tile(population, k, program, scratch, span, at, stride, shift)


@inner
def multiply_tile(p: int, k: int, vector: Vector, scratch: Scratch, rows: int, at: int, add: bool) -> None:
    """Multiply for the 64 neurons of tile ``k``, into sums from ``at`` on."""
    product = vector.products[p]
    first = k * (TILE // LANES)
    last = min(first + TILE // LANES, product["pixels"] * product["blocks"])
    multiply_units(product, vector, scratch, 0, rows, first, last, at - k * TILE, TILE, add)
    if not add:
        for t in range(rows):
            scratch.sums[at + t * TILE + (last - first) * LANES : at + (t + 1) * TILE] = 0


@inner
def all_products(q: int, program: Program, vector: Vector, scratch: Scratch, span: Span) -> bool:
    """Whether a population's input can go tile by tile straight into its neurons."""
    if vector.layers[q]["fused"] == 0:
        return False
    group = program.groups[program.populations[q]["first_group"]]
    for p in range(group["first"], group["last"]):  # noqa: SIM110  # kernels know no generators
        if not runs_as_product(p, program, vector, scratch, span):
            return False
    return True


@inner
def collect_vectors(q: int, program: Program, vector: Vector, scratch: Scratch, span: Span) -> None:
    """Get the synaptic input of population ``q`` ready for its neurons; products may go straight into them."""
    if not all_products(q, program, vector, scratch, span):
        collect_either(q, program, vector, scratch, span)
        return
    group = program.groups[program.populations[q]["first_group"]]
    for p in range(group["first"], group["last"]):
        frame(p, program, vector, scratch, span)
        scratch.ways[2 * p] += span.first == span.begin


@inner
def update_vectors(
    q: int, program: Program, vector: Vector, scratch: Scratch, span: Span, first_tile: int, last_tile: int
) -> None:
    """Advance tiles ``first_tile .. last_tile - 1`` of population ``q``; the spikes go to its plane."""
    population, rows = program.populations[q], span.last - span.first
    shift, stride, at, distance, first, last = shift_due(population, program), population["sums"], 0, TILE, 0, 0
    if all_products(q, program, vector, scratch, span):
        group = program.groups[population["first_group"]]
        first, last = group["first"], group["last"]
        # Others work on other tiles at the same time: each has the room that sums of its first tile would have.
        stride, at, distance = TILE, first_tile * TILE * rows, 0
    for k in range(first_tile, last_tile):
        for p in range(first, last):
            multiply_tile(p, k, vector, scratch, rows, at, p > first)
        advance_tile(q, k, program, vector, scratch, span, at + k * distance, stride, shift)
