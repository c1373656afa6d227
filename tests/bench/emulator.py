"""How fast the emulator is, for `make bench`: ``emulator.py [--quick] [--lava] [--output FILE]``.

Networks A and B and one with a loop and delays, at several activities, batches, tiers and numbers of
threads. Every way is first held against the portable kernels, spike for spike. Then all ways of one row
take turns, so that what else the machine does hits all of them; figures are medians of repetitions, and
ratios are medians of the ratios of one turn. Rates of the machine are measured in the same run.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from networks import ACTIVITIES, calibrated, spikes
from rich.console import Console
from rich.table import Table

from hsnn.ir.integer import IntegerNetwork
from hsnn.runtime.operations import synaptic_operations
from hsnn.runtime.result import ChipTrace
from hsnn.target import Executable, find_target
from hsnn_targets.emulator import EmulatorTarget
from hsnn_targets.emulator.tiers import usable_tiers

Row = dict[str, object]


def timed(work: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def machine() -> dict[str, float]:
    """What memory and 32-bit floating point give here; upper bounds of nothing, but from the same minutes."""
    data = np.ones(1 << 25, np.uint8)
    square = np.ones((512, 512), np.float32)
    copy, product = (min(timed(work) for _ in range(7)) for work in (data.copy, lambda: square @ square))
    return {"copied_gigabytes_per_second": 2 * data.size / copy / 1e9, "float32_gigamacs": 512**3 / product / 1e9}


def operations_per_sample(net: IntegerNetwork, rate: float) -> float:
    """Synaptic operations of a sample."""
    inputs = spikes(net, 4, rate)
    result = EmulatorTarget(threads=1).load(net).run(inputs, trace=True)
    return sum(synaptic_operations(net, ChipTrace(inputs, result)).values()) / 4


def rows_of(kind: str, rate: float, *, batches: list[int], threads: list[int], repeats: int) -> Iterator[Row]:
    """Measure one network at one activity."""
    net = calibrated(kind, rate)
    operations = operations_per_sample(net, rate)
    ways = [(tier, count) for tier in usable_tiers() for count in threads]
    loaded = [EmulatorTarget(threads=count, tier=tier).load(net) for tier, count in ways]
    for batch in batches:
        inputs = spikes(net, batch, rate)
        check(net, loaded, inputs)
        turns = np.array([[timed(partial(e.run, inputs)) for e in loaded] for _ in range(repeats)])
        for place, (tier, count) in enumerate(ways):
            seconds = float(np.median(turns[:, place])) / batch
            yield {
                "network": kind,
                "activity": rate,
                "batch": batch,
                "tier": tier,
                "threads": count,
                "microseconds_per_sample": 1e6 * seconds,
                "nanoseconds_per_operation": 1e9 * seconds / operations,
                "operations_per_sample": operations,
                "times_portable": float(np.median(turns[:, 0] / turns[:, place])),
            }


def check(net: IntegerNetwork, loaded: list[Executable], inputs: dict[str, np.ndarray]) -> None:
    """Hold every way against the first, before anything is timed.

    Raises:
        RuntimeError: If any spike differs.
    """
    first, *others = (item.run(inputs) for item in loaded)
    for other in others:
        same = other.spike_counts == first.spike_counts
        if not same or any((other.outputs[name] != array).any() for name, array in first.outputs.items()):
            raise RuntimeError(f"spikes of network {net.name} differ")


def lava_rows(repeats: int) -> Iterator[Row]:
    """Lava against the emulator, one sample at a time, in turns; its start is not counted."""
    for kind in ("A", "B"):
        net = calibrated(kind, 0.1)
        inputs = spikes(net, 1, 0.1)
        with_lava, ours = find_target("loihi2-sim").load(net), EmulatorTarget(threads=1).load(net)
        try:
            check(net, [ours, with_lava], inputs)
            turns = np.array([[timed(partial(e.run, inputs)) for e in (with_lava, ours)] for _ in range(repeats)])
        finally:
            with_lava.close()
        yield {
            "network": kind,
            "lava_microseconds": 1e6 * float(np.median(turns[:, 0])),
            "times_lava": float(np.median(turns[:, 0] / turns[:, 1])),
        }


def main() -> int:
    """Measure, print a table, and write JSON."""
    parser = argparse.ArgumentParser(description="Speed of the emulator.")
    parser.add_argument("--quick", action="store_true", help="two activities, two batches, one thread")
    parser.add_argument("--lava", action="store_true", help="measure Lava beside it")
    parser.add_argument("--repeats", type=int, default=15, help="turns of every row (default: 15)")
    parser.add_argument("--output", type=Path, default=Path("build/bench.json"), help="where the JSON goes")
    options = parser.parse_args()
    before = machine()
    activities = (0.1, 0.5) if options.quick else ACTIVITIES
    batches, threads = ([1, 32], [1]) if options.quick else ([1, 32, 256], [1, 2])
    rows = [
        row
        for kind in ("A", "B", "loop")
        for rate in activities
        for row in rows_of(kind, rate, batches=batches, threads=threads, repeats=options.repeats)
    ]
    lava = list(lava_rows(3)) if options.lava else []
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps({"machine": [before, machine()], "rows": rows, "lava": lava}, indent=2) + "\n")
    show(rows, lava)
    return 0


def show(rows: list[Row], lava: list[Row]) -> None:
    """Print what was measured."""
    table = Table("network", "activity", "batch", "tier", "threads", "us a sample", "ns an operation", "x portable")
    for row in rows:
        names = ("network", "activity", "batch", "tier", "threads")
        table.add_row(
            *(str(row[name]) for name in names),
            f"{row['microseconds_per_sample']:.1f}",
            f"{row['nanoseconds_per_operation']:.4f}",
            f"{row['times_portable']:.2f}",
        )
    console = Console(width=110)  # a pipe would get 80 columns
    console.print(table)
    for row in lava:
        console.print(f"{row['network']}: {row['times_lava']:.0f} times Lava ({row['lava_microseconds']:.0f} us)")


if __name__ == "__main__":
    sys.exit(main())
