"""The emulator learns as the reference does: every spike, weight, tag, trace and stability of random networks."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hsnn.artifact.networks import encode_network
from hsnn.ir.learning_text import parse_rule
from hsnn.ir.plastic import learners, plastic_projections, untaught
from hsnn.ir.populations import ConstantSource, IntegratorPopulation, LifPopulation
from hsnn.verify.random_learning import random_lesson_network
from hsnn.verify.random_networks import random_inputs, random_network
from hsnn_targets.emulator import EmulatorTarget, lessons
from hsnn_targets.reference import TARGET as REFERENCE
from support.results import require_equal

TARGET = EmulatorTarget(threads=1)


def check(network, batch, seed):
    """Learn and run on both; returns the network that comes out."""
    inputs = random_inputs(network, batch, seed)
    expected, found = REFERENCE.load(network).learn(inputs, trace=True), TARGET.load(network).learn(inputs, trace=True)
    require_equal(found.result, expected.result)
    assert encode_network(found.network, "n") == encode_network(expected.network, "n")
    again = random_inputs(network, 2, seed + 1)
    require_equal(
        TARGET.load(found.network).run(again, trace=True), REFERENCE.load(found.network).run(again, trace=True)
    )
    return found.network


@pytest.mark.parametrize("seeds", [range(start, start + 10) for start in range(0, 30, 10)], ids=str)
def test_every_weight_and_spike(seeds, monkeypatch):
    monkeypatch.setattr(lessons, "CHUNK", 3)
    for seed in seeds:
        check(random_lesson_network(seed), 5, seed)


def test_every_kind_of_part_beside_one_that_learns():
    """Convolutions, sparse synapses, loops, constants and integrators of random networks keep their meaning."""
    for seed in range(12):
        plain = random_network(seed)
        sources = [
            p for p in (*plain.inputs, *plain.populations) if not isinstance(p, ConstantSource | IntegratorPopulation)
        ]
        source = sources[-1]
        width = int(np.prod(source.shape))
        rule = parse_rule(dw="2^3*x0*y0 - 2^2*u0*w + 5*y0", epoch=4)
        zero = np.zeros((), np.int32)
        tail = LifPopulation("tail", (3,), zero + np.int32(4095), zero, zero + np.int32(640), zero)
        weights = np.full((3, width), 40, np.int16)
        network = dataclasses.replace(
            plain,
            populations=(*plain.populations, tail),
            projections=(*plain.projections, untaught("grows", source.name, "tail", weights, rule)),
            outputs=(*plain.outputs, "tail"),
        )
        check(network, 3, seed)


def test_the_seeds_reach_what_matters():
    """The networks above teach, punish, recruit, settle, decay and saturate, and go on from somewhere."""
    seen = set()
    for seed in range(24):
        network = random_lesson_network(seed)
        result = REFERENCE.load(network).learn(random_inputs(network, 5, seed)).network
        for old, new in zip(plastic_projections(network), plastic_projections(result), strict=True):
            changed = old.weights != new.weights
            seen |= {"weights"} if changed.any() else set()
            seen |= {"some weights"} if changed.any() and not changed.all() else set()
            seen |= {"saturated"} if (changed & (np.abs(new.weights) > 254)).any() else set()
            seen |= {"tags"} if (old.tag != new.tag).any() else set()
            seen |= {"delays"} if (old.tag_delay != new.tag_delay).any() else set()
            seen |= {"later"} if old.epochs else set()
            seen |= {f"u{old.rule.decimate}", old.sign_mode}
            seen |= {"hidden"} if old.pre == "hidden" else set()
            seen |= {"third factor" if old.post == "top" and learners(network) else "own traces"}
        for old, new in zip(learners(network), learners(result), strict=True):
            seen |= {"recruits"} if (old.recruited != new.recruited).any() else set()
            seen |= {"firmer"} if (new.stability > old.stability).any() else set()
            seen |= {"looser"} if (new.stability < old.stability).any() else set()
    wanted = {"weights", "some weights", "saturated", "tags", "delays", "later", "u0", "u1", "u2", "u3", "hidden"}
    assert seen >= wanted | {
        "mixed",
        "excitatory",
        "inhibitory",
        "third factor",
        "own traces",
        "recruits",
        "firmer",
        "looser",
    }
