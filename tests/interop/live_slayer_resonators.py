"""slayer's resonators, ``rf`` and ``rf_iz``, inside a torch model."""

from __future__ import annotations

import numpy as np
import torch
from live_slayer import LIBRARY, ZERO_STATE, Chain, _refuse, cuba, equal, events, images, neuron, norm, slayer
from registry import EXACT, POLICY, REFUSED, construct
from torch import nn

rf, rf_iz = slayer.block.rf, slayer.block.rf_iz
KINDS = {"rf": rf, "rf_iz": rf_iz}


def resonator(**changes):
    """Parameters of neurons; a dict of its own for each block, since blocks change it."""
    return {"threshold": 0.5, "period": 7.3, "decay": 0.08} | changes


@construct(
    LIBRARY,
    "block.rf.Dense and block.rf_iz.Dense with MeanOnlyBatchNorm, weight norm, delays, a mask; beside cuba",
    POLICY,
    note=ZERO_STATE,
)
def dense():
    mask = torch.as_tensor(np.random.default_rng(1).random((16, 20)) < 0.7).float()
    for kind in KINDS.values():
        equal(
            lambda kind=kind: Chain(
                kind.Dense(
                    resonator(norm=norm.MeanOnlyBatchNorm, persistent_state=True),
                    *(12, 20),
                    weight_scale=4,
                    weight_norm=True,
                    delay=True,
                ),
                kind.Dense(resonator(period=4, decay=0.3, threshold=0.3), 20, 16, weight_scale=8, mask=mask),
                cuba.Dense(neuron(threshold=0.4), 16, 8, weight_scale=8, delay_shift=False),
            ),
            events(40, 12, rate=0.5),
        )


@construct(LIBRARY, "block.rf and block.rf_iz: Conv, Pool (odd extents too), Flatten, ConvT and Unpool; groups", EXACT)
def convolutions():
    for kind in KINDS.values():
        equal(
            lambda kind=kind: Chain(
                kind.Conv(resonator(norm=norm.MeanOnlyBatchNorm), 2, 6, 3, padding=1, weight_scale=4),
                kind.Pool(resonator(threshold=0.3), 2, weight_scale=1.5),
                kind.Conv(resonator(), 6, 4, 3, stride=2, groups=2, weight_scale=4, delay=True),
                kind.Flatten(),
                kind.Dense(resonator(), 16, 5, weight_scale=8),
            ),
            events(41, 2, 9, 10, rate=0.5),
        )
        equal(
            lambda kind=kind: Chain(
                kind.ConvT(resonator(), 3, 4, 3, stride=2, padding=1, weight_scale=5),
                kind.Unpool(resonator(threshold=0.3), 2, weight_scale=1.5),
            ),
            events(42, 3, 3, 4, rate=0.5),
        )


@construct(
    LIBRARY,
    "resonators: periods and decays per channel (`shared_param=False`), WgtScaleBatchNorm, another `scale`",
    EXACT,
)
def each():
    settings = {"shared_param": False, "period": (4, 20), "decay": (0.01, 0.3), "scale": 1 << 5, "log_init": False}
    for kind in KINDS.values():
        equal(
            lambda kind=kind: Chain(
                kind.Dense(resonator(**settings), 12, 20, weight_scale=4),
                kind.Dense(resonator(norm=norm.WgtScaleBatchNorm), 20, 8, weight_scale=16),
            ),
            events(43, 12, rate=0.5),
        )


@construct(
    LIBRARY,
    "bare complex synapses and resonators (`synapse.complex.Dense`, `neuron.rf.Neuron`), two real synapses",
    EXACT,
)
def bare():
    class Bare(nn.Module):
        def __init__(self, kind):
            super().__init__()
            self.synapse = slayer.synapse.complex.Dense(12, 9, weight_scale=4)
            self.first = kind.Neuron(**resonator(threshold=0.4))
            self.synapse.pre_hook_fx = self.first.quantize_8bit
            self.real, self.imag = (slayer.synapse.Dense(9, 7, weight_scale=8) for _ in range(2))
            self.second = kind.Neuron(**resonator(threshold=0.4))
            self.real.pre_hook_fx = self.imag.pre_hook_fx = self.second.quantize_8bit

        def forward(self, x):
            real, imag = self.synapse(x)
            spikes = self.first((real, imag))
            return self.second((self.real(spikes), self.imag(spikes)))

    for kind in (slayer.neuron.rf, slayer.neuron.rf_iz):
        equal(lambda kind=kind: Bare(kind), events(44, 12, rate=0.5))


@construct(
    LIBRARY,
    "hybrid of ordinary layers, a block.cuba.Input and resonators",
    EXACT,
)
def hybrid():
    class Hybrid(nn.Module):
        def __init__(self, kind):
            super().__init__()
            self.front = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2))
            self.enter = cuba.Input(neuron(threshold=0.5, current_decay=1.0, voltage_decay=0.1))
            self.conv = kind.Conv(resonator(), 4, 6, 3, weight_scale=4)
            self.flatten, self.fc = kind.Flatten(), kind.Dense(resonator(), 24, 8, weight_scale=8)
            self.head = nn.Linear(8, 5)

        def forward(self, image):
            spike = self.conv(self.enter(slayer.utils.time.replicate(self.front(image), 24)))
            return self.head(slayer.classifier.Rate.rate(self.fc(self.flatten(spike))))

    for kind in KINDS.values():
        equal(lambda kind=kind: Hybrid(kind), images(45))


@construct(LIBRARY, "graded spikes of resonators", REFUSED, code="HSNN-F091", note="spikes would carry states")
def graded():
    _refuse(lambda: Chain(rf.Dense(resonator(graded_spike=True), 12, 20, weight_scale=4)), events(46, 12))


@construct(LIBRARY, "resonators whose threshold is 0", REFUSED, code="HSNN-F091", note="they would fire at rest")
def no_threshold():
    _refuse(lambda: Chain(rf_iz.Dense(resonator(threshold=0.01), 12, 20, weight_scale=4)), events(47, 12))
