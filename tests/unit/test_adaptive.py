"""Adaptive neurons from torch to integers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from hsnn import nn as snn
from hsnn.compiler import Options, compile
from hsnn.errors import UsageError
from hsnn.ir.populations import AdaptiveLifPopulation
from hsnn.verify.ladder import verify


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.encode = snn.RateEncode(24, initial=0.5)
        self.fc = nn.Linear(12, 20)
        self.first = snn.AdaptiveLif(0.25, voltage_decay=0.2, threshold_step=0.1, bias=0.02)
        self.out = nn.Linear(20, 5)
        self.second = snn.AdaptiveLif(
            torch.linspace(0.1, 0.3, 5), current_decay=0.5, threshold_decay=0.05, refractory_decay=0.5
        )
        self.decode = snn.RateDecode()

    def forward(self, x):
        return self.decode(self.second(self.out(self.first(self.fc(self.encode(x))))))


@pytest.fixture(scope="module")
def built():
    net = Net().eval()
    samples = np.random.default_rng(0).random((64, 12), np.float32)
    return net, compile(net, samples, options=Options(golden_samples=2))


def test_the_ladder_holds(built):
    net, program = built
    report = verify(program, model=net, target="reference")
    assert {rung.status for rung in report.rungs} == {"passed"}, report
    assert all(isinstance(n, AdaptiveLifPopulation) for n in program.chip_stages[0].network.neurons)
    assert all(layer["spikes"]["f1"] > 0.9 for layer in program.layers)


@pytest.mark.lava
def test_lava_agrees(built):
    assert verify(built[1], target="loihi2-sim").passed


def test_equations():
    """One neuron by hand: threshold 1, each spike adds 0.5 to it and sets twice of it against the voltage."""
    layer = snn.AdaptiveLif(1.0, voltage_decay=0.0, threshold_decay=0.5, refractory_decay=0.5, threshold_step=0.5)
    x = torch.tensor([1.0, 0.5, 0.5, 0.5, 0.5]).reshape(5, 1, 1)
    # v - refractory: 1, 1.5 - 1, 2 - 0.5, 2.5 - 1.375, 3 - 0.6875; thresholds: 1, 1.25, 1.125, 1.3125, 1.15625
    assert layer(x).ravel().tolist() == [1.0, 0.0, 1.0, 0.0, 1.0]


def test_training_reaches_the_bias_and_the_weights():
    layer = snn.AdaptiveLif(0.5, learn_bias=True, learn_decay=True)
    x = torch.rand(10, 4, 3, requires_grad=True)
    layer(x).sum().backward()
    assert float(x.grad.abs().sum()) > 0
    assert float(layer.bias.grad.abs()) > 0
    assert float(layer.voltage_decay.grad.abs()) > 0


def test_arguments_are_checked():
    with pytest.raises(UsageError, match="HSNN-U023"):
        snn.AdaptiveLif(threshold_decay=1.5)
    with pytest.raises(UsageError, match="HSNN-U023"):
        snn.AdaptiveLif(threshold_step=-1.0)
