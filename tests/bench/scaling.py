"""What a synaptic operation costs as networks grow: dense ones, whose weights leave the caches, and convolutions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from equality import hold_against
from machine import caches
from networks import Case, lif, spikes, weights
from section import Column, Row, Section, Settings
from turns import OWN, repeated, take_turns

from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.populations import InputPort
from hsnn.ir.projections import ConvProjection, DenseProjection, Projection
from hsnn_targets.emulator import EmulatorTarget
from hsnn_targets.emulator.tiers import usable_tiers

RATE = 0.25
DENSE, CONV = (256, 512, 1024, 2048, 4096, 8192), (10, 20, 41, 82, 165, 330)
"""Neurons of a layer, and pixels of a line: about 10^6 to 10^9 operations a sample, four times more each."""
CHANNELS = 16


def dense_case(neurons: int) -> Case:
    """All to all, 64 timesteps."""
    rng = np.random.default_rng(0)
    projection = DenseProjection("p0", "in", "l0", weights(rng, (neurons, neurons)))
    return _case("dense", (neurons,), projection, 64)


def conv_case(side: int) -> Case:
    """16 channels, 3 by 3, 16 timesteps."""
    rng = np.random.default_rng(0)
    projection = ConvProjection("p0", "in", "l0", weights(rng, (CHANNELS, CHANNELS, 3, 3)), padding=(1, 1))
    return _case("conv", (CHANNELS, side, side), projection, 16)


def _case(name: str, shape: tuple[int, ...], projection: Projection, timesteps: int) -> Case:
    rng = np.random.default_rng(1)
    net = IntegerNetwork(
        name, timesteps, (InputPort("in", shape),), (lif(rng, "l0", shape, 20_000),), (projection,), ("l0",)
    )
    return Case(name, RATE, net, lambda batch: spikes(net, batch, RATE))


def measure(settings: Settings) -> Iterator[Row]:
    """One row for each size and tier, one sample at a time."""
    steps = settings.by_size(1, 4, len(DENSE))
    made = [(dense_case, size) for size in DENSE[:steps]] + [(conv_case, size) for size in CONV[:steps]]
    tiers = settings.tiers or settings.by_size(usable_tiers()[-1:], usable_tiers(), usable_tiers())
    for make, size in made:
        case = make(size)
        settings.tell(f"{case.name} {size}")
        inputs = case.samples(1)
        loaded = {tier: EmulatorTarget(threads=1, tier=tier).load(case.network) for tier in tiers}
        first = loaded[tiers[0]].run(inputs)
        for executable in loaded.values():
            hold_against(case, first, executable.run(inputs))
        taken = take_turns({t: repeated(e.run, inputs) for t, e in loaded.items()}, settings.count(2, 7, 11), clock=OWN)
        (operations,) = case.work().operations.values()
        (projection,) = case.network.projections
        for tier in tiers:
            seconds = float(np.median(taken[tier]))
            yield {
                "kind": case.name,
                "size": size,
                "tier": tier,
                "operations": operations,
                "weight_bytes": projection.weights.size,
                "microseconds": 1e6 * seconds,
                "nanoseconds_per_operation": 1e9 * seconds / operations,
                "caches_bytes": caches(),
            }


COLUMNS = (
    Column("kind", "layer"),
    Column("size", "neurons or pixels", "d"),
    Column("tier", "tier"),
    Column("operations", "operations a sample", ",.0f"),
    Column("weight_bytes", "weights, bytes", ",d"),
    Column("microseconds", "us a sample", ",.0f"),
    Column("nanoseconds_per_operation", "ns an operation", ".4f"),
)
NOTES = """\
One layer, a quarter of its inputs spiking, one sample, one thread, times of the processor. The weights of dense
layers outgrow one cache after the other (as bytes; dotted lines in the figure); those of convolutions never do, but
their neurons' states and spikes do.
"""


def summary(rows: Sequence[Row]) -> str:
    """Tell how far the costs of one kind of layer on one tier lie apart."""
    costs: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        costs.setdefault((row["kind"], row["tier"]), []).append(row["nanoseconds_per_operation"])
    apart = [f"{kind}, {tier}: {max(own) / min(own):.1f}" for (kind, tier), own in costs.items()]
    return f"The dearest over the cheapest operation: {'; '.join(apart)}."


SECTION = Section(
    "scaling", "What a synaptic operation costs as networks grow", COLUMNS, measure, NOTES, summary=summary
)
