"""Merge operators of one module into one line, as coarsely as a page can hold.

Only operators that follow one another are merged: runs of a dataflow order keep its order, so a graph
of runs has no loops that the graph of operators does not have.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable

    from hsnn.ir.plan import Placement

T = TypeVar("T")


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

    Module paths are cut to as many parts as leave at most ``most`` runs, if that is possible. Operators
    of the hsnn domain and plain ones stay apart, so that encoders and neurons can be seen.
    """

    def same(item: Placement) -> Hashable:
        return item.place, item.code, item.fix, item.op.startswith("hsnn.")

    runs = merge_runs(placements, name=lambda item: item.module, same=same, most=most)
    return tuple(Run(module, items) for module, items in runs)


def merge_runs(
    items: Sequence[T], *, name: Callable[[T], str], same: Callable[[T], Hashable], most: int
) -> tuple[tuple[str, tuple[T, ...]], ...]:
    """Merge consecutive items whose dotted names share a beginning.

    Args:
        items: Items in their order.
        name: Dotted name of an item.
        same: Items are merged only if this is equal.
        most: Number of runs that is wanted; the finest merge that satisfies it is taken.

    Returns:
        Shared beginning and items of each run.
    """
    deepest = max((name(item).count(".") + 1 for item in items), default=1)
    runs: tuple[tuple[str, tuple[T, ...]], ...] = ()
    for depth in range(deepest, 0, -1):
        runs = _runs(items, name, same, depth)
        if len(runs) <= most:
            break
    return runs


def _runs(
    items: Sequence[T], name: Callable[[T], str], same: Callable[[T], Hashable], depth: int
) -> tuple[tuple[str, tuple[T, ...]], ...]:
    keyed = [((".".join(name(item).split(".")[:depth]), same(item)), item) for item in items]
    return tuple(
        (str(key[0]), tuple(item for _, item in group)) for key, group in groupby(keyed, key=lambda pair: pair[0])
    )


def tally(names: Sequence[str]) -> str:
    """Count equal names in the order in which they first appear.

    >>> tally(["Conv", "Relu", "Conv"])
    'Conv ×2, Relu'
    """
    return ", ".join(name if number == 1 else f"{name} ×{number}" for name, number in Counter(names).items())
