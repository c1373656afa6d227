"""The kernel that runs a part of a sample, so that several threads can share one.

Parts that run at the same time have nothing in common but what they read: they are timesteps of synaptic sums, or
tiles of neurons. ``parts.py`` sees to it that what needs them starts when all are done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hsnn_targets.emulator.events import open_node, read_port, slide_window
from hsnn_targets.emulator.jit import inner, kernel
from hsnn_targets.emulator.kernels import clear_tiles, forget_events, keep_final, receive, send, update_tiles
from hsnn_targets.emulator.tables import (
    ADVANCE,
    CLEAR,
    CLOSE,
    OPEN,
    READ,
    RECEIVE,
    SEND,
    UPDATE,
    Part,
    Place,
    Program,
    Scratch,
    Span,
)
from hsnn_targets.emulator.vector_product import release_tiles

if TYPE_CHECKING:
    from hsnn_targets.emulator.vector_tables import Vector


@inner
def open_window(
    program: Program, vector: Vector | None, scratch: Scratch, part: Part, place: Place, steps: int
) -> None:
    """Get a window ready, the first one of the sample from nothing; one port may have been read already."""
    if part.origin == 0:
        forget_events(program, scratch)
    scratch.level[:] = 0
    for q in range(program.nodes.size):
        open_node(program.nodes[q], program, vector, scratch, part.run, place, steps, q != part.first)


@inner
def close_window(program: Program, scratch: Scratch, part: Part, steps: int) -> None:
    """End a window, and with the last one the sample."""
    run = part.run
    if part.origin + steps < run.timesteps:
        slide_window(program, scratch, steps)
    elif run.final.size:
        keep_final(program, scratch, run, run.first)


@inner
def advance_part(
    q: int, program: Program, vector: Vector | None, scratch: Scratch, part: Part, place: Place, span: Span
) -> None:
    """Do a part of what population ``q`` does in a span of timesteps, or all of it."""
    what, all_of_it = part.what, part.what == ADVANCE
    if all_of_it or what == RECEIVE:
        first, last = (span.first, span.last) if all_of_it else (part.begin, part.end)
        receive(q, program, vector, scratch, Span(first, last, span.begin, span.end))
    if all_of_it or what == UPDATE:
        first_tile, last_tile = (0, program.populations[q]["tiles"]) if all_of_it else (part.begin, part.end)
        update_tiles(q, program, vector, scratch, span, first_tile, last_tile)
    if all_of_it or what == SEND:
        send(q, program, vector, scratch, part.run, place, span)


@kernel
def run_part(program: Program, vector: Vector | None, scratch: Scratch, part: Part) -> None:
    """Run a part of a window of the first sample of a run; see :class:`hsnn_targets.emulator.tables.Part`."""
    what, run = part.what, part.run
    steps = min(run.window, run.timesteps - part.origin)
    place = Place(run.first, run.first_input, part.origin)
    if what == CLEAR:
        clear_tiles(scratch, part.begin, part.end)
    elif what == READ:
        read_port(program.nodes[part.first], program, scratch, run, place, part.begin, part.end)
    elif what == OPEN:
        open_window(program, vector, scratch, part, place, steps)
    elif what == CLOSE:
        close_window(program, scratch, part, steps)
    else:
        for c in range(part.first, part.last):
            component = program.components[c]
            stride = 1 if component["recurrent"] else steps
            for t in range(0, steps, stride):
                for q in range(component["first"], component["last"]):
                    advance_part(q, program, vector, scratch, part, place, Span(t, t + stride, t, t + stride))
        if vector is not None:
            release_tiles(vector)
