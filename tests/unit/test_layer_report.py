"""The layer report: spike measures by hand, replay against the reference, limits."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from hsnn.errors import QuantizationError, UsageError
from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.populations import ConstantSource, InputPort, IntegratorPopulation, LifPopulation
from hsnn.ir.projections import ConvProjection, DenseProjection, SparseProjection
from hsnn.ir.spiking import FloatDense, FloatIntegrator, FloatLif, SpikeInput, SpikingGraph
from hsnn.passes.quantization.quantize import quantize
from hsnn.passes.simulation.calibrate import calibrate
from hsnn.passes.simulation.simulate import simulate
from hsnn.report.integer_states import replay
from hsnn.report.layers import Limits, check_limits, compare_layers, parse_limits
from hsnn.report.spike_quality import compare_spikes
from hsnn.target import SegmentResult
from hsnn_targets.reference.machine import ReferenceTarget


def trains(*rows):
    """Spike trains of one sample, one row a timestep."""
    return np.array([[row] for row in rows], bool)


def test_spike_measures_by_hand():
    wanted = trains([1, 0, 1, 0], [1, 0, 1, 0], [0, 0, 1, 0])
    found = trains([1, 0, 0, 1], [1, 0, 0, 0], [1, 0, 0, 0])
    quality = compare_spikes(wanted, found)
    assert (quality.precision, quality.recall) == (2 / 4, 2 / 5)
    assert quality.f1 == pytest.approx(4 / 9)
    assert (quality.float_spikes, quality.integer_spikes) == (5, 4)
    assert (quality.float_rate, quality.integer_rate) == (5 / 12, 4 / 12)
    assert quality.rate_error == pytest.approx(0.2)
    assert (quality.newly_dead, quality.dead) == (0, 1)


def test_a_neuron_is_newly_dead_from_five_lost_spikes_on():
    """One lost spike of a neuron that sent one is chance: tiny networks would fail verify right after a good build."""
    wanted = trains(*[[1, 1, 1, 0, 1]] * 4, [1, 0, 1, 0, 1])
    found = trains(*[[0, 0, 0, 0, 0]] * 4, [0, 0, 1, 0, 0])
    quality = compare_spikes(wanted, found)
    assert (quality.newly_dead, quality.dead) == (2, 1)
    several = compare_spikes(np.array([[[4, 5]]]), np.array([[[0, 0]]]))
    assert (several.newly_dead, several.dead) == (1, 0)


def test_silence_is_agreement_and_noise_is_not():
    silent, active = trains([0, 0], [0, 0]), trains([1, 0], [0, 0])
    both = compare_spikes(silent, silent)
    assert (both.precision, both.recall, both.f1, both.rate_error, both.dead) == (1.0, 1.0, 1.0, 0.0, 2)
    extra = compare_spikes(silent, active)
    assert (extra.precision, extra.recall, extra.f1, extra.rate_error) == (0.0, 1.0, 0.0, 1.0)
    lost = compare_spikes(active, silent)
    assert (lost.precision, lost.recall, lost.f1, lost.rate_error, lost.dead) == (1.0, 0.0, 0.0, 1.0, 1)


def integers(low, high, *shape, rng, dtype=np.int32):
    return rng.integers(low, high, shape).astype(dtype)


def random_network(rng, *, timesteps=9):
    """Integers that wrap, saturate, hold and reset in every way."""

    def neuron(name, shape, **options):
        du, dv = integers(-1, 4096, *shape, rng=rng), integers(0, 4097, *shape, rng=rng)
        bias = integers(-4096, 4096, *shape, rng=rng)
        return LifPopulation(name, shape, du, dv, np.array(options.pop("threshold"), np.int32), bias, 6, **options)

    def even(*shape):
        return (2 * rng.integers(-128, 128, shape)).astype(np.int16)

    reset_amount = np.array(300_000, np.int32)
    populations = (
        ConstantSource("one"),
        neuron("conv", (3, 4, 4), threshold=2_000_000, refractory=1),
        neuron("held", (6,), threshold=100_000, reset="subtract", reset_amount=reset_amount, refractory=2),
        neuron("free", (5,), threshold=4_000_000, reset="none"),
        IntegratorPopulation("out", (3,), np.array(-1, np.int32), np.zeros((), np.int32), np.array(7, np.int32)),
    )
    rows = np.array([0, 2, 2, 5, 6, 8], np.int32)
    projections = (
        ConvProjection("c", "image", "conv", even(3, 2, 3, 3), (2, 2), (1, 1), weight_exp=9),
        DenseProjection("d", "conv", "held", even(6, 48), 4, 1),
        DenseProjection("b", "one", "held", even(6, 1), 3),
        DenseProjection("r", "held", "held", even(6, 6), 6, 2),
        SparseProjection("s", "held", "free", even(8), integers(0, 6, 8, rng=rng), rows, 9),
        DenseProjection("o", "free", "out", even(3, 5), 5, 50),
        DenseProjection("p", "conv", "out", even(3, 48), 10),
    )
    inputs = (InputPort("image", (2, 7, 7), 100, True),)
    return IntegerNetwork("wild", timesteps, inputs, populations, projections, ("out",))


@pytest.mark.parametrize("seed", range(5))
def test_replay_equals_the_reference_also_where_states_wrap(seed):
    rng = np.random.default_rng(seed)
    network = random_network(rng)
    payloads = {"image": integers(-100, 101, 9, 4, 2, 7, 7, rng=rng)}
    result = ReferenceTarget().load(network).run(payloads, trace=True)
    states = {n.name: replay(network, n.name, {**payloads, **result.spikes}) for n in network.neurons}
    for name, spikes in result.spikes.items():
        np.testing.assert_array_equal(states[name].sent, spikes, err_msg=name)
        assert 0 < spikes.sum() < spikes.size
    np.testing.assert_array_equal(states["out"].sent, result.outputs["out"])
    assert sum(state.wrapped for state in states.values()) > 0
    assert sum(state.saturated for state in states.values()) > 0


def test_saturation_is_counted_where_it_matters():
    zero = np.zeros((), np.int32)

    def states(weight, **options):
        neuron = LifPopulation(
            "n", (1,), np.array(4095, np.int32), zero, np.array(8_000_000, np.int32), zero, **options
        )
        synapse = DenseProjection("w", "x", "n", np.array([[weight]], np.int16), 8)
        network = IntegerNetwork("g", 4, (InputPort("x", (1,)),), (neuron,), (synapse,), ("n",))
        return replay(network, "n", {"x": np.ones((4, 1, 1), np.int32)})

    # 254 << 8 << 6 is 4,161,536: v passes 8,000,000 at the second step and never leaves 24 bits.
    assert states(254).saturated == 0.0
    assert states(254).sent.ravel().tolist() == [0, 1, 0, 1]
    # Without a reset it stays at the limit from the third step on.
    assert states(254, reset="none").saturated == 0.5
    # Downward it saturates whatever the reset, from the second step on: -8,388,608 is one too far.
    assert states(-256).saturated == 0.5 + 0.25
    assert states(-256).wrapped == 0.0


def test_wraps_are_counted():
    zero = np.zeros((), np.int32)
    neuron = IntegratorPopulation("n", (2,), np.array(-1, np.int32), np.array(4096, np.int32), zero)
    synapse = DenseProjection("w", "x", "n", np.array([[254], [0]], np.int16), 8)
    network = IntegerNetwork("g", 4, (InputPort("x", (1,)),), (neuron,), (synapse,), ("n",))
    states = replay(network, "n", {"x": np.ones((4, 1, 1), np.int32)})
    # u: 4,161,536, 8,323,072, then past 2**23 by wrapping once, then up again.
    assert states.wrapped == 1 / 8
    assert states.sent[:, 0, 0].tolist() == [4161536, 8323072, 12484608 - 2**24, 16646144 - 2**24]


def small_case(*, threshold=1.0, calibration_rate=0.3, timesteps=10):
    rng = np.random.default_rng(0)
    port = SpikeInput("x", (30,), "x", True)

    def scalar(value):
        return np.asarray(value, np.float64)

    populations = (
        FloatLif("n", (20,), "n", scalar(1.0), scalar(0.3), scalar(threshold), scalar(0.0)),
        FloatIntegrator("o", (4,), "o", scalar(1.0), scalar(0.0), scalar(0.0)),
    )
    projections = (
        FloatDense("w", "x", "n", rng.normal(0.05, 0.3, (20, 30))),
        FloatDense("q", "n", "o", rng.normal(0, 1, (4, 20))),
    )
    graph = SpikingGraph("g", timesteps, (port,), populations, projections, ("o",))
    samples = {"x": (rng.random((timesteps, 8, 30)) < calibration_rate).astype(np.int32)}
    return graph, quantize(graph, calibrate(graph, [samples])), rng


def both(graph, quantized, payloads):
    result = ReferenceTarget().load(quantized.network).run(payloads, trace=True)
    return simulate(graph, payloads), result


def test_reports_are_plain_data():
    graph, quantized, rng = small_case()
    payloads = {"x": (rng.random((10, 4, 30)) < 0.3).astype(np.int32)}
    reports = compare_layers(graph, quantized, *both(graph, quantized, payloads), payloads=payloads)
    lif, out = (json.loads(json.dumps(report.to_json(), allow_nan=False)) for report in reports)
    assert (lif["segment"], lif["population"], lif["neurons"], lif["voltage_error"]) == ("g", "n", 20, None)
    assert (out["population"], out["spikes"]) == ("o", None)
    assert 0.9 < lif["spikes"]["f1"] <= 1.0
    assert 0.0 < out["voltage_error"] < 0.2
    assert lif["scale"] == quantized.layer("n").scale
    assert lif["quantization"]["projections"][0]["name"] == "w"
    assert 30 < lif["weight_snr_db"] < 60
    check_limits(reports)


def test_a_broken_layer_is_named_with_every_reason():
    graph, quantized, rng = small_case()
    payloads = {"x": (rng.random((10, 4, 30)) < 0.3).astype(np.int32)}
    network = quantized.network
    deaf = tuple(replace(n, threshold=np.array(2**23 - 1, np.int32)) if n.name == "n" else n for n in network.neurons)
    broken = replace(quantized, network=replace(network, populations=deaf))
    reports = compare_layers(graph, broken, *both(graph, broken, payloads), payloads=payloads)
    assert reports[0].spikes.newly_dead > 10
    with pytest.raises(QuantizationError) as caught:
        check_limits(reports)
    error = caught.value
    assert error.code == "HSNN-Q020"
    for part in ("'n' has F1", "'n' has rate error", "newly dead", "'o' has voltage error"):
        assert part in error.found
    check_limits(reports, Limits(0.0, 1.0, 1.0, 1.0, 10.0))


def test_samples_beyond_calibration_show_as_saturation():
    graph, quantized, _ = small_case(calibration_rate=0.02, timesteps=200)
    payloads = {"x": np.ones((200, 4, 30), np.int32)}
    reports = compare_layers(graph, quantized, *both(graph, quantized, payloads), payloads=payloads)
    lost = {report.population: report.saturated + report.wrapped for report in reports}
    assert lost["n"] + lost["o"] > 0.01
    with pytest.raises(QuantizationError) as caught:
        check_limits(reports)
    assert "saturates or wraps" in caught.value.found


def test_a_few_spikes_are_no_evidence():
    graph, quantized, rng = small_case(timesteps=2)
    payloads = {"x": (rng.random((2, 1, 30)) < 0.05).astype(np.int32)}
    simulation, result = both(graph, quantized, payloads)
    (report, _) = compare_layers(graph, quantized, simulation, result, payloads=payloads)
    worst = replace(report.spikes, f1=0.0, rate_error=1.0, float_spikes=19, integer_spikes=0)
    check_limits([replace(report, spikes=worst)])
    with pytest.raises(QuantizationError):
        check_limits([replace(report, spikes=worst)], Limits(min_spikes=19))


def test_runs_that_do_not_belong_together_are_refused():
    graph, quantized, rng = small_case()
    payloads = {"x": (rng.random((10, 4, 30)) < 0.3).astype(np.int32)}
    simulation, result = both(graph, quantized, payloads)
    other = {"x": (rng.random((10, 4, 30)) < 0.3).astype(np.int32)}
    flipped = {"n": 1 - result.spikes["n"]}
    for bad in (
        (simulate(graph, payloads, keep=("o",)), result, payloads),
        (simulation, SegmentResult(result.outputs), payloads),
        (simulation, result, {}),
        (simulation, result, other),
        (simulation, replace(result, spikes=flipped), payloads),
        (simulate(graph, {"x": payloads["x"][:, :2]}), result, payloads),
    ):
        with pytest.raises(UsageError) as caught:
            compare_layers(graph, quantized, *bad[:2], payloads=bad[2])
        assert caught.value.code == "HSNN-Q022"


def test_limits_are_read_from_text():
    assert parse_limits("") == Limits()
    parsed = parse_limits(" f1=0.9, rate=0.1,saturation=0,dead=0.25,voltage=1e-2,spikes=7 ")
    assert parsed == Limits(0.9, 0.1, 0.0, 0.25, 0.01, 7)
    assert parsed.to_json()["min_f1"] == 0.9


@pytest.mark.parametrize("text", ["f2=1", "f1", "f1=", "f1=x", "f1=-1", "f1=nan", "f1=inf", "f1=0.5,f1=0.6", "=1"])
def test_wrong_limits_are_refused(text):
    with pytest.raises(UsageError) as caught:
        parse_limits(text)
    assert caught.value.code == "HSNN-Q021"


def test_the_voltage_of_a_decoder_is_not_judged():
    from hsnn.report.layers import LayerReport

    noisy = LayerReport("chip.0", "decode", 3, None, 0.9, 0.0, 0.0, None)
    with pytest.raises(QuantizationError, match="voltage error"):
        check_limits([noisy])
    check_limits([noisy], decoders=["decode"])
    with pytest.raises(QuantizationError, match="voltage error"):
        check_limits([noisy], decoders=["other"])
