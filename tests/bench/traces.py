"""What recording costs the emulator, for `make bench`: ``traces.py [--against FOLDER] [--json]``.

Runs without a recording, and runs that record packed spikes, take turns; figures are medians of the
ratios of one turn. With ``--against``, a second checkout (one without recordings, say) runs in a process
of its own and takes turns, too: the ratio of this checkout's plain runs to its runs is what the mere
possibility of a recording costs, which has to stay within 5 %.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from networks import calibrated, spikes
from rich.console import Console
from rich.table import Table

from hsnn_targets.emulator import EmulatorTarget

Turn = Callable[[], float]
RATE = 0.1


def load(kind: str, batch: int) -> tuple[Callable[[], object], Callable[[], object] | None]:
    """A plain run and a run that records, where this checkout can."""
    net = calibrated(kind, RATE)
    executable, inputs = EmulatorTarget(threads=1).load(net), spikes(net, batch, RATE)
    try:
        from hsnn.recording import Recording
    except ImportError:
        return lambda: executable.run(inputs), None
    return lambda: executable.run(inputs), lambda: executable.record(inputs, Recording())


def timed(work: Callable[[], object], copies: int) -> Turn:
    """Seconds of some calls."""

    def turn() -> float:
        start = time.perf_counter()
        for _ in range(copies):
            work()
        return time.perf_counter() - start

    return turn


def serve(kind: str, batch: int, copies: int) -> None:
    """Take a turn for each line that comes in."""
    plain, _ = load(kind, batch)
    turn = timed(plain, copies)
    turn()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for _ in sys.stdin:
        sys.stdout.write(f"{turn()}\n")
        sys.stdout.flush()


@contextmanager
def other(folder: Path, kind: str, batch: int, copies: int) -> Iterator[Turn]:
    """Turns of another checkout."""
    paths = (folder / "toolchain", folder / "targets", folder / "models", Path(__file__).parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    command = [sys.executable, __file__, "--serve", kind, str(batch), str(copies)]
    with subprocess.Popen(
        command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=1
    ) as process:
        if process.stdin is None or process.stdout is None or process.stdout.readline() != "ready\n":
            raise SystemExit(f"the checkout {folder} does not run")

        def turn() -> float:
            process.stdin.write("turn\n")
            return float(process.stdout.readline())

        yield turn
        process.stdin.close()


def measure(kind: str, batch: int, pairs: int, against: Path | None) -> dict[str, object]:
    """Take turns and compare."""
    plain, recorded = load(kind, batch)
    if recorded is None:
        raise SystemExit("this checkout cannot record")
    once = timed(plain, 1)
    once()
    copies = max(1, int(0.05 / once()))
    ways = {"plain": timed(plain, copies), "again": timed(plain, copies), "recorded": timed(recorded, copies)}
    if against is None:
        turns = take_turns(ways, pairs)
    else:
        with other(against, kind, batch, copies) as before:
            turns = take_turns({**ways, "before": before}, pairs)
    ratios = {name: seconds / turns["plain"] for name, seconds in turns.items()}
    row: dict[str, object] = {
        "network": kind,
        "batch": batch,
        "pairs": pairs,
        "microseconds_per_sample": 1e6 * float(np.median(turns["plain"])) / (copies * batch),
        "noise": float(np.median(ratios["again"])),
        "recorded_over_plain": float(np.median(ratios["recorded"])),
    }
    if against is not None:
        row["plain_over_before"] = float(np.median(turns["plain"] / turns["before"]))
    return row


def take_turns(ways: dict[str, Turn], pairs: int) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
    """Seconds of every way in every round; the order turns round, so that nobody is always first."""
    names = list(ways)
    taken: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(pairs):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            taken[name].append(ways[name]())
    return {name: np.array(seconds) for name, seconds in taken.items()}


def main() -> int:
    """Measure and print a table or JSON."""
    parser = argparse.ArgumentParser(description="What recording costs.")
    parser.add_argument("--against", type=Path, metavar="FOLDER", help="another checkout to take turns with")
    parser.add_argument("--pairs", type=int, default=40, help="turns of each way (default: 40)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--serve", nargs=3, metavar=("KIND", "BATCH", "COPIES"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve is not None:
        serve(options.serve[0], int(options.serve[1]), int(options.serve[2]))
        return 0
    rows = [measure(kind, batch, options.pairs, options.against) for kind in ("A", "B", "loop") for batch in (1, 32)]
    if options.json:
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
        return 0
    table = Table(*rows[0], title=f"medians of {options.pairs} turns, activity {RATE:.0%}, 1 thread")
    for row in rows:
        table.add_row(*(f"{value:.3f}" if isinstance(value, float) else str(value) for value in row.values()))
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
