"""The kernel that runs samples: component by component, window by window.

A population that is not part of a cycle runs all timesteps of a window before the next one starts, so
that weights and state stay in the cache; a cycle runs timestep by timestep.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hsnn_targets.emulator.events import open_node, send_bits, send_spikes, send_timestep, slide_window
from hsnn_targets.emulator.jit import inner, kernel
from hsnn_targets.emulator.messages import send_counts, send_message_bits, send_messages
from hsnn_targets.emulator.neurons import update
from hsnn_targets.emulator.synapses import collect, shift_due
from hsnn_targets.emulator.tables import COUNTING, FIELDS, STATES, TILE, Place, Program, Run, Scratch, Span, U, V
from hsnn_targets.emulator.vector_kernels import collect_vectors, update_vectors
from hsnn_targets.emulator.vector_product import release_tiles
from hsnn_targets.emulator.vector_tables import Vector

if TYPE_CHECKING:
    from hsnn_targets.emulator.tables import Int32


@inner
def receive(q: int, program: Program, vector: Vector | None, scratch: Scratch, span: Span) -> None:
    """Get the synaptic input of population ``q`` in some timesteps of the window ready for its neurons."""
    if vector is None:
        collect(program.populations[q], program, scratch, span)
    else:
        collect_vectors(q, program, vector, scratch, span)


@inner
def update_tiles(
    q: int, program: Program, vector: Vector | None, scratch: Scratch, span: Span, first: int, last: int
) -> None:
    """Advance tiles ``first .. last - 1`` of population ``q`` by some timesteps of the window."""
    if vector is None:
        population = program.populations[q]
        update(population, program, scratch, shift_due(population, program), span, first, last)
    else:
        update_vectors(q, program, vector, scratch, span, first, last)


@inner
def send(q: int, program: Program, vector: Vector | None, scratch: Scratch, run: Run, place: Place, span: Span) -> None:
    """Send what population ``q`` sends in some timesteps of the window, and write it to the results."""
    population = program.populations[q]
    graded = population["graded"] != 0
    if population["node"] >= 0:
        if population["model"] == COUNTING and graded:
            sent = send_counts(population, program.nodes[population["node"]], vector, scratch, span)
        elif graded:
            sent = send_messages(population, program, scratch, span)
        else:
            sent = send_spikes(program.nodes[population["node"]], vector, scratch, span, run.sent_at[q] >= 0)
        scratch.level[population["node"]] += sent
        scratch.counts[q] += sent
    n = population["count"]
    if run.bits_at[q] >= 0:
        size = (n + 7) // 8
        for t in range(span.first, span.last):
            at = run.bits_at[q] + ((place.origin + t) * run.samples + place.sample) * size
            bits = run.bits[at : at + size]
            if graded:
                send_message_bits(population, scratch.sums[(t - span.first) * population["sums"] :], bits)
            else:
                send_bits(program.nodes[population["node"]], scratch, t, bits)
    if run.sent_at[q] < 0:
        return
    for t in range(span.first, span.last):
        at = run.sent_at[q] + ((place.origin + t) * run.samples + place.sample) * n
        send_timestep(population, program, scratch, t, t - span.first, run.sent[at : at + n])


@inner
def clear_tiles(scratch: Scratch, first: int, last: int) -> None:
    """Set the states of some tiles to zero."""
    for k in range(first, last):
        scratch.tiles[k * FIELDS * TILE : (k * FIELDS + STATES) * TILE] = 0


@inner
def forget_events(program: Program, scratch: Scratch) -> None:
    """Leave no events and bytes of an earlier sample that delays would ask for."""
    for q in range(program.nodes.size):
        node = program.nodes[q]
        scratch.start[node["start_at"] : node["start_at"] + node["history"] + 1] = 0
        if node["kept"] > 0:
            scratch.fired[node["plane_at"] - node["kept"] * node["plane_stride"] : node["plane_at"]] = 0


@inner
def keep_final(program: Program, scratch: Scratch, run: Run, sample: int) -> None:
    """Write the final current and voltage of every population to the results."""
    for q in range(program.populations.size):
        n = program.populations[q]["count"]
        at = run.final_at[q] + sample * n
        keep_state(q, program, scratch, run.final[at:], run.samples * n)


@inner
def keep_state(q: int, program: Program, scratch: Scratch, kept: Int32, distance: int) -> None:
    """Write the currents of population ``q``, and the voltages ``distance`` further on."""
    population = program.populations[q]
    order = program.tables[population["order_at"] :]
    for i in range(population["count"]):
        tile = (population["first_tile"] + i // TILE) * FIELDS * TILE + i % TILE
        kept[order[i]] = scratch.tiles[tile + U * TILE]
        kept[order[i] + distance] = scratch.tiles[tile + V * TILE]


@inner
def keep_timestep(q: int, program: Program, scratch: Scratch, run: Run, place: Place, t: int) -> None:
    """Write the state of population ``q`` after timestep ``t`` of the window to the results."""
    n = program.populations[q]["count"]
    at = run.states_at[q] + ((place.origin + t) * run.samples + place.sample) * n
    keep_state(q, program, scratch, run.states[at:], run.timesteps * run.samples * n)


@inner
def run_window(program: Program, vector: Vector | None, scratch: Scratch, run: Run, place: Place, steps: int) -> None:
    """Run one sample for the timesteps of a window, component by component."""
    scratch.level[:] = 0
    for q in range(program.nodes.size):
        open_node(program.nodes[q], program, vector, scratch, run, place, steps, True)
    for c in range(program.components.size):
        component = program.components[c]
        # only portable kernels record states
        stride = 1 if component["recurrent"] or run.states.size else steps
        for t in range(0, steps, stride):
            for q in range(component["first"], component["last"]):
                span = Span(t, t + stride, t, t + stride)
                receive(q, program, vector, scratch, span)
                update_tiles(q, program, vector, scratch, span, 0, program.populations[q]["tiles"])
                send(q, program, vector, scratch, run, place, span)
                if run.states.size:
                    keep_timestep(q, program, scratch, run, place, t)


@kernel
def run_samples(program: Program, vector: Vector | None, scratch: Scratch, run: Run) -> None:
    """Run the samples of a run."""
    scratch.told[:] = 0
    for sample in range(run.first, run.last):
        clear_tiles(scratch, 0, scratch.tiles.size // (FIELDS * TILE))
        forget_events(program, scratch)
        for origin in range(0, run.timesteps, run.window):
            steps = min(run.window, run.timesteps - origin)
            place = Place(sample, sample - run.first + run.first_input, origin)
            run_window(program, vector, scratch, run, place, steps)
            if origin + steps < run.timesteps:
                slide_window(program, scratch, steps)
        if run.final.size:
            keep_final(program, scratch, run, sample)
    if vector is not None:
        release_tiles(vector)
