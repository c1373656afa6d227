"""SpikingJelly inside a torch model."""

from __future__ import annotations

import random_spikingjelly
import torch
from live_models import TIMESTEPS, Loop, assert_equal
from random_check import assert_same
from random_hybrids import RandomHybrid
from registry import EXACT, POLICY, REFUSED, construct
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import nn

LIBRARY = "SpikingJelly 2.0.0, live modules"
ZERO_STATE = "state starts at `v_reset` for every sample, as `functional.reset_net` does"


class MultiStep(nn.Module):
    """Direct encoding, a convolution, two layers of neurons on ``(timestep, batch, *feature)``, the mean over time."""

    def __init__(self, first, second):
        super().__init__()
        torch.manual_seed(0)
        self.conv = layer.Conv2d(1, 3, 3, padding=1, step_mode="m")
        self.bn = layer.BatchNorm2d(3, step_mode="m")
        self.first, self.second = first, second
        self.pool = layer.AvgPool2d(2, step_mode="m")
        self.flatten = layer.Flatten(step_mode="m")
        self.fc = layer.Linear(48, 5, step_mode="m")
        self.drop = layer.Dropout(0.5, step_mode="m")
        with torch.no_grad():
            self.conv.weight.mul_(2.0)
            self.fc.weight.abs_().mul_(3.0)

    def forward(self, x):
        x_seq = x.unsqueeze(0).repeat(TIMESTEPS, 1, 1, 1, 1)
        x_seq = self.pool(self.first(self.bn(self.conv(x_seq))))
        return self.second(self.fc(self.drop(self.flatten(x_seq)))).mean(0)


def multi(first, second):
    assert_equal(MultiStep(first, second), shape=(1, 8, 8))


@construct(LIBRARY, "IFNode, multi-step, hard and soft reset", POLICY, note=ZERO_STATE)
def integrate():
    multi(neuron.IFNode(0.7, step_mode="m"), neuron.IFNode(0.6, v_reset=None, step_mode="m"))


@construct(
    LIBRARY, "LIFNode, multi-step, with and without `decay_input`, `v_reset` other than 0", POLICY, note=ZERO_STATE
)
def leaky():
    multi(
        neuron.LIFNode(tau=1.6, v_threshold=0.4, v_reset=-0.1, step_mode="m", surrogate_function=surrogate.ATan()),
        neuron.LIFNode(tau=3.0, decay_input=False, v_threshold=0.8, v_reset=0.2, step_mode="m"),
    )
    multi(
        neuron.LIFNode(tau=2.5, v_threshold=0.3, v_reset=None, step_mode="m"),
        neuron.LIFNode(tau=4.0, decay_input=False, v_threshold=0.5, v_reset=None, step_mode="m"),
    )


@construct(LIBRARY, "ParametricLIFNode", POLICY, note=ZERO_STATE)
def parametric():
    multi(
        neuron.ParametricLIFNode(init_tau=1.7, v_threshold=0.3, step_mode="m"),
        neuron.ParametricLIFNode(init_tau=3.0, decay_input=False, v_threshold=0.7, v_reset=None, step_mode="m"),
    )


@construct(LIBRARY, "neurons one step at a time in a loop, `functional.reset_net` in forward", POLICY, note=ZERO_STATE)
def single_step():
    class Single(Loop):
        def forward(self, x):
            functional.reset_net(self)
            return super().forward(x)

    def call(node, x, _):
        return node(x), None

    model = Single(neuron.LIFNode(tau=1.8, v_threshold=0.3), neuron.IFNode(0.9, v_reset=None), call, stacked=False)
    assert_equal(model)


@construct(LIBRARY, "SEW block (`ADD` of two spike trains), `SeqToANNContainer`", POLICY, note=ZERO_STATE)
def spike_element_wise():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.stem = layer.SeqToANNContainer(nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3))
            self.sn1 = neuron.IFNode(0.4, step_mode="m")
            self.conv = layer.SeqToANNContainer(nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3))
            self.sn2 = neuron.IFNode(0.3, step_mode="m")
            self.head = nn.Linear(3, 4)

        def forward(self, x):
            x_seq = self.sn1(self.stem(torch.stack([x] * TIMESTEPS)))
            x_seq = self.sn2(self.conv(x_seq)) + x_seq
            return self.head(x_seq.mean((3, 4)).mean(0))

    assert_equal(Block(), shape=(1, 6, 6))


@construct(LIBRARY, "NonSpikingLIFNode with `decode`", EXACT)
def non_spiking():
    class Readout(MultiStep):
        def forward(self, x):
            x_seq = x.unsqueeze(0).repeat(TIMESTEPS, 1, 1, 1, 1)
            return self.second(self.fc(self.flatten(self.pool(self.first(self.conv(x_seq))))))

    model = Readout(neuron.IFNode(0.5, step_mode="m"), neuron.NonSpikingLIFNode(tau=2.5, decode="last_mem"))
    assert_equal(model, shape=(1, 8, 8))


@construct(
    LIBRARY,
    "random hybrids of IFNode, LIFNode, ParametricLIFNode, SimpleIFNode, SimpleLIFNode, CUBALIFNode, one step and "
    "many: no field at its default, states over time too",
    POLICY,
    note=ZERO_STATE,
)
def drawn_at_random():
    assert_same(RandomHybrid(100, random_spikingjelly))


@construct(
    LIBRARY,
    "neurons with other dynamics (QIFNode, KLIFNode, PSN, ...)",
    REFUSED,
    code="HSNN-F090",
    note="no equation of hsnn",
)
def quadratic():
    multi(neuron.QIFNode(step_mode="m"), neuron.IFNode(step_mode="m"))


@construct(
    LIBRARY,
    "a neuron class of one's own on top of LIFNode",
    REFUSED,
    code="HSNN-F090",
    note="`hsnn.register_neuron` tells its equation",
)
def derived():
    class Mine(neuron.LIFNode):
        def single_step_functional_forward(self, inputs, states, **kwargs):
            return super().single_step_functional_forward((2 * inputs[0],), states, **kwargs)

    multi(Mine(step_mode="m"), neuron.IFNode(step_mode="m"))


@construct(
    LIBRARY,
    "containers that feed spikes back, synapse filters, delays",
    REFUSED,
    code="HSNN-F090",
    note="they keep state of their own",
)
def containers():
    multi(layer.SynapseFilter(step_mode="m"), neuron.IFNode(step_mode="m"))
