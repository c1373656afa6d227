"""The ONNX functions compute what the operator set says: against plain loops, in stock ONNX Runtime."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from hsnn.ops import DOMAIN, OPS
from hsnn.ops.functions import attach_functions, inline_functions
from hsnn.ops.noise import P, counter_noise, mix

F = np.float32
RNG = np.random.default_rng(0)


def model_of(op, x, attributes, parameters):
    """One node, with the batch axis free."""
    free = 0 if OPS[op].kind == "encoder" else 1
    shape = [extent if axis != free else "batch" for axis, extent in enumerate(x.shape)]
    if op == "SplitTime":
        shape[0], shape[1] = "rows", x.shape[1]
    node = helper.make_node(op, list(OPS[op].inputs), ["y"], name=op.lower(), domain=DOMAIN, **attributes)
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, OPS[op].output_shape(tuple(shape), attributes))],
        [numpy_helper.from_array(np.asarray(value, F), name) for name, value in parameters.items()],
    )
    return attach_functions(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10))


def session(model):
    onnx.checker.check_model(model, full_check=True)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def run(op, x, attributes=None, parameters=None):
    """Run a node with its function and inlined, at the full batch and with one sample."""
    attributes, parameters = attributes or {}, parameters or {}
    model = model_of(op, x, attributes, parameters)
    plain = inline_functions(model)
    assert not plain.functions
    assert {item.domain for item in plain.opset_import} == {""}
    with_function, inlined = session(model), session(plain)
    (y,) = with_function.run(None, {"x": x})
    np.testing.assert_array_equal(inlined.run(None, {"x": x})[0], y)
    if op not in ("SplitTime", "MergeTime") and attributes.get("rescale") != "batch":
        one = x[:1] if OPS[op].kind == "encoder" else x[:, :1]
        expected = y[:, :1] if OPS[op].kind != "decoder" else y[:1]
        np.testing.assert_array_equal(with_function.run(None, {"x": one})[0], expected)
    return y


def each(function, x, *, time_in, values=()):
    """Apply a plain function to every neuron's series on its own; values broadcast to the features."""
    features = x.shape[2:] if time_in else x.shape[1:]
    values = [np.broadcast_to(np.asarray(value, F), features) for value in values]
    batch = x.shape[1] if time_in else x.shape[0]
    columns = {
        (b, i): function(x[(slice(None), b, *i)] if time_in else x[(b, *i)], *(value[i] for value in values))
        for b in range(batch)
        for i in np.ndindex(features)
    }
    out = np.zeros((len(columns[(0, (0,) * len(features))]), batch, *features), F)
    for (b, i), column in columns.items():
        out[(slice(None), b, *i)] = column
    return out


def rate(x, *, timesteps, scale, initial, silent):
    a, total, out = min(max(x / F(scale), F(0)), F(1)), F(initial), []
    for t in range(timesteps):
        if t >= timesteps - silent:
            out.append(0)
            continue
        total = F(total + a)
        out.append(int(total >= 1))
        total = F(total - out[-1])
    return out


@pytest.mark.parametrize(
    ("timesteps", "scale", "initial", "silent"),
    [(5, 1.0, 0.0, 0), (7, 2.0, 0.5, 2), (1, 0.5, 0.0, 0), (3, 1.0, 0.25, 3), (16, 0.7, 0.1, 1)],
)
def test_rate_encode(timesteps, scale, initial, silent):
    x = np.array([[0, 0.25, 0.5, 1], [-3, 1.0, 2.5, 0.75], [0.1, 0.3, 0.7, 0.9]], F) * F(scale)
    options = {"timesteps": timesteps, "scale": scale, "initial": initial, "silent": silent}
    y = run("RateEncode", x, options)
    np.testing.assert_array_equal(y, each(lambda v: rate(v, **options), x, time_in=False))
    assert not y[timesteps - silent :].any()


