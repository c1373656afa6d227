"""How long the emulator's first answer takes, for `make bench`: ``warmup.py [--limit] [--json]``.

For every tier that the processor has: a process with an empty cache of machine code, then further
processes with the cache that it left. The time runs from the start of the interpreter to the result of
one sample. ``--limit`` exits with 1 where all tiers together take 20 s or more with an empty cache, or a
later process takes 1 s or more.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

from rich.console import Console
from rich.table import Table

from hsnn_targets.emulator.tiers import usable_tiers

COLD_LIMIT, WARM_LIMIT = 20.0, 1.0
ANSWER = """
import sys
from hsnn.verify.random_networks import random_inputs, random_network
from hsnn_targets.emulator import EmulatorTarget

network = random_network(3)
EmulatorTarget(threads=1, tier=sys.argv[1]).load(network).run(random_inputs(network, 1, 3))
"""


def answer(tier: str, cache: str) -> tuple[float, float]:
    """Seconds of one process from its start to its end, and of the processor in them."""
    before, start = os.times(), time.perf_counter()
    subprocess.run([sys.executable, "-c", ANSWER, tier], env={**os.environ, "NUMBA_CACHE_DIR": cache}, check=True)
    seconds, after = time.perf_counter() - start, os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return seconds, used


def measure(tier: str, repeats: int) -> dict[str, object]:
    """Measure one tier, first with an empty cache."""
    with tempfile.TemporaryDirectory() as cache:
        cold = answer(tier, cache)
        warm = [answer(tier, cache) for _ in range(repeats)]
    return {
        "tier": tier,
        "cold_seconds": cold[0],
        "cold_processor_seconds": cold[1],
        "warm_seconds": statistics.median(seconds for seconds, _ in warm),
        "warm_processor_seconds": statistics.median(used for _, used in warm),
    }


def main() -> int:
    """Measure every tier and print a table or JSON."""
    parser = argparse.ArgumentParser(description="Seconds to the emulator's first answer.")
    parser.add_argument("--repeats", type=int, default=5, help="later processes of each tier (default: 5)")
    parser.add_argument("--limit", action="store_true", help="fail where the limits are broken")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    rows = [measure(tier, options.repeats) for tier in usable_tiers()]
    if options.json:
        sys.stdout.write(json.dumps({"processors": os.cpu_count(), "tiers": rows}, indent=2) + "\n")
    else:
        names = ("cold_seconds", "cold_processor_seconds", "warm_seconds", "warm_processor_seconds")
        table = Table("tier", *(name.replace("_", " ") for name in names), title="seconds to the first answer")
        for row in rows:
            table.add_row(str(row["tier"]), *(f"{row[name]:.2f}" for name in names))
        Console().print(table)
    broken = sum(float(str(row["cold_seconds"])) for row in rows) >= COLD_LIMIT or any(
        float(str(row["warm_seconds"])) >= WARM_LIMIT for row in rows
    )
    return int(options.limit and broken)


if __name__ == "__main__":
    sys.exit(main())
