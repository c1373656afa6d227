"""Networks chosen to break Lava's alignment: leaks between samples, odd shapes, deep pipelines, big numbers."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.populations import ConstantSource, InputPort, IntegratorPopulation, LifPopulation
from hsnn.ir.projections import ConvProjection, DenseProjection, SparseProjection
from hsnn.verify.random_networks import random_inputs
from hsnn_targets.lava import TARGET
from hsnn_targets.lava import schedule as schedule_module
from hsnn_targets.lava.executable import LavaExecutable
from hsnn_targets.lava.planner import plan_processes
from hsnn_targets.reference import TARGET as REFERENCE

pytestmark = pytest.mark.lava


def int32(value):
    return np.asarray(value, np.int32)


def lif(name, shape, *, bias=0, threshold=640, du=4095, dv=0, **options):
    return LifPopulation(name, shape, int32(du), int32(dv), int32(threshold), int32(bias), **options)


def even(*shape, seed=0, high=240):
    return (np.random.default_rng(seed).integers(-high // 2, high, shape) // 2 * 2).astype(np.int16)


def dense(name, pre, post, weights, **options):
    return DenseProjection(name, pre, post, np.asarray(weights, np.int16), **options)


def assert_same(network, batch=3, seed=0, runs=1):
    """Compare runs with the reference, sample by sample: what the others do must not matter."""
    executable = TARGET.load(network)
    reference = REFERENCE.load(network)
    try:
        for run in range(runs):
            inputs = random_inputs(network, batch, seed + run)
            got = executable.run(inputs, trace=True)
            for index in range(batch):
                alone = {name: spikes[:, index : index + 1] for name, spikes in inputs.items()}
                want = reference.run(alone, trace=True)
                for name, spikes in (*want.outputs.items(), *want.spikes.items()):
                    seen = got.outputs.get(name, got.spikes.get(name))
                    np.testing.assert_array_equal(seen[:, index : index + 1], spikes, err_msg=f"{name}, sample {index}")
            for name, state in want.voltage.items():
                np.testing.assert_array_equal(got.voltage[name], state, err_msg=name)
                np.testing.assert_array_equal(got.current[name], want.current[name], err_msg=name)
    finally:
        executable.close()
    return got


def test_nothing_leaks_from_one_sample_into_the_next():
    """Biases fire every neuron all the time, and delays and loops carry the spikes far beyond a sample."""
    network = IntegerNetwork(
        "leaky",
        3,
        (InputPort("in", (2,)),),
        (
            ConstantSource("one"),
            lif("a", (4,), bias=700, du=512),
            lif("b", (4,), bias=700, du=0, dv=128),
            lif("c", (2,), bias=100, du=1024, reset="subtract", reset_amount=int32(640), refractory=2),
            IntegratorPopulation("out", (2,), int32(2048), int32(64), int32(3)),
        ),
        (
            dense("p0", "in", "a", even(4, 2), delay=2),
            dense("p1", "a", "a", even(4, 4, seed=1), delay=2),
            dense("p2", "a", "b", even(4, 4, seed=2)),
            dense("p3", "b", "a", even(4, 4, seed=3), delay=2),
            dense("p4", "one", "b", even(4, 1, seed=4), delay=1),
            dense("p5", "a", "c", even(2, 4, seed=5)),
            dense("p6", "b", "c", even(2, 4, seed=6), delay=1),
            dense("p7", "one", "c", even(2, 1, seed=7)),
            dense("p8", "c", "out", even(2, 2, seed=8)),
            dense("p9", "in", "out", even(2, 2, seed=9)),
            dense("too late", "a", "out", even(2, 4, seed=10), delay=3),
        ),
        ("out", "c"),
    )
    result = assert_same(network, batch=5, runs=3)
    assert result.spikes["a"].mean() > 0.5


def test_a_pipeline_deeper_than_a_sample_is_long():
    """With one timestep a sample, seven samples are under way at once; small rings make many chunks."""
    names = [f"l{i}" for i in range(7)]
    chain = ["in", *names]
    network = IntegerNetwork(
        "deep",
        1,
        (InputPort("in", (5,)),),
        tuple(lif(name, (5,), bias=20 * i, du=100) for i, name in enumerate(names)),
        tuple(dense(f"p{i}", chain[i], chain[i + 1], even(5, 5, seed=i)) for i in range(7)),
        ("l6", "l2", "in"),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schedule_module, "RING_BYTES", 1)
        assert_same(network, batch=12, runs=2)


def test_more_populations_than_a_sink_has_ports_and_parts_that_share_nothing():
    populations = tuple(lif(f"n{i}", (2,), bias=i * 50, dv=i) for i in range(19))
    network = IntegerNetwork(
        "islands", 4, (InputPort("in", (2,)), InputPort("unused", ())), populations, (), ("n18", "unused")
    )
    assert_same(network)


def test_skips_wait_for_the_long_way():
    """Extra delays through DelayDense, through delay lines before Dense, Sparse and Conv, and shared ones."""
    image = (2, 5, 4)
    sparse = SparseProjection(
        "s", "in", "c", even(3, seed=1), int32([0, 39, 7]), int32([0, 1, 1] + [3] * 38), weight_exp=1
    )
    network = IntegerNetwork(
        "skips",
        6,
        (InputPort("in", image, 9, signed=True),),
        (lif("a", image, threshold=900), lif("b", image, bias=3), lif("c", image, threshold=64), lif("d", (70,))),
        (
            ConvProjection("k0", "in", "a", even(2, 2, 3, 3), padding=(1, 1)),
            ConvProjection("k1", "a", "b", even(2, 2, 3, 1, seed=2), padding=(1, 0)),
            ConvProjection("k2", "b", "c", even(2, 2, 1, 3, seed=3), padding=(0, 1), weight_exp=2),
            ConvProjection("k3", "a", "c", even(2, 1, 3, 3, seed=4), padding=(1, 1), groups=2),
            dataclasses.replace(sparse, indptr=int32([0, 1, 1] + [3] * 38)),
            dense("d0", "c", "d", even(70, 40, seed=5)),
            dense("d1", "a", "d", even(70, 40, seed=6)),
            dense("d2", "in", "d", even(70, 40, seed=7), weight_exp=3),
            dense("d3", "b", "d", even(70, 40, seed=8), delay=1),
            dense("d4", "a", "c", even(40, 40, seed=9)),
        ),
        ("d",),
    )
    assert_same(network)


def test_numbers_at_the_edges():
    """Payloads of 24 bits, the largest weights and exponents, many groups, several synapses on one pair."""
    peak = (1 << 23) - 1
    twice = SparseProjection(
        "twice",
        "many",
        "flat",
        np.array([254, 254, -256, 254, 2, 254], np.int16),
        int32([1, 1, 3, 1, 0, 3]),
        int32([0, 2, 5, 6]),
        weight_exp=15,
    )
    network = IntegerNetwork(
        "edges",
        3,
        (InputPort("signs", (130, 2, 3)), InputPort("huge", (2, 2, 3), peak, signed=True)),
        (
            lif("many", (130, 2, 2), du=-1, dv=4096, threshold=5000),
            lif("wide", (3, 2, 2), du=4095, threshold=peak >> 1, bias=-30),
            lif("flat", (3,), du=2000, dv=1, threshold=peak >> 1, bias=4095, bias_exp=7),
            IntegratorPopulation("out", (), int32(0), int32(0), int32(-4096), 7),
        ),
        (
            ConvProjection("groups", "signs", "many", even(130, 1, 1, 2), groups=130),
            ConvProjection("sums", "huge", "wide", even(3, 2, 1, 2, high=256), weight_exp=9),
            twice,
            dense("graded", "huge", "flat", even(3, 12, high=256), weight_exp=15),
            dense("negative", "flat", "out", [[-255, 0, -1]], sign_mode="inhibitory", weight_exp=15),
            dense("positive", "many", "out", np.full((1, 520), 128), sign_mode="excitatory", num_weight_bits=1),
            dense("wider", "wide", "out", even(1, 12)),
        ),
        ("out", "many"),
    )
    result = assert_same(network)
    assert 0 < result.spikes["many"].mean() < 1
    assert 0 < result.spikes["wide"].mean() < 1


def test_no_inputs_and_an_unused_one():
    network = IntegerNetwork("alone", 2, (), (lif("a", (2, 2), bias=400),), (), ("a",))
    executable = TARGET.load(network)
    try:
        np.testing.assert_array_equal(executable.run({}).outputs["a"], REFERENCE.load(network).run({}).outputs["a"])
    finally:
        executable.close()
    fed = dataclasses.replace(network, inputs=(InputPort("in", (1,)),))
    executable = TARGET.load(fed)
    try:
        seen = []
        executable.run({"in": np.zeros((2, 5, 1), np.int32)}, progress=seen.append)
        assert sum(seen) == 5
    finally:
        executable.close()


def test_what_a_board_would_get_for_delays_computes_the_same():
    """DelaySparse and DelayDense of Lava, which the simulation itself uses little or not at all."""
    sparse = SparseProjection("s", "in", "n", even(4, seed=2), int32([4, 0, 0, 3]), int32([0, 1, 3, 4]), weight_exp=2)
    network = IntegerNetwork(
        "delays",
        5,
        (InputPort("in", (5,), 7),),
        (lif("a", (60,)), lif("b", (60,)), lif("n", (3,), du=1000)),
        (
            dense("p0", "in", "a", even(60, 5)),
            dense("p1", "a", "b", even(60, 60, seed=1)),
            dense("p2", "b", "n", even(3, 60, seed=3)),
            dense("p3", "a", "n", even(3, 60, seed=4)),
            sparse,
        ),
        ("n",),
    )
    schedule = schedule_module.make_schedule(network)
    blueprint = plan_processes(network, schedule, recorded=["a", "b", "n"], board=True)
    assert {"delay_dense", "delay_sparse"} < {part.kind for part in blueprint.parts}
    executable = LavaExecutable(network, schedule, blueprint, timeout=60)
    try:
        inputs = random_inputs(network, 4, 0)
        got, want = executable.run(inputs, trace=True), REFERENCE.load(network).run(inputs, trace=True)
    finally:
        executable.close()
    for name, spikes in want.spikes.items():
        np.testing.assert_array_equal(got.spikes[name], spikes, err_msg=name)
    assert want.spikes["n"].any()
