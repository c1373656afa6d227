"""Structure of float graphs and of integer networks is checked by one set of rules, each with a code of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from hsnn.errors import HsnnError, QuantizationError
from hsnn.ir.contract import require
from hsnn.ir.routes import Ends, check_route, check_unique
from hsnn.passes.simulation.check_graph import check_graph
from support.float_graphs import lif, single

ENDS = Ends(order={"in": 0, "a": 1, "b": 2, "out": 3}, sending={"in", "a", "b"}, receiving={"a", "b", "out"})


@dataclass(frozen=True)
class Link:
    name: str = "p"
    pre: str = "in"
    post: str = "a"
    delay: int = 0


@pytest.mark.parametrize(
    "link",
    [Link(), Link(pre="a", post="b"), Link(pre="b", post="a", delay=1), Link(pre="a", post="a", delay=62)],
)
def test_what_projections_may_join(link):
    check_route(link, ENDS, require)


@pytest.mark.parametrize(
    ("link", "found"),
    [
        (Link(pre="x"), "'p' joins 'x', which is not in the segment"),
        (Link(post="x"), "'p' joins 'x', which is not in the segment"),
        (Link(post="in", pre="a"), "'p' ends at 'in'"),
        (Link(delay=-1), "delay of 'p' is -1"),
        (Link(delay=63), "delay of 'p' is 63"),
        (Link(pre="b"), "'p' leads back without a delay"),
        (Link(pre="a"), "'p' leads back without a delay"),
        (Link(pre="out", delay=1), "'p' starts at read-out neurons 'out'"),
    ],
)
def test_what_they_may_not(link, found):
    with pytest.raises(HsnnError, match=f"HSNN-I001: .*{found}"):
        check_route(link, ENDS, require)


def test_names_that_are_there_twice_are_told_in_order():
    with pytest.raises(HsnnError, match="more than one port is called a, b"):
        check_unique(["b", "a", "c", "a", "b"], "port", require)


def test_float_graphs_say_the_same_under_their_own_code():
    graph = single(np.ones((1, 1)), lif("n", (1,)))
    broken = replace(graph, projections=(replace(graph.projections[0], delay=63),))
    with pytest.raises(QuantizationError, match=r"HSNN-Q011: delay of .* is 63"):
        check_graph(broken)
    with pytest.raises(QuantizationError, match="HSNN-Q011: more than one projection is called"):
        check_graph(replace(graph, projections=graph.projections * 2))
