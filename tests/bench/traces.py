"""What recording costs the emulator.

Runs without a recording, and runs that record packed spikes, take turns. With another checkout (one without
recordings, say), that runs in a process of its own and takes turns, too: the ratio of this checkout's plain runs to
its runs is what the mere possibility of a recording costs, which has to stay within 5 %.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from networks import made_case
from section import Column, Row, Section, Settings
from turns import OWN, Work, ratio, repeated, take_turns, timed

from hsnn_targets.emulator import EmulatorTarget

RATE = 0.1


def load(kind: str, batch: int) -> tuple[Work, Work | None]:
    """A plain run and a run that records, where this checkout can."""
    case = made_case(kind, RATE)
    executable, inputs = EmulatorTarget(threads=1).load(case.network), case.samples(batch)
    try:
        from hsnn.recording import Recording
    except ImportError:
        return repeated(executable.run, inputs), None
    return repeated(executable.run, inputs), repeated(executable.record, inputs, Recording())


def serve(kind: str, batch: int) -> None:
    """Run as often as each line that comes in says, and tell the seconds of one run."""
    plain, _ = load(kind, batch)
    plain()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        sys.stdout.write(f"{timed(plain, int(line), OWN)}\n")
        sys.stdout.flush()


@contextmanager
def other(folder: Path, kind: str, batch: int) -> Iterator[Callable[[int], float]]:
    """Seconds of a run of another checkout, given how many in a row."""
    paths = (folder / "toolchain", folder / "targets", folder / "models", Path(__file__).parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    command = [sys.executable, __file__, kind, str(batch)]
    with subprocess.Popen(
        command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=1
    ) as process:
        if process.stdin is None or process.stdout is None or process.stdout.readline() != "ready\n":
            raise SystemExit(f"the checkout {folder} does not run")

        def turn(copies: int) -> float:
            process.stdin.write(f"{copies}\n")
            return float(process.stdout.readline())

        yield turn
        process.stdin.close()


def measure(settings: Settings) -> Iterator[Row]:
    """One row for each network and batch."""
    for kind in settings.networks or settings.by_size(("tiny",), ("A", "B"), ("A", "B", "loop")):
        for batch in settings.batches or settings.by_size((2,), (1, 32), (1, 32)):
            settings.tell(f"recording {kind}, batch {batch}")
            yield _row(kind, batch, settings.count(2, 15, 40), settings.against)


def _row(kind: str, batch: int, turns: int, against: Path | None) -> Row:
    plain, recorded = load(kind, batch)
    if recorded is None:
        raise SystemExit("this checkout cannot record")
    ways = {"plain": plain, "again": plain, "recorded": recorded}
    taken = take_turns(ways, turns, at_least=0.02, clock=OWN)
    row = {
        "network": kind,
        "batch": batch,
        "microseconds": 1e6 * float(np.median(taken["plain"])) / batch,
        "noise": ratio(taken["again"], taken["plain"]),
        "recorded_over_plain": ratio(taken["recorded"], taken["plain"]),
        "turns": turns,
    }
    return row if against is None else {**row, "plain_over_before": _against(plain, against, kind, batch, turns)}


def _against(plain: Work, folder: Path, kind: str, batch: int, turns: int) -> float:
    """Turns with another checkout; both run as often in a row."""
    copies = max(1, round(0.05 / timed(plain, clock=OWN)))
    with other(folder, kind, batch) as theirs:
        pairs = []
        for turn in range(turns):
            first = timed(plain, copies, OWN) if turn % 2 else theirs(copies)
            second = theirs(copies) if turn % 2 else timed(plain, copies, OWN)
            pairs.append((first, second) if turn % 2 else (second, first))
    ours, before = np.array(pairs).T
    return ratio(ours, before)


COLUMNS = (
    Column("network", "network"),
    Column("batch", "batch", "d"),
    Column("microseconds", "us a sample", ".1f"),
    Column("noise", "the same again", ".3f"),
    Column("recorded_over_plain", "recorded over plain", ".3f"),
    Column("plain_over_before", "plain over the other checkout", ".3f"),
)
NOTES = """\
Activity 10 %, one thread, times of the processor, medians of the ratios of one turn. `the same again` is how far two
equal runs lie apart: the noise. A recording keeps the spikes of every neuron as packed bits.
"""
SECTION = Section("traces", "What recording costs", COLUMNS, measure, NOTES)

if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
