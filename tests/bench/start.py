"""How long the emulator's first answer takes, with an empty cache of machine code and with the one that it leaves.

Every figure is a process of its own, from the start of the interpreter to the result of one sample.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence

from section import Column, Row, Section, Settings

from hsnn_targets.emulator.tiers import usable_tiers

COLD_LIMIT, WARM_LIMIT = 20.0, 1.0
"""Seconds for all tiers together, and for every later process."""
ANSWER = """
import sys
from hsnn.verify.random_networks import random_inputs, random_network
from hsnn_targets.emulator import EmulatorTarget

network = random_network(3)
EmulatorTarget(threads=1, tier=sys.argv[1]).load(network).run(random_inputs(network, 1, 3))
"""


def answer(tier: str, cache: str | None) -> tuple[float, float]:
    """Seconds of one process, and of the processor in them; ``cache`` None is the user's own."""
    environment = dict(os.environ) if cache is None else {**os.environ, "HSNN_CACHE": cache}
    before, start = os.times(), time.perf_counter()
    subprocess.run([sys.executable, "-c", ANSWER, tier], env=environment, check=True)
    seconds, after = time.perf_counter() - start, os.times()
    return seconds, after.children_user + after.children_system - before.children_user - before.children_system


def measure(settings: Settings) -> Iterator[Row]:
    """One row for each tier; the tiny size leaves the user's cache as it is and times nothing cold."""
    for tier in settings.tiers or settings.by_size(usable_tiers()[-1:], usable_tiers(), usable_tiers()):
        settings.tell(f"first answer, {tier}")
        if settings.size == "tiny":
            yield _row(tier, None, [answer(tier, None)])
            continue
        with tempfile.TemporaryDirectory() as cache:
            cold = answer(tier, cache)
            yield _row(tier, cold, [answer(tier, cache) for _ in range(settings.count(1, 5, 9))])


def _row(tier: str, cold: tuple[float, float] | None, warm: list[tuple[float, float]]) -> Row:
    return {
        "tier": tier,
        "cold_seconds": None if cold is None else cold[0],
        "cold_processor_seconds": None if cold is None else cold[1],
        "warm_seconds": statistics.median(seconds for seconds, _ in warm),
        "warm_processor_seconds": statistics.median(used for _, used in warm),
    }


COLUMNS = (
    Column("tier", "tier"),
    Column("cold_seconds", "empty cache, s", ".2f"),
    Column("cold_processor_seconds", "processor, s", ".2f"),
    Column("warm_seconds", "later, s", ".2f"),
    Column("warm_processor_seconds", "processor, s", ".2f"),
)
NOTES = f"""\
From the start of the interpreter to the result of one sample. The limits are {COLD_LIMIT:.0f} s for all tiers
together with an empty cache, and {WARM_LIMIT:.0f} s later; on a busy machine the processor's seconds tell more.
"""


def summary(rows: Sequence[Row]) -> str:
    """Tell what counts against the limits."""
    cold = [row["cold_seconds"] for row in rows if row["cold_seconds"] is not None]
    warm = max(row["warm_seconds"] for row in rows)
    return f"All tiers with an empty cache: {sum(cold):.1f} s; later at most {warm:.2f} s."


SECTION = Section("start", "The first answer", COLUMNS, measure, NOTES, sizes=("tiny", "full"), summary=summary)
