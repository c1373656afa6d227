"""Kernels of learning: one timestep of the hardware for the synapses of one projection, and the end of an epoch.

The rules are those of ``hsnn.ir.learning_arithmetic``, bit for bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hsnn_targets.emulator.jit import inner, routine
from hsnn_targets.emulator.lesson_tables import (
    ACC_HIGH,
    ACC_LOW,
    BY_EPOCH,
    BY_X0,
    BY_Y0,
    CONSTANT,
    DEPENDENCY,
    DRAW,
    EARLY,
    EPOCHS,
    FACTOR_COUNT,
    FACTORS,
    HIGH,
    LOW,
    MANTISSA,
    MOMENT,
    P_DECIMATE,
    P_DEPTH,
    P_EPOCH,
    P_MAY_SKIP,
    P_NEURONS,
    P_POST,
    P_POST_SENT,
    P_POST_SPIKED,
    P_PRE,
    P_PRE_SENT,
    P_PRE_SPIKED,
    P_PRODUCT_COUNT,
    P_PRODUCTS,
    P_TAGS,
    P_THIRD,
    P_WEIGHTS,
    P_X,
    P_Y,
    SHIFT_LEFT,
    SHIFT_RIGHT,
    SIGN,
    TARGET,
    VALUE_HIGH,
    VALUE_LOW,
    VARIABLE,
    X0,
    X1,
    X2,
    Y0,
    Y1,
    Y3,
    T,
    W,
)

if TYPE_CHECKING:
    from hsnn_targets.emulator.lesson_tables import Chances, Course, Int64, Memory

ACCUMULATOR_MIN, ACCUMULATOR_MAX = -(1 << 15) - 1, (1 << 15) - 1
STORED_SHIFT = 7
TRACE_MAX = 127


@inner
def clip(value: int, low: int, high: int) -> int:
    """Clip a number."""
    return min(max(value, low), high)


@routine
def catch_up(p: int, until: int, timesteps: int, course: Course, memory: Memory, chances: Chances) -> None:
    """Let projection ``p`` see the hardware's timesteps of this sample up to ``until``."""
    plastic, progress = course.plastics[p], memory.progress[p]
    while progress[MOMENT] < until:
        progress[MOMENT] += 1
        at = progress[MOMENT] - plastic[P_DEPTH]
        moment = (progress[MOMENT] - 1) % plastic[P_EPOCH] + 1
        hear(p, 0, at, moment, timesteps, course, memory, 0)
        early = chances.early[progress[EARLY]]
        progress[EARLY] += 1
        hear(p, 1, at - 1, moment, timesteps, course, memory, early)
        if plastic[P_THIRD]:
            told = memory.third[clip(at, 0, timesteps)]
            for trace in range(3):
                row = plastic[P_Y] + trace * plastic[P_POST]
                for j in range(plastic[P_POST]):
                    memory.traces[row + j] = told[trace, plastic[P_NEURONS] + j]
        if moment == plastic[P_EPOCH]:
            learn(p, course, memory, chances)


@routine
def hear(p: int, side: int, t: int, moment: int, timesteps: int, course: Course, memory: Memory, draw: int) -> None:
    """Take the spikes of one side at one timestep; a second one in an epoch adds to its start."""
    if t < 0 or t >= timesteps:
        return
    plastic = course.plastics[p]
    count = plastic[P_POST] if side else plastic[P_PRE]
    sent = plastic[P_POST_SENT] if side else plastic[P_PRE_SENT]
    spiked = plastic[P_POST_SPIKED] if side else plastic[P_PRE_SPIKED]
    first, rows = (plastic[P_Y], 3) if side else (plastic[P_X], 2)
    for i in range(count):
        if memory.sent[t, sent + i] == 0:
            continue
        if memory.spiked[spiked + i] > 0:
            for row in range(rows):
                at = first + row * count + i
                memory.traces[at] = add_impulse(memory.traces[at], course.impulses[p, 2 * side + row], draw)
        memory.spiked[spiked + i] = moment


@inner
def add_impulse(value: int, impulse: Int64, draw: int) -> int:
    """Add an impulse to a trace."""
    return clip(value + impulse[0] + (1 if draw < impulse[1] else 0), 0, TRACE_MAX)


@routine
def record(p: int, side: int, course: Course, memory: Memory, chances: Chances) -> None:
    """Fill the history of one side's traces in this epoch."""
    plastic, draw = course.plastics[p], memory.progress[p, DRAW]
    count = plastic[P_POST] if side else plastic[P_PRE]
    spiked = plastic[P_POST_SPIKED] if side else plastic[P_PRE_SPIKED]
    first, rows = (plastic[P_Y], 3) if side else (plastic[P_X], 2)
    history = memory.y_history if side else memory.x_history
    random, step = chances.decay[draw, side], chances.impulse[draw, side]
    for row in range(rows):
        left = course.decays[p, 2 * side + row]
        impulse = course.impulses[p, 2 * side + row]
        for i in range(count):
            value = int(memory.traces[first + row * count + i])
            history[0, row, i] = value
            last = memory.spiked[spiked + i]
            for moment in range(1, plastic[P_EPOCH] + 1):
                if left == 0.0:
                    value = 0
                elif value != 0:
                    kept = left * value
                    whole = np.floor(kept)
                    value = int(whole) + (1 if random < kept - whole else 0)
                if last == moment:
                    value = add_impulse(value, impulse, step)
                history[moment, row, i] = value


