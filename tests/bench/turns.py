"""Time that is shared fairly: ways take turns, so that what else the machine does hits all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

Work = Callable[[], object]
Clock = Callable[[], float]
Seconds = NDArray[np.float64]
"""Seconds of one call of one way, in every turn."""


WALL: Clock = time.perf_counter
OWN: Clock = time.thread_time
"""The processor's time of this thread: what work of one thread takes while nobody else has its core."""


def timed(work: Work, copies: int = 1, clock: Clock = WALL) -> float:
    """Seconds of one call, as the mean of some in a row."""
    start = clock()
    for _ in range(copies):
        work()
    return (clock() - start) / copies


def take_turns(
    ways: Mapping[str, Work], turns: int, *, at_least: float = 0.003, clock: Clock = WALL
) -> dict[str, Seconds]:
    """Time every way once in every turn; nobody is always first.

    Args:
        ways: What is timed; each is called twice before.
        turns: How many turns.
        at_least: Seconds that a way is called for in a turn, as often as that takes.
        clock: What tells the time; :data:`OWN` where all ways run in this thread only.
    """
    copies = {}
    for name, work in ways.items():
        work()
        copies[name] = max(1, round(at_least / max(timed(work, clock=clock), 1e-9)))
    names = list(ways)
    taken: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(turns):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            taken[name].append(timed(ways[name], copies[name], clock))
    return {name: np.array(seconds) for name, seconds in taken.items()}


def ratio(slow: Seconds, fast: Seconds) -> float:
    """How many times longer one takes than the other: the median of the ratios of one turn."""
    return float(np.median(slow / fast))


def repeated(work: Callable[..., object], *arguments: object) -> Work:
    """Bind arguments."""
    return partial(work, *arguments)
