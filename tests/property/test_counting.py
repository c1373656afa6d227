"""Neurons that send several spikes in a timestep, and floors: every back end does what the reference does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hsnn.artifact.networks import decode_network, encode_network
from hsnn.commands.describe import describe_network
from hsnn.errors import HsnnError
from hsnn.ir import arithmetic as rules
from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.populations import CountingLifPopulation, InputPort, largest_payload, sends_spikes
from hsnn.ir.projections import DenseProjection
from hsnn.ir.validate import validate_network
from hsnn.recording import Recording
from hsnn.report.integer_states import replay
from hsnn_targets.emulator.machine import EmulatorExecutable
from hsnn_targets.emulator.target import EmulatorTarget
from hsnn_targets.emulator.tiers import usable_tiers
from hsnn_targets.reference.machine import ReferenceTarget
from support.neuron_kinds import draw, populations_of
from support.results import require_equal


def test_emulator_equals_reference():
    several = many = binary = floored = 0
    for seed in range(80):
        network, inputs = draw("counting", seed, timesteps=(None, None, 1, 60)[seed % 4])
        expected = ReferenceTarget().load(network).run(inputs, trace=True)
        for tier in usable_tiers():
            require_equal(EmulatorTarget(tier=tier).load(network).run(inputs, trace=True), expected)
        for neuron in populations_of("counting", network):
            sent = expected.spikes[neuron.name]
            assert sent.max(initial=0) <= largest_payload(neuron)[0] <= neuron.max_spikes
            several += int((sent > 1).sum())
            many += int((sent > 1000).sum())
            binary += sends_spikes(neuron)
            below = (expected.voltage[neuron.name] == neuron.v_min) & (neuron.v_min < 0)
            floored += int(np.count_nonzero(below & (neuron.v_min > -rules.VOLTAGE_MAX)))
    assert several > 3_000
    assert many > 60
    assert binary > 15
    assert floored > 250


@pytest.mark.skipif(usable_tiers() == ("portable",), reason="this processor has no products of bytes")
def test_counts_that_bytes_hold_run_as_products():
    most = 0
    for seed in range(0, 300, 3):
        network, inputs = draw("counting", seed)
        neurons = tuple(
            replace(n, max_spikes=100 + 28 * (seed % 2)) if n in populations_of("counting", network) else n
            for n in network.populations
        )
        network = replace(network, populations=neurons)
        expected = ReferenceTarget().load(network).run(inputs, trace=True)
        for tier in set(usable_tiers()) - {"portable"}:
            executable = EmulatorExecutable(network, 1, tier, "products")
            require_equal(executable.run(inputs, trace=True), expected)
            ways = executable.usage()
            ran = {p.pre for p in network.projections if p.name in ways and ways[p.name].products}
            most = max(
                [
                    most,
                    *(int(expected.spikes[n.name].max()) for n in populations_of("counting", network) if n.name in ran),
                ]
            )
    assert most == 128


def test_recordings_replays_and_artifacts_keep_them():
    for seed in range(30):
        network, inputs = draw("counting", seed)
        again = decode_network(*encode_network(network, "n.json"), "n.json")
        expected = ReferenceTarget().load(again).run(inputs, trace=True)
        found = EmulatorTarget().load(network).record(inputs, Recording(states=True))
        for neuron in populations_of("counting", network):
            states = replay(network, neuron.name, {**inputs, **expected.spikes})
            np.testing.assert_array_equal(states.sent, expected.spikes[neuron.name])
            np.testing.assert_array_equal(found.packed[neuron.name].unpack(), states.sent > 0)
            np.testing.assert_array_equal(found.voltages[neuron.name][-1], expected.voltage[neuron.name])


def population(**changes):
    zero = np.zeros((), np.int32)
    fields = {"du": zero + 4095, "dv": zero, "threshold": zero + 9, "bias_mant": zero, "reset": "subtract"}
    return CountingLifPopulation("n", (1,), **{**fields, "reset_amount": zero + 10, **changes})


def one(neuron, drive):
    """A network of one neuron, and what it gets: ``drive`` units of 64, timestep after timestep."""
    weights = np.full((1, 1), 2, np.int16)
    network = IntegerNetwork(
        "n",
        len(drive),
        (InputPort("in", (1,), 1000, signed=True),),
        (neuron,),
        (DenseProjection("p", "in", "n", weights),),
        ("n",),
    )
    return network, {"in": np.array(drive, np.int32).reshape(-1, 1, 1)}


def wide(seed, odd):
    """Layers of several tiles; the first sends counts of 0 to 2**23 - 1 through rows of bytes, or of shorts if odd."""
    rng = np.random.default_rng(seed)
    sizes, projections, populations = (40, 150, 70), [], []
    threshold = rng.choice(np.array([0, 1, 99, 60_000, 400_000, rules.VOLTAGE_MAX], np.int32), sizes[1])
    for place, n in enumerate(sizes[1:]):
        sign = "excitatory" if odd else "mixed"
        weights = rng.integers(0, 256, (n, sizes[place])) if odd else 2 * rng.integers(-100, 101, (n, sizes[place]))
        ends = f"n{place - 1}", f"n{place}"
        projections.append(DenseProjection(f"p{place}", *ends, weights.astype(np.int16), sign_mode=sign))
        reset = ("zero", "subtract")[int(rng.integers(2))]
        limits = {} if place else {"threshold": threshold, "reset_amount": np.minimum(threshold + 1, 5_001)}
        limits.setdefault("max_spikes", int(rng.choice([2, 7, rules.VOLTAGE_MAX])))
        floor = -rng.integers(0, 9_000, n).astype(np.int32)
        populations.append(replace(population(reset=reset, v_min=floor, **limits), name=f"n{place}", shape=(n,)))
    port = InputPort("n-1", sizes[:1], 3)
    network = IntegerNetwork("n", 20, (port,), tuple(populations), tuple(projections), ("n1",))
    return network, {"n-1": (rng.integers(0, 4, (20, 2, 40)) * (rng.random((20, 2, 40)) < 0.3)).astype(np.int32)}


@pytest.mark.parametrize("tier", usable_tiers())
def test_rows_are_added_as_often_as_neurons_spiked(tier):
    most = ones = 0
    for seed in range(12):
        network, inputs = wide(seed, seed % 2)
        expected = ReferenceTarget().load(network).run(inputs, trace=True)
        require_equal(EmulatorTarget(tier=tier).load(network).run(inputs, trace=True), expected)
        most, ones = max(most, int(expected.spikes["n0"].max())), ones + int((expected.spikes["n0"] == 1).sum())
    assert most > 1 << 15
    assert ones > 400


@pytest.mark.parametrize("tier", usable_tiers())
def test_counts_about_whole_numbers(tier):
    """A neuron gets 128 times a payload, and its bias; with some payload it has ``k`` thresholds or 1 less."""
    rng = np.random.default_rng(5)
    payloads = np.append(rng.integers(0, 1 << 16, 199), (1 << 16) - 1)
    k = np.geomspace(1, 90, 512).astype(np.int64)
    due = 128 * rng.choice(payloads, k.size) + 128
    threshold = np.maximum(due // k, 1)
    bias = np.minimum(127 + np.arange(k.size) % 2 - due % k, 127)
    neuron = population(dv=np.array(4096, np.int32), reset="zero", threshold=(threshold - 1).astype(np.int32))
    neuron = replace(neuron, shape=k.shape, bias_mant=bias.astype(np.int32), reset_amount=np.zeros((), np.int32))
    projection = DenseProjection("p", "in", "n", np.full((k.size, 1), 2, np.int16))
    port = InputPort("in", (1,), (1 << 16) - 1)
    network = IntegerNetwork("n", payloads.size, (port,), (neuron,), (projection,), ("n",))
    inputs = {"in": payloads.astype(np.int32).reshape(-1, 1, 1)}
    found = EmulatorTarget(tier=tier).load(network).run(inputs).outputs["n"][:, 0]
    voltages = 128 * payloads[:, None] + bias
    assert voltages.max() == rules.VOLTAGE_MAX
    assert np.count_nonzero(voltages % threshold == threshold - 1) > 200
    assert np.count_nonzero(voltages % threshold == 0) > 100
    np.testing.assert_array_equal(found, voltages // threshold)
    require_equal(EmulatorTarget(tier=tier).load(network).run(inputs), ReferenceTarget().load(network).run(inputs))


@pytest.mark.parametrize("target", [ReferenceTarget(), EmulatorTarget()])
def test_by_hand(target):
    """128 a unit: v is 128, 384 and so on; 10 leave for every spike, and a floor of -200 holds what falls below it."""
    network, inputs = one(population(v_min=np.array(-200, np.int32)), (1, 3, -4, 1, 2))
    found = target.load(network).run(inputs, trace=True)
    # 128; 8 + 384; 2 - 512 -> -200; -200 + 128; -72 + 256
    assert found.outputs["n"].ravel().tolist() == [12, 39, 0, 0, 18]
    assert found.voltage["n"].ravel().tolist() == [4]
    assert dict(found.spike_counts) == {"n": 3}
    capped, inputs = one(population(max_spikes=5), (1, 0, 0, 1))
    # what a cap leaves stays for the next timestep: 128, 78, 28, 8 + 128
    assert target.load(capped).run(inputs).outputs["n"].ravel().tolist() == [5, 5, 2, 5]


def test_extreme_integers():
    most = rules.VOLTAGE_MAX
    v = np.array([most, -most, 0, 1, most], np.int32)
    threshold = np.array([0, 0, 0, 0, most], np.int32)
    assert rules.count_spikes(v, threshold, most).tolist() == [most, 0, 0, 1, 0]
    assert rules.count_spikes(v, threshold, 1).tolist() == [1, 0, 0, 1, 0]


def test_a_description_says_what_they_send():
    network, _ = one(population(max_spikes=5), (1,))
    (found,) = describe_network(network)["populations"]
    assert {"kind": "counting LIF", "max_spikes": 5, "largest_count": 5}.items() <= found.items()


@pytest.mark.parametrize(
    "change",
    [
        {"max_spikes": 0},
        {"max_spikes": 1 << 23},
        {"v_min": np.array(1, np.int32)},
        {"v_min": np.array(-(1 << 23), np.int32)},
        {"reset": "none"},
        {"reset_amount": np.array(11, np.int32)},
    ],
)
def test_parameters_are_checked(change):
    with pytest.raises(HsnnError, match="HSNN-I001"):
        validate_network(one(population(**change), (1,))[0])
