"""Hybrid networks learn: gradients reach inputs and parameters, losses fall."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from hsnn import nn as snn
from hsnn.nn.surrogate import SURROGATES

ENCODERS = {
    "rate": snn.RateEncode(8),
    "poisson": snn.PoissonEncode(8, seed=0),
    "direct": snn.DirectEncode(8),
    "graded": snn.GradedEncode(8, step=1 / 64),
    "planes": snn.BitPlaneEncode(order="lsb", floor_lsb=True, rescale="none"),
    "static": snn.BitPlaneEncode(order="msb", floor_lsb=False, rescale="static"),
    "per_sample": snn.BitPlaneEncode(order="msb", floor_lsb=False, rescale="per_sample"),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_gradient_passes_through_encoders(name):
    x = torch.tensor([[0.3, 0.6, 0.1]], requires_grad=True)
    ENCODERS[name](x).sum(0).sum().backward()
    assert bool((x.grad > 0).all())


def test_the_gradient_of_a_matched_code_is_one():
    x = torch.tensor([[0.3, 0.6]], requires_grad=True)
    weights = [2.0**k for k in range(8)]
    planes = snn.BitPlaneEncode(order="lsb", floor_lsb=True, rescale="none")
    for encode, decode in (
        (snn.RateEncode(8), snn.RateDecode()),
        (planes, snn.WeightedSumDecode(weights, divisor=255.0)),
        (snn.GradedEncode(8, step=1 / 64), snn.WindowSumDecode(stop=8)),
    ):
        x.grad = None
        decode(encode(x)).sum().backward()
        torch.testing.assert_close(x.grad, torch.ones(1, 2))


def test_no_gradient_where_a_value_is_clipped():
    x = torch.tensor([[-0.5, 1.5, 0.5]], requires_grad=True)
    snn.RateEncode(4)(x).sum().backward()
    assert x.grad.tolist() == [[0, 0, 4]]


def test_silent_timesteps_have_no_gradient():
    x = torch.tensor([[0.5]], requires_grad=True)
    snn.RateEncode(6, silent=2)(x)[4:].sum().backward()
    assert x.grad.item() == 0


@pytest.mark.parametrize("reset", ["zero", "subtract", "none"])
def test_gradient_reaches_every_trained_value(reset):
    lif = snn.Lif(
        0.5, reset=reset, learn_decay=True, learn_threshold=True, learn_bias=True, current_decay=0.5, decay_input=True
    )
    x = torch.rand(6, 2, 3, requires_grad=True)
    lif(x).sum().backward()
    assert x.grad.abs().sum() > 0
    for name, parameter in lif.named_parameters():
        assert parameter.grad.abs().sum() > 0, name


def test_detach_reset_changes_the_gradient_only():
    x = torch.rand(6, 2, 3, generator=torch.Generator().manual_seed(0))
    grads = []
    for detach in (True, False):
        lif = snn.Lif(0.3, learn_threshold=True, reset="subtract", detach_reset=detach)
        y = lif(x)
        y.sum().backward()
        grads.append((y.detach(), lif.threshold.grad.item()))
    assert torch.equal(grads[0][0], grads[1][0])
    assert grads[0][1] != grads[1][1]


def test_a_refractory_neuron_has_no_gradient():
    x = torch.tensor([2.0, 2.0, 2.0]).reshape(3, 1, 1).requires_grad_()
    snn.Lif(1.0, refractory=2)(x)[1:].sum().backward()
    assert x.grad.abs().sum() == 0


def test_trained_values_are_held_in_range_and_can_come_back():
    lif = snn.Lif(0.5, learn_decay=True, learn_threshold=True, reset="none")
    with torch.no_grad():
        lif.voltage_decay.fill_(1.5)
        lif.current_decay.fill_(-0.5)
        lif.threshold.fill_(-1.0)
    current_decay, voltage_decay, threshold, _ = lif.values()
    assert (current_decay.item(), voltage_decay.item(), round(threshold.item(), 6)) == (0, 1, 0.001)
    lif(torch.rand(4, 1, 2)).sum().backward()
    assert all(math.isfinite(item.grad.item()) for item in lif.parameters())
    assert lif.threshold.grad.item() != 0


@pytest.mark.parametrize("surrogate", SURROGATES.values())
def test_surrogates_peak_at_the_threshold_and_are_symmetric(surrogate):
    x = torch.linspace(-2, 2, 41)
    derivative = surrogate.derivative(x)
    assert derivative.argmax().item() == 20
    assert derivative.min() >= 0
    torch.testing.assert_close(derivative, derivative.flip(0))


@pytest.mark.parametrize(
    ("surrogate", "area"), [(snn.Atan(2.0), 1.0), (snn.Triangle(0.5), 1.0), (snn.FastSigmoid(4.0), 0.5)]
)
def test_areas_of_surrogates(surrogate, area):
    x = torch.linspace(-400, 400, 800001)
    assert torch.trapezoid(surrogate.derivative(x), x).item() == pytest.approx(area, rel=2e-3)


def test_surrogate_is_the_gradient_at_the_threshold():
    x = torch.full((1, 1, 1), 0.7, requires_grad=True)
    snn.Lif(1.0, voltage_decay=0.0, surrogate=snn.Triangle(2.0))(x).backward()
    assert x.grad.item() == pytest.approx((1 - 0.3 / 2) / 2)


class Net(nn.Module):
    def __init__(self, *, surrogate="atan"):
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.encode = snn.RateEncode(6, scale=1.0)
        self.conv = snn.TimeDistributed(nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)))
        self.lif = snn.Lif(0.5, learn_decay=True, learn_threshold=True, surrogate=surrogate)
        self.flat = snn.TimeDistributed(nn.Flatten())
        self.recurrent = snn.RecurrentLif(16, threshold=0.5, surrogate=surrogate)
        self.inner = nn.Linear(64, 16)
        self.read = snn.LeakyIntegrator(0.1, learn_decay=True)
        self.outer = nn.Linear(16, 2)
        self.decode = snn.MembraneDecode("mean")

    def forward(self, x):
        s = self.encode(self.stem(x).relu())
        s = self.lif(self.conv(s)) + s
        s = self.recurrent(self.inner(self.flat(s)))
        return self.decode(self.read(self.outer(s)))


@pytest.mark.parametrize("surrogate", SURROGATES)
def test_a_hybrid_network_learns(surrogate):
    torch.manual_seed(0)
    net = Net(surrogate=surrogate)
    x = torch.rand(32, 1, 4, 4)
    y = (x[:, 0, :2].mean((1, 2)) > x[:, 0, 2:].mean((1, 2))).long()
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    losses = []
    for _ in range(12):
        loss = nn.functional.cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        assert all(item.grad is not None and bool(item.grad.isfinite().all()) for item in net.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_state_dict_keeps_values_by_plain_names():
    assert set(snn.Lif(learn_decay=True).state_dict()) == {"current_decay", "voltage_decay", "threshold", "bias"}
    other = snn.Lif(3.0, voltage_decay=0.1)
    other.load_state_dict(snn.Lif(2.0, voltage_decay=0.2).state_dict())
    assert (other.threshold.item(), round(other.voltage_decay.item(), 6)) == (2.0, 0.2)
