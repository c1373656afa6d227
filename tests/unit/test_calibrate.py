"""Calibration: ranges, merging, grids of values, and its errors."""

from __future__ import annotations

import numpy as np
import pytest

from hsnn.errors import QuantizationError, UsageError
from hsnn.ir.spiking import FloatDense, FloatIntegrator, FloatLif, SpikeInput, SpikingGraph
from hsnn.passes.simulation.calibrate import calibrate
from hsnn.passes.simulation.port_range import measure_port


def scalar(value):
    return np.asarray(value, np.float64)


def graph(*, timesteps=3, threshold=1.0):
    inputs = (SpikeInput("spikes", (4,), "spikes", True), SpikeInput("graded", (2,), "graded", False))
    populations = (
        FloatLif("lif", (3,), "lif", scalar(0.5), scalar(0.1), scalar(threshold), scalar(0.05)),
        FloatIntegrator("out", (2,), "out", scalar(1.0), scalar(0.0), scalar(0.0)),
    )
    rng = np.random.default_rng(0)
    projections = (
        FloatDense("a", "spikes", "lif", rng.normal(0, 1, (3, 4))),
        FloatDense("b", "graded", "lif", rng.normal(0, 1, (3, 2)), delay=1),
        FloatDense("c", "lif", "out", rng.normal(0, 1, (2, 3))),
    )
    return SpikingGraph("g", timesteps, inputs, populations, projections, ("out",))


def batch(rng, size, *, timesteps=3):
    return {
        "spikes": (rng.random((timesteps, size, 4)) < 0.5).astype(np.float32),
        "graded": rng.normal(0, 1, (timesteps, size, 2)).astype(np.float32),
    }


def test_batches_add_up_to_one_calibration():
    rng = np.random.default_rng(1)
    batches = [batch(rng, size) for size in (5, 1, 3)]
    whole = {name: np.concatenate([b[name] for b in batches], axis=1) for name in batches[0]}
    parts, once = calibrate(graph(), iter(batches)), calibrate(graph(), [whole])
    assert (parts.samples, once.samples) == (9, 9)
    assert parts.segment == "g"
    assert parts.deliveries == pytest.approx(once.deliveries)
    for name, stats in once.populations.items():
        other = parts.populations[name]
        assert other.updates == stats.updates == 27
        np.testing.assert_array_equal(other.spikes, stats.spikes)
        for field in ("activation", "current", "voltage_low", "voltage_high"):
            assert getattr(other, field) == pytest.approx(getattr(stats, field))
    for name, port in once.inputs.items():
        other = parts.inputs[name]
        assert (other.magnitude, other.signed, other.integral, other.count) == (
            port.magnitude,
            port.signed,
            port.integral,
            port.count,
        )
        assert other.mean_square == pytest.approx(port.mean_square)


def test_ranges_of_inputs():
    rng = np.random.default_rng(2)
    sample = batch(rng, 4)
    ports = calibrate(graph(), [sample]).inputs
    assert ports["spikes"].magnitude == 1.0
    assert ports["spikes"].integral
    assert not ports["spikes"].signed
    assert ports["graded"].magnitude == np.abs(sample["graded"]).max()
    assert ports["graded"].signed
    assert not ports["graded"].integral
    assert ports["graded"].grid == 0.0


@pytest.mark.parametrize(
    ("values", "grid"),
    [
        (np.arange(256) / 255.0, 1 / 255.0),
        (np.array([0.0, 0.25, -0.75]), 0.25),
        (np.array([2, 4, 6]), 2.0),
        (np.array([0.3, 0.5]), 0.1),
        (np.array([7.5]), 7.5),
        (np.zeros(3), 0.0),
        (np.array([0.0, -0.2]), 0.2),
        (np.random.default_rng(0).random(1000), 0.0),
        (np.array([1.0, np.pi]), 0.0),
        (np.append(np.arange(5000) % 2, np.pi / 30), 0.0),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_grid_of_values_is_found(values, grid, dtype):
    assert measure_port(values.astype(dtype)).grid == pytest.approx(grid, rel=1e-5)


@pytest.mark.parametrize(
    ("first", "second", "grid"),
    [([0.4, 0.8], [0.6], 0.2), ([0.0], [0.5], 0.5), ([0.5], [0.0], 0.5), ([0.0], [0.0], 0.0), ([1.0], [np.e], 0.0)],
)
def test_grids_of_batches_merge(first, second, grid):
    merged = measure_port(np.float32(first)).merge(measure_port(np.float32(second)))
    assert merged.grid == pytest.approx(grid, rel=1e-5)
    assert merged.count == len(first) + len(second)


def test_sign_and_integers_merge():
    merged = measure_port(np.array([1, 2])).merge(measure_port(np.array([-0.5])))
    assert (merged.magnitude, merged.signed, merged.integral) == (2.0, True, False)
    assert merged.mean_square == pytest.approx((1 + 4 + 0.25) / 3)


@pytest.mark.parametrize(
    ("batches", "code", "error"),
    [
        ([], "HSNN-Q001", UsageError),
        (batch(np.random.default_rng(0), 1), "HSNN-Q002", UsageError),
        ([{}], "HSNN-Q002", UsageError),
        ([{**batch(np.random.default_rng(0), 1), "graded": np.full((3, 1, 2), np.nan)}], "HSNN-Q003", UsageError),
        ([{**batch(np.random.default_rng(0), 1), "spikes": np.full((3, 1, 4), 0.5)}], "HSNN-Q004", UsageError),
    ],
)
def test_wrong_samples_are_refused(batches, code, error):
    with pytest.raises(error) as caught:
        calibrate(graph(), batches)
    assert caught.value.code == code


def test_a_wrong_graph_is_refused():
    with pytest.raises(QuantizationError) as caught:
        calibrate(graph(threshold=-1.0), [batch(np.random.default_rng(0), 1)])
    assert caught.value.code == "HSNN-Q010"
