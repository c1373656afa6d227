"""A million neurons and a hundred million synapses: time and memory, in a process of its own."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from equality import hold_against
from networks import large
from section import Column, Row, Section, Settings

from hsnn.ir.integer import count_synapses
from hsnn.ir.shape import size
from hsnn.runtime.operations import synaptic_operations
from hsnn.runtime.result import ChipTrace
from hsnn_targets.emulator import EmulatorTarget
from hsnn_targets.emulator.tiers import usable_tiers


def measure(settings: Settings) -> Iterator[Row]:
    """One row for each activity, tier and number of threads; each in a process of its own, for its memory."""
    tiers = settings.tiers or tuple(dict.fromkeys((usable_tiers()[0], usable_tiers()[-1])))
    counts: dict[float, object] = {}
    for rate in settings.activities or (0.01, 0.1):
        for tier in tiers:
            for threads in settings.threads or (1, 2):
                settings.tell(f"large at {rate:.0%}, {tier}, {threads} threads")
                command = [sys.executable, __file__, str(rate), tier, str(threads)]
                paths = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
                done = subprocess.run(
                    command, stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, "PYTHONPATH": paths}
                )
                row = json.loads(done.stdout)
                if counts.setdefault(rate, row["spike_counts"]) != row["spike_counts"]:
                    raise SystemExit(f"large: {tier} with {threads} threads sends other spikes")
                yield row


def once(rate: float, tier: str, threads: int) -> Row:
    """Build, load and run it three times; say what that took."""
    start = time.perf_counter()
    case = large(rate)
    inputs, built = case.samples(1), time.perf_counter()
    own = _peak()
    executable = EmulatorTarget(threads=threads, tier=tier).load(case.network)
    loaded = time.perf_counter()
    first = executable.run(inputs)
    ran = [time.perf_counter()]
    for _ in range(2):
        hold_against(case, first, executable.run(inputs))
        ran.append(time.perf_counter())
    peak = _peak()
    traced = executable.run(inputs, trace=True)
    operations = sum(synaptic_operations(case.network, ChipTrace(inputs, traced)).values())
    return {
        "network": case.name,
        "activity": rate,
        "tier": tier,
        "threads": threads,
        "neurons": sum(size(neuron.shape) for neuron in case.network.neurons),
        "synapses": sum(count_synapses(case.network, p) for p in case.network.projections),
        "build_seconds": built - start,
        "load_seconds": loaded - built,
        "first_seconds": ran[0] - loaded,
        "run_seconds": min(ran[1] - ran[0], ran[2] - ran[1]),
        "operations": operations,
        "nanoseconds_per_operation": 1e9 * min(ran[1] - ran[0], ran[2] - ran[1]) / operations,
        "built_gigabytes": own / 1e9,
        "peak_gigabytes": peak / 1e9,
        "spike_counts": dict(first.spike_counts),
    }


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


COLUMNS = (
    Column("activity", "activity", ".0%"),
    Column("tier", "tier"),
    Column("threads", "threads", "d"),
    Column("neurons", "neurons", ",d"),
    Column("synapses", "synapses", ",d"),
    Column("operations", "operations a sample", ",.0f"),
    Column("load_seconds", "plan, s", ".1f"),
    Column("first_seconds", "first run, s", ".2f"),
    Column("run_seconds", "later runs, s", ".2f"),
    Column("nanoseconds_per_operation", "ns an operation", ".3f"),
    Column("peak_gigabytes", "memory, GB", ".2f"),
)
NOTES = """\
A convolution (524,288 neurons), sparse synapses that join anything with anything (475,702 neurons, 130 synapses into
each) and ten read-out neurons, 16 timesteps, one sample. The activity is that of the inputs. Memory is the most that
the whole process ever held, the network itself included. All tiers and numbers of threads send the same spikes.
"""
SECTION = Section("large", "A million neurons, a hundred million synapses", COLUMNS, measure, NOTES, sizes=("full",))

if __name__ == "__main__":
    sys.stdout.write(json.dumps(once(float(sys.argv[1]), sys.argv[2], int(sys.argv[3]))))
