"""Torch against the hybrid model: differences measured, flips counted and judged."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from hsnn import nn as snn
from hsnn.errors import UsageError, VerificationError
from hsnn.frontends.onnx import from_onnx
from hsnn.frontends.torch import compare_with_torch, from_torch


class Net(nn.Module):
    def __init__(self, *, threshold=0.5):
        super().__init__()
        self.encode = snn.RateEncode(6)
        self.fc = nn.Linear(4, 5)
        self.hidden = snn.Lif(threshold)
        self.fc2 = nn.Linear(5, 5)
        self.recurrent = snn.RecurrentLif(5, threshold=0.3)
        self.decode = snn.RateDecode()
        self.head = nn.Linear(5, 2)

    def forward(self, x):
        s = self.hidden(self.fc(self.encode(x)))
        return self.head(self.decode(self.recurrent(self.fc2(s))))


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(3)
    return Net()


@pytest.fixture(scope="module")
def hybrid(net):
    return from_torch(net, (torch.rand(2, 4),))


@pytest.fixture
def x():
    return torch.rand(40, 4, generator=torch.Generator().manual_seed(7))


def edited(hybrid, name, change):
    """The same hybrid model with one weight changed."""
    model = onnx.ModelProto()
    model.CopyFrom(hybrid.proto)
    for item in model.graph.initializer:
        if item.name == name:
            item.CopyFrom(onnx.numpy_helper.from_array(change(onnx.numpy_helper.to_array(item)), name))
    return from_onnx(model)


def test_equal_models_agree(net, hybrid, x):
    result = compare_with_torch(net, hybrid, (x,))
    assert (result.samples, result.flipped_samples, result.flips) == (40, 0, 0)
    assert result.max_abs <= 1e-6
    assert result.flips_explained
    assert [item.node for item in result.neurons] == ["encode/RateEncode", "hidden/Lif", "recurrent/RecurrentLif"]
    assert [item.module for item in result.neurons] == ["encode", "hidden", "recurrent"]
    with torch.no_grad():
        spikes = net.encode(x)
        assert result.neurons[0].spikes == int(spikes.sum())
        assert result.neurons[1].spikes == int(net.hidden(net.fc(spikes)).sum())


def test_a_changed_output_weight_is_measured(net, hybrid, x):
    result = compare_with_torch(net, edited(hybrid, "head.bias", lambda bias: bias + np.float32(0.25)), (x,))
    assert result.max_abs == pytest.approx(0.25, rel=1e-3)
    assert result.max_rel > 0.01
    assert result.flips == 0


def test_a_changed_threshold_flips_spikes_that_are_not_explained(net, hybrid, x):
    result = compare_with_torch(net, edited(hybrid, "hidden.threshold", lambda value: value * np.float32(1.2)), (x,))
    encode, hidden, recurrent = result.neurons
    assert encode.flips == 0
    assert 0 < hidden.first_flips <= hidden.flips
    assert 1e-3 < hidden.margin <= 0.2
    assert recurrent.first_flips == 0, "what follows a flip is not judged"
    assert recurrent.flips > 0
    assert not result.flips_explained
    assert 0 < result.flipped_samples <= 40


def test_flips_at_the_threshold_are_explained():
    """Torch sums in another order than ONNX Runtime might: here the last bit of a weight stands for it."""
    net = nn.Sequential(
        snn.DirectEncode(4), nn.Linear(1, 1, bias=False), snn.Lif(0.5, voltage_decay=1.0), snn.RateDecode()
    )
    with torch.no_grad():
        net[1].weight.fill_(0.5)
    hybrid = from_torch(net, (torch.rand(2, 1),))
    name = hybrid.proto.graph.node[1].input[1]
    nudged = edited(hybrid, name, lambda weight: np.nextafter(weight, np.float32(1)))
    x = torch.tensor([[1.0], [0.5], [1.5]])
    result = compare_with_torch(net, nudged, (x,))
    assert (result.flips, result.neurons[0].first_flips, result.flipped_samples) == (4, 1, 1)
    assert result.neurons[0].margin == 0
    assert result.flips_explained
    assert result.max_abs == 0, "outputs of samples with a flip are left out"


def test_graded_and_bit_plane_encoders_are_compared():
    class Codes(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Linear(3, 3, bias=False)
            self.graded = snn.GradedEncode(4, step=0.5, signed=True)
            self.planes = snn.BitPlaneEncode(4, order="msb", floor_lsb=False, rescale="static")
            self.poisson = snn.PoissonEncode(4, seed=1)
            self.lif = snn.Lif()
            self.decode = snn.RateDecode()

        def forward(self, x):
            x = self.scale(x)
            return self.decode(self.lif(self.graded(x) + self.planes(x) + self.poisson(x)))

    net = Codes()
    with torch.no_grad():
        net.scale.weight.copy_(torch.eye(3))
    hybrid = from_torch(net, (torch.rand(2, 3),))
    assert compare_with_torch(net, hybrid, (torch.rand(30, 3),)).flips == 0
    name = next(node for node in hybrid.proto.graph.node if node.op_type in ("Gemm", "MatMul")).input[1]
    near = torch.tensor([[0.25, 8 / 15, 0.1]])
    nudged = edited(hybrid, name, lambda weight: weight * np.float32(1 + 1e-6))
    result = {item.module: item for item in compare_with_torch(net, nudged, (near,)).neurons}
    assert result["graded"].flips == 1
    assert result["graded"].margin < 1e-6
    assert result["planes"].margin < 1e-5
    wrong = edited(hybrid, name, lambda weight: weight * np.float32(1.3))
    assert not compare_with_torch(net, wrong, (torch.rand(30, 3),)).flips_explained


def test_the_module_is_left_as_it_was(net, hybrid, x):
    net.train()
    hooks = [len(part._forward_hooks) for part in net.modules()]
    compare_with_torch(net, hybrid, (x,))
    assert net.training
    assert hooks == [len(part._forward_hooks) for part in net.modules()]


def test_another_model_is_refused(net, hybrid, x):
    other = nn.Sequential(snn.RateEncode(6), snn.Lif(), snn.RateDecode())
    with pytest.raises(VerificationError, match=r"HSNN-V010.*'0'"):
        compare_with_torch(other, hybrid, (x,))


def test_wrong_inputs_name_the_module(net, hybrid):
    with pytest.raises(UsageError, match=r"HSNN-F010.*fc"):
        compare_with_torch(net, hybrid, (torch.rand(2, 3),))


class OverSamples(nn.Module):
    """Returns outputs with a batch axis and without one."""

    def __init__(self, threshold=0.5, *, factor=1.0):
        super().__init__()
        self.encode, self.decode, self.factor = snn.DirectEncode(4), snn.RateDecode(), factor
        self.lif = snn.Lif(threshold, voltage_decay=1.0)

    def forward(self, x):
        rate = self.decode(self.lif(self.encode(x)))
        return rate, self.factor * rate.mean(), rate.sum(0)


def test_outputs_without_a_batch_axis_are_compared(x):
    model = OverSamples()
    hybrid = from_torch(model, (x,))
    result = compare_with_torch(model, hybrid, (x,))
    assert (result.flips, result.max_abs < 1e-6) == (0, True)
    assert compare_with_torch(OverSamples(factor=2.0), hybrid, (x,)).max_rel > 0.4


def test_an_output_that_mixes_samples_is_not_judged_by_a_flip_in_one_of_them(x):
    model, other = OverSamples(0.5), OverSamples(0.5 + 1e-6)
    x = torch.cat([x.round() * 0.8, torch.full((1, 4), 0.5 + 5e-7)])
    result = compare_with_torch(model, from_torch(other, (x,)), (x,))
    assert (result.flipped_samples, result.max_abs) == (1, 0.0)
    assert result.flips_explained
