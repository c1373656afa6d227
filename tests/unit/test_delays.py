"""Depths and extra delays of hsnn.passes.mapping.delays."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from hsnn.errors import CapacityError, UnsupportedError
from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.populations import ConstantSource, InputPort, LifPopulation
from hsnn.ir.projections import DenseProjection
from hsnn.passes.mapping.delays import match_delays
from hsnn.verify.random_networks import random_network

ZERO = np.zeros((), np.int32)


def lif(name):
    return LifPopulation(name, (1,), ZERO, ZERO, ZERO, ZERO)


def network(*links, populations="abcd", constants=()):
    """Build a network of one-neuron populations from ``(pre, post, delay)``."""
    projections = tuple(
        DenseProjection(f"{pre}>{post}/{delay}", pre, post, np.full((1, 1), 2, np.int16), delay=delay)
        for pre, post, delay in links
    )
    senders = tuple(ConstantSource(name) for name in constants)
    return IntegerNetwork("n", 4, (InputPort("in", (1,)),), (*senders, *map(lif, populations)), projections, ("a",))


def test_chain_gains_one_timestep_per_projection():
    timing = match_delays(network(("in", "a", 0), ("a", "b", 0), ("b", "c", 0), ("c", "d", 0)))
    assert timing.depth == {"in": 0, "a": 1, "b": 2, "c": 3, "d": 4}
    assert set(timing.extra.values()) == {0}
    assert timing.deepest == 4


def test_a_skip_waits_for_the_branch_beside_it():
    timing = match_delays(
        network(("in", "a", 0), ("a", "b", 0), ("b", "c", 0), ("a", "c", 0), ("in", "c", 0), ("c", "d", 0))
    )
    assert timing.depth["c"] == 3
    assert timing.extra["a>c/0"] == 1
    assert timing.extra["in>c/0"] == 2
    assert timing.extra["b>c/0"] == 0


def test_unequal_branches_meet():
    timing = match_delays(network(("in", "a", 0), ("in", "b", 0), ("b", "c", 0), ("a", "d", 0), ("c", "d", 0)))
    assert timing.depth == {"in": 0, "a": 1, "b": 1, "c": 2, "d": 3}
    assert timing.extra["a>d/0"] == 1


def test_order_of_projections_does_not_matter():
    links = [("in", "a", 0), ("a", "b", 0), ("b", "c", 0), ("in", "c", 0), ("c", "d", 2), ("d", "a", 3)]
    forward, backward = match_delays(network(*links)), match_delays(network(*links[::-1]))
    assert forward.depth == backward.depth
    assert forward.extra == backward.extra


def test_delay_buys_depth_and_never_goes_below_zero():
    timing = match_delays(network(("in", "a", 0), ("a", "b", 1), ("b", "c", 5)))
    assert timing.depth == {"in": 0, "a": 1, "b": 1, "c": 0, "d": 0}
    assert timing.extra == {"in>a/0": 0, "a>b/1": 0, "b>c/5": 3}


@pytest.mark.parametrize(("delay", "extra"), [(1, 0), (2, 1), (62, 61)])
def test_self_recurrence_is_its_delay(delay, extra):
    timing = match_delays(network(("in", "a", 0), ("a", "a", delay)))
    assert timing.extra[f"a>a/{delay}"] == extra


def test_two_populations_need_a_delay_of_two_around():
    timing = match_delays(network(("in", "a", 0), ("a", "b", 0), ("b", "a", 2)))
    assert timing.depth == {"in": 0, "a": 1, "b": 2, "c": 0, "d": 0}
    assert timing.extra["b>a/2"] == 0


def test_a_loop_too_short_is_named():
    with pytest.raises(UnsupportedError) as error:
        match_delays(network(("in", "a", 0), ("a", "b", 0), ("b", "c", 0), ("c", "a", 2), ("c", "d", 0)))
    assert error.value.code == "HSNN-C021"
    assert all(name in error.value.found for name in ("a>b/0", "b>c/0", "c>a/2"))
    assert "in>a" not in error.value.found
    assert "by 1" in error.value.fix


def test_a_wait_of_63_fits_and_of_64_does_not():
    names = [f"p{i}" for i in range(66)]
    links = [("in", "p0", 0), *((a, b, 0) for a, b in itertools.pairwise(names))]
    fits = network(*links, ("in", "p63", 0), populations=names)
    assert match_delays(fits).extra["in>p63/0"] == 63
    with pytest.raises(CapacityError) as error:
        match_delays(network(*links, ("in", "p64", 0), populations=names))
    assert error.value.code == "HSNN-C020"
    assert "in>p64/0" in error.value.found


def test_constant_sources_do_not_wait():
    names = [f"p{i}" for i in range(70)]
    links = [("in", "p0", 0), *((a, b, 0) for a, b in itertools.pairwise(names))]
    timing = match_delays(network(*links, ("one", "p69", 0), populations=names, constants=("one",)))
    assert timing.depth["one"] == 0


@pytest.mark.parametrize("seed", range(40))
def test_random_networks_have_a_latency_of_one_or_more_and_no_depth_to_spare(seed):
    graph = random_network(seed)
    timing = match_delays(graph)
    for link in graph.projections:
        assert timing.depth[link.post] - timing.depth[link.pre] + link.delay == timing.extra[link.name] + 1 >= 1
    for population in graph.neurons:
        into = [timing.extra[link.name] for link in graph.into(population.name)]
        assert timing.depth[population.name] == 0 or 0 in into
