"""Rules of structure that float graphs and integer networks share: unique names, and what projections may join."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from hsnn.ir.arithmetic import DELAY_MAX

Require: TypeAlias = "Callable[[bool, str, str], None]"
"""Raises the checker's own error unless the first argument holds; the others say what was found and what is allowed."""


class Route(Protocol):
    """A projection of either kind, as far as it says from where to where it leads."""

    @property
    def name(self) -> str:
        """Name of the projection."""
        ...

    @property
    def pre(self) -> str:
        """Name of the port or population that it starts at."""
        ...

    @property
    def post(self) -> str:
        """Name of the population that it ends at."""
        ...

    @property
    def delay(self) -> int:
        """Timesteps that it takes beyond none."""
        ...


@dataclass(frozen=True, slots=True)
class Ends:
    """What projections of a segment may join.

    Attributes:
        order: Place in dataflow order of every port and population, by name.
        sending: Names of those that send something.
        receiving: Names of the neuron populations.
    """

    order: Mapping[str, int]
    sending: Container[str]
    receiving: Container[str]


def check_unique(names: Sequence[str], kind: str, require: Require) -> None:
    """Require that no name is there twice; ``kind`` is what they are names of."""
    twice = sorted({name for name in names if names.count(name) > 1})
    require(not twice, f"more than one {kind} is called {', '.join(twice)}", "unique names")


def check_route(route: Route, ends: Ends, require: Require) -> None:
    """Require that a projection joins what it may, in dataflow order unless it is delayed, by 0 to 62 timesteps."""
    name, longest = route.name, DELAY_MAX - 1
    for end in (route.pre, route.post):
        require(
            end in ends.order, f"projection {name!r} joins {end!r}, which is not in the segment", ", ".join(ends.order)
        )
    require(route.post in ends.receiving, f"projection {name!r} ends at {route.post!r}", "a neuron population")
    require(0 <= route.delay <= longest, f"delay of {name!r} is {route.delay}", f"0 to {longest}")
    require(
        route.delay > 0 or ends.order[route.pre] < ends.order[route.post],
        f"projection {name!r} leads back without a delay",
        "populations in dataflow order, and a delay of 1 or more on every cycle",
    )
    require(
        route.pre in ends.sending,
        f"projection {name!r} starts at read-out neurons {route.pre!r}",
        "an input, constant source, or a population that sends spikes or messages",
    )
