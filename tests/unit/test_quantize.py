"""Quantization: integers by hand, and every refusal."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from hsnn.errors import QuantizationError, UsageError
from hsnn.ir.spiking import FloatConv, FloatDense, SpikeInput, SpikingGraph
from hsnn.passes.quantization.quantize import QuantizeOptions, quantize
from hsnn.passes.quantization.quantize_neurons import uniform
from hsnn.passes.quantization.quantize_weights import round_weights, weight_exponent
from hsnn.passes.simulation.calibrate import calibrate
from support.float_graphs import integrator, lif, single, sparse
from support.quantized import quantized, run_both, spikes
from unit.test_quantize_payloads import graded

# ---------------------------------------------------------------- by hand


def test_one_synapse_by_hand():
    graph = single([[1.0]], lif("n", (1,)), timesteps=1)
    result = quantized(graph, {"x": np.ones((1, 1, 1), np.float32)})
    # Filled mantissas want S = 2 * 254 * 64 = 32512, and the octave above is searched. All its candidates
    # are exact, so the largest wins: S = 65024 = 64 * 1016, and the weight is 1016 = 254 << 2.
    assert result.layer("n").scale == 65024.0
    (projection,), (neuron,) = result.network.projections, result.network.neurons
    assert (projection.weights.tolist(), projection.weight_exp) == ([[254]], 2)
    assert projection.weights.dtype == np.int16
    assert (neuron.threshold.tolist(), neuron.threshold.shape) == (65024, ())
    assert (neuron.du.tolist(), neuron.dv.tolist(), neuron.bias_mant.tolist()) == (4095, 0, 0)
    assert (result.input_scales, result.output_scales) == ({"x": 1.0}, {"x": 1.0, "n": 1.0})
    layer = result.layer("n")
    assert layer.weight_snr_db is None
    assert layer.current_headroom == pytest.approx(2**23 / 65024)
    assert layer.voltage_headroom is None
    assert layer.worst.current == pytest.approx(65024 / (2**23 - 1))


def test_weights_round_to_even_and_report_their_error():
    weights, exponent = round_weights(np.array([254.9, -256.9, 1.0, 3.1, -0.4, 129.0]), 1.0)
    assert (weights.tolist(), exponent) == ([254.0, -256.0, 0.0, 4.0, -0.0, 128.0], 0)
    weights, exponent = round_weights(np.array([258.0, -1.0]), 1.0)
    assert (weights.tolist(), exponent) == ([128.0, 0.0], 1)


@pytest.mark.parametrize(
    ("low", "high", "exponent"),
    [
        (0.0, 0.0, 0),
        (0.0, 1e-30, 0),
        (0.0, 255.0, 0),
        (0.0, 255.01, 1),
        (-257.0, 0.0, 0),
        (-257.1, 0.0, 1),
        (-4096.0, 255.0 * 16, 4),
    ],
)
def test_weight_exponents(low, high, exponent):
    assert weight_exponent(low, high) == exponent


def test_decays_are_fractions_of_4096_and_lava_adds_one_to_du():
    neuron = lif("n", (4,), current_decay=[0.0, 0.25, 1.0, 1e-5], voltage_decay=[0.0, 0.5, 1.0, 1 / 4096])
    result = quantized(single(np.ones((4, 1)), neuron), {"x": np.ones((4, 1, 1), np.float32)})
    (integers,), errors = result.network.neurons, result.layer("n").neurons
    assert integers.du.tolist() == [-1, 1023, 4095, -1]
    assert integers.dv.tolist() == [0, 2048, 4096, 1]
    assert errors.current_decay.vanished
    assert errors.current_decay.largest == pytest.approx(1e-5)
    assert not errors.voltage_decay.vanished
    assert errors.voltage_decay.largest == 0.0
    assert errors.voltage_decay.wanted == errors.voltage_decay.effective == (0.0, 1.0)


def test_equal_parameters_become_scalars():
    assert uniform(np.full((3, 1), 7.0), (3, 2)).shape == ()
    assert uniform(np.array([[1.0], [2.0]]), (2, 2)).tolist() == [[1, 1], [2, 2]]
    neuron = lif("n", (3,), threshold=np.ones(3), current_decay=np.ones(3), bias=np.zeros(3))
    (integers,) = quantized(single(np.ones((3, 1)), neuron), {"x": np.ones((4, 1, 1), np.float32)}).network.neurons
    assert {integers.threshold.shape, integers.du.shape, integers.bias_mant.shape} == {()}


@pytest.mark.parametrize("threshold", [1.0, 0.1, 3.7, 1e-12, 1e12])
@pytest.mark.parametrize("comparison", [">", ">="])
@pytest.mark.parametrize("reset", ["zero", "subtract", "none"])
def test_a_shared_threshold_is_exact_and_stock(threshold, comparison, reset):
    rng = np.random.default_rng(0)
    neuron = lif("n", (8,), threshold=threshold, comparison=comparison, reset=reset, voltage_decay=0.2)
    result = quantized(single(rng.normal(0, threshold, (8, 5)), neuron), {"x": spikes(rng, 4, 6, 5)})
    (integers,), layer = result.network.neurons, result.layer("n")
    level = int(integers.threshold) + (comparison == ">=")
    assert layer.neurons.threshold == 0.0
    assert level == pytest.approx(layer.scale * threshold, rel=1e-12)
    if comparison == ">":
        assert level % 64 == 0
        assert level // 64 <= 131071
    assert int(integers.reset_amount) == (level if reset == "subtract" else 0)


def test_thresholds_of_their_own_are_rounded_and_reported():
    rng = np.random.default_rng(1)
    thresholds = rng.uniform(0.3, 2.0, (4, 1, 1))
    neuron = lif("n", (4, 3, 3), threshold=thresholds, reset="subtract", comparison=">=")
    port = SpikeInput("x", (2, 3, 3), "x", True)
    conv = FloatConv("w", "x", "n", rng.normal(0, 0.5, (4, 2, 3, 3)), padding=(1, 1))
    graph = SpikingGraph("g", 6, (port,), (neuron,), (conv,), ("n",))
    result = quantized(graph, {"x": spikes(rng, 6, 4, 2, 3, 3)})
    (integers,), scale = result.network.neurons, result.layer("n").scale
    assert integers.threshold.shape == (4, 3, 3)
    np.testing.assert_array_equal(integers.threshold, np.broadcast_to(np.rint(thresholds * scale) - 1, (4, 3, 3)))
    np.testing.assert_array_equal(integers.reset_amount, integers.threshold + 1)
    assert 0 < result.layer("n").neurons.threshold < 1e-4


def test_bias_is_a_mantissa_with_the_smallest_exponent():
    neuron = lif("n", (3,), bias=[0.5, -0.25, 1e-3], threshold=1.0)
    result = quantized(single(np.ones((3, 1)), neuron), {"x": np.ones((4, 1, 1), np.float32)})
    (integers,), layer = result.network.neurons, result.layer("n")
    assert np.abs(integers.bias_mant).max() > 2047, "the mantissa is not filled"
    step = 2**integers.bias_exp / layer.scale
    assert layer.neurons.bias <= step / 2
    np.testing.assert_allclose(integers.bias / layer.scale, neuron.bias, atol=step / 2)


def test_each_projection_fills_its_own_mantissa():
    rng = np.random.default_rng(2)
    ports = (SpikeInput("x", (6,), "x", True), SpikeInput("y", (6,), "y", True))
    neuron = lif("n", (5,), voltage_decay=0.5)
    weights = rng.normal(0, 0.2, (5, 6))
    synapses = (FloatDense("big", "x", "n", weights), FloatDense("small", "y", "n", weights / 11))
    graph = SpikingGraph("g", 4, ports, (neuron,), synapses, ("n",))
    result = quantized(graph, {"x": spikes(rng, 4, 3, 6), "y": spikes(rng, 4, 3, 6)})
    big, small = result.layer("n").projections
    assert big.weight_exp > small.weight_exp
    assert min(big.peak, small.peak) >= 128
    assert min(big.snr_db, small.snr_db) > 30
    for error, synapse, wanted in zip((big, small), result.network.projections, synapses, strict=True):
        off = np.abs(synapse.weights * error.unit - wanted.weights)
        assert error.largest == pytest.approx(off.max())
        assert error.rms == pytest.approx(np.sqrt((off**2).mean()))
        assert error.largest <= error.unit * 1.001, "more than half a step of 2 units"


# ---------------------------------------------------------------- edges


@pytest.mark.parametrize("neuron", [lif("n", (3,)), lif("n", (3,), comparison=">="), integrator("n", (3,))])
def test_all_zero_weights(neuron):
    graph = single(np.zeros((3, 2)), neuron)
    inputs = {"x": np.ones((4, 1, 2), np.float32)}
    result = quantized(graph, inputs)
    assert not result.network.projections[0].weights.any()
    assert result.layer("n").projections[0].snr_db is None
    assert not run_both(graph, inputs, result)[1].outputs["n"].any()


def test_a_population_without_inputs_runs_on_its_bias():
    neuron = lif("n", (2,), threshold=1.0, bias=[0.3125, 0.0], reset="subtract", comparison=">=")
    graph = SpikingGraph("g", 20, (), (neuron,), (), ("n",))
    result = quantize(graph, calibrate(graph, [{}]))
    simulation, integers, _ = run_both(graph, {}, result)
    np.testing.assert_array_equal(integers.spikes["n"], simulation.spikes["n"])
    assert simulation.spikes["n"].sum() == 6


def test_an_integrator_with_nothing_at_all():
    graph = SpikingGraph("g", 3, (), (integrator("o", (2,)),), (), ("o",))
    result = quantize(graph, calibrate(graph, [{}]))
    assert run_both(graph, {}, result)[1].outputs["o"].tolist() == [[[0, 0]]] * 3


def test_a_sparse_projection_without_synapses():
    port, out = SpikeInput("x", (3,), "x", True), integrator("o", (2,))
    graph = SpikingGraph("g", 2, (port,), (out,), (sparse("s", "x", "o", np.zeros((2, 3))),), ("o",))
    inputs = {"x": np.ones((2, 1, 3), np.float32)}
    assert not run_both(graph, inputs, quantized(graph, inputs))[1].outputs["o"].any()


def test_a_layer_that_calibration_left_silent_can_still_fire():
    rng = np.random.default_rng(0)
    graph = single(np.abs(rng.normal(0, 1, (5, 10))), lif("n", (5,), voltage_decay=0.5))
    result = quantized(graph, {"x": np.zeros((4, 2, 10), np.float32)})
    _, _, reports = run_both(graph, {"x": spikes(rng, 4, 10, 10, rate=0.3)}, result)
    assert reports["n"].spikes.float_spikes > 50
    assert reports["n"].spikes.f1 > 0.98


def test_weights_far_below_the_threshold_vanish_and_it_is_reported():
    graph = single([[1.0, 0.5]], lif("n", (1,), threshold=1e12))
    result = quantized(graph, {"x": np.ones((4, 1, 2), np.float32)})
    (error,) = result.layer("n").projections
    assert (error.vanished, error.snr_db) == (2, 0.0)


@pytest.mark.parametrize(
    "neuron",
    [
        lif("n", (1,), threshold=1e-12),
        lif("n", (1,), threshold=1e-12, comparison=">="),
        lif("n", (1,), threshold=1.0, bias=1e9),
        lif("n", (2,), threshold=[1e-9, 1.0]),
        lif("n", (1,), threshold=1e-99, bias=1e-99),
    ],
)
def test_what_24_bits_cannot_hold_is_refused(neuron):
    graph = single(np.ones((neuron.shape[0], 1)), neuron)
    with pytest.raises(QuantizationError) as caught:
        quantized(graph, {"x": np.ones((4, 1, 1), np.float32)})
    error = caught.value
    assert error.code == "HSNN-Q012"
    assert "'n'" in error.found
    assert error.allowed
    assert error.fix


@pytest.mark.parametrize("value", [1e-95, 1e89])
def test_inputs_of_no_usable_scale_are_refused(value):
    with pytest.raises(QuantizationError) as caught:
        graded(np.full((4, 1, 4), value).astype(np.float64))
    assert caught.value.code == "HSNN-Q012"


def test_calibration_of_another_graph_is_refused():
    inputs = {"x": np.ones((4, 1, 1), np.float32)}
    graph = single([[1.0]], lif("n", (1,)))
    calibration = calibrate(graph, [inputs])
    others = (
        single([[1.0]], lif("m", (1,))),
        single([[1.0], [1.0]], lif("n", (2,))),
        replace(graph, projections=()),
        replace(graph, inputs=(*graph.inputs, SpikeInput("y", (1,), "y", True))),
    )
    for other in others:
        with pytest.raises(QuantizationError) as caught:
            quantize(other, calibration)
        assert caught.value.code == "HSNN-Q013"


@pytest.mark.parametrize(
    "options",
    [{"payload_bits": 0}, {"payload_bits": 25}, {"margin": 0.5}, {"margin": math.nan}, {"margin": math.inf}],
)
def test_wrong_options_are_refused(options):
    with pytest.raises(UsageError) as caught:
        QuantizeOptions(**options)
    assert caught.value.code == "HSNN-Q014"


def test_a_wrong_graph_is_refused():
    good = single([[1.0]], lif("n", (1,)))
    calibration = calibrate(good, [{"x": np.ones((4, 1, 1), np.float32)}])
    for bad, code in (
        (replace(good, populations=(lif("n", (1,), threshold=0.0),)), "HSNN-Q010"),
        (replace(good, outputs=("nobody",)), "HSNN-Q011"),
    ):
        with pytest.raises(QuantizationError) as caught:
            quantize(bad, calibration)
        assert caught.value.code == code
