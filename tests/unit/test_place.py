"""Placement on neurocores, counted by hand on small networks and by brute force on random ones."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from hsnn.errors import CapacityError
from hsnn.ir.chip import Chip, Limit
from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.mapping import Mapping, PopulationSlice
from hsnn.ir.populations import ConstantSource, InputPort, LifPopulation, ResonatorPopulation, received_shape
from hsnn.ir.projections import ConvProjection, DenseProjection, SparseProjection
from hsnn.ir.shape import part_indices, size
from hsnn.passes.mapping.needs import chip_order
from hsnn.passes.mapping.place import capacity_report, place
from hsnn.verify.random_networks import FEATURES, random_network
from hsnn_targets.reference import TARGET as REFERENCE

ZERO = np.zeros((), np.int32)
DEFAULTS = {
    "neurocores": 100,
    "neurons": 1000,
    "synapse_bits": 10**9,
    "axons_in": 10**6,
    "axons_out": 10**6,
    "delay": 62,
    "refractory": 64,
    "payload_bits": 24,
    "weight_bits": 8,
    "index_bits": 12,
    "delay_bits": 6,
    "conv_shared": 1,
}


def chip(**limits):
    values = {**DEFAULTS, **limits}
    return Chip(
        "test", "a chip", **{name: Limit(value, "things", "a test", "measured") for name, value in values.items()}
    )


def lif(name, *shape, **options):
    return LifPopulation(name, shape, ZERO, ZERO, ZERO, ZERO, **options)


def dense(name, pre, post, shape, **options):
    return DenseProjection(name, pre, post, np.zeros(shape, np.int16), **options)


def network(populations, projections, inputs=None, outputs=None):
    inputs = (InputPort("in", (4,)),) if inputs is None else tuple(inputs)
    outputs = (populations[-1].name,) if outputs is None else outputs
    return IntegerNetwork("net", 4, inputs, tuple(populations), tuple(projections), outputs)


def one_layer(**options):
    return network([lif("a", 3)], [dense("p", "in", "a", (3, 4), **options)])


def convolution(groups=1, **options):
    """One 4 x 4 image channel to two channels of the same size by 3 x 3 kernels; or two to two, apart."""
    weights = np.zeros((2, 1, 3, 3), np.int16)
    return network(
        [lif("a", 2, 4, 4)],
        [ConvProjection("p", "in", "a", weights, padding=(1, 1), groups=groups, **options)],
        inputs=[InputPort("in", (groups, 4, 4))],
    )


def slices(mapping):
    return [[(part.population, part.first, part.last) for part in core.slices] for core in mapping.neurocores]


def test_a_dense_layer_counted_by_hand():
    mapping = place(one_layer(), chip())
    (core,) = mapping.neurocores
    assert core.slices == (PopulationSlice("net", "a", 0, 3),)
    assert (core.neurons, core.synapse_bits, core.axons_in, core.axons_out) == (3, 3 * 4 * 8, 4, 3)
    assert mapping.totals == {"neurocores": 1, "neurons": 3, "synapse_bits": 96, "axons_in": 4, "axons_out": 3}


@pytest.mark.parametrize(
    ("options", "bits"),
    [({}, 8), ({"num_weight_bits": 4}, 4), ({"delay": 1}, 8 + 6), ({"num_weight_bits": 1, "delay": 62}, 1 + 6)],
)
def test_bits_of_dense_synapses(options, bits):
    assert place(one_layer(**options), chip()).totals["synapse_bits"] == 12 * bits


def test_resonators_have_two_rows_of_synapses_each():
    neurons = ResonatorPopulation("a", (3,), ZERO, ZERO, ZERO)
    net = network([neurons], [dense("p", "in", "a", (6, 4))])
    assert place(net, chip()).totals == {
        "neurocores": 1,
        "neurons": 3,
        "synapse_bits": 2 * 3 * 4 * 8,
        "axons_in": 4,
        "axons_out": 3,
    }
    assert slices(place(net, chip(synapse_bits=2 * 4 * 8))) == [[("a", 0, 1)], [("a", 1, 2)], [("a", 2, 3)]]


def test_sparse_synapses_take_an_index_each_and_axons_only_where_they_lead():
    data, indices = np.zeros(4, np.int16), np.array([1, 3, 3, 1], np.int32)
    sparse = SparseProjection("p", "in", "a", data, indices, np.array([0, 2, 2, 4], np.int32))
    net = network([lif("a", 3)], [sparse])
    (core,) = place(net, chip()).neurocores
    assert (core.synapse_bits, core.axons_in) == (4 * (8 + 12), 2)
    first, second = place(net, chip(neurons=2)).neurocores
    assert (first.synapse_bits, first.axons_in) == (2 * 20, 2)
    assert (second.synapse_bits, second.axons_in) == (2 * 20, 2)


def test_a_shared_kernel_is_stored_once_per_neurocore():
    (core,) = place(convolution(), chip()).neurocores
    assert (core.neurons, core.synapse_bits, core.axons_in) == (32, 2 * 9 * 8, 16)
    first, second = place(convolution(), chip(neurons=16)).neurocores
    assert first.synapse_bits == second.synapse_bits == 2 * 9 * 8
    assert first.axons_in == second.axons_in == 12  # two rows of outputs see three rows of inputs
    assert place(convolution(delay=3), chip()).totals["synapse_bits"] == 2 * 9 * (8 + 6)


def test_a_kernel_in_full_counts_every_synapse_inside_the_borders():
    # along one axis of four the kernel reaches 2 + 3 + 3 + 2 inputs, so 100 per channel
    (core,) = place(convolution(), chip(conv_shared=0)).neurocores
    assert core.synapse_bits == 2 * 100 * (8 + 12)


def test_slices_of_a_convolution_run_over_pixels_with_all_channels():
    mapping = place(convolution(), chip(axons_in=9))
    assert slices(mapping)[:2] == [[("a", 0, 8)], [("a", 8, 12)]]  # a row of outputs, then two pixels
    assert [core.axons_in for core in mapping.neurocores[:2]] == [8, 9]


def test_channel_groups_listen_to_their_own_channels():
    # one output channel at the first pixel sees 2 x 2 inputs of its own channel, both together 8
    first = place(convolution(groups=2), chip(neurons=1)).neurocores[0]
    assert (first.axons_in, first.synapse_bits) == (4, 9 * 8)
    first = place(convolution(groups=2), chip(neurons=2)).neurocores[0]
    assert (first.axons_in, first.synapse_bits) == (8, 2 * 9 * 8)


@pytest.mark.parametrize("resource", ["neurons", "synapse_bits", "axons_in", "axons_out"])
def test_limits_hold_exactly_and_break_by_one(resource):
    need = {"neurons": 3, "synapse_bits": 96, "axons_in": 4, "axons_out": 3}[resource]
    (core,) = place(one_layer(), chip(**{resource: need})).neurocores
    assert (core.utilization, core.bottleneck) == (1.0, resource)
    if resource == "axons_in":  # every neuron of a dense layer needs them all
        assert not capacity_report(one_layer(), chip(axons_in=need - 1)).fits
    else:
        mapping = place(one_layer(), chip(**{resource: need - 1}))
        assert slices(mapping) == [[("a", 0, 2)], [("a", 2, 3)]]


def test_small_populations_share_a_neurocore_and_sources_count_once():
    net = network(
        [lif("a", 3), lif("b", 2)],
        [dense("p", "in", "a", (3, 4)), dense("q", "in", "b", (2, 4)), dense("r", "a", "b", (2, 3))],
    )
    (core,) = place(net, chip()).neurocores
    assert (core.neurons, core.axons_in) == (5, 4 + 3)
    assert core.axons_out == 3 + 2  # each of a to this neurocore, each of b to the host
    assert core.synapse_bits == 8 * (12 + 8 + 6)


def test_two_projections_from_one_source_take_one_axon():
    net = network([lif("a", 3)], [dense("p", "in", "a", (3, 4)), dense("q", "in", "a", (3, 4), delay=2)])
    (core,) = place(net, chip()).neurocores
    assert (core.axons_in, core.synapse_bits) == (4, 12 * 8 + 12 * 14)


def test_axons_out_count_the_neurocores_of_the_targets():
    net = network([lif("a", 4), lif("b", 6)], [dense("p", "in", "a", (4, 4)), dense("q", "a", "b", (6, 4))])
    mapping = place(net, chip(neurons=4))
    assert slices(mapping) == [[("a", 0, 4)], [("b", 0, 4)], [("b", 4, 6)]]
    assert [core.axons_out for core in mapping.neurocores] == [4 * 2, 4, 2]


def test_a_source_is_cut_until_its_axons_out_hold():
    net = network([lif("a", 4), lif("b", 8)], [dense("p", "in", "a", (4, 4)), dense("q", "a", "b", (8, 4))])
    mapping = place(net, chip(neurons=4, axons_out=6))
    assert all(core.axons_out <= 6 for core in mapping.neurocores)
    assert mapping.totals["axons_out"] == 4 * 2 + 8


def test_recurrence_counts_the_neurocores_of_the_population_itself():
    net = network([lif("a", 4)], [dense("p", "a", "a", (4, 4), delay=1)], outputs=())
    mapping = place(net, chip(neurons=2))
    assert [(core.axons_in, core.axons_out) for core in mapping.neurocores] == [(4, 4), (4, 4)]


def test_constant_sources_are_neurons():
    net = network([ConstantSource("one"), lif("a", 3)], [dense("p", "one", "a", (3, 1)), dense("q", "in", "a", (3, 4))])
    (core,) = place(net, chip()).neurocores
    assert (core.neurons, core.axons_in, core.axons_out) == (4, 5, 1 + 3)


def test_segments_lie_on_neurocores_of_their_own():
    nets = [replace(one_layer(), name=name) for name in ("chip.0", "chip.1")]
    mapping = place(nets, chip())
    assert [[part.segment for part in core.slices] for core in mapping.neurocores] == [["chip.0"], ["chip.1"]]
    assert mapping.totals["axons_out"] == 6  # equal names in another segment are other neurons


def test_too_big_a_network_tells_what_where_how_much_and_what_helps():
    net = network([lif("big", 40), lif("small", 2)], [dense("p", "in", "big", (40, 4))])
    with pytest.raises(CapacityError, match="HSNN-C010") as caught:
        place(net, chip(neurocores=3, neurons=10))
    error = caught.value
    assert error.exit_status == 4
    assert "neurocores: segment 'net' needs 5; allowed 3 things (measured: a test)" in error.found
    assert "'big' of 'net': 40 neurons, 1,280 bits of synapses, on 4 neurocores" in error.found
    assert error.allowed == "3 things (measured: a test)"
    assert "--pin" in error.fix


def test_a_neuron_that_fits_nowhere_names_its_population_and_the_rest_is_still_counted():
    net = network([lif("a", 3), lif("b", 2)], [dense("p", "in", "a", (3, 4)), dense("q", "in", "b", (2, 4))])
    report = capacity_report(net, chip(axons_in=3))
    assert [(found.resource, found.needed) for found in report.shortages] == [("axons_in", 4), ("axons_in", 4)]
    assert "one neuron of population 'a' of segment 'net' needs 4; allowed 3 things" in report.text
    assert "'a' of 'net': 3 neurons, 96 bits of synapses, does not fit" in report.text
    assert [needs.neurocores for needs in report.mapping.populations] == [0, 0]


def test_assumed_limits_point_to_a_file_of_the_users_own():
    base = chip(axons_in=3)
    guess = replace(base, axons_in=Limit(3, "axons", "a guess", "assumed"))
    assert "--chip FILE.toml" not in capacity_report(one_layer(), base).text
    assert "--chip FILE.toml" in capacity_report(one_layer(), guess).text


@pytest.mark.parametrize(
    ("resource", "value", "net", "needed"),
    [
        ("delay", 4, one_layer(delay=5), 5),
        ("weight_bits", 5, one_layer(num_weight_bits=6), 6),
        ("refractory", 1, network([lif("a", 3, refractory=2)], [dense("p", "in", "a", (3, 4))]), 2),
        ("payload_bits", 7, replace(one_layer(), inputs=(InputPort("in", (4,), 127, True),)), 8),
    ],
)
def test_limits_of_neurons_and_synapses(resource, value, net, needed):
    assert capacity_report(net, chip(**{resource: needed})).fits
    (found,) = capacity_report(net, chip(**{resource: value})).shortages
    assert (found.resource, found.needed, found.limit.value) == (resource, needed, value)


def test_axons_out_of_one_neuron_that_fit_nowhere():
    net = network([lif("a", 1), lif("b", 6)], [dense("p", "in", "a", (1, 4)), dense("q", "a", "b", (6, 1))])
    report = capacity_report(net, chip(neurons=2, axons_out=2))
    assert not report.fits
    assert {found.resource for found in report.shortages} == {"axons_out"}


def test_json_is_plain_and_agrees():
    mapping = place(one_layer(), chip())
    content = json.loads(json.dumps(mapping.to_json()))
    assert content == json.loads(json.dumps(capacity_report(one_layer(), chip()).to_json()))
    assert content["fits"] is True
    assert content["chip"] == "test"
    assert content["shortages"] == []
    by_name = {resource["name"]: resource for resource in content["resources"]}
    assert (by_name["synapse_bits"]["used"], by_name["synapse_bits"]["allowed"]) == (96, 10**9)
    assert content["neurocores"][0]["slices"] == [{"segment": "net", "population": "a", "first": 0, "last": 3}]
    lacking = capacity_report(one_layer(), chip(axons_in=3)).to_json()
    assert lacking["fits"] is False
    assert lacking["shortages"][0]["needed"] == 4


def test_nothing_to_place():
    assert place((), chip()) == Mapping(chip(), (), ())


def test_a_network_of_ports_alone():
    assert place(network([], [], outputs=("in",)), chip()).totals["neurocores"] == 0


def connections(net, projection):
    """Which sources reach which neurons, in chip order, found by running the reference on single spikes."""
    ones = (
        {"data": np.full(projection.data.shape, 2, np.int16)}
        if isinstance(projection, SparseProjection)
        else {"weights": np.full(projection.weights.shape, 2, np.int16)}
    )
    target = net.source(projection.post)
    pre, post = net.source(projection.pre).shape, received_shape(target)
    probe = replace(projection, pre="probe", post="ear", delay=0, weight_exp=0, **ones)
    if isinstance(probe, DenseProjection):
        probe = replace(probe, sign_mode="mixed", num_weight_bits=8)
    ear = LifPopulation("ear", post, np.array(4095, np.int32), ZERO, ZERO, ZERO)
    count = size(pre)
    spikes = np.eye(count, dtype=np.int32)[chip_order(pre)].reshape(1, count, *pre)
    single = IntegerNetwork("probe", 1, (InputPort("probe", pre),), (ear,), (probe,), ("ear",))
    heard = REFERENCE.load(single).run({"probe": spikes}).outputs["ear"]
    if isinstance(target, ResonatorPopulation):  # a neuron hears what reaches either part of it
        parts = part_indices(target.shape).reshape(2, -1)
        either = heard.reshape(count, -1)[:, parts].any(axis=1)
        return either[:, chip_order(target.shape)].T
    return heard.reshape(count, -1)[:, chip_order(post)].T.astype(bool)


@pytest.mark.parametrize("resonate", [False, True])
@pytest.mark.parametrize("seed", range(40))
def test_random_networks_are_placed_whole_and_within_limits(seed, resonate):
    net = random_network(seed, features=FEATURES | ({"resonator"} if resonate else set()))
    limits = chip(neurons=20, synapse_bits=40_000, axons_in=300, axons_out=150, neurocores=10**4)
    report = capacity_report(net, limits)
    assert report == capacity_report(net, limits)
    reached = {projection.name: connections(net, projection) for projection in net.projections}
    ends = {p.name: 0 for p in net.populations}
    for core in report.mapping.neurocores:
        sources = set()
        for part in core.slices:
            assert part.first == ends[part.population]
            ends[part.population] = part.last
            for projection in net.into(part.population):
                rows = reached[projection.name][part.first : part.last]
                sources |= {(projection.pre, source) for source in np.flatnonzero(rows.any(axis=0))}
        assert core.axons_in == len(sources)
        assert core.neurons == sum(part.last - part.first for part in core.slices) <= 20
        assert core.synapse_bits <= 40_000
        assert core.utilization <= 1.0
    refused = {needs.population for needs in report.mapping.populations if needs.neurocores == 0}
    assert all(ends[p.name] == size(p.shape) for p in net.populations if p.name not in refused)
    assert report.fits == (not refused)
