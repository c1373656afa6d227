"""Random hybrid models go the whole way: every rung of the ladder holds."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from hsnn import nn as snn
from hsnn.compiler import Options, compile
from hsnn.report.layers import Limits
from hsnn.verify.ladder import verify

SIDE, CHANNELS = 6, 3
pytestmark = pytest.mark.filterwarnings("ignore:HSNN-Q030")
LENIENT = Limits(min_f1=0.0, max_rate_error=10.0, max_dead=1.0, max_voltage_error=10.0, max_saturation=0.05)
"""Weights are random, so spikes are chaotic; what is proven here is that every step computes the same."""


class RandomHybrid(nn.Module):
    """Stem, one to three spiking blocks with a skip or two, decoders, and an ANN part around them."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.pick = random.Random(seed)
        timesteps = self.pick.choice((3, 5, 8))
        self.stem = nn.Sequential(nn.Conv2d(1, CHANNELS, 3, padding=1), nn.BatchNorm2d(CHANNELS), nn.Sigmoid())
        self.encode = self.encoder(timesteps)
        self.blocks = nn.ModuleList(self.block() for _ in range(self.pick.randint(1, 3)))
        self.neurons = nn.ModuleList(self.neuron() for _ in self.blocks)
        self.sums = [self.pick.random() < 0.6 for _ in self.blocks]
        self.flatten = snn.TimeDistributed(nn.Sequential(nn.AvgPool2d(2), nn.Flatten()))
        self.delay = snn.Delay(steps=self.pick.randint(0, 2))
        self.fc = nn.Linear(CHANNELS * SIDE * SIDE // 4, 7, bias=self.pick.random() < 0.5)
        self.last = snn.RecurrentLif(7, voltage_decay=0.25) if self.pick.random() < 0.5 else self.neuron()
        self.decode = self.decoder(timesteps)
        self.read = snn.LeakyIntegrator(current_decay=0.5, voltage_decay=0.25)
        self.membrane = snn.MembraneDecode(mode=self.pick.choice(("last", "max", "mean")))
        self.head = nn.Linear(7, 4)

    def encoder(self, timesteps: int) -> nn.Module:
        choices: tuple[Callable[[], nn.Module], ...] = (
            lambda: snn.RateEncode(timesteps, initial=0.5),
            lambda: snn.PoissonEncode(timesteps, seed=3),
            lambda: snn.DirectEncode(timesteps),
            lambda: snn.GradedEncode(timesteps, step=1 / 64),
            lambda: snn.BitPlaneEncode(timesteps, order="msb", floor_lsb=True, rescale="none"),
        )
        return self.pick.choice(choices)()

    def block(self) -> nn.Module:
        groups = self.pick.choice((1, 1, CHANNELS))
        layers: list[nn.Module] = [nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, groups=groups)]
        if self.pick.random() < 0.5:
            layers.append(nn.BatchNorm2d(CHANNELS))
        return snn.TimeDistributed(nn.Sequential(*layers))

    def neuron(self) -> nn.Module:
        return snn.Lif(
            self.pick.choice((0.5, 1.0)),
            current_decay=self.pick.choice((1.0, 0.5)),
            voltage_decay=self.pick.choice((0.0, 0.25, 0.5)),
            reset=self.pick.choice(("zero", "subtract", "subtract_late", "none")),
            comparison=self.pick.choice((">", ">=")),
            refractory=self.pick.choice((0, 0, 2)),
            decay_input=self.pick.random() < 0.2,
        )

    def decoder(self, timesteps: int) -> nn.Module:
        return self.pick.choice((snn.RateDecode(), snn.WindowSumDecode(start=1, stop=timesteps)))

    def forward(self, x):
        spikes = self.encode(self.stem(x))
        for block, neuron, skip in zip(self.blocks, self.neurons, self.sums, strict=True):
            sent = neuron(block(spikes))
            spikes = spikes + sent if skip else sent
        flat = self.fc(self.delay(self.flatten(spikes)))
        return self.head(self.decode(self.last(flat))) + self.head(self.membrane(self.read(flat)))


def prove(seed: int, target: str) -> None:
    torch.manual_seed(seed)
    model = RandomHybrid(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.startswith(("blocks", "fc", "last")) and parameter.ndim > 1:
                parameter.mul_(2.5)
    x = np.random.default_rng(seed).normal(size=(10, 1, SIDE, SIDE)).astype(np.float32)
    program = compile(model.eval(), x, options=Options(limits=LENIENT, golden_samples=3))
    report = verify(program, model=model, target=target)
    assert report.passed, "\n".join(f"{rung.name}: {rung.detail} {rung.difference or ''}" for rung in report.rungs)
    assert {rung.status for rung in report.rungs} == {"passed"}


@pytest.mark.parametrize("seed", range(12))
def test_random_hybrid_climbs_the_ladder(seed):
    prove(seed, "emulator")


@pytest.mark.lava
@pytest.mark.parametrize("seed", range(100, 104))
def test_random_hybrid_climbs_the_ladder_to_lava(seed):
    prove(seed, "loihi2-sim")
