"""Quantization: integers by hand, exactness, how well integers track floats, and every refusal."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from hsnn.errors import QuantizationError, UsageError
from hsnn.ir.populations import ConstantSource
from hsnn.ir.projections import ConvProjection
from hsnn.ir.spiking import FloatConv, FloatDense, SpikeInput, SpikingGraph
from hsnn.passes.quantization.quantize import QuantizeOptions, quantize
from hsnn.passes.quantization.quantize_neurons import uniform
from hsnn.passes.quantization.quantize_weights import round_weights, weight_exponent
from hsnn.passes.simulation.calibrate import calibrate
from hsnn.passes.simulation.simulate import simulate
from hsnn.report.layers import compare_layers
from hsnn.runtime.bridge import to_payloads
from hsnn_targets.reference.machine import ReferenceTarget
from support.float_graphs import integrator, lif, single, sparse


def spikes(rng, *shape, rate=0.3):
    return (rng.random(shape) < rate).astype(np.float32)


def quantized(graph, inputs, **options):
    return quantize(graph, calibrate(graph, [inputs]), QuantizeOptions(**options))


def payloads_of(result, inputs):
    network = result.network
    return {
        port.name: to_payloads(
            np.asarray(inputs[port.name], np.float32),
            port,
            scale=result.input_scales[port.name],
            timesteps=network.timesteps,
        )[0]
        for port in network.inputs
    }


def run(graph, inputs, result):
    """Float and integer runs of the same batch, and the layer reports by population."""
    payloads = payloads_of(result, inputs)
    simulation = simulate(graph, inputs)
    integers = ReferenceTarget().load(result.network).run(payloads, trace=True)
    reports = compare_layers(graph, result, simulation, integers, payloads=payloads)
    return simulation, integers, {report.population: report for report in reports}


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


# ---------------------------------------------------------------- exactness


def dyadic_graph(rng, *, reset="zero", comparison=">", timesteps=12):
    """A network whose every number is exact in integers: dyadic values, states that keep all or nothing."""

    def weights(*shape):
        return rng.integers(-127, 128, shape) / 64

    inputs = (SpikeInput("image", (2, 6, 6), "image", True), SpikeInput("pixels", (5,), "pixels", False))
    populations = (
        ConstantSource("one"),
        lif("conv", (3, 3, 3), threshold=1.5, reset=reset, comparison=comparison, refractory=1),
        lif("hidden", (9,), threshold=2.0, bias=rng.integers(-8, 9, 9) / 64, reset=reset, comparison=comparison),
        lif("loop", (6,), threshold=3.0, voltage_decay=1.0, current_decay=1.0, reset=reset, comparison=comparison),
        integrator("out", (4,)),
    )
    projections = (
        FloatConv("c", "image", "conv", weights(3, 2, 3, 3), (2, 2), (1, 1)),
        FloatDense("d", "conv", "hidden", weights(9, 27)),
        FloatDense("b", "one", "hidden", weights(9, 1)),
        # A payload unit is 1/16 here, so these weights have 4 bits less room in the state.
        sparse("p", "pixels", "hidden", rng.integers(-31, 32, (9, 5)) / 16 * (rng.random((9, 5)) < 0.6), delay=1),
        FloatDense("e", "hidden", "loop", weights(6, 9)),
        FloatDense("r", "loop", "loop", weights(6, 6), delay=2),
        FloatDense("f", "loop", "out", weights(4, 6)),
        FloatDense("g", "hidden", "out", weights(4, 9), delay=3),
    )
    return SpikingGraph("exact", timesteps, inputs, populations, projections, ("out", "hidden"))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("reset", "comparison"), [("zero", ">"), ("subtract", ">="), ("none", ">")])
def test_dyadic_networks_are_exact(seed, reset, comparison):
    rng = np.random.default_rng(seed)
    graph = dyadic_graph(rng, reset=reset, comparison=comparison)
    inputs = {"image": spikes(rng, 12, 5, 2, 6, 6), "pixels": rng.integers(-8, 9, (12, 5, 5)) / np.float32(16)}
    result = quantized(graph, inputs)
    simulation, integers, reports = run(graph, inputs, result)
    for name, wanted in simulation.spikes.items():
        np.testing.assert_array_equal(integers.spikes[name], wanted, err_msg=name)
        assert 0 < wanted.sum() < wanted.size
        assert (reports[name].spikes.f1, reports[name].spikes.rate_error) == (1.0, 0.0)
    np.testing.assert_array_equal(integers.outputs["out"] * result.output_scales["out"], simulation.voltages["out"])
    assert reports["out"].voltage_error == 0.0
    assert all(layer.weight_snr_db is None for layer in result.layers)


@pytest.mark.parametrize("step", [0.0137, 1 / 3, 5e-4])
def test_weights_trained_in_8_bits_keep_their_integers(step):
    rng = np.random.default_rng(3)
    levels = rng.integers(-127, 128, (20, 30))
    levels[0, 0] = 127
    graph = single(levels * step, lif("n", (20,), threshold=60 * step * 1.234, voltage_decay=0.3))
    (projection,) = quantized(graph, {"x": spikes(rng, 4, 8, 30)}).network.projections
    np.testing.assert_array_equal(projection.weights, 2 * levels)


@pytest.mark.parametrize("power", [-40, -3, 40])
def test_units_of_the_model_do_not_matter(power):
    rng = np.random.default_rng(4)
    graph, scaled = (tracking_graph(np.random.default_rng(4), "residual", unit=unit) for unit in (1.0, 2.0**power))
    inputs = tracking_inputs(rng, graph)
    first, second = quantized(graph, inputs), quantized(scaled, inputs)
    for one, other in zip(first.network.projections, second.network.projections, strict=True):
        assert one.weight_exp == other.weight_exp
        name = "weights" if hasattr(one, "weights") else "data"
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    for one, other in zip(first.network.neurons, second.network.neurons, strict=True):
        np.testing.assert_array_equal(one.bias, other.bias)
    assert second.output_scales["out"] == first.output_scales["out"] * 2.0**power


# ---------------------------------------------------------------- tracking


def tracking_graph(rng, kind, *, unit=1.0, timesteps=16):
    """Networks of usual shapes, with weights that drive them; all in units of ``unit``."""

    def dense(name, pre, post, rows, columns, *, gain=1.0, delay=0):
        weights = rng.normal(0.2 / math.sqrt(columns), 1.0 / math.sqrt(columns), (rows, columns))
        return FloatDense(name, pre, post, weights * gain * unit, delay)

    def neurons(name, shape, **options):
        options.setdefault("threshold", 1.0)
        return lif(name, shape, **{k: v * unit if k in ("threshold", "bias") else v for k, v in options.items()})

    port = SpikeInput("x", (2, 8, 8), "x", True)
    out = integrator("out", (4,), bias=0.01 * unit)
    if kind == "conv":
        populations = (
            neurons("a", (6, 8, 8), voltage_decay=0.5, bias=0.05),
            neurons("b", (8, 4, 4), voltage_decay=0.2, current_decay=0.7, reset="subtract", refractory=1),
            out,
        )
        projections = (
            FloatConv("p", "x", "a", rng.normal(0.05, 0.4, (6, 2, 3, 3)) * unit, padding=(1, 1)),
            FloatConv("q", "a", "b", rng.normal(0.05, 0.3, (8, 3, 3, 3)) * unit, (2, 2), (1, 1), groups=2),
            dense("r", "b", "out", 4, 128),
        )
    elif kind == "residual":
        populations = (
            neurons("a", (40,), voltage_decay=0.3, bias=0.02),
            neurons("b", (30,), voltage_decay=0.3, comparison=">="),
            neurons("c", (30,), voltage_decay=0.1, reset="subtract", comparison=">="),
            out,
        )
        projections = (
            dense("p", "x", "a", 40, 128),
            dense("q", "a", "b", 30, 40, gain=1.5),
            dense("r", "b", "c", 30, 30),
            sparse("skip", "a", "c", rng.normal(0.1, 0.3, (30, 40)) * (rng.random((30, 40)) < 0.3) * unit, delay=1),
            dense("s", "c", "out", 4, 30),
        )
    else:
        populations = (
            ConstantSource("one"),
            neurons("a", (40,), current_decay=0.4, voltage_decay=0.3, threshold=rng.uniform(0.8, 1.6, 40)),
            neurons("b", (20,), voltage_decay=0.4, refractory=2, bias=rng.normal(0.05, 0.05, 20)),
            out,
        )
        projections = (
            dense("p", "x", "a", 40, 128),
            FloatDense("bias", "one", "a", rng.normal(0, 0.05, (40, 1)) * unit),
            dense("q", "a", "b", 20, 40, gain=1.5),
            dense("back", "b", "a", 40, 20, gain=-0.2, delay=2),
            dense("s", "b", "out", 4, 20),
        )
    return SpikingGraph(kind, timesteps, (port,), populations, projections, ("out",))


def tracking_inputs(rng, graph, *, batch=8):
    return {port.name: spikes(rng, graph.timesteps, batch, *port.shape) for port in graph.inputs}


@pytest.mark.parametrize("kind", ["conv", "residual", "recurrent"])
@pytest.mark.parametrize("seed", range(3))
def test_integers_track_floats_on_samples_that_calibration_did_not_see(kind, seed):
    rng = np.random.default_rng(seed)
    graph = tracking_graph(rng, kind)
    result = quantized(graph, tracking_inputs(rng, graph))
    simulation, _, reports = run(graph, tracking_inputs(rng, graph), result)
    for report in reports.values():
        assert (report.saturated, report.wrapped) == (0.0, 0.0)
        if report.spikes is None:
            assert report.voltage_error < 0.1
            continue
        assert 0.05 < report.spikes.float_rate < 0.9, "a test of nothing"
        assert report.spikes.f1 > (0.97 if report.population == "a" else 0.85), report
        assert report.spikes.rate_error < 0.02
        assert report.quantization.weight_snr_db > 35
    assert set(simulation.voltages) == {"out"}


def test_worst_cases_hold():
    """Where the static bound is below 1, no input wraps or saturates: try the worst ones."""
    rng = np.random.default_rng(8)
    weights = rng.normal(0, 1, (12, 20))
    neuron = lif("n", (12,), current_decay=0.5, voltage_decay=0.5, reset="none", bias=0.1)
    graph = single(weights, neuron, timesteps=20)
    result = quantized(graph, {"x": spikes(rng, 20, 30, 20, rate=0.5)}, margin=8.0)
    layer = result.layer("n")
    assert layer.worst.current < 1
    assert layer.worst.voltage < 1
    drive = np.stack([row > 0 for row in weights] + [row < 0 for row in weights]).astype(np.float32)
    inputs = {"x": np.broadcast_to(drive, (20, 24, 20))}
    _, integers, reports = run(graph, inputs, result)
    assert (reports["n"].saturated, reports["n"].wrapped) == (0.0, 0.0)
    reached = np.abs(integers.voltage["n"]).max() / (2**23 - 1)
    assert 0.9 * layer.worst.voltage < reached <= layer.worst.voltage


def test_margin_gives_headroom():
    rng = np.random.default_rng(9)
    graph = single(rng.normal(0, 1, (6, 40)), integrator("o", (6,)), timesteps=50)
    inputs = {"x": spikes(rng, 50, 4, 40)}
    tight, wide = quantized(graph, inputs, margin=1.0), quantized(graph, inputs, margin=16.0)
    assert 1.0 <= tight.layer("o").voltage_headroom < 2.2
    # Sixteen times what calibration saw is more than any input can cause.
    assert wide.layer("o").voltage_headroom > 2.5 * tight.layer("o").voltage_headroom
    assert 0.4 < wide.layer("o").worst.voltage <= 1.0 < tight.layer("o").worst.voltage


def test_convolutions_never_wrap_their_own_sum():
    rng = np.random.default_rng(10)
    port = SpikeInput("x", (3, 6, 6), "x", False)
    weights = rng.normal(0, 1, (4, 3, 3, 3))
    # Two convolutions that cancel: the current is small, each sum is not.
    pair = (FloatConv("p", "x", "o", weights), FloatConv("q", "x", "o", -weights))
    out = integrator("o", (4, 4, 4))
    graph = SpikingGraph("g", 3, (port,), (out,), pair, ("o",))
    inputs = {"x": rng.integers(0, 2**20, (3, 2, 3, 6, 6)).astype(np.float32)}
    result = quantized(graph, inputs, payload_bits=20)
    _, _, reports = run(graph, inputs, result)
    payload = payloads_of(result, inputs)["x"].astype(np.float64)
    for projection in result.network.projections:
        assert isinstance(projection, ConvProjection)
        top = np.abs(projection.weights.astype(float)).sum(axis=(1, 2, 3)).max() * payload.max()
        assert top * 2**projection.weight_exp < 2**23 or result.layer("o").worst.sums > 1
    assert reports["o"].wrapped == 0.0


# ---------------------------------------------------------------- graded inputs


def graded(values, *, timesteps=4, weights=None, **options):
    rng = np.random.default_rng(0)
    values = np.asarray(values).reshape(timesteps, -1, 4)
    weights = rng.normal(0, 0.5, (7, 4)) if weights is None else weights
    graph = single(weights, lif("n", (7,), voltage_decay=0.5), timesteps=timesteps, binary=False)
    return graph, {"x": values}, quantized(graph, {"x": values}, **options)


def test_pixels_are_exact():
    rng = np.random.default_rng(0)
    _, inputs, result = graded(rng.integers(0, 256, (4, 50, 4)) / 255)
    scale = result.input_scales["x"]
    (port,) = result.network.inputs
    assert scale == pytest.approx(1 / 255, rel=1e-6)
    assert not port.signed
    np.testing.assert_allclose(payloads_of(result, inputs)["x"] * scale, inputs["x"], atol=1e-6)


@pytest.mark.parametrize(("low", "high"), [(0, 4), (-3, 4), (0, 256), (-127, 128)])
def test_small_integers_have_scale_one(low, high):
    values = np.random.default_rng(1).integers(low, high, (4, 30, 4))
    values.flat[:2] = low, high - 1
    _, inputs, result = graded(values)
    (port,) = result.network.inputs
    assert result.input_scales["x"] == 1.0
    assert port.signed is (low < 0)
    assert port.max_payload >= np.abs(values).max()
    np.testing.assert_array_equal(payloads_of(result, inputs)["x"], values)


def test_real_values_balance_payload_and_weight_bits():
    rng = np.random.default_rng(2)
    graph, inputs, result = graded(rng.normal(0, 1, (4, 64, 4)), payload_bits=16)
    (port,) = result.network.inputs
    assert port.signed
    assert port.max_payload < 2**15 - 1, "16 bits would leave hardly any for the weights"
    assert result.layer("n").weight_snr_db > 30
    _, _, reports = run(graph, inputs, result)
    assert reports["n"].spikes.f1 > 0.97


def test_exact_payloads_give_way_where_weights_would_vanish():
    values = np.random.default_rng(4).integers(0, 2**12, (4, 60, 4))
    graph, inputs, result = graded(values / 4096, payload_bits=12)
    (port,) = result.network.inputs
    assert port.max_payload < 2**10
    assert run(graph, inputs, result)[2]["n"].spikes.f1 > 0.98


@pytest.mark.parametrize("bits", range(1, 25))
@pytest.mark.parametrize("sign", [1, -1])
def test_every_payload_width_works(bits, sign):
    rng = np.random.default_rng(bits)
    values = rng.random((4, 8, 4)) * (1 if sign > 0 else rng.choice([-1, 1], (4, 8, 4)))
    _, inputs, result = graded(values, payload_bits=bits)
    (port,) = result.network.inputs
    assert 1 <= port.max_payload <= min(max(1, 2 ** (bits - (sign < 0)) - 1), 2**23 - 1)
    found = payloads_of(result, inputs)["x"] * result.input_scales["x"]
    assert np.abs(found - inputs["x"]).max() <= 0.501 * result.input_scales["x"]


def test_a_silent_graded_input_works():
    graph, _, result = graded(np.zeros((4, 2, 4)))
    (port,) = result.network.inputs
    assert (result.input_scales["x"], port.max_payload, port.signed) == (1.0, 255, False)
    assert run(graph, {"x": np.zeros((4, 1, 4), np.float32)}, result)[2]["n"].spikes.f1 == 1.0


def test_an_input_that_is_an_output_has_its_scale():
    graph, inputs, _ = graded(np.random.default_rng(0).integers(0, 11, (4, 20, 4)) / 10)
    graph = replace(graph, outputs=("x", "n"))
    result = quantized(graph, inputs)
    _, integers, _ = run(graph, inputs, result)
    np.testing.assert_allclose(integers.outputs["x"] * result.output_scales["x"], inputs["x"], atol=1e-6)


# ---------------------------------------------------------------- edges


@pytest.mark.parametrize("neuron", [lif("n", (3,)), lif("n", (3,), comparison=">="), integrator("n", (3,))])
def test_all_zero_weights(neuron):
    graph = single(np.zeros((3, 2)), neuron)
    inputs = {"x": np.ones((4, 1, 2), np.float32)}
    result = quantized(graph, inputs)
    assert not result.network.projections[0].weights.any()
    assert result.layer("n").projections[0].snr_db is None
    assert not run(graph, inputs, result)[1].outputs["n"].any()


def test_a_population_without_inputs_runs_on_its_bias():
    neuron = lif("n", (2,), threshold=1.0, bias=[0.3125, 0.0], reset="subtract", comparison=">=")
    graph = SpikingGraph("g", 20, (), (neuron,), (), ("n",))
    result = quantize(graph, calibrate(graph, [{}]))
    simulation, integers, _ = run(graph, {}, result)
    np.testing.assert_array_equal(integers.spikes["n"], simulation.spikes["n"])
    assert simulation.spikes["n"].sum() == 6


def test_an_integrator_with_nothing_at_all():
    graph = SpikingGraph("g", 3, (), (integrator("o", (2,)),), (), ("o",))
    result = quantize(graph, calibrate(graph, [{}]))
    assert run(graph, {}, result)[1].outputs["o"].tolist() == [[[0, 0]]] * 3


def test_a_sparse_projection_without_synapses():
    port, out = SpikeInput("x", (3,), "x", True), integrator("o", (2,))
    graph = SpikingGraph("g", 2, (port,), (out,), (sparse("s", "x", "o", np.zeros((2, 3))),), ("o",))
    inputs = {"x": np.ones((2, 1, 3), np.float32)}
    assert not run(graph, inputs, quantized(graph, inputs))[1].outputs["o"].any()


def test_a_layer_that_calibration_left_silent_can_still_fire():
    rng = np.random.default_rng(0)
    graph = single(np.abs(rng.normal(0, 1, (5, 10))), lif("n", (5,), voltage_decay=0.5))
    result = quantized(graph, {"x": np.zeros((4, 2, 10), np.float32)})
    _, _, reports = run(graph, {"x": spikes(rng, 4, 10, 10, rate=0.3)}, result)
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
