"""Graded inputs: which integer payloads are chosen, and what that costs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hsnn.verify.layers import payloads_of
from support.float_graphs import lif, single
from support.quantized import quantized, run_both

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
    _, _, reports = run_both(graph, inputs, result)
    assert reports["n"].spikes.f1 > 0.97


def test_exact_payloads_give_way_where_weights_would_vanish():
    values = np.random.default_rng(4).integers(0, 2**12, (4, 60, 4))
    graph, inputs, result = graded(values / 4096, payload_bits=12)
    (port,) = result.network.inputs
    assert port.max_payload < 2**10
    assert run_both(graph, inputs, result)[2]["n"].spikes.f1 > 0.98


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
    assert run_both(graph, {"x": np.zeros((4, 1, 4), np.float32)}, result)[2]["n"].spikes.f1 == 1.0


def test_an_input_that_is_an_output_has_its_scale():
    graph, inputs, _ = graded(np.random.default_rng(0).integers(0, 11, (4, 20, 4)) / 10)
    graph = replace(graph, outputs=("x", "n"))
    result = quantized(graph, inputs)
    _, integers, _ = run_both(graph, inputs, result)
    np.testing.assert_allclose(integers.outputs["x"] * result.output_scales["x"], inputs["x"], atol=1e-6)