def test_rate_encode_carries_the_remainder():
    y = run("RateEncode", np.array([[0.375, 1.0]], F), {"timesteps": 8, "scale": 1.0, "initial": 0.0, "silent": 0})
    np.testing.assert_array_equal(y[:, 0, 0], [0, 0, 1, 0, 0, 1, 0, 1])
    np.testing.assert_array_equal(y[:, 0, 1], np.ones(8))


def test_poisson_encode_uses_the_counter_noise():
    x = np.array([[[0, 1, 2], [0.5, 0.25, -1]], [[0.1, 0.9, 0.4], [1, 0, 0.6]]], F)
    y = run("PoissonEncode", x, {"timesteps": 9, "scale": 1.0, "seed": 2**31 - 2})
    noise = counter_noise(2**31 - 2, 9, 6).reshape(9, 1, 2, 3)
    np.testing.assert_array_equal(y, noise < np.clip(x, 0, 1))
    assert not y[:, 0, 0, 0].any()
    assert y[:, 0, 0, 1].all()


def test_counter_noise_is_what_its_rounds_say():
    def slow(h):
        h %= P
        for constant in (314159265, 2718281828 % P, 1618033988, 1414213562):
            h = (pow(h, 5, P) + constant) % P
        return h

    values = [0, 1, 5, P - 1, P, 2 * P]
    np.testing.assert_array_equal(mix(np.array(values, np.int64)), [slow(value) for value in values])
    expected = [[slow(slow(slow(3) + t) + slow(i)) // 128 * 2.0**-24 for i in range(4)] for t in range(3)]
    np.testing.assert_array_equal(counter_noise(3, 3, 4), np.array(expected, F))


def test_counter_noise_is_uniform_and_unrelated():
    noise = counter_noise(1, 16, 5000)
    assert noise.min() >= 0
    assert noise.max() < 1
    counts = np.histogram(noise, bins=20, range=(0, 1))[0]
    assert np.abs(counts - noise.size / 20).max() < 5 * np.sqrt(noise.size / 20)
    between = np.corrcoef(np.concatenate([noise, counter_noise(2, 16, 5000)]))
    assert np.abs(between - np.eye(32)).max() < 0.07
    assert abs(np.corrcoef(noise[:, :-1].ravel(), noise[:, 1:].ravel())[0, 1]) < 0.02


def test_direct_encode(rng):
    x = rng.normal(size=(3, 2, 2)).astype(F)
    np.testing.assert_array_equal(run("DirectEncode", x, {"timesteps": 3}), np.stack([x] * 3))


@pytest.mark.parametrize(
    ("bits", "signed", "low", "high"), [(8, 0, 0, 255), (3, 1, -4, 3), (1, 0, 0, 1), (24, 1, -(2**23), 2**23 - 1)]
)
def test_graded_encode(bits, signed, low, high):
    x = np.array([[0.0, 0.25, 0.75, 0.375], [-0.25, -1e9, 1e9, 1.0], [63.75, 64.0, -1.25, 2.0]], F)
    y = run("GradedEncode", x, {"timesteps": 3, "step": 0.5, "bits": bits, "signed": signed})
    payload = [[max(low, min(high, round(float(value) / 0.5))) for value in row] for row in x]
    np.testing.assert_array_equal(y[0], np.array(payload, F) * F(0.5))
    assert not y[1:].any()


def planes_of(z, planes, floor_lsb):
    out = []
    z = np.floor(z) if floor_lsb else z
    for _ in range(planes):
        out.append(z - 2 * np.floor(z / 2))
        z = np.floor(z / 2)
    return np.array(out, F)


@pytest.mark.parametrize("order", ["lsb", "msb"])
@pytest.mark.parametrize("floor_lsb", [0, 1])
@pytest.mark.parametrize("planes", [1, 4, 8])
def test_bit_plane_encode_of_exact_and_other_values(order, floor_lsb, planes):
    levels = 2**planes - 1
    x = np.array([[0, 1, 1 / levels, 0.5], [0.3, 1.25, -0.25, 7.0], [2, -1, 0.999, 1e-3]], F)
    options = {"planes": planes, "order": order, "floor_lsb": floor_lsb, "rescale": "none", "low": 0.0, "high": 1.0}
    y = run("BitPlaneEncode", x, options)
    expected = planes_of(x * F(levels), planes, floor_lsb)
    np.testing.assert_array_equal(y, expected if order == "lsb" else expected[::-1])


def test_bit_planes_of_integers_are_their_bits():
    x = (np.arange(256, dtype=F) / 255).reshape(1, 256)
    options = {"planes": 8, "order": "lsb", "floor_lsb": 0, "rescale": "none", "low": 0.0, "high": 1.0}
    exact = np.round(x * 255) == x * F(255)
    y = run("BitPlaneEncode", x, options)
    bits = np.array([[value >> k & 1 for value in range(256)] for k in range(8)], F)
    assert exact.mean() > 0.9
    np.testing.assert_array_equal(y[:, exact], bits[:, exact[0]])


@pytest.mark.parametrize("rescale", ["static", "per_sample", "batch"])
def test_bit_plane_rescale(rescale):
    x = np.array([[-2, 0, 2, 1], [0.25, 0.5, 1, 0], [3, 3, 3, 3], [0.5, 0.5, 0.5, 0.5]], F)
    x = x[:2] if rescale == "batch" else x
    options = {"planes": 4, "order": "msb", "floor_lsb": 1, "rescale": rescale, "low": -1.0, "high": 3.0}
    y = run("BitPlaneEncode", x, options)
    scaled = {
        "static": np.clip((x + 1) / 4, 0, 1),
        "per_sample": np.array([[0, 0.5, 1, 0.75], [0.25, 0.5, 1, 0], [1] * 4, [0.5] * 4], F),
        "batch": (x + 2) / 4,
    }[rescale]
    np.testing.assert_array_equal(y, planes_of(scaled.astype(F) * 15, 4, True)[::-1])


@pytest.mark.parametrize("value", [5.0, 0.5])
def test_bit_plane_of_an_all_equal_batch(value):
    options = {"planes": 2, "order": "lsb", "floor_lsb": 1, "rescale": "batch", "low": 0.0, "high": 1.0}
    y = run("BitPlaneEncode", np.full((2, 3), value, F), options)
    expected = np.ones((2, 2, 3)) if value > 1 else np.stack([np.ones((2, 3)), np.zeros((2, 3))])
    np.testing.assert_array_equal(y, expected)


def lif(series, du, dv, threshold, bias, *, reset, comparison, refractory, decay_input):
    u = v = F(0)
    wait, out = 0, []
    for x in series:
        u = F(F(1 - du) * u + x)
        if wait == 0:
            v = F(F(F(1 - dv) * v + (F(dv * u) if decay_input else u)) + bias)
        fires = wait == 0 and (v > threshold if comparison == ">" else v >= threshold)
        wait = refractory if fires else max(wait - 1, 0)
        if fires and reset != "none":
            amount = F(threshold / F(1 - dv)) if reset == "subtract_late" else threshold
            v = F(0) if reset == "zero" else F(v - amount)
        out.append(int(fires))
    return out


@pytest.mark.parametrize("reset", ["zero", "subtract", "subtract_late", "none"])
@pytest.mark.parametrize("comparison", [">", ">="])
@pytest.mark.parametrize(("refractory", "decay_input"), [(0, 0), (2, 1), (1, 0)])
def test_lif_on_dyadic_values(reset, comparison, refractory, decay_input, rng):
    """Quarters add up exactly, so thresholds are hit exactly."""
    x = (rng.integers(-1, 4, (12, 3, 2, 2, 3)) / 4).astype(F)
    parameters = {
        "current_decay": 0.5,
        "voltage_decay": 0.25,
        "threshold": np.array([0.5, 1.0], F).reshape(2, 1, 1),
        "bias": np.array([0.0, 0.25, -0.25], F),
    }
    options = {"reset": reset, "comparison": comparison, "refractory": refractory, "decay_input": decay_input}
    y = run("Lif", x, options, parameters)
    expected = each(lambda *series: lif(*series, **options), x, time_in=True, values=parameters.values())
    np.testing.assert_array_equal(y, expected)
    assert 0.02 < y.mean() < 0.98


@pytest.mark.parametrize(("comparison", "spikes"), [(">", [0, 0, 0]), (">=", [1, 1, 1])])
def test_lif_at_the_threshold(comparison, spikes):
    options = {"reset": "zero", "comparison": comparison, "refractory": 0, "decay_input": 0}
    parameters = {"current_decay": 1.0, "voltage_decay": 1.0, "threshold": 0.5, "bias": 0.0}
    y = run("Lif", np.full((3, 1, 1), 0.5, F), options, parameters)
    np.testing.assert_array_equal(y.ravel(), spikes)


def test_lif_holds_the_voltage_but_not_the_current_while_refractory():
    options = {"reset": "none", "comparison": ">", "refractory": 3, "decay_input": 0}
    parameters = {"current_decay": 0.0, "voltage_decay": 0.0, "threshold": 1.0, "bias": 0.0}
    x = np.array([1.5, -0.5, -0.5, -0.5, -2.0, 0.0], F).reshape(-1, 1, 1)
    # u: 1.5 1 .5 0 -2 -2; v is held at 1.5 for three steps, then falls to -0.5 although it had not been reset.
    y = run("Lif", x, options, parameters)
    np.testing.assert_array_equal(y.ravel(), [1, 0, 0, 0, 0, 0])
    options["refractory"] = 0
    np.testing.assert_array_equal(run("Lif", x, options, parameters).ravel(), [1, 1, 1, 1, 0, 0])


@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_recurrent_lif(reset, rng):
    x = (rng.integers(0, 4, (10, 2, 3)) / 4).astype(F)
    weight = (rng.integers(-4, 5, (3, 3)) / 4).astype(F)
    options = {"reset": reset, "comparison": ">=", "refractory": 1, "decay_input": 1}
    parameters = {"current_decay": 0.5, "voltage_decay": 0.5, "threshold": 0.25, "bias": 0.125}
    y = run("RecurrentLif", x, options, {**parameters, "recurrent_weight": weight})
    # Step by step: each step's input is known once the step before has spiked.
    driven = x.copy()
    for t in range(1, 10):
        driven[t] = x[t] + y[t - 1] @ weight.T
    expected = each(lambda *series: lif(*series, **options), driven, time_in=True, values=parameters.values())
    np.testing.assert_array_equal(y, expected)
    assert not np.array_equal(y, run("Lif", x, options, parameters))


@pytest.mark.parametrize("decay_input", [0, 1])
def test_leaky_integrator(decay_input, rng):
    x = rng.normal(size=(6, 2, 3)).astype(F)
    parameters = {"current_decay": 0.25, "voltage_decay": 0.125, "bias": np.array([0, 1, -1], F)}
    y = run("LeakyIntegrator", x, {"decay_input": decay_input}, parameters)
    u = v = np.zeros((2, 3))
    for t in range(6):
        u = 0.75 * u + x[t]
        v = 0.875 * v + (0.125 if decay_input else 1) * u + parameters["bias"]
        np.testing.assert_allclose(y[t], v, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("activation", ["relu", "identity"])
def test_sigma_delta(activation, rng):
    x = rng.integers(-4, 5, size=(9, 2, 3)).astype(F)
    bias, threshold = np.array([0, 2, -3], F), np.array([0, 3, 100], F)
    y = run("SigmaDelta", x, {"activation": activation}, {"threshold": threshold, "bias": bias})
    sigma = sent = np.zeros((2, 3), F)
    for t in range(9):
        sigma = sigma + x[t]
        wanted = np.maximum(sigma + bias, 0) if activation == "relu" else sigma + bias
        due = wanted - sent
        expected = np.where(np.abs(due) >= threshold, due, 0)
        np.testing.assert_array_equal(y[t], expected)
        sent = sent + expected
    assert not y[:, :, 2].any()
    np.testing.assert_array_equal(sent[:, 0], wanted[:, 0])


def test_delta_sends_what_moved_far_enough():
    x = np.array([1, 3, 4, 4, 1, 0], F).reshape(6, 1, 1)
    y = run("Delta", x, {}, {"threshold": F(2)})
    np.testing.assert_array_equal(y.ravel(), [0, 3, 0, 0, -2, 0])


def test_decoders(rng):
    x = rng.integers(0, 3, (5, 3, 2, 2)).astype(F)
    weights = np.array([1, 2, 4, -8, 0.5], F)
    np.testing.assert_allclose(run("RateDecode", x), x.mean(0), rtol=1e-6)
    np.testing.assert_array_equal(run("WindowSumDecode", x, {"start": 1, "stop": 4}), x[1:4].sum(0))
    np.testing.assert_array_equal(run("WindowSumDecode", x, {"start": 0, "stop": 5}), x.sum(0))
    y = run("WeightedSumDecode", x, {"divisor": -4.0}, {"weights": weights})
    np.testing.assert_array_equal(y, np.tensordot(weights, x, 1) / -4)
    np.testing.assert_array_equal(run("MembraneDecode", x, {"mode": "last"}), x[-1])
    np.testing.assert_array_equal(run("MembraneDecode", x, {"mode": "max"}), x.max(0))
    np.testing.assert_allclose(run("MembraneDecode", x, {"mode": "mean"}), x.mean(0), rtol=1e-6)


@pytest.mark.parametrize("values", ["binary", "graded"])
def test_train_encode(values, rng):
    x = rng.choice(np.array([0, 1], F), (3, 4, 2, 5))
    x[1, 2, 0, 3], x[0, 0, 1, 1], x[2, 3, 1, 4] = 0.5, -1, 2
    y = run("TrainEncode", x, {"timesteps": 4, "values": values})
    kept = x if values == "graded" else np.where((x == 0) | (x == 1), x, np.nan)
    np.testing.assert_array_equal(y, kept.swapaxes(0, 1))
    assert np.isnan(y).sum() == (3 if values == "binary" else 0)


def test_train_decode(rng):
    x = rng.normal(size=(5, 3, 2, 4)).astype(F)
    np.testing.assert_array_equal(run("TrainDecode", x), x.swapaxes(0, 1))
    np.testing.assert_array_equal(run("TrainDecode", x[..., 0, 0]), x[..., 0, 0].T)


def test_matched_bit_plane_decoder_returns_the_value():
    x = np.linspace(0, 1, 12, dtype=F).reshape(2, 6)
    options = {"planes": 8, "order": "msb", "floor_lsb": 0, "rescale": "none", "low": 0.0, "high": 1.0}
    planes = run("BitPlaneEncode", x, options)
    y = run("WeightedSumDecode", planes, {"divisor": 255.0}, {"weights": 2.0 ** np.arange(7, -1, -1)})
    np.testing.assert_allclose(y, x, rtol=1e-6)


@pytest.mark.parametrize("steps", [0, 1, 3, 5, 9])
def test_delay(steps, rng):
    x = rng.normal(size=(5, 2, 3)).astype(F)
    expected = np.concatenate([np.zeros((steps, 2, 3), F), x])[:5]
    np.testing.assert_array_equal(run("Delay", x, {"steps": steps}), expected)


def test_merge_and_split_time(rng):
    x = rng.normal(size=(4, 3, 2, 5)).astype(F)
    merged = run("MergeTime", x)
    np.testing.assert_array_equal(merged, x.reshape(12, 2, 5))
    np.testing.assert_array_equal(run("SplitTime", merged, {"timesteps": 4}), x)
