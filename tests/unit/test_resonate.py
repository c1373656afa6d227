"""Resonate-and-fire neurons from torch to integers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from hsnn import nn as snn
from hsnn.compiler import Options, compile
from hsnn.errors import UnsupportedError, UsageError
from hsnn.ir.populations import ResonatorPopulation
from hsnn.ir.projections import ConvProjection
from hsnn.verify.ladder import verify


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.encode = snn.RateEncode(32, initial=0.5)
        self.conv = snn.TimeDistributed(nn.Conv2d(1, 6, 3, padding=1))
        self.first = snn.ResonateFire(0.6, period=torch.tensor([5.0, 9.0, 16.0]).reshape(3, 1, 1), decay=0.1)
        self.flat = snn.TimeDistributed(nn.Flatten())
        self.fc = nn.Linear(75, 20)
        self.second = snn.ResonateFire(0.3, period=7.0, decay=0.2, firing="izhikevich", learn_decay=True)
        self.out = nn.Linear(10, 5)
        self.last = snn.Lif(0.3, voltage_decay=0.2, reset="subtract")
        self.decode = snn.RateDecode()

    def forward(self, x):
        s = self.flat(self.first(self.conv(self.encode(x))))
        return self.decode(self.last(self.out(self.second(self.fc(s)))))


@pytest.fixture(scope="module")
def built():
    net = Net().eval()
    samples = np.random.default_rng(0).random((64, 1, 5, 5), np.float32)
    return net, compile(net, samples, options=Options(golden_samples=2))


def test_the_ladder_holds(built):
    net, program = built
    network = program.chip_stages[0].network
    found = {n.firing: n for n in network.neurons if isinstance(n, ResonatorPopulation)}
    assert found["phase"].shape == (3, 5, 5)
    assert found["izhikevich"].shape == (10,)
    assert any(isinstance(p, ConvProjection) and p.weights.shape == (6, 1, 3, 3) for p in network.projections)
    report = verify(program, model=net, target="reference")
    assert {rung.status for rung in report.rungs} == {"passed"}, report
    rates = {layer["population"]: layer["spikes"]["f1"] for layer in program.layers}
    assert min(rates["first"], rates["second"]) > 0.9, rates


@pytest.mark.lava
def test_lava_agrees(built):
    assert verify(built[1], target="loihi2-sim").passed


def test_phase_by_hand():
    """A turn of a quarter by hand: (1, 0) turns to (0, 1), (-1, 0) and (0, -1), and fires when it comes round."""
    layer = snn.ResonateFire(0.9, period=4.0, decay=0.0)
    layer.cos_decay.zero_()  # 6e-17, as floats have it, would be too early or too late
    x = torch.zeros(10, 1, 2)
    x[0, 0, 0] = 1.0
    assert layer(x).ravel().tolist() == [0, 0, 0, 0, 1, 0, 0, 0, 1, 0]


def test_izhikevich_by_hand():
    layer = snn.ResonateFire(1.0, period=4.0, decay=0.5, firing="izhikevich")
    x = torch.tensor([[2.0, 0.0], [0.0, 0.0], [0.0, 0.75], [0.0, 0.0]]).reshape(4, 1, 2)
    # z: 2; i -> fires, i; -0.5 + 0.75i; -0.375 - 0.25i
    assert layer(x).ravel().tolist() == [0.0, 1.0, 0.0, 0.0]


@pytest.mark.parametrize("firing", ["phase", "izhikevich"])
def test_training_reaches_the_decays_and_the_weights(firing):
    torch.manual_seed(0)
    layer = snn.ResonateFire(0.5, period=6.0, decay=0.05, firing=firing, learn_decay=True)
    x = torch.randn(30, 4, 6, requires_grad=True)
    layer(x).sum().backward()
    assert float(x.grad.abs().sum()) > 0
    assert float(layer.cos_decay.grad.abs()) > 0
    assert float(layer.sin_decay.grad.abs()) > 0


def test_the_radius_of_trained_decays_stays_within_one():
    layer = snn.ResonateFire(period=8.0, decay=0.0, learn_decay=True)
    with torch.no_grad():
        layer.cos_decay.fill_(0.9)
        layer.sin_decay.fill_(0.9)
    assert float(layer.decay.detach().abs()) < 1e-6
    assert float(layer.period.detach()) == pytest.approx(8.0)


def test_arguments_are_checked():
    with pytest.raises(UsageError, match="HSNN-U023"):
        snn.ResonateFire(period=1.5)
    with pytest.raises(UsageError, match="HSNN-U023"):
        snn.ResonateFire(decay=1.5)
    with pytest.raises(UsageError, match="HSNN-U020"):
        snn.ResonateFire(firing="often")
    with pytest.raises(UsageError, match="HSNN-U022"):
        snn.ResonateFire()(torch.zeros(3, 1, 5))


class Growing(nn.Module):
    def __init__(self):
        super().__init__()
        self.encode, self.decode = snn.RateEncode(4), snn.RateDecode()
        self.neurons = snn.ResonateFire()
        self.neurons.cos_decay.fill_(0.9)
        self.neurons.sin_decay.fill_(0.9)

    def forward(self, x):
        return self.decode(self.neurons(self.encode(x)))


def test_states_that_grow_are_refused():
    with pytest.raises(UnsupportedError, match="HSNN-L004"):
        compile(Growing(), np.random.default_rng(0).random((4, 6), np.float32))
