"""Which Lava processes a network becomes, and when they work: no Lava needed."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.populations import ConstantSource, InputPort, IntegratorPopulation, LifPopulation
from hsnn.ir.projections import ConvProjection, DenseProjection, SparseProjection
from hsnn.passes.mapping.idle import without_idle_projections
from hsnn.verify.random_networks import random_network
from hsnn_targets.lava.blueprint import Blueprint
from hsnn_targets.lava.clock import Window
from hsnn_targets.lava.layout import from_lava, lava_shape, neuron_order, parameter, to_lava
from hsnn_targets.lava.planner import plan_processes
from hsnn_targets.lava.populations import stock_obstacle
from hsnn_targets.lava.schedule import RING_BYTES, SLOTS_MAX, make_schedule

ZERO = np.zeros((), np.int32)
INPUTS = (InputPort("in", (2,)),)


def int32(value):
    return np.asarray(value, np.int32)


def lif(name="n", shape=(2,), **options):
    fields = {"du": int32(10), "dv": int32(20), "threshold": int32(640), "bias_mant": ZERO, **options}
    return LifPopulation(name, shape, **fields)


def dense(pre, post, shape=(2, 2), delay=0, weight=2, **options):
    return DenseProjection(f"{pre}>{post}", pre, post, np.full(shape, weight, np.int16), delay=delay, **options)


def plan(populations, projections, inputs=INPUTS, timesteps=5, **options):
    network = without_idle_projections(IntegerNetwork("n", timesteps, inputs, populations, projections, ("n",)))
    schedule = make_schedule(network)
    names = [neuron.name for neuron in network.neurons]
    return plan_processes(network, schedule, recorded=names, **options), schedule


def kinds(blueprint):
    return {part.name: part.kind for part in blueprint.parts}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, ""),
        ({"threshold": int32(131071 * 64)}, ""),
        ({"threshold": int32([640, 640])}, ""),
        ({"du": int32([10, 10]), "bias_mant": int32([1, 2])}, ""),
        ({"threshold": int32(131072 * 64 - 1)}, "threshold"),
        ({"threshold": int32(641)}, "threshold"),
        ({"threshold": int32([640, 704])}, "of their own"),
        ({"du": int32([10, 11])}, "of their own"),
        ({"du": int32(-1)}, "decays -1"),
        ({"dv": int32(4096)}, "4096"),
        ({"reset": "none"}, "'none'"),
        ({"reset": "subtract", "reset_amount": int32(640)}, "'subtract'"),
        ({"refractory": 1}, "refractory"),
    ],
)
def test_what_lava_can_hold_itself(change, said):
    obstacle = stock_obstacle(lif(**change))
    assert bool(obstacle) == bool(said)
    assert said in obstacle


def test_integrators_are_ours():
    assert "voltage" in stock_obstacle(IntegratorPopulation("n", (2,), ZERO, ZERO, ZERO))


def test_stock_neurons_reset_at_their_first_timestep():
    blueprint, schedule = plan((lif("a"), lif("n")), (dense("in", "a"), dense("a", "n")))
    settings = {part.name: part.settings for part in blueprint.parts}
    assert schedule.period == 5
    assert settings["population:a"]["reset_interval"] == settings["population:n"]["reset_interval"] == 5
    assert (settings["population:a"]["reset_offset"], settings["population:n"]["reset_offset"]) == (2, 3)
    assert settings["population:a"]["vth"] == 10


def test_neurons_are_gated_where_their_spikes_are_delayed_across_samples():
    blueprint, schedule = plan((lif("a"), lif("n")), (dense("in", "a"), dense("a", "n", delay=3)))
    assert schedule.period == 8
    assert kinds(blueprint)["population:a"] == "gated_lif"
    assert kinds(blueprint)["population:n"] == "lif_reset"
    (part,) = (part for part in blueprint.parts if part.name == "population:a")
    assert "next" in part.obstacle


def test_projections_that_deliver_nothing_cost_nothing():
    late, zero = dense("in", "n", delay=5), dense("in", "a", weight=0)
    blueprint, schedule = plan((lif("a"), lif("n")), (late, zero))
    assert schedule.period == 5
    assert set(kinds(blueprint)) == {"population:a", "population:n", "sink:0"}


def test_small_delays_go_into_dense_processes():
    populations = (lif("a"), lif("b"), lif("n"))
    projections = (dense("in", "a"), dense("a", "b"), dense("b", "n"), dense("in", "n"))
    blueprint, schedule = plan(populations, projections)
    assert schedule.timing.extra["in>n"] == 2
    (part,) = (part for part in blueprint.parts if part.name == "projection:in>n")
    assert (part.kind, part.settings["delays"]) == ("delay_dense", 2)


def test_large_delays_share_a_line():
    wide = dense("in", "c", (300, 300))
    blueprint, _ = plan(
        (lif("a"), lif("b"), lif("c", (300,)), lif("n")),
        (
            dense("in", "a", (2, 300)),
            dense("a", "b"),
            dense("b", "c", (300, 2)),
            wide,
            dataclasses.replace(wide, name="x"),
        ),
        (InputPort("in", (300,)),),
    )
    lines = [part for part in blueprint.parts if part.kind == "delay_line"]
    assert [line.settings["delay"] for line in lines] == [2]
    assert kinds(blueprint)["projection:in>c"] == kinds(blueprint)["projection:x"] == "dense"


def test_an_input_that_is_only_needed_late_starts_late():
    inputs = (InputPort("in", (2,)), InputPort("late", (2,)))
    blueprint, _ = plan((lif("a"), lif("n")), (dense("in", "a"), dense("a", "n"), dense("late", "n")), inputs)
    settings = {part.name: part.settings for part in blueprint.parts}
    assert settings["input:late"]["window"].lag == 1
    assert kinds(blueprint)["projection:late>n"] == "dense"


def test_constant_sources_never_wait_in_lines():
    projections = (dense("in", "a"), dense("a", "n"), dense("one", "n", (2, 1)), dense("one", "a", (2, 1), delay=2))
    blueprint, schedule = plan((ConstantSource("one"), lif("a"), lif("n")), projections)
    assert schedule.period == 5
    assert kinds(blueprint)["constant:one"] == "always"
    (ring,) = (ring for ring in blueprint.feeds if ring.content is not None)
    assert ring.content[0, :, 0].tolist() == [0, 0, 1, 1, 1]


def test_convolutions_leave_lava_where_its_types_end():
    port = InputPort("in", (1, 4, 4), (1 << 23) - 1)
    conv = ConvProjection("k", "in", "n", np.full((1, 1, 1, 1), 2, np.int16))

    def kind(projection, inputs=port):
        return kinds(plan((lif("n", (1, 4, 4)),), (projection,), (inputs,))[0])["projection:k"]

    assert kind(conv) == "conv"
    assert kind(dataclasses.replace(conv, weight_exp=6)) == "conv"
    assert kind(dataclasses.replace(conv, weight_exp=7, weights=conv.weights * 2)) == "wide_conv"
    grouped = dataclasses.replace(conv, weights=np.full((128, 1, 1, 1), 2, np.int16), groups=128)
    wide = plan((lif("n", (128, 4, 4)),), (grouped,), (InputPort("in", (128, 4, 4)),))[0]
    assert kinds(wide)["projection:k"] == "wide_conv"


def test_synapses_between_the_same_two_neurons_do_not_merge():
    sparse = SparseProjection("s", "in", "n", np.array([2, 4, 6, 8], np.int16), int32([1, 1, 0, 1]), int32([0, 3, 4]))
    blueprint, _ = plan((lif("n"),), (sparse,))
    parts = [part for part in blueprint.parts if part.kind == "sparse"]
    assert [part.name for part in parts] == ["projection:s", "projection:s#1"]
    assert parts[0].arrays["data"].tolist() == [2, 6, 8]
    assert parts[1].arrays["data"].tolist() == [4]


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 3, 4), (2, 1, 3, 2)])
def test_layout_comes_back(shape):
    array = np.arange(2 * int(np.prod(shape))).reshape(2, *shape)
    there = to_lava(array, shape)
    assert there.shape == (2, *lava_shape(shape))
    np.testing.assert_array_equal(from_lava(there, shape), array)
    np.testing.assert_array_equal(array.reshape(2, -1)[:, neuron_order(shape)], there.reshape(2, -1))
    assert parameter(int32(7), shape).ndim == len(lava_shape(shape))


def test_windows_follow_each_other_without_overlap():
    window = Window(period=4, timesteps=3, lag=2)
    moments = [window.locate(step) for step in range(1, 13)]
    assert moments[:2] == [None, None]
    assert moments[2:] == [(0, 0), (0, 1), (0, 2), None, (1, 0), (1, 1), (1, 2), None, (2, 0), (2, 1)]


@pytest.mark.parametrize("seed", range(20))
def test_a_schedule_lets_every_sample_leave(seed):
    network = without_idle_projections(random_network(seed))
    schedule = make_schedule(network)
    last = max(schedule.final_step(neuron.name) for neuron in network.neurons)
    assert schedule.lag * schedule.period < last <= (schedule.lag + 1) * schedule.period or schedule.lag == 0
    assert last <= (schedule.lag + 1) * schedule.period
    assert 1 <= schedule.chunk <= SLOTS_MAX


def test_rings_stay_small_for_large_networks():
    port, big = InputPort("in", (4000,)), lif("n", (3000, 10, 10))
    network = IntegerNetwork("n", 100, (port,), (big,), (), ("n",))
    schedule = make_schedule(network)
    assert 1 <= schedule.chunk < SLOTS_MAX
    assert schedule.slots * 100 * (4000 + 300000) <= 2 * RING_BYTES


def test_blueprints_survive_the_disk(tmp_path):
    network = without_idle_projections(random_network(6))
    blueprint = plan_processes(network, make_schedule(network), recorded=[n.name for n in network.neurons])
    blueprint.save(tmp_path)
    again = Blueprint.load(tmp_path)
    assert kinds(again) == kinds(blueprint)
    assert again.wires == blueprint.wires
    for before, after in zip(blueprint.parts, again.parts, strict=True):
        assert {*before.arrays} == {*after.arrays}
        for key, array in before.arrays.items():
            np.testing.assert_array_equal(after.arrays[key], array)
