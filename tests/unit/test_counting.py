"""Neurons that count, from torch to integers."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from torch import nn

from hsnn import nn as snn
from hsnn.compiler import Options, compile
from hsnn.ir.arithmetic import VOLTAGE_MAX
from hsnn.ir.populations import CountingLifPopulation, sends_spikes
from hsnn.ops.counting import MOST_SPIKES, NO_FLOOR
from hsnn.verify.ladder import verify


class Net(nn.Module):
    """A layer that counts, an image of layers that count behind it, feedback, a cap, and a floor alone."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.encode = snn.DirectEncode(12)
        self.fc = nn.Linear(10, 32)
        self.first = snn.CountingLif(0.2, v_min=-0.3)
        self.conv = snn.TimeDistributed(nn.Sequential(nn.Unflatten(1, (2, 4, 4)), nn.Conv2d(2, 4, 3, padding=1)))
        self.second = snn.CountingLif(torch.linspace(0.3, 0.6, 4).reshape(4, 1, 1), voltage_decay=0.25, reset="zero")
        self.flat = snn.TimeDistributed(nn.Sequential(nn.Flatten(), nn.Linear(64, 8)))
        self.third = snn.RecurrentCountingLif(
            8, threshold=0.4, current_decay=0.5, max_spikes=3, v_min=-1.0, recurrent_weight=-0.1 * torch.ones(8, 8)
        )
        self.out = nn.Linear(8, 5)
        self.fourth = snn.CountingLif(0.5, max_spikes=1, v_min=torch.linspace(-0.5, 0.0, 5))
        self.decode = snn.RateDecode()

    def forward(self, x):
        s = self.second(self.conv(self.first(self.fc(self.encode(x)))))
        return self.decode(self.fourth(self.out(self.third(self.flat(s)))))


@pytest.fixture(scope="module")
def built():
    net = Net().eval()
    samples = np.random.default_rng(0).random((64, 10), np.float32) * 2 - 0.5
    return net, compile(net, samples, options=Options(golden_samples=16))


def test_the_ladder_holds(built):
    net, program = built
    report = verify(program, model=net, target="reference")
    assert {rung.status for rung in report.rungs} == {"passed"}, report
    neurons = [n for stage in program.chip_stages for n in stage.network.neurons]
    assert all(isinstance(n, CountingLifPopulation) for n in neurons)
    assert Counter(map(sends_spikes, neurons)) == {False: 3, True: 1}
    assert all(layer["spikes"]["f1"] > 0.85 for layer in program.layers)


def test_integers_count_and_hit_their_floor(built):
    _, program = built
    (stage,) = program.chip_stages
    sent = program.golden.sent[stage.name]
    assert max(int(train.max()) for train in sent.values()) > 5
    assert int(sent["third"].max()) == 3
    (first,) = (n for n in stage.network.neurons if n.name == "first")
    layer = next(item for item in program.layers if item["population"] == "first")
    assert int(first.v_min) == round(-0.3 * layer["scale"])
    assert int(first.reset_amount) == int(first.threshold) + 1 == round(0.2 * layer["scale"])


@pytest.mark.lava
def test_lava_agrees(built):
    assert verify(built[1], target="loihi2-sim").passed


def test_equations():
    """Threshold 0.5 and floor -0.25, by hand."""
    layer = snn.CountingLif(0.5, v_min=-0.25)
    x = torch.tensor([0.5, 1.75, -1.0, 0.75, 0.25]).reshape(5, 1, 1)
    # 0.5 -> 0; 1.75 -> 0.25; -0.75 -> -0.25; 0.5 -> 0; 0.25
    assert layer(x).ravel().tolist() == [1.0, 3.0, 0.0, 1.0, 0.0]
    capped = snn.CountingLif(0.5, max_spikes=2)
    # 2 of 3.5 thresholds leave 0.75 there, which with the next input is 0.25, less than one
    assert capped(x).ravel().tolist() == [1.0, 2.0, 0.0, 1.0, 0.0]
    zero = snn.CountingLif(0.5, reset="zero")
    assert zero(x).ravel().tolist() == [1.0, 3.0, 0.0, 0.0, 0.0]


def test_training_reaches_the_input_and_the_bias():
    layer = snn.CountingLif(0.25, learn_bias=True, learn_decay=True, detach_reset=False)
    x = torch.rand(10, 4, 3, requires_grad=True)
    counts = layer(x)
    assert counts.max() > 1
    counts.sum().backward()
    assert float(x.grad.abs().sum()) > 0
    assert float(layer.bias.grad.abs()) > 0


def test_limits_are_those_of_the_chip_and_of_float32():
    assert (VOLTAGE_MAX, float(np.finfo(np.float32).min)) == (MOST_SPIKES, NO_FLOOR)
