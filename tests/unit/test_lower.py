"""Synapses that the compiler builds do what torch's layers do to every timestep."""

from __future__ import annotations

import numpy as np
import onnx_ir
import pytest
import torch
from torch import nn

from hsnn import nn as snn
from hsnn.frontends.torch import from_torch
from hsnn.ir.populations import ConstantSource
from hsnn.ir.spiking import FloatConv, FloatDense, FloatSparse, SpikingGraph
from hsnn.passes.partition.partition import Partition
from hsnn.passes.rewrite.canonicalize import canonicalize
from hsnn.passes.simulation.simulate import simulate
from hsnn.passes.trains.affine import Affine, Term
from hsnn.passes.trains.linear_ops import LINEAR_OPS
from hsnn.passes.trains.rule import NotLinearError, View

T = 3


class Probe(nn.Module):
    """Encoder, one block of layers, and read-out neurons that show what reaches a neuron."""

    def __init__(self, block: nn.Module, *, current_decay: float = 1.0) -> None:
        super().__init__()
        self.encode = snn.DirectEncode(timesteps=T)
        self.block = block
        self.read = snn.LeakyIntegrator(current_decay=current_decay, voltage_decay=1.0)
        self.decode = snn.MembraneDecode(mode="mean")

    def forward(self, x):
        return self.decode(self.read(self.block(self.encode(x))))


class Skip(nn.Module):
    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x):
        total = self.branches[0](x)
        for branch in self.branches[1:]:
            total = total + branch(x)
        return total


class Concat(Skip):
    def forward(self, x):
        return torch.cat([branch(x) for branch in self.branches], dim=2)


def segment(model: nn.Module, x: torch.Tensor) -> SpikingGraph:
    plan = Partition()(canonicalize(from_torch(model.eval(), (x,))))
    (chip,) = plan.chip_segments
    return chip.graph


