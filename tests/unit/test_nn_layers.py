"""Torch layers compute exactly what the ONNX functions of their operators compute."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from hsnn import nn as snn
from hsnn.errors import UsageError
from hsnn.ops import DOMAIN, OPS
from hsnn.ops.functions import attach_functions

CASES = {
    "rate": snn.RateEncode(9, scale=0.7, initial=0.3, silent=2),
    "poisson": snn.PoissonEncode(6, seed=11, scale=1.5),
    "direct": snn.DirectEncode(3),
    "graded": snn.GradedEncode(4, step=0.03, bits=5, signed=True),
    "planes": snn.BitPlaneEncode(order="lsb", floor_lsb=False, rescale="none"),
    "planes_static": snn.BitPlaneEncode(5, order="msb", floor_lsb=True, rescale="static", low=-0.3, high=0.8),
    "planes_sample": snn.BitPlaneEncode(6, order="msb", floor_lsb=True, rescale="per_sample"),
    "planes_batch": snn.BitPlaneEncode(7, order="lsb", floor_lsb=False, rescale="batch"),
    "train": snn.TrainEncode(4, values="graded"),
    "lif": snn.Lif(),
    "lif_hbw": snn.Lif(torch.tensor([[[0.4]], [[0.9]]]), current_decay=0.3, voltage_decay=0.1, bias=0.05),
    "lif_all": snn.Lif(
        0.6,
        current_decay=0.7,
        voltage_decay=torch.linspace(0, 1, 3),
        bias=torch.full((2, 1, 3), -0.01),
        reset="subtract",
        comparison=">=",
        refractory=2,
        decay_input=True,
        learn_decay=True,
        learn_threshold=True,
        learn_bias=True,
    ),
    "lif_late": snn.Lif(0.6, voltage_decay=torch.tensor([0.0, 0.25, 0.9]), reset="subtract_late", refractory=1),
    "lif_none": snn.Lif(0.8, reset="none", refractory=1),
    "recurrent": snn.RecurrentLif(
        3, threshold=0.5, recurrent_weight=torch.tensor([[0.3, -1, 0], [1, 0, 0.2], [0, 0, 0.5]])
    ),
    "recurrent_all": snn.RecurrentLif(
        3,
        threshold=0.3,
        current_decay=0.2,
        reset="subtract",
        refractory=1,
        recurrent_weight=torch.tensor([[0.1, 0.7, -0.4], [-0.2, 0.3, 0.9], [0.6, -0.8, 0.05]]),
    ),
    "counting": snn.CountingLif(0.25, v_min=torch.tensor([-0.125, 0.0, -0.5]), bias=torch.full((2, 1, 1), -0.25)),
    "counting_zero": snn.CountingLif(
        torch.tensor([0.1, 0.3, 0.7]),
        max_spikes=3,
        current_decay=0.5,
        voltage_decay=0.125,
        reset="zero",
        decay_input=True,
        learn_decay=True,
    ),
    "counting_once": snn.CountingLif(0.5, max_spikes=1, v_min=-0.1, voltage_decay=0.3),
    "recurrent_counting": snn.RecurrentCountingLif(
        3, threshold=0.25, v_min=-0.5, recurrent_weight=torch.tensor([[0.1, -0.4, 0], [0.2, 0, -0.3], [0, 0.1, -0.2]])
    ),
    "integrator": snn.LeakyIntegrator(0.2, current_decay=0.4, bias=0.1, decay_input=True),
    "adaptive": snn.AdaptiveLif(0.5, voltage_decay=0.25, threshold_step=torch.full((2, 1, 3), 0.125), bias=0.02),
    "adaptive_all": snn.AdaptiveLif(
        0.25, current_decay=0.5, threshold_decay=0.1, refractory_decay=0.9, decay_input=True, learn_decay=True
    ),
    "resonate": snn.ResonateFire(torch.full((1, 1, 3), 0.4), period=5.0, decay=0.05),
    "resonate_izhikevich": snn.ResonateFire(0.5, period=9.0, firing="izhikevich", learn_decay=True),
    "fixed_lif": snn.FixedLif(0.5, resolution=1 / 64, current_decay=0.3, voltage_decay=0.1, bias=0.0625),
    "fixed_recurrent": snn.FixedRecurrentLif(
        torch.tensor([[0.25, -1, 0], [1, 0, 0.5], [0, 0, 0.5]]), threshold=0.5, resolution=1 / 64, voltage_decay=0.2
    ),
    "fixed_integrator": snn.FixedLeakyIntegrator(resolution=1 / 64, current_decay=0.4, voltage_decay=0.2, bias=0.125),
    "fixed_adaptive": snn.FixedAdaptiveLif(
        0.5, resolution=1 / 64, voltage_decay=0.25, threshold_decay=0.1, refractory_decay=0.9, threshold_step=0.125
    ),
    "fixed_resonate": snn.FixedResonateFire(
        0.5, resolution=1 / 64, cos_decay=0.5, sin_decay=torch.full((1, 1, 3), 0.75)
    ),
    "fixed_resonate_izhikevich": snn.FixedResonateFire(
        0.5, resolution=1 / 64, cos_decay=0.6, sin_decay=0.3, firing="izhikevich"
    ),
    "fixed_recurrent_adaptive": snn.FixedRecurrentAdaptiveLif(
        torch.tensor([[0.25, -1, 0], [1, 0, 0.5], [0, 0, 0.5]]), threshold=0.5, resolution=1 / 64, threshold_step=0.125
    ),
    "fixed_delta": snn.FixedDelta(0.375, resolution=1 / 64),
    "fixed_sigma_delta": snn.FixedSigmaDelta(0.75, resolution=1 / 64, bias=-0.5),
    "delta": snn.Delta(torch.full((1, 2, 3), 0.4)),
    "sigma_delta": snn.SigmaDelta(0.8, bias=-0.7),
    "sigma_delta_identity": snn.SigmaDelta(torch.full((2, 1, 3), 0.9), activation="identity", learn_bias=True),
    "rate_decode": snn.RateDecode(),
    "window": snn.WindowSumDecode(2, stop=7),
    "weighted": snn.WeightedSumDecode([2.0**k for k in range(8)], divisor=255.0),
    "last": snn.MembraneDecode(),
    "max": snn.MembraneDecode("max"),
    "mean": snn.MembraneDecode(mode="mean"),
    "train_decode": snn.TrainDecode(),
    "merge": snn.MergeTime(),
    "split": snn.SplitTime(4),
    "delay": snn.Delay(3),
    "axonal_delay": snn.AxonalDelay(torch.tensor([[[0.0]], [[4.0]]])),
    "axonal_delay_each": snn.AxonalDelay(torch.arange(12.0).reshape(2, 2, 3)),
}


def input_of(layer, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = (3, 2, 2, 3) if layer.op.kind == "encoder" else (8, 3, 2, 2, 3)
    if isinstance(layer, snn.TrainEncode):
        shape = (3, 4, 2, 3)
    if isinstance(layer, snn.RecurrentLif | snn.RecurrentCountingLif):
        shape = (8, 4, 3)
    return torch.rand(shape, generator=generator) * 1.5 - 0.25


def in_onnx(layer, x):
    """Run a node with the layer's attributes and values in ONNX Runtime."""
    values = dict(layer.named_parameters()) | dict(layer.named_buffers())
    names = list(layer.op.inputs[1:])
    node = helper.make_node(layer.op.name, ["x", *names], ["y"], domain=DOMAIN, **layer.attributes)
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [
            helper.make_tensor_value_info(
                "y", TensorProto.FLOAT, layer.op.output_shape(tuple(x.shape), layer.attributes)
            )
        ],
        [numpy_helper.from_array(values[name].detach().numpy(), name) for name in names],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    session = ort.InferenceSession(attach_functions(model).SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x.numpy()})[0]


