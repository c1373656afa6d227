"""Networks that integers hold exactly, and how well they track those that they do not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hsnn.ir.populations import ConstantSource
from hsnn.ir.projections import ConvProjection
from hsnn.ir.spiking import FloatConv, FloatDense, SpikeInput, SpikingGraph
from hsnn.verify.layers import payloads_of
from support.float_graphs import integrator, lif, single, sparse
from support.quantized import quantized, run_both, spikes

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
    simulation, integers, reports = run_both(graph, inputs, result)
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
    simulation, _, reports = run_both(graph, tracking_inputs(rng, graph), result)
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
    _, integers, reports = run_both(graph, inputs, result)
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
    _, _, reports = run_both(graph, inputs, result)
    payload = payloads_of(result, inputs)["x"].astype(np.float64)
    for projection in result.network.projections:
        assert isinstance(projection, ConvProjection)
        top = np.abs(projection.weights.astype(float)).sum(axis=(1, 2, 3)).max() * payload.max()
        assert top * 2**projection.weight_exp < 2**23 or result.layer("o").worst.sums > 1
    assert reports["o"].wrapped == 0.0
