"""Emulator and gpu against the reference where integers are at their limits and networks at their smallest."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hsnn.errors import HsnnError, UsageError
from hsnn.ir.arithmetic import DECAY_ONE, STATE_LIMIT, VOLTAGE_MAX
from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.populations import ConstantSource, InputPort, IntegratorPopulation, LifPopulation
from hsnn.ir.projections import ConvProjection, DenseProjection, SparseProjection
from hsnn.ir.shape import size
from hsnn_targets.emulator import EmulatorTarget
from hsnn_targets.gpu import GpuTarget
from hsnn_targets.reference import TARGET as REFERENCE
from support.results import require_equal

DEVICES = ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)
PEAK = STATE_LIMIT - 1


def ints(*values):
    return np.array(values[0] if len(values) == 1 else values, np.int32)


def lif(name, *shape, du=4095, dv=0, threshold=VOLTAGE_MAX, bias=0, **options):
    return LifPopulation(name, shape, ints(du), ints(dv), ints(threshold), ints(bias), **options)


def dense(name, pre, post, weights, **options):
    return DenseProjection(name, pre, post, np.array(weights, np.int16), **options)


def agree(network, inputs=None, threads=1):
    """Run all, compare every bit, and return what the emulator gives."""
    inputs = {} if inputs is None else inputs
    expected = REFERENCE.load(network).run(inputs, trace=True)
    targets = (EmulatorTarget(threads=threads), *(GpuTarget(device) for device in DEVICES))
    results = [target.load(network).run(inputs, trace=True) for target in targets]
    for found in results:
        require_equal(found, expected)
    return results[0]


def driven(neuron, payloads, *, weight=2, exponent=0, timesteps=None):
    """One projection ``weight`` from one graded input per neuron; ``payloads`` is (timestep, neuron)."""
    payloads = np.atleast_2d(np.array(payloads, np.int64))
    count = size(neuron.shape)
    timesteps = timesteps or len(payloads)
    spikes = np.zeros((timesteps, 1, count), np.int32)
    spikes[: len(payloads), 0] = payloads
    network = IntegerNetwork(
        "edge",
        timesteps,
        (InputPort("in", (count,), PEAK, signed=True),),
        (neuron,),
        (dense("p", "in", neuron.name, np.eye(count, dtype=np.int64) * weight, weight_exp=exponent),),
        (neuron.name,),
    )
    return agree(network, {"in": spikes})


def test_currents_at_and_beyond_the_wrap():
    edge = STATE_LIMIT >> 7  # times weight 2 and 64: exactly 2**23
    payloads = [edge, -edge, edge + 1, -edge - 1, 2 * edge, -2 * edge, 2 * edge + 1, 3 * edge, PEAK, -PEAK]
    result = driven(lif("a", len(payloads)), payloads)
    current = result.current["a"][0]
    np.testing.assert_array_equal(current[:4], [STATE_LIMIT, STATE_LIMIT, 128 - STATE_LIMIT, STATE_LIMIT - 128])
    np.testing.assert_array_equal(current[4:6], [0, 0])


def test_currents_far_out_of_range_decay_by_every_factor():
    decays = np.array([-1, 0, 1, 2047, 2048, 4094, 4095], np.int32)
    neuron = lif("a", decays.size, du=decays, dv=DECAY_ONE)
    for payload in (PEAK, -PEAK, 5_000_001, -7_654_321, 1, -1):
        driven(neuron, [[payload] * decays.size, [payload // 3] * decays.size], timesteps=12)


@pytest.mark.parametrize("threshold", [0, VOLTAGE_MAX - 1, VOLTAGE_MAX])
def test_voltages_at_the_clip(threshold):
    edge = STATE_LIMIT >> 7
    payloads = [[edge - 1, 1 - edge, edge, -edge, 100_000, -100_000]] * 5
    result = driven(lif("a", 6, du=4095, threshold=threshold), payloads)
    if threshold == VOLTAGE_MAX:
        assert result.spike_counts["a"] == 0
        assert result.voltage["a"].max() == VOLTAGE_MAX
        assert result.voltage["a"].min() == -VOLTAGE_MAX


def test_voltage_decays_by_every_factor_and_rounds_toward_zero():
    decays = np.array([0, 1, 2, 2048, 4095, 4096], np.int32)
    for payload in (1, -1, 3, -3, 65_535, -65_535):
        driven(lif("a", decays.size, dv=decays), [[payload] * decays.size], timesteps=20)


@pytest.mark.parametrize("bias", [-4096, 4095])
def test_largest_biases(bias):
    driven(lif("a", 2, bias=bias, bias_exp=7, threshold=1 << 20), [[0, 1]], timesteps=30)


@pytest.mark.parametrize("exponent", range(16))
@pytest.mark.parametrize("payload", [PEAK, -PEAK, 8_191, -1])
def test_sums_wrap_at_32_bits_after_every_shift(exponent, payload):
    driven(lif("a", 3), [[payload] * 3] * 2, weight=-256, exponent=exponent)


def test_each_projection_wraps_by_itself_before_the_sum():
    port = InputPort("in", (1, 2, 2), PEAK, signed=True)
    full = np.full((4, 4), 254)
    kernels = np.array([[[[254]]], [[[-256]]]], np.int16)
    rows = SparseProjection(
        "s", "in", "a", np.full(8, -256, np.int16), np.tile([0, 3], 4).astype(np.int32), np.arange(9, dtype=np.int32)
    )
    network = IntegerNetwork(
        "sums",
        2,
        (port,),
        (lif("a", 2, 2, 2),),
        (
            ConvProjection("c", "in", "a", kernels, weight_exp=3),
            ConvProjection("d", "in", "a", kernels, weight_exp=0),
            dense("p", "in", "a", np.vstack([full, -full]), weight_exp=15),
            dense("q", "in", "a", np.vstack([full, full]), weight_exp=3),
            rows,
        ),
        ("a",),
    )
    spikes = np.random.default_rng(0).integers(-PEAK, PEAK, (2, 3, 1, 2, 2)).astype(np.int32)
    agree(network, {"in": spikes})


@pytest.mark.parametrize("payload", [(1 << 23) // 256, (1 << 23) // 256 - 1, -(1 << 23) // 256, PEAK])
def test_convolutions_wrap_at_24_bits(payload):
    network = IntegerNetwork(
        "conv",
        1,
        (InputPort("in", (1, 1, 1), PEAK, signed=True),),
        (lif("a", 1, 1, 1),),
        (ConvProjection("c", "in", "a", np.full((1, 1, 1, 1), -256, np.int16)),),
        ("a",),
    )
    agree(network, {"in": np.full((1, 1, 1, 1, 1), payload, np.int32)})


@pytest.mark.parametrize("reset", ["zero", "subtract", "none"])
@pytest.mark.parametrize("refractory", [0, 1, 3, 64])
def test_resets_and_refractory_times(reset, refractory):
    amounts = np.array([0, 1, 64, 640, STATE_LIMIT], np.int32)
    neuron = lif(
        "a",
        5,
        du=1024,
        threshold=[0, 64, 500, 640, 3_000],
        reset=reset,
        reset_amount=amounts,
        refractory=refractory,
    )
    payloads = np.random.default_rng(1).integers(-20, 60, (40, 5))
    driven(neuron, payloads)


@pytest.mark.parametrize(("delay", "timesteps"), [(62, 5), (62, 62), (62, 63), (62, 70), (1, 1), (1, 2), (5, 9)])
def test_delays_up_to_and_beyond_the_sample(delay, timesteps):
    network = IntegerNetwork(
        "delay",
        timesteps,
        (InputPort("in", (2,)),),
        (ConstantSource("one"), lif("a", 2, threshold=64), lif("b", 2, threshold=64)),
        (
            dense("p", "in", "a", [[2, 0], [0, 2]], delay=delay),
            dense("q", "a", "b", [[2, 2], [2, 0]]),
            dense("r", "one", "b", [[2], [-2]], delay=delay),
        ),
        ("a", "b"),
    )
    spikes = (np.random.default_rng(2).random((timesteps, 3, 2)) < 0.6).astype(np.int32)
    agree(network, {"in": spikes})


def test_forward_delays_against_the_order_of_populations():
    network = IntegerNetwork(
        "order",
        6,
        (InputPort("in", (2,)),),
        (lif("late", 2, threshold=10), lif("early", 2, threshold=10)),
        (dense("p", "in", "early", [[2, 0], [0, 2]]), dense("q", "early", "late", [[2, 0], [2, 2]], delay=1)),
        ("late",),
    )
    result = agree(network, {"in": np.ones((6, 1, 2), np.int32)})
    assert result.spike_counts["late"] > 0


def test_loops_of_several_populations():
    network = IntegerNetwork(
        "loops",
        12,
        (InputPort("in", (2,)),),
        (lif("a", 2, threshold=10), lif("b", 3, threshold=10), lif("c", 1, threshold=10), lif("d", 1, threshold=10)),
        (
            dense("p", "in", "a", [[2, 0], [0, 2]]),
            dense("q", "a", "b", np.ones((3, 2)) * 2),
            dense("r", "b", "a", np.ones((2, 3)) * -2, delay=1),
            dense("s", "b", "c", np.ones((1, 3)) * 2),
            dense("t", "c", "b", np.ones((3, 1)) * -2, delay=2),
            dense("u", "c", "d", [[2]]),
            dense("v", "d", "d", [[-2]], delay=3),
        ),
        ("d",),
    )
    spikes = (np.random.default_rng(3).random((12, 4, 2)) < 0.5).astype(np.int32)
    assert agree(network, {"in": spikes}).spike_counts["d"] > 0


def test_sparse_rows_without_synapses_and_synapses_given_twice():
    indptr = np.array([0, 0, 3, 3, 4], np.int32)
    sparse = SparseProjection(
        "s", "in", "a", np.array([2, 4, 8, -2], np.int16), np.array([1, 1, 2, 0], np.int32), indptr
    )
    empty = SparseProjection("e", "in", "a", np.zeros(0, np.int16), np.zeros(0, np.int32), np.zeros(5, np.int32))
    network = IntegerNetwork("sparse", 2, (InputPort("in", (3,)),), (lif("a", 4),), (sparse, empty), ("a",))
    result = agree(network, {"in": np.ones((2, 1, 3), np.int32)})
    np.testing.assert_array_equal(result.current["a"], [[0, 14 * 64, 0, -128]])


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation", "groups", "shape", "post"),
    [
        ((3, 3), (1, 1), (1, 1), (1, 1), 1, (2, 5, 4), (3, 5, 4)),
        ((3, 2), (2, 3), (0, 1), (1, 1), 1, (1, 7, 8), (2, 3, 3)),
        ((2, 3), (1, 2), (2, 4), (2, 3), 1, (2, 6, 5), (2, 8, 4)),
        ((3, 3), (3, 3), (1, 1), (2, 2), 1, (1, 9, 9), (1, 3, 3)),
        ((5, 5), (1, 1), (0, 0), (1, 1), 1, (2, 5, 5), (4, 1, 1)),
        ((1, 1), (1, 1), (3, 3), (1, 1), 1, (1, 1, 1), (2, 7, 7)),
        ((3, 3), (2, 2), (1, 1), (1, 1), 4, (4, 6, 6), (4, 3, 3)),
        ((2, 2), (1, 1), (1, 0), (1, 1), 2, (4, 4, 4), (6, 5, 3)),
        ((1, 3), (2, 4), (0, 1), (1, 2), 3, (3, 5, 9), (3, 3, 2)),
    ],
)
@pytest.mark.parametrize("peak", [1, 200])
def test_convolutions_of_every_geometry(kernel, stride, padding, dilation, groups, shape, post, peak):
    rng = np.random.default_rng(4)
    weights = rng.integers(-128, 128, (post[0], shape[0] // groups, *kernel)) * 2
    conv = ConvProjection("c", "in", "a", weights.astype(np.int16), stride, padding, dilation, groups)
    readout = dense("p", "a", "b", rng.integers(-128, 128, (5, size(post))) * 2)
    neurons = (lif("a", *post, threshold=4_000, bias=rng.integers(0, 99, post)), lif("b", 5, threshold=9_000))
    network = IntegerNetwork("conv", 4, (InputPort("in", shape, peak),), neurons, (conv, readout), ("a", "b"))
    spikes = rng.integers(0, peak, (4, 2, *shape), endpoint=True).astype(np.int32)
    assert agree(network, {"in": spikes}).spike_counts["a"] > 0


def test_wide_populations_span_several_tiles():
    rng = np.random.default_rng(5)
    for count in (63, 64, 65, 200):
        weights = rng.integers(-60, 100, (count, 70)) * 2
        neuron = lif("a", count, du=rng.integers(-1, 4096, count), dv=rng.integers(0, 4097, count), threshold=30_000)
        network = IntegerNetwork(
            "wide", 6, (InputPort("in", (70,)),), (neuron,), (dense("p", "in", "a", weights),), ("a",)
        )
        agree(network, {"in": (rng.random((6, 2, 70)) < 0.4).astype(np.int32)})


def test_integrators_send_their_voltage():
    readout = IntegratorPopulation("r", (2, 1, 3), ints(100), ints(50), ints(7), 2)
    network = IntegerNetwork(
        "readout",
        5,
        (InputPort("in", (3,)),),
        (readout,),
        (dense("p", "in", "r", np.random.default_rng(6).integers(-128, 128, (6, 3)) * 2),),
        ("r",),
    )
    result = agree(network, {"in": np.ones((5, 2, 3), np.int32)})
    assert result.outputs["r"].shape == (5, 2, 2, 1, 3)
    np.testing.assert_array_equal(result.outputs["r"][-1], result.voltage["r"])


def test_populations_without_synapses_follow_their_bias():
    network = IntegerNetwork("alone", 9, (), (lif("a", 2, threshold=100, bias=[10, 60]),), (), ("a",))
    assert agree(network).spike_counts["a"] == 4  # 60, 120 and again


def test_a_port_that_is_an_output_comes_back_as_it_went_in():
    spikes = np.arange(12, dtype=np.int32).reshape(2, 3, 2)
    network = IntegerNetwork("port", 2, (InputPort("in", (2,), 99),), (), (), ("in",))
    np.testing.assert_array_equal(agree(network, {"in": spikes}).outputs["in"], spikes)


def test_a_constant_source_is_no_output():
    network = IntegerNetwork("constant", 3, (InputPort("in", (1,)),), (ConstantSource("one", (2,)),), (), ("one",))
    with pytest.raises(HsnnError, match=r"HSNN-I001.*constant source"):
        EmulatorTarget().load(network)


@pytest.mark.parametrize("target", [EmulatorTarget(), REFERENCE], ids=lambda target: target.name)
def test_an_empty_batch_is_refused(target):
    network = IntegerNetwork(
        "empty", 2, (InputPort("in", (2,)),), (lif("a", 3),), (dense("p", "in", "a", np.ones((3, 2)) * 2),), ("a",)
    )
    with pytest.raises(UsageError, match=r"HSNN-R001.*0 samples"):
        target.load(network).run({"in": np.zeros((2, 0, 2), np.int32)})
