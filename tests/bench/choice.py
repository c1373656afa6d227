"""Whether the emulator chooses well between products and events: layers, activities, all three settings in turns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from equality import hold_against
from networks import Case, lif, spikes, weights
from section import Column, Row, Section, Settings
from turns import OWN, ratio, repeated, take_turns

from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.populations import InputPort
from hsnn.ir.projections import ConvProjection, DenseProjection
from hsnn_targets.emulator import EmulatorTarget
from hsnn_targets.emulator.tiers import usable_tiers

LAYERS = {"768x256": (768, 256), "1024x1024": (1024, 1024), "2048x2048": (2048, 2048), "conv": None, "24x8": (24, 8)}
ACTIVITIES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
LIMIT = 1.3
"""Times that a choice may take of the better way."""
WAYS = ("products", "events", "auto")


def layer(name: str, rate: float) -> Case:
    """One layer of synapses onto neurons that seldom fire.

    The convolution has 16 and 32 channels on 28 x 28 and a kernel of 3 x 3.
    """
    rng = np.random.default_rng(0)
    extents = LAYERS[name]
    if extents is None:
        port, post = (16, 28, 28), (32, 28, 28)
        synapses: DenseProjection | ConvProjection = ConvProjection(
            "p0", "in", "l0", weights(rng, (32, 16, 3, 3)), padding=(1, 1)
        )
    else:
        port, post = (extents[0],), (extents[1],)
        synapses = DenseProjection("p0", "in", "l0", weights(rng, (extents[1], extents[0])))
    neurons = lif(rng, "l0", post, 100_000)
    net = IntegerNetwork(name, 16, (InputPort("in", port),), (neurons,), (synapses,), ("l0",))
    return Case(name, rate, net, lambda batch: spikes(net, batch, rate))


def measure(settings: Settings) -> Iterator[Row]:
    """One row for each layer, activity and tier that has a choice."""
    names = settings.networks or settings.by_size(
        ("24x8",), ("768x256", "1024x1024", "conv"), ("768x256", "1024x1024", "2048x2048", "conv")
    )
    for tier in [tier for tier in settings.tiers or usable_tiers() if tier != "portable"]:
        for name in names:
            for rate in settings.activities or settings.by_size((0.1,), (0.01, 0.05, 0.2), ACTIVITIES):
                for batch in settings.batches or settings.by_size((1,), (4,), (1, 32)):
                    settings.tell(f"{name} at {rate:.1%}, batch {batch}, {tier}")
                    yield _row(layer(name, rate), tier, batch, settings.count(2, 15, 31))


def _row(case: Case, tier: str, batch: int, turns: int) -> Row:
    inputs = case.samples(batch)
    loaded = {way: EmulatorTarget(threads=1, tier=tier, synapses=way).load(case.network) for way in WAYS}
    first = EmulatorTarget(threads=1, tier="portable").load(case.network).run(inputs)
    for executable in loaded.values():
        hold_against(case, first, executable.run(inputs))
    chosen = loaded["auto"].usage()["p0"]
    taken = take_turns({way: repeated(executable.run, inputs) for way, executable in loaded.items()}, turns, clock=OWN)
    over = {way: ratio(taken["auto"], taken[way]) for way in WAYS[:2]}
    return {
        "layer": case.name,
        "activity": case.activity,
        "batch": batch,
        "tier": tier,
        **{way: 1e6 * float(np.median(taken[way])) / batch for way in WAYS},
        "chosen": "products" if chosen.products > chosen.events else "events",
        "limit": chosen.limit,
        "over_best": max(over.values()),
        "turns": turns,
    }


COLUMNS = (
    Column("layer", "layer"),
    Column("activity", "activity", ".1%"),
    Column("batch", "batch", "d"),
    Column("tier", "tier"),
    Column("products", "products, us a sample", ".1f"),
    Column("events", "events, us a sample", ".1f"),
    Column("auto", "as chosen, us a sample", ".1f"),
    Column("chosen", "chosen"),
    Column("over_best", "chosen over best", ".2f"),
)
NOTES = """\
One layer, 16 timesteps, one thread; times are the processor's, so that what else the machine does counts little.
`chosen over best` is the median, over all turns, of the time of `auto` over that of the better way in the same turn;
more than 1.3 would be a wrong choice.
"""


def summary(rows: Sequence[Row]) -> str:
    """Tell the worst choice."""
    worst = max(rows, key=lambda row: row["over_best"])
    beyond = sum(row["over_best"] > LIMIT for row in rows)
    return (
        f"Worst: {worst['over_best']:.2f} ({worst['layer']} at {worst['activity']:.1%}, batch {worst['batch']}, tier "
        f"{worst['tier']}); {beyond} of {len(rows)} are beyond {LIMIT}."
    )


SECTION = Section("choice", "Products or events", COLUMNS, measure, NOTES, summary=summary)
