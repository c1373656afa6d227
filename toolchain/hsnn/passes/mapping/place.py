"""Place neurons on neurocores, greedily, so that every limit of the chip holds on each.

Populations are taken in the order of the networks and cut into slices: as many neurons as fit go to the
open neurocore, the rest to the next. A segment starts on a neurocore of its own. What a slice needs is
said in ``hsnn.passes.mapping.needs``. How many axons leave a neurocore depends on where its targets lie, so the
placement is repeated with the counts of the one before until they hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from hsnn.errors import CapacityError
from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.mapping import (
    RESOURCES,
    CapacityReport,
    Mapping,
    Neurocore,
    PopulationNeeds,
    PopulationSlice,
    Shortage,
)
from hsnn.ir.populations import Population, ResonatorPopulation
from hsnn.ir.shape import size
from hsnn.passes.mapping.limits import check_limits, shortage
from hsnn.passes.mapping.needs import Needs, needs_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hsnn.ir.chip import Chip

    Int64 = NDArray[np.int64]

PASSES = 8
"""Most placements that are tried until the axons out hold."""


def place(networks: IntegerNetwork | Iterable[IntegerNetwork], chip: Chip) -> Mapping:
    """Place networks on one chip.

    Args:
        networks: Valid networks that are on the chip at the same time.
        chip: The chip.

    Returns:
        The placement; the same networks always give the same one.

    Raises:
        CapacityError: ``HSNN-C010``, with a report of what does not fit, by how much, and what helps.
    """
    report = capacity_report(networks, chip)
    if not report.fits:
        raise no_room(report)
    return report.mapping


def no_room(report: CapacityReport) -> CapacityError:
    """Return the error for a report that says that networks do not fit."""
    worst = report.shortages[0]
    return CapacityError("HSNN-C010", report.text, allowed=str(worst.limit), fix=worst.fix)


def capacity_report(networks: IntegerNetwork | Iterable[IntegerNetwork], chip: Chip) -> CapacityReport:
    """Tell what networks need of a chip, whether they fit or not.

    Args:
        networks: Valid networks that are on the chip at the same time.
        chip: The chip.
    """
    listed = (networks,) if isinstance(networks, IntegerNetwork) else tuple(networks)
    parts = [_part(network, population, chip) for network in listed for population in network.populations]
    cores, refused = _place_all(parts, chip)
    found = [problem for network in listed for problem in check_limits(network, chip)]
    found += [problem for refusal in refused for problem in refusal.shortages(chip)]
    for index, core in enumerate(cores):
        sent = core.used()["axons_out"]
        if sent > chip.axons_out.value:
            found.append(shortage(chip, "axons_out", f"neurocore {index}", sent))
    if len(cores) > chip.neurocores.value:
        where = f"segment {listed[0].name!r}" if len(listed) == 1 else f"{len(listed)} segments together"
        found.append(shortage(chip, "neurocores", where, len(cores)))
    mapping = Mapping(
        chip,
        tuple(core.freeze(index, chip) for index, core in enumerate(cores)),
        tuple(_population_needs(part, cores, [refusal.part for refusal in refused]) for part in parts),
    )
    return CapacityReport(mapping, tuple(found))


@dataclass(slots=True, eq=False)
class _Part:
    """A population that is being placed.

    Attributes:
        segment, population: Its names.
        count: Neurons.
        needs: What its slices need, with the population or port that the synapses come from.
        fan: Neurocores that each neuron sends to, in the order of the chip; as far as is known.
    """

    segment: str
    population: str
    count: int
    needs: tuple[tuple[str, Needs], ...]
    fan: Int64

    def bits(self, first: int, last: int) -> int:
        """Synaptic memory of a slice."""
        return sum(needs.bits(first, last) for _, needs in self.needs)

    def sources(self, first: int, last: int) -> dict[str, Int64]:
        """Presynaptic neurons of a slice, by the population that they are in."""
        found: dict[str, Int64] = {}
        for name, needs in self.needs:
            reached = needs.sources(first, last)
            found[name] = np.union1d(found[name], reached) if name in found else reached
        return found


@dataclass(slots=True, eq=False)
class _Core:
    """A neurocore while it is being filled; it holds neurons of one segment only."""

    slices: list[tuple[_Part, int, int]] = field(default_factory=list)
    sources: dict[str, Int64] = field(default_factory=dict)

    def used(self) -> dict[str, int]:
        """Used resources by name."""
        return {
            "neurons": sum(last - first for _, first, last in self.slices),
            "synapse_bits": sum(part.bits(first, last) for part, first, last in self.slices),
            "axons_in": sum(reached.size for reached in self.sources.values()),
            "axons_out": sum(int(part.fan[first:last].sum()) for part, first, last in self.slices),
        }

    def with_slice(self, part: _Part, first: int, last: int) -> _Core:
        """Return the neurocore with one more slice."""
        sources = dict(self.sources)
        for name, reached in part.sources(first, last).items():
            sources[name] = np.union1d(sources[name], reached) if name in sources else reached
        return _Core([*self.slices, (part, first, last)], sources)

    def fits(self, chip: Chip) -> bool:
        """Whether every limit of a neurocore holds."""
        return all(used <= getattr(chip, name).value for name, used in self.used().items())

    def freeze(self, index: int, chip: Chip) -> Neurocore:
        """Return the neurocore for the mapping."""
        used = self.used()
        shares = {name: used[name] / getattr(chip, name).value for name in RESOURCES}
        bottleneck = max(RESOURCES, key=lambda name: shares[name])
        slices = tuple(PopulationSlice(part.segment, part.population, first, last) for part, first, last in self.slices)
        return Neurocore(index, slices, **used, utilization=shares[bottleneck], bottleneck=bottleneck)


@dataclass(frozen=True, slots=True)
class _BothParts:
    """What resonators need: each has two rows of synapses, one after the other."""

    rows: Needs

    def bits(self, first: int, last: int) -> int:
        return self.rows.bits(2 * first, 2 * last)

    def sources(self, first: int, last: int) -> Int64:
        return self.rows.sources(2 * first, 2 * last)


def _per_neuron(population: Population, rows: Needs) -> Needs:
    return _BothParts(rows) if isinstance(population, ResonatorPopulation) else rows


def _part(network: IntegerNetwork, population: Population, chip: Chip) -> _Part:
    count = size(population.shape)
    to_host = population.name in network.outputs
    return _Part(
        network.name,
        population.name,
        count,
        tuple((p.pre, _per_neuron(population, needs_of(network, p, chip))) for p in network.into(population.name)),
        np.full(count, int(to_host), np.int64),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Refusal:
    """A part of which one neuron fits on no neurocore.

    Attributes:
        part: The part.
        used: What that neuron alone would use.
    """

    part: _Part
    used: dict[str, int]

    def shortages(self, chip: Chip) -> list[Shortage]:
        """Limits that the neuron breaks."""
        where = f"one neuron of population {self.part.population!r} of segment {self.part.segment!r}"
        return [
            shortage(chip, name, where, used) for name, used in self.used.items() if used > getattr(chip, name).value
        ]


def _place_all(parts: Sequence[_Part], chip: Chip) -> tuple[list[_Core], list[_Refusal]]:
    """Place until the axons out hold."""
    to_host = [part.fan for part in parts]
    for attempt in range(PASSES):
        cores, refused = _fill(parts, chip)
        known = [part.fan for part in parts]
        for part, host in zip(parts, to_host, strict=True):
            part.fan = host + _targets(part, cores)
        if all(core.fits(chip) for core in cores):
            break
        if attempt < PASSES - 1:
            for part, before in zip(parts, known, strict=True):
                part.fan = np.maximum(part.fan, before)
    return cores, refused


def _targets(part: _Part, cores: Sequence[_Core]) -> Int64:
    """Count the neurocores that each neuron of a part sends to."""
    counts = np.zeros(part.count, np.int64)
    for core in cores:
        if core.slices[0][0].segment == part.segment and part.population in core.sources:
            counts[core.sources[part.population]] += 1
    return counts


def _fill(parts: Sequence[_Part], chip: Chip) -> tuple[list[_Core], list[_Refusal]]:
    """Fill neurocores one after the other."""
    cores: list[_Core] = []
    refused = []
    for part in parts:
        core = cores[-1] if cores and cores[-1].slices[-1][0].segment == part.segment else _Core()
        first = 0
        while first < part.count:
            last = _longest(core, part, first, chip)
            if last == first and not core.slices:
                refused.append(_Refusal(part, core.with_slice(part, first, first + 1).used()))
                break
            if last > first:
                full = core.with_slice(part, first, last)
                cores = [*cores[:-1], full] if core.slices else [*cores, full]
            core, first = _Core(), last
    return cores, refused


def _longest(core: _Core, part: _Part, first: int, chip: Chip) -> int:
    """End of the longest slice from ``first`` on that still fits on a neurocore; ``first`` if none does."""
    fits, beyond = first, min(part.count, first + chip.neurons.value) + 1
    while beyond - fits > 1:
        middle = (fits + beyond) // 2
        if core.with_slice(part, first, middle).fits(chip):
            fits = middle
        else:
            beyond = middle
    return fits


def _population_needs(part: _Part, cores: Sequence[_Core], refused: Sequence[_Part]) -> PopulationNeeds:
    held = [part.bits(first, last) for core in cores for other, first, last in core.slices if other is part]
    if any(part is other for other in refused):
        return PopulationNeeds(part.segment, part.population, part.count, part.bits(0, part.count), 0)
    return PopulationNeeds(part.segment, part.population, part.count, sum(held), len(held))
