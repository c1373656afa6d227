"""The kernel that takes one sample of a network that learns, timestep by timestep."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hsnn_targets.emulator.jit import inner, kernel, routine
from hsnn_targets.emulator.lesson_rules import catch_up, clip
from hsnn_targets.emulator.lesson_tables import (
    AMOUNT,
    BIAS,
    COUNT,
    DELAY,
    DOWN,
    EXPONENT,
    HELD,
    INTEGRATOR,
    KEEP_U,
    KEEP_V,
    KIND,
    LABEL,
    LEARNER,
    MARGIN,
    MOMENT,
    NOBODY,
    P_DEPTH,
    PENALTY,
    PLASTIC,
    POST,
    PRE_COUNT,
    PRE_SENT,
    REFRACTORY,
    RESET,
    REWARD,
    SENT,
    START,
    SUBTRACT,
    TAUGHT,
    THRESHOLD,
    UP,
    WEIGHTS,
    WIDTH,
    WON,
    WRAP24,
    ZERO,
    U,
    V,
)
from hsnn_targets.emulator.neurons import advance_current, advance_voltage

if TYPE_CHECKING:
    from hsnn_targets.emulator.lesson_tables import Chances, Course, Int32, Memory

int32 = np.int32
SHIFT = 6
GAIN_BITS, STABILITY_ONE, STABILITY_MAX = 15, 16, 127


@kernel
def take_sample(labels: Int32, learns: bool, course: Course, memory: Memory, chances: Chances) -> None:
    """Take the sample whose spikes are in ``memory.sent``.

    Args:
        labels: Payloads of label ports, shape ``(timestep, port)``.
        learns: Whether to learn from it.
        course: The network.
        memory: Its state.
        chances: Random numbers.
    """
    timesteps, period = course.sizes[0], course.sizes[1]
    memory.states[:] = 0
    memory.third[:] = 0
    memory.progress[:, MOMENT] = 0
    memory.contests[:, WON] = NOBODY
    memory.contests[:, TAUGHT] = 0
    for t in range(timesteps):
        for row in range(3):
            for n in range(memory.third.shape[2]):
                memory.third[t + 1, row, n] = memory.third[t, row, n]
        first = 0
        for k in range(course.populations.shape[0]):
            first = gather(k, t, first, learns, course, memory, chances)
            advance(k, t, course, memory)
            if course.populations[k, KIND] == LEARNER:
                compete(k, t, labels[t, course.populations[k, LABEL]], course, memory)
    if learns:
        for p in range(course.plastics.shape[0]):
            catch_up(p, period, timesteps, course, memory, chances)


@routine
def gather(k: int, t: int, first: int, learns: bool, course: Course, memory: Memory, chances: Chances) -> int:
    """Sum what the projections into population ``k`` deliver; returns where those of the next one begin."""
    post = course.populations[k, COUNT]
    memory.sums[:post] = 0
    number = first
    while number < course.projections.shape[0] and course.projections[number, POST] == k:
        projection = course.projections[number]
        number += 1
        sent_at = t - projection[DELAY]
        if sent_at < 0:
            continue
        if learns and projection[PLASTIC] >= 0:
            p = projection[PLASTIC]
            catch_up(p, course.plastics[p, P_DEPTH] + t - 1, course.sizes[0], course, memory, chances)
        memory.part[:post] = 0
        for i in range(projection[PRE_COUNT]):
            payload = np.int64(memory.sent[sent_at, projection[PRE_SENT] + i])
            if payload != 0:
                row = projection[WEIGHTS] + i * post
                for j in range(post):
                    memory.part[j] += payload * memory.weights[row + j]
        for j in range(post):
            shifted = memory.part[j] << projection[EXPONENT]
            if projection[WRAP24]:
                shifted = ((shifted + (1 << 23)) & ((1 << 24) - 1)) - (1 << 23)
            memory.sums[j] += int32(shifted)
    return number


@routine
def advance(k: int, t: int, course: Course, memory: Memory) -> None:
    """Advance the neurons of one population by one timestep."""
    population = course.populations[k]
    for j in range(population[COUNT]):
        n = population[START] + j
        out = population[SENT] + j
        u = advance_current(memory.states[U, n], int32(memory.sums[j]), course.parameters[KEEP_U, n], SHIFT)
        memory.states[U, n] = u
        before, held = memory.states[V, n], memory.states[HELD, n]
        moved = advance_voltage(before, u, course.parameters[KEEP_V, n], course.parameters[BIAS, n])
        if population[KIND] == INTEGRATOR:
            memory.states[V, n] = moved
            memory.sent[t, out] = moved
            continue
        v = before if held > 0 else moved
        spike = population[KIND] != LEARNER and v > course.parameters[THRESHOLD, n] and held <= 0
        memory.states[HELD, n] = population[REFRACTORY] if spike else max(held - 1, 0)
        if spike and population[RESET] == ZERO:
            v = int32(0)
        elif spike and population[RESET] == SUBTRACT:
            v = int32(v - course.parameters[AMOUNT, n])
        memory.states[V, n] = v
        memory.sent[t, out] = 1 if spike else 0


@routine
def compete(k: int, t: int, label: int, course: Course, memory: Memory) -> None:
    """Let the neurons of a learner population compete, and teach them if a label comes."""
    population, contest = course.populations[k], memory.contests[k]
    start = population[START]
    if contest[WON] == NOBODY and contest[TAUGHT] == 0:
        best = NOBODY
        for j in range(population[COUNT]):
            v = memory.states[V, start + j]
            if v > course.parameters[THRESHOLD, start + j] and (best == NOBODY or v > memory.states[V, start + best]):
                best = j
        if best != NOBODY:
            contest[WON] = best
            memory.sent[t, population[SENT] + best] = 1
    if label > 0 and contest[TAUGHT] == 0:
        contest[TAUGHT] = 1
        teach(k, t, label - 1, course, memory)


@routine
def teach(k: int, t: int, wanted: int, course: Course, memory: Memory) -> None:
    """Tell a population what the right class is."""
    population, won = course.populations[k], memory.contests[k, WON]
    start, width = population[START], population[WIDTH]
    right = won != NOBODY and won // width == wanted
    if won != NOBODY:
        memory.third[t + 1, 1, start + won] = third_factor(population[PENALTY], start + won, course, memory)
    if right:
        reward(k, t, won, population[UP], course, memory)
        return
    if won != NOBODY:
        settle(start + won, -population[DOWN], memory)
    best, highest = 0, np.int64(0)
    for j in range(wanted * width, (wanted + 1) * width):
        level = np.int64(memory.states[V, start + j]) - population[MARGIN] * memory.minds[1, start + j]
        if j == wanted * width or level > highest:
            best, highest = j, level
    reward(k, t, best, -population[DOWN], course, memory)


@routine
def reward(k: int, t: int, j: int, change: int, course: Course, memory: Memory) -> None:
    """Reward one neuron."""
    n = course.populations[k, START] + j
    memory.third[t + 1, 0, n] = third_factor(course.populations[k, REWARD], n, course, memory)
    settle(n, change, memory)
    memory.minds[1, n] = 1


@inner
def settle(n: int, change: int, memory: Memory) -> None:
    """Change a stability."""
    memory.minds[0, n] = clip(memory.minds[0, n] + change, 0, STABILITY_MAX)


@inner
def third_factor(amount: int, n: int, course: Course, memory: Memory) -> int:
    """What a neuron sends for a reward or penalty."""
    stability = memory.minds[0, n]
    gained = int(amount * course.gains[stability % STABILITY_ONE])
    return gained >> int(GAIN_BITS + stability // STABILITY_ONE)
