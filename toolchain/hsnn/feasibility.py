"""Check: tell whether a model can be compiled and would fit, before any sample has been seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hsnn.compiler import Options
from hsnn.errors import UnsupportedError
from hsnn.frontends.dispatch import Model, front_end
from hsnn.ir.plan import Cut, Placement
from hsnn.libraries import named_if_missing
from hsnn.passes.mapping.chips import load_chip
from hsnn.passes.mapping.delays import match_delays
from hsnn.passes.mapping.place import capacity_report
from hsnn.passes.mapping.skeleton import describe_network, skeleton
from hsnn.passes.partition.codings import warn_of
from hsnn.passes.partition.partition import Partition
from hsnn.passes.rewrite.canonicalize import canonicalize

if TYPE_CHECKING:
    from hsnn.program import Json


@dataclass(frozen=True, slots=True, eq=False)
class CheckReport:
    """Whether a model can be compiled, found without calibrating it.

    Attributes:
        supported: Whether every operator has a place.
        problems: Every reason why not: ``code``, ``found``, ``fix``.
        placements: Where every operator would go.
        cuts: Every crossing.
        segments: One record a spiking segment: name, timesteps, neurons, synapses, populations.
        capacity: What the segments need of the chip, and what it has.
        fits: Whether they fit.
    """

    supported: bool
    problems: tuple[Mapping[str, Json], ...] = ()
    placements: tuple[Placement, ...] = ()
    cuts: tuple[Cut, ...] = ()
    segments: tuple[Mapping[str, Json], ...] = ()
    capacity: Mapping[str, Json] = field(default_factory=dict)
    fits: bool = True


@named_if_missing()
def check(
    model: Model,
    *,
    example_inputs: Sequence[Any] | None = None,
    options: Options | None = None,
) -> CheckReport:
    """Tell whether a model can be compiled and would fit, without calibrating or writing anything.

    Args:
        model: As for :func:`compile`.
        example_inputs: Inputs to trace a torch module with.
        options: Options; the defaults if None.

    Returns:
        The report. A model that cannot be compiled is no error here but a report with problems.
    """
    options = options or Options()
    chip = load_chip(options.chip)
    try:
        hybrid = front_end(model, example_inputs)
        plan = Partition(options.pins)(canonicalize(hybrid))
        warn_of(plan.placements)
        networks = tuple(skeleton(segment.graph) for segment in plan.chip_segments)
        for network in networks:
            match_delays(network)
    except UnsupportedError as error:
        reasons = error.reasons or (error,)
        return CheckReport(False, tuple({"code": r.code, "found": r.found, "fix": r.fix} for r in reasons))
    report = capacity_report(networks, chip)
    return CheckReport(
        supported=True,
        placements=plan.placements,
        cuts=plan.cuts,
        segments=tuple(describe_network(network) for network in networks),
        capacity=report.to_json(),
        fits=report.fits,
    )
