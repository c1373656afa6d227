"""The kernel that runs samples: component by component, window by window.

A population that is not part of a cycle runs all timesteps of a window before the next one starts, so
that weights and state stay in the cache; a cycle runs timestep by timestep.
"""

from __future__ import annotations

from hsnn_targets.emulator.events import open_window, send_spikes, send_timestep, slide_window
from hsnn_targets.emulator.jit import inner, kernel
from hsnn_targets.emulator.neurons import update
from hsnn_targets.emulator.synapses import collect
from hsnn_targets.emulator.tables import FIELDS, STATES, TILE, Place, Program, Run, Scratch, Span, U, V
from hsnn_targets.emulator.vector_kernels import advance_vectors
from hsnn_targets.emulator.vector_product import release_tiles
from hsnn_targets.emulator.vector_tables import Vector


@inner
def advance(
    q: int, program: Program, vector: Vector | None, scratch: Scratch, run: Run, place: Place, span: Span
) -> None:
    """Advance population ``q`` by some timesteps of the window and send what it sends."""
    population = program.populations[q]
    if vector is None:
        shift = collect(population, program, scratch, span)
        update(population, program, scratch, shift, span)
    else:
        advance_vectors(q, program, vector, scratch, span)
    if population["node"] >= 0:
        sent = send_spikes(program.nodes[population["node"]], scratch, span, run.sent_at[q] >= 0)
        scratch.level[population["node"]] += sent
        scratch.counts[q] += sent
    if run.sent_at[q] < 0:
        return
    n = population["count"]
    for t in range(span.first, span.last):
        at = run.sent_at[q] + ((place.origin + t) * run.samples + place.sample) * n
        send_timestep(population, program, scratch, t, t - span.first, run.sent[at : at + n])


@inner
def clear(program: Program, scratch: Scratch) -> None:
    """Set the state of a sample to zero."""
    for k in range(scratch.tiles.size // (FIELDS * TILE)):
        scratch.tiles[k * FIELDS * TILE : (k * FIELDS + STATES) * TILE] = 0
    for q in range(program.nodes.size):
        at = program.nodes[q]["start_at"]
        scratch.start[at : at + program.nodes[q]["history"] + 1] = 0


@inner
def keep_final(program: Program, scratch: Scratch, run: Run, sample: int) -> None:
    """Write the final current and voltage of every population to the results."""
    for q in range(program.populations.size):
        population = program.populations[q]
        n, order = population["count"], program.tables[population["order_at"] :]
        for i in range(n):
            tile = (population["first_tile"] + i // TILE) * FIELDS * TILE + i % TILE
            at = run.final_at[q] + sample * n + order[i]
            run.final[at] = scratch.tiles[tile + U * TILE]
            run.final[at + run.samples * n] = scratch.tiles[tile + V * TILE]


@inner
def run_window(program: Program, vector: Vector | None, scratch: Scratch, run: Run, place: Place, steps: int) -> None:
    """Run one sample for the timesteps of a window, component by component."""
    scratch.level[:] = 0
    open_window(program, scratch, run, place, steps)
    for c in range(program.components.size):
        component = program.components[c]
        if component["recurrent"]:
            for t in range(steps):
                for q in range(component["first"], component["last"]):
                    advance(q, program, vector, scratch, run, place, Span(t, t + 1))
        else:
            for q in range(component["first"], component["last"]):
                advance(q, program, vector, scratch, run, place, Span(0, steps))


@kernel
def run_samples(
    program: Program, vector: Vector | None, scratch: Scratch, run: Run, first: int, last: int, first_input: int
) -> None:
    """Run samples ``first .. last - 1`` of a batch; the first of them is ``first_input`` in ``run.inputs``."""
    for sample in range(first, last):
        clear(program, scratch)
        for origin in range(0, run.timesteps, run.window):
            steps = min(run.window, run.timesteps - origin)
            run_window(program, vector, scratch, run, Place(sample, sample - first + first_input, origin), steps)
            if origin + steps < run.timesteps:
                slide_window(program, scratch, steps)
        if run.final.size:
            keep_final(program, scratch, run, sample)
    if vector is not None:
        release_tiles(vector)
