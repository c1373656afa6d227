"""Mapping: which neurons lie on which neurocore, and what of each neurocore they use."""

from __future__ import annotations

from collections.abc import Mapping as ReadOnly
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hsnn.ir.chip import Chip, Limit

RESOURCES = ("neurons", "synapse_bits", "axons_in", "axons_out")
"""Resources of a neurocore, by their names in :class:`~hsnn.ir.chip.Chip` and :class:`Neurocore`."""


@dataclass(frozen=True, slots=True)
class PopulationSlice:
    """Neurons ``first .. last - 1`` of a population.

    Neurons with ``(C, H, W)`` features are numbered channels last here, as Lava lays them out, so that
    a slice of a convolution listens to a patch of its input and not to all of it.
    """

    segment: str
    population: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Neurocore:
    """What one neurocore holds.

    Attributes:
        index: Place on the chip, from 0.
        slices: Its neurons.
        neurons: Number of neurons.
        synapse_bits: Synaptic memory.
        axons_in: Presynaptic neurons that it listens to.
        axons_out: Pairs of one of its neurons and a neurocore (or the host) that it sends to.
        utilization: Share of the scarcest resource that is used, 0 to 1.
        bottleneck: Name of that resource.
    """

    index: int
    slices: tuple[PopulationSlice, ...]
    neurons: int
    synapse_bits: int
    axons_in: int
    axons_out: int
    utilization: float
    bottleneck: str


@dataclass(frozen=True, slots=True)
class PopulationNeeds:
    """What one population needs, all neurocores together.

    Attributes:
        segment, population: Its names.
        neurons: Number of neurons.
        synapse_bits: Synaptic memory; a shared kernel counts once on each neurocore.
        neurocores: Neurocores that hold a part of it; 0 if no neurocore can.
    """

    segment: str
    population: str
    neurons: int
    synapse_bits: int
    neurocores: int


@dataclass(frozen=True, slots=True)
class Shortage:
    """One limit that does not hold.

    Attributes:
        resource: Name of the limit in :class:`~hsnn.ir.chip.Chip`.
        where: What needs more, one noun phrase.
        needed: How much it needs.
        limit: How much there is.
        fix: What the user can do.
    """

    resource: str
    where: str
    needed: int
    limit: Limit
    fix: str

    def __str__(self) -> str:
        return f"{self.resource}: {self.where} needs {self.needed:,}; allowed {self.limit}"


@dataclass(frozen=True, slots=True)
class Mapping:
    """Where the neurons of all segments lie on one chip.

    Attributes:
        chip: The chip.
        neurocores: Those in use, in order.
        populations: What each population needs, in the order of the networks.
    """

    chip: Chip
    neurocores: tuple[Neurocore, ...]
    populations: tuple[PopulationNeeds, ...]

    @property
    def totals(self) -> ReadOnly[str, int]:
        """Used resources, all neurocores together, by name; ``neurocores`` among them."""
        sums = {name: sum(getattr(core, name) for core in self.neurocores) for name in RESOURCES}
        return {"neurocores": len(self.neurocores), **sums}

    def to_json(self) -> dict[str, Any]:
        """Return plain dicts, lists, texts and numbers.

        Keys: ``chip``; ``fits``; ``resources``, each with name, total used, most used by one neurocore,
        allowed, unit, status and source; ``neurocores``; ``populations``; ``shortages``.
        """
        return {
            "chip": self.chip.name,
            "fits": True,
            "resources": [self._resource(name, used) for name, used in self.totals.items()],
            "neurocores": [
                asdict(core) | {"slices": [asdict(part) for part in core.slices]} for core in self.neurocores
            ],
            "populations": [asdict(needs) for needs in self.populations],
            "shortages": [],
        }

    def _resource(self, name: str, used: int) -> dict[str, Any]:
        limit: Limit = getattr(self.chip, name)
        peak = used if name == "neurocores" else max((getattr(core, name) for core in self.neurocores), default=0)
        return {
            "name": name,
            "used": used,
            "peak": peak,
            "allowed": limit.value,
            "unit": limit.unit,
            "status": limit.status,
            "source": limit.source,
        }


@dataclass(frozen=True, slots=True)
class CapacityReport:
    """What networks need of a chip, and what it has.

    Attributes:
        mapping: The placement; where the networks do not fit, it has more neurocores than the chip, or
            lacks the populations that no neurocore can hold.
        shortages: Limits that do not hold; empty if the networks fit.
    """

    mapping: Mapping
    shortages: tuple[Shortage, ...]

    @property
    def fits(self) -> bool:
        """Whether every limit holds."""
        return not self.shortages

    @property
    def text(self) -> str:
        """The report as lines of text."""
        totals, chip = self.mapping.totals, self.mapping.chip
        lines = [f"chip {chip.name!r}: {'fits' if self.fits else 'does not fit'}"]
        for shortage in self.shortages:
            lines += [f"  {shortage}", f"    fix: {shortage.fix}"]
        if all(shortage.resource != "neurocores" for shortage in self.shortages):
            lines.append(f"  neurocores: {totals['neurocores']:,} needed; allowed {chip.neurocores}")
        lines.append("  largest populations:")
        ranked = sorted(self.mapping.populations, key=lambda needs: (-needs.neurocores, -needs.synapse_bits))
        lines += [f"    {_describe(needs)}" for needs in ranked[:LARGEST]]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Return what :meth:`Mapping.to_json` does, with the shortages."""
        shortages = [asdict(shortage) for shortage in self.shortages]
        return {**self.mapping.to_json(), "fits": self.fits, "shortages": shortages}


LARGEST = 5
"""Populations that the text lists."""


def _describe(needs: PopulationNeeds) -> str:
    held = f"on {needs.neurocores:,} neurocore{'s' * (needs.neurocores != 1)}" if needs.neurocores else "does not fit"
    return (
        f"{needs.population!r} of {needs.segment!r}: {needs.neurons:,} neurons, "
        f"{needs.synapse_bits:,} bits of synapses, {held}"
    )
