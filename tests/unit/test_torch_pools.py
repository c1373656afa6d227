"""Adaptive average pooling whose windows differ in size is a synapse like any other pooling."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import hsnn
from hsnn import nn as snn
from hsnn.frontends.torch import from_torch
from hsnn.frontends.torch_pools import MOST_WEIGHTS, UnevenPools
from hsnn.verify.ladder import verify


@pytest.mark.parametrize("inputs", [(1, 1), (2, 5), (7, 4), (6, 6)])
@pytest.mark.parametrize("outputs", [1, 2, (3, 1), 7, (None, 4), (2, None)])
def test_it_computes_what_torch_computes(inputs, outputs):
    x = torch.randn(2, 3, *inputs)
    wanted = functional.adaptive_avg_pool2d(x, outputs)
    with UnevenPools():
        for found in (
            functional.adaptive_avg_pool2d(x, outputs),
            functional.adaptive_avg_pool2d(input=x, output_size=outputs),
            nn.AdaptiveAvgPool2d(outputs)(x),
        ):
            torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("outputs", [1, 2, 5, 9, (4,)])
def test_one_axis(outputs):
    x = torch.randn(2, 3, 7)
    with UnevenPools():
        found = functional.adaptive_avg_pool1d(x, outputs)
    torch.testing.assert_close(found, functional.adaptive_avg_pool1d(x, outputs))


def operators(side, outputs):
    pool = nn.Sequential(nn.AdaptiveAvgPool2d(outputs), nn.Flatten())
    model = nn.Sequential(pool, snn.RateEncode(timesteps=2), snn.Lif(), snn.RateDecode())
    return {node.op_type for node in from_torch(model, (torch.rand(2, 2, side, side),)).proto.graph.node}


def test_even_windows_and_large_products_stay_what_they_are():
    assert {"AveragePool"} < operators(4, 2)
    assert "MatMul" not in operators(4, 2)
    assert "MatMul" in operators(5, 2)
    side = int((MOST_WEIGHTS / 9) ** 0.5) + 2
    assert side % 3
    assert "MatMul" not in operators(side, 3)


@pytest.mark.parametrize("side", [1, 5])
def test_between_spiking_layers_it_runs_on_the_chip(side):
    """A VGG for images of 32 x 32 pixels spreads one pixel over 7 x 7."""
    features = nn.Sequential(snn.RateEncode(timesteps=8), snn.TimeDistributed(nn.Conv2d(2, 4, 1)), snn.Lif(0.3))
    classifier = nn.Sequential(nn.AdaptiveAvgPool2d(7), nn.Flatten(), nn.Linear(196, 5))
    model = nn.Sequential(features, snn.TimeDistributed(classifier), snn.Lif(0.3), snn.RateDecode()).eval()
    with torch.no_grad():
        for layer in (features[1].module, classifier[2]):
            layer.weight.abs_()
    x = np.random.default_rng(0).random((16, 2, side, side)).astype(np.float32)
    program = hsnn.compile(model, x)
    assert [stage.name for stage in program.stages] == ["host.0", "chip.0", "host.1"]
    report = verify(program, model=model, target="emulator")
    assert report.passed, report
    with hsnn.Session(program) as session:
        rates = session.run(x).output
    assert 0.05 < rates.mean() < 0.95
    assert np.abs(rates - model(torch.from_numpy(x)).detach().numpy()).mean() < 0.05
