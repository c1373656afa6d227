"""Networks that learn: what they may contain, how they are kept, and which targets refuse them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hsnn.artifact import schema_network
from hsnn.artifact.networks import ARRAYS, decode_network, encode_network
from hsnn.errors import ArtifactError, HsnnError
from hsnn.ir.learning import LearningRule, Trace
from hsnn.ir.plastic import LearnerPopulation, PlasticProjection
from hsnn.ir.populations import ConstantSource
from hsnn.ir.validate import validate_network
from hsnn.learning import label_train, learn
from hsnn.passes.mapping.epochs import learning_clock
from hsnn.verify.random_learning import random_lesson_network
from hsnn.verify.random_networks import random_inputs, random_network
from hsnn_targets.gpu.target import GpuTarget
from hsnn_targets.reference import TARGET as REFERENCE


@pytest.fixture(scope="module")
def network():
    """Learners behind one plastic projection."""
    return next(n for n in map(random_lesson_network, range(100)) if len(n.populations) == 1 and len(n.inputs) == 2)


def with_projection(network, **changes):
    return dataclasses.replace(
        network, projections=(dataclasses.replace(network.projections[0], **changes), *network.projections[1:])
    )


def with_population(network, **changes):
    return dataclasses.replace(network, populations=(dataclasses.replace(network.populations[0], **changes),))


def code_of(network):
    with pytest.raises(HsnnError) as caught:
        validate_network(network)
    return caught.value.code


def test_the_wrong_network_is_refused(network):
    wide = np.full_like(network.projections[0].weights, 300)
    assert code_of(with_projection(network, weights=wide)) == "HSNN-I001"
    assert code_of(with_projection(network, tag=network.projections[0].tag[1:])) == "HSNN-I001"
    assert code_of(with_projection(network, delay=1)) == "HSNN-I001"
    assert code_of(with_projection(network, rule=LearningRule())) == "HSNN-I014"
    rule = dataclasses.replace(network.projections[0].rule, y1=Trace(1, 1))
    assert code_of(with_projection(network, rule=rule)) == "HSNN-I014"
    assert code_of(with_population(network, label="input0")) == "HSNN-I001"
    assert code_of(with_population(network, reward=128)) == "HSNN-I001"
    assert code_of(with_population(network, reset="zero")) == "HSNN-I001"
    assert code_of(with_population(network, stability=network.populations[0].stability - 128)) == "HSNN-I001"


def test_nothing_learns_from_a_constant_source(network):
    constant = ConstantSource("one", (network.projections[0].weights.shape[1],))
    changed = dataclasses.replace(with_projection(network, pre="one"), populations=(constant, *network.populations))
    assert code_of(changed) == "HSNN-I015"


@pytest.mark.parametrize("seed", range(12))
def test_a_network_is_kept_exactly(seed):
    network = random_lesson_network(seed)
    again = decode_network(*encode_network(network, "n.json"), "n.json")
    for old, new in zip(
        (*network.projections, *network.populations), (*again.projections, *again.populations), strict=True
    ):
        assert type(old) is type(new)
        for field in dataclasses.fields(old):
            np.testing.assert_equal(getattr(new, field.name), getattr(old, field.name))


def test_a_rule_that_was_edited_is_refused(network):
    structure, arrays = encode_network(network, "n.json")
    text = network.projections[0].rule
    broken = structure.replace(b'"epoch": %d' % text.epoch, b'"epoch": 64').replace(
        b'"epoch":%d' % text.epoch, b'"epoch":64'
    )
    assert broken != structure
    with pytest.raises(ArtifactError) as caught:
        decode_network(broken, arrays, "n.json")
    assert caught.value.code == "HSNN-A014"


def test_schema_mirrors_the_dataclasses():
    pairs = {
        schema_network.Plastic: (PlasticProjection, "plastic"),
        schema_network.Learner: (LearnerPopulation, "learner"),
    }
    for model, (kind, name) in pairs.items():
        fields = {field.name for field in dataclasses.fields(kind)} - set(ARRAYS[name])
        assert set(model.model_fields) - {"kind"} == fields
    rule = {field.name for field in dataclasses.fields(LearningRule)} - {"decimate"}
    assert set(schema_network.Rule.model_fields) - {"version"} == rule


def test_a_period_holds_whole_epochs_and_every_spike():
    for seed in range(40):
        network = random_lesson_network(seed)
        clock = learning_clock(network)
        assert clock.period >= network.timesteps + max(clock.depth.values())
        assert all(clock.period % p.rule.epoch == 0 for p in network.projections)


def test_labels():
    train = label_train(np.array([2, -1, 0]), 3, 4)
    assert train.shape == (4, 3, 1)
    assert train[:, :, 0].tolist() == [[0, 0, 0]] * 3 + [[3, 0, 1]]
    for wrong in (np.array([3]), np.array([-2]), np.array([1.0]), np.array([[1]])):
        with pytest.raises(HsnnError) as caught:
            label_train(wrong, 3, 4)
        assert caught.value.code == "HSNN-U060"


def test_targets_without_a_learning_engine_refuse(network):
    with pytest.raises(HsnnError) as caught:
        GpuTarget("cpu").load(network)
    assert caught.value.code == "HSNN-T060"
    plain = random_network(1)
    with pytest.raises(HsnnError) as caught:
        learn(REFERENCE.load(plain), random_inputs(plain, 1, 1))
    assert caught.value.code == "HSNN-T060"


def test_a_run_changes_nothing(network):
    executable, inputs = REFERENCE.load(network), random_inputs(network, 4, 3)
    first = executable.run(inputs)
    executable.learn(inputs)
    again = executable.run({name: array[:, ::-1] for name, array in inputs.items()})
    np.testing.assert_array_equal(again.outputs["top"][:, ::-1], first.outputs["top"])


def test_a_lesson_in_two_parts_is_one_lesson():
    for seed in range(6):
        network = random_lesson_network(seed)
        inputs = random_inputs(network, 5, seed)
        parts = [{name: array[:, at] for name, array in inputs.items()} for at in (slice(3), slice(3, None))]
        whole = REFERENCE.load(network).learn(inputs).network
        half = REFERENCE.load(network).learn(parts[0]).network
        assert encode_network(REFERENCE.load(half).learn(parts[1]).network, "n") == encode_network(whole, "n")