def randomized(module: nn.Module) -> nn.Module:
    """Give batch norms statistics that matter."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d | nn.BatchNorm1d):
            part.running_mean.data.uniform_(-0.5, 0.5)
            part.running_var.data.uniform_(0.5, 2.0)
            part.weight.data.uniform_(0.5, 1.5)
            part.bias.data.uniform_(-0.5, 0.5)
    return module


def per_step(*layers: nn.Module) -> nn.Module:
    return snn.TimeDistributed(nn.Sequential(*layers))


IMAGE = (4, 6, 7)
CASES = {
    "linear": (per_step(nn.Flatten(), nn.Linear(168, 5)), IMAGE, (FloatDense,)),
    "linear, unmerged": (nn.Linear(12, 5), (12,), (FloatDense,)),
    "linear on the last axis of two": (nn.Linear(7, 3), (4, 7), (FloatDense, FloatSparse)),
    "conv": (per_step(nn.Conv2d(4, 6, 3)), IMAGE, (FloatConv,)),
    "conv, stride, padding, dilation": (
        per_step(nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(2, 1), dilation=(1, 2))),
        IMAGE,
        (FloatConv,),
    ),
    "conv, groups": (per_step(nn.Conv2d(4, 8, 3, padding=1, groups=2)), IMAGE, (FloatConv,)),
    "depthwise conv with batch norm": (
        per_step(nn.Conv2d(4, 4, 3, groups=4, bias=False), nn.BatchNorm2d(4)),
        IMAGE,
        (FloatConv,),
    ),
    "conv and batch norm": (per_step(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6)), IMAGE, (FloatConv,)),
    "batch norm before conv": (
        per_step(nn.BatchNorm2d(4), nn.Conv2d(4, 6, 3, padding=1)),
        IMAGE,
        (FloatSparse, FloatDense),
    ),
    "linear and batch norm": (
        per_step(nn.Flatten(), nn.Linear(168, 5), nn.BatchNorm1d(5)),
        IMAGE,
        (FloatDense,),
    ),
    "one-dimensional conv": (per_step(nn.Conv1d(4, 6, 3, stride=2, padding=1)), (4, 11), (FloatSparse, FloatDense)),
    "average pooling": (per_step(nn.AvgPool2d(2)), IMAGE, (FloatSparse,)),
    "average pooling with padding": (
        per_step(nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False)),
        IMAGE,
        (FloatSparse,),
    ),
    "average pooling with ceiling": (per_step(nn.AvgPool2d(2, ceil_mode=True)), IMAGE, (FloatSparse,)),
    "average pooling, padding counted, ceiling": (
        per_step(nn.AvgPool2d(3, stride=2, padding=1, ceil_mode=True)),
        IMAGE,
        (FloatSparse,),
    ),
    "global average pooling": (per_step(nn.AdaptiveAvgPool2d(1), nn.Flatten()), IMAGE, (FloatSparse, FloatDense)),
    "conv, pool, flatten, linear": (
        per_step(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(24, 5)),
        IMAGE,
        (FloatDense,),
    ),
    "two convolutions": (per_step(nn.Conv2d(4, 6, 3), nn.Conv2d(6, 2, 3)), IMAGE, (FloatSparse, FloatDense)),
    "residual of identity and conv": (
        Skip(nn.Identity(), per_step(nn.Conv2d(4, 4, 3, padding=1))),
        IMAGE,
        (FloatSparse, FloatConv),
    ),
    "sum before a layer": (
        nn.Sequential(Skip(nn.Identity(), per_step(nn.Conv2d(4, 4, 1))), per_step(nn.Conv2d(4, 3, 3))),
        IMAGE,
        (FloatConv, FloatSparse, FloatDense),
    ),
    "concatenation": (
        Concat(per_step(nn.Conv2d(4, 2, 3)), per_step(nn.Conv2d(4, 3, 3))),
        IMAGE,
        (FloatSparse, FloatDense),
    ),
    "delay": (nn.Sequential(snn.Delay(steps=1), per_step(nn.Conv2d(4, 6, 3))), IMAGE, (FloatConv,)),
    "bias before a delay": (nn.Sequential(nn.Linear(12, 5), snn.Delay(steps=2)), (12,), (FloatDense,)),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("current_decay", [1.0, 0.25], ids=["no memory", "memory"])
def test_lowered_segment_equals_torch(name, current_decay):
    torch.manual_seed(3)
    block, shape, kinds = CASES[name]
    model = Probe(randomized(block), current_decay=current_decay).eval()
    x = torch.randn(2, *shape)
    graph = segment(model, x)
    with torch.no_grad():
        expected = model.read(model.block(model.encode(x))).numpy()
    driven = np.broadcast_to(x.numpy(), (T, *x.shape)).astype(np.float64)
    found = simulate(graph, {graph.inputs[0].name: driven}).voltages["read"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    synapses = [p for p in graph.projections if not isinstance(graph.source(p.pre), ConstantSource)]
    assert {type(p) for p in synapses} <= set(kinds)


def test_each_branch_is_a_projection_of_its_own():
    block = Skip(nn.Identity(), nn.Identity())
    graph = segment(Probe(block), torch.rand(1, 5))
    assert len(graph.projections) == 2


def test_bias_goes_into_the_voltage_where_the_current_has_no_memory():
    graph = segment(Probe(nn.Linear(12, 5)), torch.rand(1, 12))
    assert not any(isinstance(p, ConstantSource) for p in graph.populations)
    assert graph.neurons[0].bias.shape == (5,)


def test_bias_comes_from_a_constant_source_where_the_current_has_memory():
    graph = segment(Probe(nn.Linear(12, 5), current_decay=0.5), torch.rand(1, 12))
    assert isinstance(graph.populations[0], ConstantSource)
    assert {p.pre for p in graph.projections} == {"encode", "constant"} or len(graph.projections) == 2


def test_decay_input_scales_weights_and_bias():
    model = Probe(nn.Linear(4, 2))
    model.read = snn.LeakyIntegrator(current_decay=1.0, voltage_decay=0.5, decay_input=True)
    graph = segment(model, torch.rand(1, 4))
    weights = next(p for p in graph.projections if isinstance(p, FloatDense)).weights
    np.testing.assert_allclose(weights, 0.5 * model.block.weight.detach().numpy(), rtol=1e-6)
    np.testing.assert_allclose(graph.neurons[0].bias, 0.5 * model.block.bias.detach().numpy(), rtol=1e-6)


class Recurrent(nn.Module):
    def __init__(self, weight):
        super().__init__()
        self.encode = snn.RateEncode(timesteps=T)
        self.fc = nn.Linear(4, len(weight))
        self.lif = snn.RecurrentLif(len(weight), recurrent_weight=weight)
        self.decode = snn.RateDecode()

    def forward(self, x):
        return self.decode(self.lif(self.fc(self.encode(x))))


def test_recurrent_neuron_gets_a_delayed_projection_onto_itself():
    model = Recurrent(torch.rand(3, 3) - 0.5)
    graph = segment(model, torch.rand(1, 4))
    (loop,) = (p for p in graph.projections if p.pre == p.post)
    assert loop.delay == 1
    np.testing.assert_array_equal(loop.weights, model.lif.recurrent_weight.detach().numpy().astype(np.float64))


def test_feedback_that_is_mostly_zero_has_the_synapses_that_are_not():
    weight = torch.diag(torch.tensor([0.5, -0.25, 0.0, 1.0, 0.75]))
    (loop,) = (p for p in segment(Recurrent(weight), torch.rand(1, 4)).projections if p.pre == p.post)
    assert (loop.delay, loop.indices.tolist(), loop.indptr.tolist()) == (1, [0, 1, 3, 4], [0, 1, 2, 2, 3, 4])
    assert loop.data.tolist() == [0.5, -0.25, 1.0, 0.75]


@pytest.mark.parametrize("op", ["AveragePool", "BatchNormalization", "Conv", "GlobalAveragePool"])
def test_operators_over_channels_refuse_trains_with_time_and_batch_apart(op):
    """There the second axis is the batch, which they would take for channels."""
    operand = onnx_ir.Value(name="x")
    node = onnx_ir.Node("", op, [operand, *(onnx_ir.Value(name=f"w{i}") for i in range(4))])
    constants = {1: np.ones((2, 2, 3)), 2: np.ones(2), 3: np.ones(2), 4: np.ones(2)}
    view = View(node, 2, (5,), {0: Affine((5,), (Term("x"),))}, constants)
    with pytest.raises(NotLinearError, match="batch axis for channels") as caught:
        LINEAR_OPS["", op](view)
    assert caught.value.mixes_time