@pytest.mark.parametrize("name", CASES)
def test_layer_equals_its_onnx_function(name):
    layer = CASES[name].eval()
    for seed in range(3):
        x = input_of(layer, seed)
        with torch.no_grad():
            y = layer(x).numpy()
        exact = layer.op.values in ("binary", "binary_if_single", "as_input", "graded") or layer.op.kind == "encoder"
        np.testing.assert_allclose(in_onnx(layer, x), y, rtol=0 if exact else 1e-5, atol=0 if exact else 1e-6)
    assert layer.op.kind != "neuron" or 0 < np.count_nonzero(y) < y.size or name.endswith("integrator")


def test_there_is_a_layer_for_every_operator():
    assert {layer.op.name for layer in CASES.values()} == set(OPS)
    assert set(OPS) <= set(snn.__all__)


@pytest.mark.parametrize("comparison", [">", ">="])
def test_lif_at_an_exact_threshold(comparison):
    lif = snn.Lif(0.75, voltage_decay=0.0, comparison=comparison, reset="subtract")
    y = lif(torch.full((6, 1, 1), 0.25)).flatten().tolist()
    assert y == ([0, 0, 0, 1, 0, 0] if comparison == ">" else [0, 0, 1, 0, 0, 1])


def test_state_starts_at_zero_in_every_call():
    lif = snn.Lif(1.0, voltage_decay=0.0)
    x = torch.full((3, 1, 1), 0.4)
    assert torch.equal(lif(x), lif(x))


def test_poisson_noise_does_not_depend_on_the_batch():
    encode = snn.PoissonEncode(5, seed=0)
    x = torch.rand(4, 6)
    assert torch.equal(encode(x)[:, 2:3], encode(x[2:3]))
    assert not torch.equal(encode(x), snn.PoissonEncode(5, seed=1)(x))


def test_time_distributed_is_the_module_at_every_timestep():
    conv = torch.nn.Conv2d(2, 3, 3)
    x = torch.rand(4, 2, 2, 5, 5)
    np.testing.assert_allclose(
        snn.TimeDistributed(conv)(x).detach(), torch.stack([conv(x_t) for x_t in x]).detach(), rtol=1e-5, atol=1e-6
    )


