"""Sigma-delta networks from torch to integers: gradients, scales, errors, and the whole ladder."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from hsnn import nn as snn
from hsnn.compiler import Options, compile
from hsnn.errors import UsageError
from hsnn.ir.populations import LifPopulation, SigmaDeltaPopulation
from hsnn.runtime.session import Session
from hsnn.verify.ladder import verify

STEPS = 10


class SigmaDeltaNet(nn.Module):
    """Video in; delta, convolution, dense, and a sum of messages that the host reads at the end."""

    def __init__(self, seed=0, *, dyadic=False):
        super().__init__()
        torch.manual_seed(seed)
        self.encode = snn.TrainEncode(STEPS, values="graded")
        self.delta = snn.Delta(0.0625)
        self.conv = snn.TimeDistributed(nn.Conv2d(2, 6, 3, stride=2, bias=False))
        self.first = snn.SigmaDelta(0.0625, bias=torch.randn(6, 1, 1) * 0.1)
        self.fc = nn.Linear(96, 20, bias=False)
        self.second = snn.SigmaDelta(0.03125, bias=0.0625)
        self.out = nn.Linear(20, 3, bias=False)
        self.read = snn.LeakyIntegrator(0.0)
        self.decode = snn.MembraneDecode()
        if dyadic:
            with torch.no_grad():
                for layer in (self.conv.module, self.fc, self.out):
                    layer.weight.copy_((layer.weight * 64).round() / 64)

    def forward(self, x):
        x = self.first(self.conv(self.delta(self.encode(x))))
        return self.decode(self.read(self.out(self.second(self.fc(x.flatten(2))))))


def video(samples, seed=0):
    rng = np.random.default_rng(seed)
    t = np.arange(STEPS)[None, :, None, None, None]
    frames = 0.5 + 0.5 * np.sin(t / 3 + rng.uniform(0, 6, (samples, 1, 2, 10, 10)))
    return (np.rint(frames * 64) / 64).astype(np.float32)


@pytest.fixture(scope="module")
def built():
    net = SigmaDeltaNet(dyadic=True).eval()
    return net, compile(net, video(24), options=Options(golden_samples=2))


def test_the_ladder_holds(built):
    net, program = built
    report = verify(program, model=net, target="reference")
    assert {rung.status for rung in report.rungs} == {"passed"}, report
    kinds = {type(neuron) for neuron in program.chip_stages[0].network.neurons}
    assert SigmaDeltaPopulation in kinds
    assert LifPopulation not in kinds


@pytest.mark.lava
def test_lava_agrees(built):
    report = verify(built[1], target="loihi2-sim")
    assert report.passed, report


def test_dyadic_weights_stay_exact_and_outputs_near(built):
    net, program = built
    assert [layer["weight_snr_db"] for layer in program.layers][:3] == [None, None, None]
    x = video(40, seed=1)
    with torch.no_grad():
        expected = net(torch.tensor(x)).numpy()
    with Session(program, target="emulator") as session:
        found = session.run({program.inputs[0].name: x}).outputs[program.outputs[0].name]
    assert np.sqrt(np.mean((found - expected) ** 2) / np.mean(expected**2)) < 0.1


def test_messages_may_drive_lif_neurons():
    net = nn.Sequential(
        snn.TrainEncode(STEPS, values="graded"),
        snn.TimeDistributed(nn.Flatten()),
        snn.SigmaDelta(0.1, activation="identity"),
        nn.Linear(200, 12),
        snn.Lif(0.5, voltage_decay=0.1),
        snn.RateDecode(),
    ).eval()
    program = compile(net, video(16), options=Options(golden_samples=1))
    assert verify(program, model=net, target="reference").passed


def test_gradients_flow_as_if_every_change_was_sent():
    x = torch.rand(6, 2, 3, requires_grad=True)
    layer = snn.SigmaDelta(5.0, bias=1.0, learn_bias=True, activation="identity")
    weights = torch.arange(6.0).reshape(6, 1, 1)
    (layer(x) * weights).sum().backward()
    # s[t] stands for a[t] - a[t - 1] = x[t], and the bias arrives at once.
    torch.testing.assert_close(x.grad, weights.expand_as(x))
    torch.testing.assert_close(layer.bias.grad, torch.tensor(0.0))


def test_arguments_are_checked():
    with pytest.raises(UsageError, match="HSNN-U023"):
        snn.Delta(-0.1)
    with pytest.raises(UsageError, match="HSNN-U020"):
        snn.SigmaDelta(0.1, activation="tanh")
    with pytest.raises(UsageError, match="HSNN-U022"):
        snn.Delta(torch.ones(4))(torch.zeros(2, 1, 3))
