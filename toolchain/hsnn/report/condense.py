"""Merge operators of one module into one line, as coarsely as a page can hold.

Only operators that follow one another are merged: runs of a dataflow order keep its order, so a graph
of runs has no loops that the graph of operators does not have.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, TypeVar

from hsnn.report.cells import TIMES

if TYPE_CHECKING:
    from collections.abc import Hashable

    from hsnn.ir.plan import Placement

T = TypeVar("T")


def is_chip(place: str) -> bool:
    """Whether a stage's name, as in a placement, is that of a spiking segment."""
    return place.startswith("chip.")


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive operators of one module in one place.

    Attributes:
        module: Module path that they share, or an empty string.
        operators: At least one, in graph order.
    """

    module: str
    operators: tuple[Placement, ...]

    @property
    def place(self) -> str:
        """Stage that all of them run in."""
        return self.operators[0].place

    @property
    def reasons(self) -> tuple[str, ...]:
        """Every different reason, in order."""
        return tuple(dict.fromkeys(item.reason for item in self.operators if item.reason))


def condense(placements: Sequence[Placement], *, most: int) -> tuple[Run, ...]:
    """Merge consecutive operators of one module, place, code and fix.

    Module paths are cut to as many parts as leave at most ``most`` runs, if that is possible; those on
    the host first, because the chip is what a reader looks for. Encoders and decoders stay apart: they
    are where spikes begin and end.
    """

    def same(item: Placement) -> Hashable:
        return item.place, item.code, item.fix, item.op.endswith(("Encode", "Decode"))

    deepest = max((item.module.count(".") + 1 for item in placements), default=1)
    depths = [(depth, deepest) for depth in range(deepest, 0, -1)] + [(1, depth) for depth in range(deepest - 1, 0, -1)]
    runs: tuple[tuple[str, tuple[Placement, ...]], ...] = ()
    for host, chip in depths:
        cut = partial(_beginning, host=host, chip=chip)
        runs = merge_runs(placements, name=cut, same=same)
        if len(runs) <= most:
            break
    return tuple(Run(module, items) for module, items in runs)


def merge_runs(
    items: Sequence[T], *, name: Callable[[T], str], same: Callable[[T], Hashable]
) -> tuple[tuple[str, tuple[T, ...]], ...]:
    """Merge consecutive items of the same name for which ``same`` is equal.

    Returns:
        Name and items of each run.
    """
    keyed = [((name(item), same(item)), item) for item in items]
    return tuple((key[0], tuple(item for _, item in group)) for key, group in groupby(keyed, key=lambda pair: pair[0]))


def beginning(name: str, depth: int) -> str:
    """Return the first parts of a dotted name.

    >>> beginning("backbone.features.3.conv", 2)
    'backbone.features'
    """
    return ".".join(name.split(".")[:depth])


def _beginning(item: Placement, *, host: int, chip: int) -> str:
    return beginning(item.module, chip if is_chip(item.place) else host)


def tally(names: Sequence[str]) -> str:
    """Count equal names in the order in which they first appear.

    >>> tally(["Conv", "Relu", "Conv"])
    'Conv ×2, Relu'
    """
    return ", ".join(name if number == 1 else f"{name} {TIMES}{number}" for name, number in Counter(names).items())
