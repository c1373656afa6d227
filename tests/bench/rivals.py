"""The emulator beside Lava, SpikingJelly and snnTorch, in turns, on the same networks and inputs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from equality import hold_against
from floats import LIBRARIES, load, missing
from networks import Case, made_case, narrow
from section import Column, Row, Section, Settings
from turns import Seconds, ratio, repeated, take_turns

from hsnn.passes.mapping.idle import without_idle_projections
from hsnn.target import find_target
from hsnn_targets.emulator import EmulatorTarget
from hsnn_targets.emulator.tiers import usable_tiers
from hsnn_targets.lava.schedule import make_schedule

LAVA_SAMPLES = {"tiny": 2, "A": 8, "loop": 8, "B": 2}
"""Samples of one run of Lava; it takes half a second for one of B."""


def measure(settings: Settings) -> Iterator[Row]:
    """One row for each network, rival, batch, tier and number of threads."""
    rate = (settings.activities or (0.15,))[0]
    for name in settings.networks or settings.by_size(("tiny",), ("A", "B"), ("A", "B")):
        case = made_case(name, rate)
        batches = settings.batches or settings.by_size((2,), (1, 32), (1, 32, 256))
        tiers = settings.tiers or usable_tiers()
        settings.tell(f"{name}: Lava")
        yield from _lava(case, tiers, batches, settings.count(2, 3, 9))
        for library, shown in LIBRARIES.items():
            for batch in batches:
                settings.tell(f"{name}: {shown}, batch {batch}")
                for threads in settings.threads or settings.by_size((1,), (1,), (1, 2)):
                    yield from _floats(case, library, tiers, batch, threads, settings.count(2, 5, 15))


def _lava(case: Case, tiers: tuple[str, ...], batches: tuple[int, ...], turns: int) -> Iterator[Row]:
    """Lava runs samples one after the other on a live runtime; its figure is what one takes, without drain."""
    target = find_target("loihi2-sim")
    status = target.status()
    if not status.available:
        yield {"network": case.name, "rival": "Lava", "note": status.detail}
        return
    samples = LAVA_SAMPLES[case.name]
    schedule = make_schedule(without_idle_projections(case.network))
    share = (samples + schedule.lag) * schedule.period / case.network.timesteps
    inputs = case.samples(samples)
    lava = target.load(case.network)
    try:
        for tier in tiers:
            hold_against(case, lava.run(inputs), EmulatorTarget(tier=tier).load(case.network).run(inputs))
        for batch in batches:
            ours = {f"{tier} {n}": (tier, n, _ours(case, tier, n, batch)) for tier in tiers for n in (1, 2)}
            taken = take_turns({"Lava": repeated(lava.run, inputs), **{k: v[2] for k, v in ours.items()}}, turns)
            for key, (tier, threads, _) in ours.items():
                yield _row(case, "Lava", batch, tier, threads, taken["Lava"] / share, taken[key] / batch)
    finally:
        lava.close()


def _floats(case: Case, library: str, tiers: tuple[str, ...], batch: int, threads: int, turns: int) -> Iterator[Row]:
    """A library of floats has as many threads as the emulator."""
    absent = missing(library)
    if absent:
        yield {"network": case.name, "rival": LIBRARIES[library], "batch": batch, "note": absent}
        return
    import torch

    torch.set_num_threads(threads)
    ways = {tier: _ours(case, tier, threads, batch) for tier in tiers}
    taken = take_turns({library: load(library, case.network, case.samples(batch)), **ways}, turns)
    for tier in tiers:
        yield _row(case, LIBRARIES[library], batch, tier, threads, taken[library] / batch, taken[tier] / batch)


def _ours(case: Case, tier: str, threads: int, batch: int) -> object:
    inputs = narrow(case.network, case.samples(batch))
    return repeated(EmulatorTarget(tier=tier, threads=threads).load(case.network).run, inputs)


def _row(case: Case, rival: str, batch: int, tier: str, threads: int, theirs: Seconds, ours: Seconds) -> Row:
    return {
        "network": case.name,
        "rival": rival,
        "batch": batch,
        "tier": tier,
        "threads": threads,
        "rival_microseconds": 1e6 * float(np.median(theirs)),
        "microseconds": 1e6 * float(np.median(ours)),
        "times": ratio(theirs, ours),
        "turns": len(ours),
    }


COLUMNS = (
    Column("network", "network"),
    Column("rival", "rival"),
    Column("batch", "batch", "d"),
    Column("tier", "tier"),
    Column("threads", "threads", "d"),
    Column("rival_microseconds", "its us a sample", ",.0f"),
    Column("microseconds", "our us a sample", ",.1f"),
    Column("times", "times faster", ",.0f"),
    Column("note", ""),
)
NOTES = """\
Activity 15 %. Medians of turns, and the median of the ratios of one turn. Lava runs on a live runtime, in the worker
of the target `loihi2-sim`, one sample after the other whatever the batch; start and drain are not counted, and its
spikes are held against the emulator's first. SpikingJelly (multi-step, torch) and snnTorch (`Synaptic`) compute in
floats, with as many threads as the emulator; their spikes are their own. `make bench-rivals` installs both.
"""


def shown(row: Row) -> bool:
    """The page leaves out the portable tier on two threads."""
    return row.get("tier") != "portable" or row["threads"] == 1


SECTION = Section("rivals", "Beside other simulators", COLUMNS, measure, NOTES, shown=shown)
