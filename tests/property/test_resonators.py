"""Resonate-and-fire neurons: every back end computes what the reference does."""

from __future__ import annotations

import numpy as np
import pytest

from hsnn.artifact.networks import decode_network, encode_network
from hsnn.errors import HsnnError
from hsnn.ir import arithmetic as rules
from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.populations import InputPort, ResonatorPopulation, received_shape
from hsnn.ir.projections import DenseProjection
from hsnn.ir.validate import validate_network
from hsnn.report.integer_states import replay
from hsnn_targets.emulator.target import EmulatorTarget
from hsnn_targets.emulator.tiers import usable_tiers
from hsnn_targets.reference.machine import ReferenceTarget
from support.neuron_kinds import draw, populations_of
from support.results import require_equal


def test_emulator_equals_reference():
    fired, shapes = {"phase": 0, "izhikevich": 0}, set()
    for seed in range(150):
        network, inputs = draw("resonators", seed, timesteps=(None, None, 1, 60)[seed % 4])
        expected = ReferenceTarget().load(network).run(inputs, trace=True)
        for tier in usable_tiers():
            require_equal(EmulatorTarget(tier=tier).load(network).run(inputs, trace=True), expected)
        for neuron in populations_of("resonators", network):
            fired[neuron.firing] += expected.spike_counts[neuron.name]
            shapes.add(len(neuron.shape))
    assert min(fired.values()) > 500
    assert shapes == {1, 3}


def test_any_number_of_axes():
    """Parts take turns along the first axis, whatever comes behind it."""
    rng = np.random.default_rng(0)
    shape = (3, 5, 2, 2)
    turn = 4000 * np.exp(2j * np.pi / rng.uniform(4, 20, shape))
    cos, sin = np.rint(turn.real).astype(np.int32), np.rint(turn.imag).astype(np.int32)
    neuron = ResonatorPopulation("rf", shape, cos, sin, np.array(3000, np.int32), "izhikevich")
    weights = (2 * rng.integers(-60, 60, (120, 4))).astype(np.int16)
    network = IntegerNetwork(
        "axes", 40, (InputPort("in", (4,)),), (neuron,), (DenseProjection("p", "in", "rf", weights),), ("rf",)
    )
    inputs = {"in": (rng.random((40, 2, 4)) < 0.5).astype(np.int32)}
    expected = ReferenceTarget().load(network).run(inputs, trace=True)
    found = EmulatorTarget().load(network).run(inputs, trace=True)
    np.testing.assert_array_equal(expected.outputs["rf"], found.outputs["rf"])
    assert 0 < expected.outputs["rf"].mean() < 1
    # by complex numbers, one neuron at a time: what rounding leaves differs by less than a unit a timestep and part
    state, cell = 0j, (2, 1, 0, 1)
    place = np.ravel_multi_index((4, 1, 0, 1), (6, 5, 2, 2))
    other = np.ravel_multi_index((5, 1, 0, 1), (6, 5, 2, 2))
    spikes = []
    for sent in inputs["in"][:, 0]:
        state = state * turn[cell] / 4096 + 64 * complex(weights[place] @ sent, weights[other] @ sent)
        spikes.append(state.imag >= 3000)
        state = complex(0, 2999) if spikes[-1] else state
    assert np.mean(np.array(spikes) == expected.outputs["rf"][:, 0][(slice(None), *cell)]) > 0.9


def test_a_replay_and_an_artifact_keep_them():
    for seed in range(30):
        network, inputs = draw("resonators", seed)
        structure, arrays = encode_network(network, "n.json")
        again = decode_network(structure, arrays, "n.json")
        expected = ReferenceTarget().load(again).run(inputs, trace=True)
        for neuron in populations_of("resonators", network):
            states = replay(network, neuron.name, {**inputs, **expected.spikes})
            np.testing.assert_array_equal(states.sent, expected.spikes[neuron.name])


@pytest.mark.parametrize(
    "change",
    [
        {"shape": ()},
        {"cos_decay": np.array(4097, np.int32)},
        {"sin_decay": np.array(-4097, np.int32)},
        {"threshold": np.array(-1, np.int32)},
        {"firing": "never"},
    ],
)
def test_parameters_are_checked(change):
    zero = np.zeros((), np.int32)
    fields = {"shape": (2,), "cos_decay": zero, "sin_decay": zero, "threshold": zero, "firing": "phase"} | change
    with pytest.raises(HsnnError, match="HSNN-I001"):
        validate_network(IntegerNetwork("n", 1, (), (ResonatorPopulation("rf", **fields),), (), ("rf",)))


def test_projections_have_both_parts():
    zero = np.zeros((), np.int32)
    neuron = ResonatorPopulation("rf", (2,), zero, zero, zero)
    assert received_shape(neuron) == (4,)
    for rows, right in ((4, True), (2, False)):
        projection = DenseProjection("p", "in", "rf", np.zeros((rows, 3), np.int16))
        network = IntegerNetwork("n", 1, (InputPort("in", (3,)),), (neuron,), (projection,), ("rf",))
        if right:
            validate_network(network)
        else:
            with pytest.raises(HsnnError, match="HSNN-I001"):
                validate_network(network)


def test_states_saturate_and_reset_at_the_edges():
    """The largest state stays, and a threshold of 0 resets to -1."""
    most = np.array([rules.VOLTAGE_MAX], np.int32)
    one = np.array([4096], np.int64)
    level = np.array([0], np.int32)
    spikes, real, imag = rules.resonate(
        most, -most, (most >> 6, most >> 6), decays=(one, one), threshold=level, firing="phase"
    )
    assert (spikes.tolist(), real.tolist(), imag.tolist()) == ([True], most.tolist(), [(most[0] >> 6) << 6])
    spikes, real, imag = rules.resonate(
        most, most, (-most, most), decays=(one, one), threshold=level, firing="izhikevich"
    )
    assert (spikes.tolist(), real.tolist(), imag.tolist()) == ([True], [0], [-1])
