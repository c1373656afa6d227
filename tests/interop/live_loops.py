"""Ways to write a loop over time, with neurons of snnTorch: how steps are taken, how results are collected."""

from __future__ import annotations

import snntorch as snn
import torch
from live_models import TIMESTEPS, Loop, assert_equal
from registry import EXACT, REFUSED, construct
from torch import nn

from hsnn.nn import KeepOutputs

LIBRARY = "Loops over time, live modules of any library"


@construct(LIBRARY, "results in a dictionary, `--outputs spikes,activity`, one of them a mean of all spikes", EXACT)
def keeps_entries():
    class Named(Loop):
        def forward(self, x):
            one, two = self.first.init_leaky(), self.second.init_leaky()
            spikes, voltages = [], []
            for _ in range(TIMESTEPS):
                sent, one = self.first(self.fc1(x), one)
                sent, two = self.second(self.fc2(sent), two)
                spikes.append(sent)
                voltages.append(two)
            train = torch.stack(spikes)
            return {"spikes": train, "voltages": torch.stack(voltages), "activity": train.mean()}

    assert_equal(KeepOutputs(Named(snn.Leaky(0.95), snn.Leaky(0.9), None), ["spikes", "activity"]))


@construct(LIBRARY, "`spikes[t] = s`, `spikes[:, t] = s`, `spikes[..., t] = s`", EXACT)
def writes():
    class Writes(Loop):
        def __init__(self, shape, place):
            super().__init__(snn.Leaky(0.9), nn.Identity(), None)
            self.shape, self.place = shape, place

        def forward(self, x):
            mem = self.first.init_leaky()
            sent = torch.zeros([x.shape[0] if extent is None else extent for extent in self.shape]).to(x.device)
            for t in range(TIMESTEPS):
                sent[self.place(t)], mem = self.first(self.fc1(x), mem)
            return sent

    assert_equal(Writes((TIMESTEPS, None, 5), lambda t: t))
    assert_equal(Writes((None, TIMESTEPS, 5), lambda t: (slice(None), t)))
    assert_equal(Writes((None, 5, TIMESTEPS), lambda t: (..., t)))


class Steps(nn.Module):
    """Neurons on the steps that ``take`` gives."""

    def __init__(self, take):
        super().__init__()
        torch.manual_seed(0)
        self.inner, self.lif, self.take = nn.Linear(10, 6), snn.Leaky(beta=0.9, threshold=0.3), take
        self.weights = nn.Parameter(torch.rand(TIMESTEPS))

    def forward(self, x):
        mem, sent = self.lif.init_leaky(), []
        for step in self.take(x):
            spikes, mem = self.lif(self.inner(step), mem)
            sent.append(spikes)
        return self.result(sent)

    def result(self, sent):
        return torch.stack(sent).sum(0)


@construct(LIBRARY, "`x.unbind(1)`, `x.chunk`, `x.split(1, 1)`, `x[:, t:t+1].squeeze(1)`, `x.narrow(1, t, 1)`", EXACT)
def parts():
    for take in (
        lambda x: x.unbind(1),
        lambda x: [part.squeeze(1) for part in x.chunk(TIMESTEPS, 1)],
        lambda x: [part.squeeze(1) for part in x.split(1, 1)],
        lambda x: [x[:, t : t + 1].squeeze(1) for t in range(TIMESTEPS)],
        lambda x: [x.narrow(1, t, 1)[:, 0] for t in range(TIMESTEPS)],
    ):
        assert_equal(Steps(take), shape=(TIMESTEPS, 10), scale=2.0)


@construct(LIBRARY, "time as the last axis, `x[..., t]` or `x.unbind(-1)`", EXACT)
def last_axis():
    for take in (lambda x: x.unbind(-1), lambda x: [x[..., t] for t in range(TIMESTEPS)]):
        assert_equal(Steps(take), shape=(10, TIMESTEPS), scale=2.0)


@construct(LIBRARY, "what neurons sent, stacked and weighted by timestep", EXACT)
def weighted():
    class Weighted(Steps):
        def result(self, sent):
            return (self.weights.view(-1, 1, 1) * torch.stack(sent)).sum(0)

    assert_equal(Weighted(lambda x: x.unbind(1)), shape=(TIMESTEPS, 10), scale=2.0)


@construct(
    LIBRARY,
    "other weights at every timestep, inside of the loop",
    REFUSED,
    code="HSNN-F092",
    note="stack what neurons send, and weigh the whole",
)
def weights_in_the_loop():
    class Weighted(Steps):
        def result(self, sent):
            return sum(weight * spikes for weight, spikes in zip(self.weights, sent, strict=True))

    assert_equal(Weighted(lambda x: x.unbind(1)), shape=(TIMESTEPS, 10), scale=2.0)