@routine
def learn(p: int, course: Course, memory: Memory, chances: Chances) -> None:
    """End an epoch of one projection."""
    plastic, progress = course.plastics[p], memory.progress[p]
    record(p, 0, course, memory, chances)
    record(p, 1, course, memory, chances)
    progress[EPOCHS] += 1
    counts = progress[EPOCHS] % (1 << plastic[P_DECIMATE]) == 0
    pre, post, length = plastic[P_PRE], plastic[P_POST], plastic[P_EPOCH]
    active = 0
    for j in range(post):
        if not plastic[P_MAY_SKIP] or may_change(p, j, counts, course, memory):
            memory.active[active] = j
            active += 1
    level = chances.level[progress[DRAW]]
    for i in range(pre):
        for k in range(active):
            update_synapse(p, i, memory.active[k], counts, level, course, memory)
    for row in range(2):
        for i in range(pre):
            memory.traces[plastic[P_X] + row * pre + i] = memory.x_history[length, row, i]
    if not plastic[P_THIRD]:
        for row in range(3):
            for j in range(post):
                memory.traces[plastic[P_Y] + row * post + j] = memory.y_history[length, row, j]
    memory.spiked[plastic[P_PRE_SPIKED] : plastic[P_PRE_SPIKED] + pre] = 0
    memory.spiked[plastic[P_POST_SPIKED] : plastic[P_POST_SPIKED] + post] = 0
    progress[DRAW] += 1


@routine
def may_change(p: int, j: int, counts: bool, course: Course, memory: Memory) -> bool:
    """Whether any product of a postsynaptic neuron may differ from zero."""
    plastic = course.plastics[p]
    for number in range(plastic[P_PRODUCTS], plastic[P_PRODUCTS] + plastic[P_PRODUCT_COUNT]):
        product = course.products[number]
        zero = product[DEPENDENCY] == BY_EPOCH and not counts
        zero |= product[DEPENDENCY] == BY_Y0 and memory.spiked[plastic[P_POST_SPIKED] + j] == 0
        for place in range(product[FACTORS], product[FACTORS] + product[FACTOR_COUNT]):
            factor = course.factors[place]
            if Y1 <= factor[VARIABLE] <= Y3 and factor[CONSTANT] == 0:
                silent = True
                for moment in range(plastic[P_EPOCH] + 1):
                    silent &= memory.y_history[moment, factor[VARIABLE] - Y1, j] == 0
                zero |= silent
        if not zero:
            return True
    return False


@routine
def update_synapse(p: int, i: int, j: int, counts: bool, level: int, course: Course, memory: Memory) -> None:
    """Add up the products of one synapse."""
    plastic = course.plastics[p]
    cell = i * plastic[P_POST] + j
    tag = plastic[P_TAGS] + cell
    span = plastic[P_PRE] * plastic[P_POST]
    w = int(memory.weights[plastic[P_WEIGHTS] + cell])
    t, d = int(memory.tags[tag]), int(memory.tags[tag + span])
    number, end = plastic[P_PRODUCTS], plastic[P_PRODUCTS] + plastic[P_PRODUCT_COUNT]
    while number < end:
        target = course.products[number, TARGET]
        total = (w if target == 0 else (t if target == 1 else d)) << STORED_SHIFT
        while number < end and course.products[number, TARGET] == target:
            value = multiply(p, number, i, j, counts, w, t, d, course, memory)
            total = clip(total + value, ACCUMULATOR_MIN, ACCUMULATOR_MAX)
            number += 1
        limits = course.ranges[p, target]
        total = clip(total, limits[ACC_LOW], limits[ACC_HIGH])
        up = 1 if (total & 127) > level else 0
        value = clip((total >> STORED_SHIFT) + up, limits[VALUE_LOW], limits[VALUE_HIGH])
        if target == 0:
            memory.weights[plastic[P_WEIGHTS] + cell] = value
        else:
            memory.tags[tag + (target - 1) * span] = value


@routine
def multiply(
    p: int, number: int, i: int, j: int, counts: bool, w: int, t: int, d: int, course: Course, memory: Memory
) -> int:
    """One product of one synapse."""
    plastic, product = course.plastics[p], course.products[number]
    by = product[DEPENDENCY]
    pre_at = memory.spiked[plastic[P_PRE_SPIKED] + i]
    post_at = memory.spiked[plastic[P_POST_SPIKED] + j]
    present = pre_at > 0 if by == BY_X0 else (post_at > 0 if by == BY_Y0 else counts)
    if not present:
        return 0
    moment = pre_at if by == BY_X0 else (post_at if by == BY_Y0 else plastic[P_EPOCH])
    value = 1
    for place in range(product[FACTORS], product[FACTORS] + product[FACTOR_COUNT]):
        factor = course.factors[place]
        variable = factor[VARIABLE]
        seen = d
        if variable == X0:
            seen = 1 if pre_at > 0 else 0
        elif variable <= X2:
            seen = memory.x_history[moment, variable - X1, i]
        elif variable == Y0:
            seen = 1 if post_at > 0 else 0
        elif variable <= Y3:
            seen = memory.y_history[moment, variable - Y1, j]
        elif variable == W:
            seen = w
        elif variable == T:
            seen = t
        seen += factor[CONSTANT]
        if factor[SIGN]:
            seen = clip(seen, -1, 1)
        value *= clip(seen, factor[LOW], factor[HIGH])
    value = (value * product[MANTISSA]) >> product[SHIFT_RIGHT]
    return clip(value << product[SHIFT_LEFT], ACCUMULATOR_MIN, ACCUMULATOR_MAX)
