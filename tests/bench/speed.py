"""How fast the emulator is, by network, activity, batch, tier and threads, against the portable tier and the peaks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
from equality import hold_against, hold_against_reference
from networks import Case, Work, cases, narrow
from parts import PARTS, Parts
from roofline import Peaks, memory_rates
from section import Column, Row, Section, Settings
from turns import OWN, WALL, Seconds, ratio, repeated, take_turns

from hsnn.ir.integer import IntegerNetwork, count_synapses
from hsnn.ir.projections import DenseProjection
from hsnn.ir.shape import size
from hsnn_targets.emulator import EmulatorTarget
from hsnn_targets.emulator.tiers import usable_tiers

NETWORKS = {
    "tiny": ("tiny",),
    "quick": ("A", "B", "loop", "digits", "fashion"),
    "full": ("A", "B", "loop", "digits", "fashion", "has8"),
}
ACTIVITIES = {"tiny": (0.1,), "quick": (0.1,), "full": (0.01, 0.03, 0.1, 0.5)}
BATCHES = {"tiny": (1, 2), "quick": (1, 32, 256), "full": (1, 32, 256)}
THREADS = {"tiny": (1,), "quick": (1, 2), "full": (1, 2)}
NEAR_BYTES = 32 << 10
"""Rows of weights, as bytes, beyond this come from the second-level cache."""
CACHE_BYTES = 32 << 20
"""Weights beyond this have to come from memory in every run."""


def measure(settings: Settings) -> Iterator[Row]:
    """One row for each network, activity, batch, tier and number of threads."""
    names = settings.networks or NETWORKS[settings.size]
    activities = settings.activities or ACTIVITIES[settings.size]
    tiers = settings.tiers or usable_tiers()
    threads = settings.threads or THREADS[settings.size]
    memory = {count: memory_rates(count)["memory"] for count in threads}
    for make in cases(names, activities):
        case = make()
        settings.tell(f"{case.name}, activity {case.activity}: spikes against the reference")
        work = case.work()
        loaded = {
            way: EmulatorTarget(tier=way[0], threads=way[1]).load(case.network) for way in product(tiers, threads)
        }
        hold_against_reference(case, loaded.values())
        peaks = {way: Peaks(*way) for way in loaded}
        parts = {way: Parts(case.network, *way) for way in loaded}
        for batch in settings.batches or BATCHES[settings.size]:
            settings.tell(f"{case.name}, activity {case.activity}: batch {batch}")
            yield from _rows(case, work, loaded, peaks, parts, memory, batch, settings.count(2, 9, 15))


def _rows(
    case: Case,
    work: Work,
    loaded: dict,
    peaks: dict,
    parts: dict[tuple, Parts],
    memory: dict[int, float],
    batch: int,
    turns: int,
) -> Iterator[Row]:
    """Let all ways of one batch take turns, peaks among them."""
    inputs = narrow(case.network, case.samples(batch))
    first = next(iter(loaded.values())).run(inputs)
    for executable in loaded.values():
        hold_against(case, first, executable.run(inputs))
    ways = {str(way): repeated(executable.run, inputs) for way, executable in loaded.items()}
    for way, peak in peaks.items():
        ways |= {f"{way} {name}": run for name, run in peak.ways.items()}
        ways |= {f"{way} without {name}": run for name, run in parts[way].ways(inputs).items()}
    clock = OWN if all(count == 1 for _, count in loaded) else WALL
    taken = take_turns(ways, turns, clock=clock)
    total = sum(work.operations.values())
    portable = taken[str(next(iter(loaded)))]
    for way in loaded:
        seconds = taken[str(way)] / batch
        without = {name: taken[f"{way} without {name}"] for name in ("call", "ports", "neurons")}
        limit, dense = _limit(case.network, work, peaks[way], way, taken, memory[way[1]], batch)
        yield {
            "network": case.name,
            "activity": case.activity,
            "batch": batch,
            "tier": way[0],
            "threads": way[1],
            "microseconds": 1e6 * float(np.median(seconds)),
            "best_microseconds": 1e6 * float(seconds.min()),
            "samples_per_second": 1 / float(np.median(seconds)),
            "nanoseconds_per_operation": 1e9 * float(np.median(seconds)) / max(total, 1),
            "of_peak": float(np.median(limit / seconds)),
            "of_products": None if way[0] == "portable" else float(np.median(dense / seconds)),
            "times_portable": ratio(portable, taken[str(way)]),
            **Parts.split(taken[str(way)], without, batch),
            "operations_per_sample": total,
            "spikes_per_sample": work.spikes,
        }


def _limit(
    net: IntegerNetwork, work: Work, peaks: Peaks, way: tuple, taken: dict[str, Seconds], memory: float, batch: int
) -> tuple[Seconds, Seconds]:
    """Seconds that a sample takes at the peaks of the same turn.

    Each projection counts as what is cheaper at the peak, a product or events, whose rows come from the cache that
    holds them; then all neurons. What has to go through memory at the measured rate is a limit of its own.

    Returns:
        The limit, and what products and neurons alone would take.
    """
    pace = {name: taken[f"{way} {name}"] / amount for name, amount in peaks.amounts.items()}
    layers = {p.name: p.weights.size for p in net.projections if isinstance(p, DenseProjection)}
    synapses = np.zeros_like(pace["rows"])
    for name, operations in work.operations.items():
        events = operations * pace["far" if layers.get(name, 0) > NEAR_BYTES else "rows"]
        synapses += np.minimum(events, work.products[name] * pace["product"]) if "product" in pace else events
    weights = sum(count_synapses(net, p) for p in net.projections if hasattr(p, "weights") and p.weights.ndim == 2)
    ports = sum(size(port.shape) * (4 if port.graded else 1) for port in net.inputs)
    outputs = sum(size(net.source(name).shape) for name in net.outputs)
    moved = net.timesteps * (ports + 4 * outputs) + (weights / batch if weights > CACHE_BYTES else 0)
    neurons, through = work.updates * pace["update"], moved / memory / 1e9
    products = sum(work.products.values()) * pace.get("product", np.nan * pace["rows"])
    return np.maximum(synapses + neurons, through), products + neurons


COLUMNS = (
    Column("network", "network"),
    Column("activity", "activity"),
    Column("batch", "batch", "d"),
    Column("tier", "tier"),
    Column("threads", "threads", "d"),
    Column("microseconds", "us a sample", ".1f"),
    Column("best_microseconds", "best", ".1f"),
    Column("nanoseconds_per_operation", "ns an operation", ".4f"),
    Column("of_peak", "of the peak", ".0%"),
    Column("of_products", "of products", ".0%"),
    Column("times_portable", "x portable, 1 thread", ".2f"),
    *(Column(name, name, ".1f") for name in PARTS),
)
NOTES = """\
A: dense 784-256-10, 32 timesteps. B: convolutions of 16 and 32 channels (stride 2) on 28 x 28, dense 128 and 10, 16
timesteps. loop: dense 256-256-10 with a recurrent projection of delay 3, 32 timesteps. digits, fashion and has8: the
largest spiking segment of models that come with hsnn, with samples of their data. Times are medians of one sample's
share of a batch, `best` is the fastest turn; where only one thread is measured, they are the processor's. Synaptic
operations count the synapses that spikes really went through.
The peak counts what is cheaper at the rates of the table above, products or events, for each projection, then all
neurons, or what has to pass through memory; all are measured in the same turns. `of products` is the same if every
synapse were a product: beyond 100% where events save more than everything else costs. The last four columns tell where
the microseconds of a sample go: the call from Python, reading ports, synapses, and neurons with their results; the
peak knows nothing of the first two. They come of networks that lack these parts, so noise may put a small one below 0.
"""


def shown(row: Row) -> bool:
    """The page shows every way at 10 % and on real samples, and other activities for one batch and thread."""
    return row["activity"] in (0.1, "real") or (row["batch"] == 32 and row["threads"] == 1)


def summary(rows: Sequence[Row]) -> str:
    """Say how near the fastest tier comes to the peak in the largest batches, and where its time goes there."""
    tier = rows[-1]["tier"]
    batch = max(row["batch"] for row in rows)
    best: dict[str, Row] = {}
    for row in rows:
        if row["tier"] == tier and row["batch"] == batch and row["activity"] in (0.1, "real"):
            best[row["network"]] = max(best.get(row["network"], row), row, key=lambda one: one["of_peak"])
    if not best:
        return ""
    told = ", ".join(f"{name} {row['of_peak']:.0%}" for name, row in best.items())
    times = "; ".join(f"{name} {_shares(row)}" for name, row in best.items())
    return f"At batch {batch}, tier `{tier}` reaches of the peak: {told}. A sample's time goes to: {times}."


def _shares(row: Row) -> str:
    """Shares of the parts of a run."""
    total = sum(max(row[name], 0.0) for name in PARTS)
    return ", ".join(f"{name} {max(row[name], 0.0) / total:.0%}" for name in PARTS)


SECTION = Section("speed", "The emulator", COLUMNS, measure, NOTES, shown=shown, summary=summary)