def test_trace_shows_the_voltage_that_met_the_threshold():
    lif = snn.Lif(0.75, voltage_decay=0.0, comparison=">=")
    spikes, voltage = lif.trace(torch.full((4, 1, 1), 0.25))
    assert voltage.flatten().tolist() == [0.25, 0.5, 0.75, 0.25]
    assert spikes.flatten().tolist() == [0, 0, 1, 0]


def test_a_field_set_later_is_exported():
    encode = snn.RateEncode(4)
    encode.scale = 2.0
    assert encode.attributes["scale"] == 2.0
    encode.scale = -1.0
    with pytest.raises(UsageError, match="HSNN-U020"):
        _ = encode.attributes


def test_print_shows_the_attributes():
    assert "silent=2" in repr(CASES["rate"])


@pytest.mark.parametrize(
    ("code", "make"),
    [
        ("U020", lambda: snn.RateEncode(0)),
        ("U020", lambda: snn.RateEncode(4, scale=0.0)),
        ("U020", lambda: snn.RateEncode(4, scale=float("nan"))),
        ("U020", lambda: snn.RateEncode(4, initial=1.0)),
        ("U020", lambda: snn.RateEncode(2.5)),
        ("U021", lambda: snn.RateEncode(4, silent=5)),
        ("U020", lambda: snn.PoissonEncode(4, seed=-1)),
        ("U020", lambda: snn.GradedEncode(4, step=0.1, bits=25)),
        ("U020", lambda: snn.BitPlaneEncode(order="big", floor_lsb=True, rescale="none")),
        ("U021", lambda: snn.BitPlaneEncode(order="lsb", floor_lsb=True, rescale="static", low=1.0, high=1.0)),
        ("U021", lambda: snn.BitPlaneEncode(order="lsb", floor_lsb=True, rescale="none", gradient="none")),
        ("U020", lambda: snn.Lif(reset="soft")),
        ("U020", lambda: snn.Lif(comparison="<")),
        ("U020", lambda: snn.Lif(refractory=65)),
        ("U023", lambda: snn.Lif(0.0)),
        ("U023", lambda: snn.Lif(torch.tensor([1.0, -1.0]))),
        ("U023", lambda: snn.Lif(1e-4, learn_threshold=True)),
        ("U023", lambda: snn.Lif(voltage_decay=1.5)),
        ("U023", lambda: snn.Lif(current_decay=-0.1)),
        ("U023", lambda: snn.Lif(bias=float("inf"))),
        ("U024", lambda: snn.Lif(surrogate="step")),
        ("U021", lambda: snn.RecurrentLif(3, recurrent_weight=torch.zeros(3, 2))),
        ("U021", lambda: snn.RecurrentLif(0)),
        ("U020", lambda: snn.CountingLif(max_spikes=0)),
        ("U020", lambda: snn.CountingLif(reset="none")),
        ("U023", lambda: snn.CountingLif(v_min=0.5)),
        ("U021", lambda: snn.RecurrentCountingLif(3, recurrent_weight=torch.zeros(3, 2))),
        ("U021", lambda: snn.WindowSumDecode(3, stop=3)),
        ("U021", lambda: snn.WeightedSumDecode([[1.0]])),
        ("U021", lambda: snn.WeightedSumDecode([1.0], divisor=0.0)),
        ("U020", lambda: snn.MembraneDecode("first")),
        ("U020", lambda: snn.TrainEncode(0)),
        ("U020", lambda: snn.TrainEncode(4, values="real")),
        ("U020", lambda: snn.Delay(-1)),
    ],
)
def test_wrong_arguments(code, make):
    with pytest.raises(UsageError, match=f"HSNN-{code}"):
        make()


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (snn.RateEncode(4), (3,)),
        (snn.Lif(), (4, 3)),
        (snn.Lif(torch.ones(5)), (4, 1, 3)),
        (snn.RecurrentLif(3), (4, 1, 2)),
        (snn.RecurrentLif(3), (4, 1, 3, 3)),
        (snn.WindowSumDecode(stop=5), (4, 1, 3)),
        (snn.WeightedSumDecode([1.0]), (4, 1, 3)),
        (snn.TrainEncode(3), (3, 3)),
        (snn.TrainEncode(3), (3, 4, 2)),
        (snn.SplitTime(3), (4, 1)),
        (snn.TimeDistributed(torch.nn.Identity()), (4,)),
    ],
)
def test_wrong_input_shapes(layer, shape):
    with pytest.raises(UsageError, match="HSNN-U022"):
        layer(torch.zeros(shape))


def test_integers_are_refused():
    with pytest.raises(UsageError, match="HSNN-U022"):
        snn.RateEncode(4)(torch.zeros(2, 3, dtype=torch.int64))


def test_importing_hsnn_does_not_import_torch():
    code = "import sys, hsnn; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(("wrong", "about_decays"), [({"threshold": -1.0}, False), ({"voltage_decay": 2.0}, True)])
def test_only_a_wrong_decay_is_told_what_decays_are(wrong, about_decays):
    with pytest.raises(UsageError, match="HSNN-U023") as raised:
        snn.Lif(**wrong)
    assert ("decay is the fraction" in raised.value.fix) == about_decays
