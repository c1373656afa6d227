"""What reads whole trains: recurrent host layers, attention, convolutions over time. They run on the host."""

from __future__ import annotations

import norse.torch as norse
import snntorch as snn
import torch
from live_models import assert_equal
from registry import EXACT, construct
from spikingjelly.activation_based import functional, neuron
from torch import nn

LIBRARY = "Whole trains, live modules of any library"
TIMESTEPS, CHANNELS = 9, 6


class Spiking(nn.Module):
    """A layer of SpikingJelly's neurons on ``(batch, timestep, 10)``; trains are ``(timestep, batch, 16)``."""

    def __init__(self, read, *parts):
        super().__init__()
        torch.manual_seed(0)
        self.inner, self.neurons = nn.Linear(10, 16), neuron.LIFNode(1.5, v_threshold=0.3, step_mode="m")
        self.read, self.parts = read, nn.ModuleList(parts)

    def forward(self, x):
        functional.reset_net(self)
        return self.read(self.neurons(self.inner(x.transpose(0, 1))), *self.parts)


def reads(read, *parts):
    """Hold a model that reads a train like this against the library."""
    assert_equal(Spiking(read, *parts), shape=(TIMESTEPS, 10), scale=2.0)


@construct(LIBRARY, "LSTM, GRU and RNN behind the last neurons", EXACT)
def recurrent():
    for kind in (nn.LSTM, nn.GRU, nn.RNN):
        reads(lambda z, layer: layer(z)[0][-1], kind(16, 5))
        reads(lambda z, layer: layer(z.transpose(0, 1))[0].mean(1), kind(16, 5, batch_first=True, bidirectional=True))


@construct(LIBRARY, "attention over time, and weights that a softmax over time gives", EXACT)
def attention():
    reads(lambda z, layer: layer(z, z, z)[0].mean(0), nn.MultiheadAttention(16, 2))
    reads(lambda z, layer: (torch.softmax(layer(z), 0) * z).sum(0), nn.Linear(16, 1))


@construct(LIBRARY, "convolutions over time; timesteps and features flattened into one axis", EXACT)
def convolution():
    reads(lambda z, layer: layer(z.permute(1, 2, 0)).relu().amax(-1), nn.Conv1d(16, 4, 3, padding=1))
    reads(lambda z, layer: layer(z.transpose(0, 1).flatten(1)), nn.Linear(TIMESTEPS * 16, 3))


@construct(
    LIBRARY,
    "statistics: standard deviation, running sums, means over time and features, time of the first spike",
    EXACT,
)
def statistics():
    reads(lambda z: z.std(0))
    reads(lambda z: z.cumsum(0)[3])
    reads(lambda z: z.mean((0, 2)))
    reads(lambda z: z.flip(0)[2])
    times = torch.arange(float(TIMESTEPS)).view(-1, 1, 1)
    reads(lambda z: torch.where(z > 0, times, torch.full_like(times, 99.0)).amin(0))


class Looped(nn.Module):
    """snnTorch's neurons in a loop, whose train goes through a GRU."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.inner, self.lif, self.gru = (
            nn.Linear(10, CHANNELS),
            snn.Leaky(beta=0.9, threshold=0.4),
            nn.GRU(CHANNELS, 4),
        )

    def forward(self, x):
        mem, sent = self.lif.init_leaky(), []
        for t in range(TIMESTEPS):
            spk, mem = self.lif(self.inner(x[:, t]), mem)
            sent.append(spk)
        return self.gru(torch.stack(sent))[0][-1]


class OfNorse(nn.Module):
    """The same with Norse's LIF on whole trains."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.inner, self.lif, self.gru = nn.Linear(10, CHANNELS), norse.LIF(), nn.GRU(CHANNELS, 4)

    def forward(self, x):
        sent, _ = self.lif(20 * self.inner(x).transpose(0, 1))
        return self.gru(sent)[0][-1]


@construct(LIBRARY, "the same behind loops of snnTorch and trains of Norse", EXACT)
def other_libraries():
    assert_equal(Looped(), shape=(TIMESTEPS, 10), scale=2.0)
    assert_equal(OfNorse(), shape=(TIMESTEPS, 10), scale=2.0)


class SpikingAttention(nn.Module):
    """Spiking queries, keys and values, multiplied timestep by timestep, and neurons behind (Spikformer)."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.project = nn.Linear(12, 16), nn.Linear(16, 16)
        self.linear = nn.ModuleList(nn.Linear(16, 16) for _ in range(3))
        self.sent = nn.ModuleList(neuron.LIFNode(1.5, v_threshold=0.2, step_mode="m") for _ in range(5))

    def forward(self, x):
        functional.reset_net(self)
        z = self.sent[0](2 * self.embed(x).unsqueeze(0).repeat(4, 1, 1, 1))
        q, k, v = (node(layer(z)) for node, layer in zip(self.sent[1:4], self.linear, strict=True))
        mixed = self.sent[4]((q @ k.transpose(-2, -1)) @ v * 0.25)
        return (self.project(mixed) + z).mean((0, 2))


@construct(
    LIBRARY, "spiking self-attention with neurons behind it (Spikformer)", EXACT, note="host between two segments"
)
def spikformer():
    assert_equal(SpikingAttention(), shape=(5, 12), scale=2.0)
