"""Transposed convolutions, sums over windows and un-pooling as synapses: the cut model computes what torch does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from hsnn import nn as snn
from hsnn.compiler import Options, compile
from hsnn.frontends.torch import from_torch
from hsnn.ir.spiking import FloatDense, FloatSparse
from hsnn.passes.partition.partition import Partition
from hsnn.passes.rewrite.canonicalize import canonicalize
from hsnn.verify.ladder import verify
from hsnn.verify.segments import compare_segments

T2, T1 = nn.ConvTranspose2d, nn.ConvTranspose1d
LAYERS = {
    "plain": (T2(2, 3, 3), (2, 4, 5)),
    "stride": (T2(2, 3, 3, stride=2, padding=1, output_padding=1, bias=False), (2, 4, 3)),
    "uneven": (T2(4, 6, (3, 2), stride=(2, 3), padding=(1, 0), output_padding=(0, 1), groups=2), (4, 3, 4)),
    "dilation": (T2(3, 3, 3, dilation=2, padding=2, groups=3), (3, 4, 4)),
    "one axis": (T1(2, 3, 4, stride=3, padding=1, output_padding=2), (2, 5)),
    "unpool": (nn.Upsample(scale_factor=(2, 3), mode="nearest"), (2, 3, 3)),
    "sums of norm 1": (nn.Sequential(nn.LPPool2d(1, 2), nn.Conv2d(2, 3, 2)), (2, 4, 6)),
    "sums of norm 1 along one axis": (nn.LPPool1d(1, 3, stride=2), (2, 7)),
    "sum pool and back": (nn.Sequential(nn.AvgPool2d(2, divisor_override=1), nn.Upsample(scale_factor=2)), (2, 4, 4)),
}


class Net(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.encode = snn.RateEncode(6, initial=0.5)
        self.layer = snn.TimeDistributed(layer)
        self.lif = snn.Lif(0.3, voltage_decay=0.25)
        self.decode = snn.RateDecode()

    def forward(self, x):
        return self.decode(self.lif(self.layer(self.encode(x))))


@pytest.mark.parametrize("name", LAYERS)
def test_segment_equals_the_whole_model(name):
    layer, shape = LAYERS[name]
    torch.manual_seed(1)
    net = Net(layer).eval()
    x = torch.rand(4, *shape)
    hybrid = canonicalize(from_torch(net, (x,)))
    plan = Partition()(hybrid)
    (segment,) = plan.chip_segments
    assert all(isinstance(p, FloatSparse | FloatDense) for p in segment.graph.projections)
    assert not [item for item in plan.placements if item.code]
    agreements = compare_segments(hybrid, plan, {hybrid.inputs[0].name: x.numpy()})
    assert sum(item.spikes for item in agreements) > 20
    assert all(item.flipped == 0 for item in agreements)


def test_decoder_network_climbs_the_ladder():
    torch.manual_seed(2)
    net = Net(T2(2, 4, 3, stride=2)).eval()
    samples = np.random.default_rng(0).random((16, 2, 4, 4), np.float32)
    program = compile(net, samples, options=Options(golden_samples=1))
    assert verify(program, model=net, target="reference").passed


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
def test_other_resizing_stays_on_the_host_with_its_reason(mode):
    factor = 2.0 if mode == "bilinear" else 1.5
    net = Net(nn.Upsample(scale_factor=factor, mode=mode)).eval()
    plan = Partition()(canonicalize(from_torch(net, (torch.rand(1, 2, 4, 4),))))
    (found,) = [item for item in plan.placements if item.op == "Resize"]
    assert found.code == "HSNN-P004"
    assert "grow" in found.reason or "bilinear" in found.reason or "linear" in found.reason
