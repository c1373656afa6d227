"""sinabs inside a torch model."""

from __future__ import annotations

import random_sinabs
import sinabs.layers as sl
import torch
from live_models import TIMESTEPS, assert_equal
from random_check import assert_same
from random_hybrids import RandomHybrid
from registry import EXACT, POLICY, REFUSED, construct
from sinabs.activation import MaxSpike, MembraneReset, MembraneSubtract, SingleSpike
from sinabs.from_torch import from_model
from torch import nn

from hsnn.nn import MergedTime

LIBRARY = "sinabs 3.1.3, live modules"
ZERO_STATE = "state starts at zero for every sample, as `sinabs.reset_states` does"
ONE = {"spike_fn": SingleSpike}


class BatchFirst(nn.Module):
    """Neurons on ``(batch, timestep, *feature)``."""

    def __init__(self, first, second):
        super().__init__()
        torch.manual_seed(0)
        self.fc1, self.first, self.fc2, self.second = nn.Linear(6, 5), first, nn.Linear(5, 4), second
        with torch.no_grad():
            self.fc1.weight.mul_(2.0)
            self.fc2.weight.mul_(3.0)

    def forward(self, x):
        x = x.unsqueeze(1).repeat(1, TIMESTEPS, 1)
        return self.second(self.fc2(self.first(self.fc1(x)))).mean(1)


@construct(LIBRARY, "IAF with SingleSpike, both resets", POLICY, note=ZERO_STATE)
def integrate():
    hard = sl.IAF(torch.tensor(0.7), reset_fn=MembraneReset(), **ONE)
    assert_equal(BatchFirst(sl.IAF(torch.tensor(0.8), **ONE), hard))


@construct(LIBRARY, "LIF, `norm_input`, synaptic current, a time constant for each neuron", POLICY, note=ZERO_STATE)
def leaky():
    first = sl.LIF(tau_mem=3.0, tau_syn=2.0, spike_threshold=torch.tensor(0.2), **ONE)
    taus = torch.tensor([2.0, 4.0, 6.0, 8.0])
    assert_equal(BatchFirst(first, sl.LIF(tau_mem=taus, norm_input=False, spike_threshold=torch.tensor(0.5), **ONE)))
    trained = sl.LIF(tau_mem=5.0, tau_syn=3.0, train_alphas=True, spike_threshold=torch.tensor(0.1), **ONE)
    assert_equal(
        BatchFirst(trained, sl.LIF(tau_mem=2.0, reset_fn=MembraneReset(), spike_threshold=torch.tensor(0.1), **ONE))
    )


@construct(LIBRARY, "LIFRecurrent and IAFRecurrent, `rec_connect` a Linear without bias", POLICY, note=ZERO_STATE)
def recurrent():
    first = sl.LIFRecurrent(4.0, nn.Linear(5, 5, bias=False), spike_threshold=torch.tensor(0.2), tau_syn=2.0, **ONE)
    second = sl.IAFRecurrent(nn.Sequential(nn.Flatten(), nn.Linear(4, 4, bias=False)), torch.tensor(0.5), **ONE)
    assert_equal(BatchFirst(first, second))


@construct(LIBRARY, "ExpLeak read-out", POLICY, note=ZERO_STATE)
def readout():
    assert_equal(BatchFirst(sl.IAF(torch.tensor(0.6), **ONE), sl.ExpLeak(tau_mem=4.0)))


@construct(
    LIBRARY,
    "IAFSqueeze and LIFSqueeze among convolutions and SumPool2d, `num_timesteps` given",
    POLICY,
    note=ZERO_STATE,
)
def squeeze():
    class Squeezed(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.net = nn.Sequential(
                nn.Conv2d(1, 3, 3, bias=False),
                sl.IAFSqueeze(num_timesteps=TIMESTEPS, spike_threshold=torch.tensor(0.5), **ONE),
                sl.SumPool2d(2),
                nn.Flatten(),
                nn.Linear(27, 5, bias=False),
                sl.LIFSqueeze(num_timesteps=TIMESTEPS, tau_mem=3.0, spike_threshold=torch.tensor(0.05), **ONE),
            )

        def forward(self, x):
            x = x.unsqueeze(1).repeat(1, TIMESTEPS, 1, 1, 1).flatten(0, 1)
            return self.net(x).unflatten(0, (-1, TIMESTEPS)).sum(1)

    assert_equal(Squeezed(), shape=(1, 8, 8), scale=2.0)


@construct(LIBRARY, "the input is a train `(batch, timestep, *feature)`", EXACT)
def train():
    class Train(BatchFirst):
        def forward(self, x):
            return self.second(self.fc2(self.first(self.fc1(x))))

    model = Train(sl.IAF(torch.tensor(0.6), **ONE), sl.LIF(tau_mem=3.0, spike_threshold=torch.tensor(0.2), **ONE))
    assert_equal(model, x=(torch.rand(4, TIMESTEPS, 6) > 0.5).float())


@construct(
    LIBRARY,
    "random hybrids of IAF, LIF, their squeezed and recurrent forms, ExpLeak: "
    "no field at its default, states over time too",
    POLICY,
    note=ZERO_STATE,
)
def drawn_at_random():
    assert_same(RandomHybrid(100, random_sinabs))


@construct(LIBRARY, "the input of squeezed layers is a train, flattened in the model", POLICY, note=ZERO_STATE)
def squeezed_train():
    class Train(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.fc, self.iaf = nn.Linear(6, 5), sl.IAFSqueeze(num_timesteps=TIMESTEPS, **ONE)

        def forward(self, x):
            return self.iaf(2 * self.fc(x.flatten(0, 1))).unflatten(0, (-1, TIMESTEPS)).sum(1)

    assert_equal(Train(), x=(torch.rand(4, TIMESTEPS, 6) > 0.5).float())


@construct(LIBRARY, "MultiSpike (the default) and MaxSpike: several spikes in one timestep", POLICY, note=ZERO_STATE)
def several_spikes():
    assert_equal(BatchFirst(sl.IAF(), sl.LIF(tau_mem=4.0, norm_input=False)))
    capped = sl.IAF(torch.tensor(0.2), spike_fn=MaxSpike(3), reset_fn=MembraneReset())
    assert_equal(BatchFirst(sl.LIF(tau_mem=3.0, tau_syn=2.0, spike_threshold=torch.tensor(0.05)), capped))
    feedback = nn.Linear(5, 5, bias=False)
    assert_equal(BatchFirst(sl.LIFRecurrent(4.0, feedback, spike_threshold=torch.tensor(0.1)), sl.IAF()))


@construct(LIBRARY, "`min_v_mem` of 0 or below", POLICY, note=ZERO_STATE)
def bounded():
    each = sl.IAF(torch.tensor(0.3), min_v_mem=-torch.tensor([0.1, 0.2, 0.0, 0.3, 0.5]))
    assert_equal(BatchFirst(each, sl.LIF(tau_mem=3.0, min_v_mem=-0.2, spike_threshold=torch.tensor(0.2), **ONE)))


@construct(
    LIBRARY,
    "`min_v_mem` of ExpLeak, or above 0",
    REFUSED,
    code="HSNN-F091",
    note="a read-out of hsnn has no floor, and states start at 0",
)
def bounded_readout():
    assert_equal(BatchFirst(sl.IAF(), sl.ExpLeak(tau_mem=3.0, min_v_mem=-0.1)))


@construct(
    LIBRARY,
    "reset to another value, or by another amount",
    REFUSED,
    code="HSNN-F091",
    note="hsnn resets to zero or by the threshold",
)
def other_reset():
    assert_equal(BatchFirst(sl.IAF(reset_fn=MembraneSubtract(0.4), **ONE), sl.IAF(**ONE)))


@construct(LIBRARY, "what `from_model` makes of an ordinary network, in `hsnn.nn.MergedTime`", POLICY, note=ZERO_STATE)
def converted():
    torch.manual_seed(0)
    ann = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(27, 4), nn.ReLU())
    with torch.no_grad():
        ann[0].weight.mul_(4.0)
        ann[4].weight.mul_(4.0)
    network = from_model(ann, input_shape=(1, 8, 8), batch_size=1)
    assert_equal(MergedTime(network, timesteps=TIMESTEPS), shape=(TIMESTEPS, 1, 8, 8))


@construct(
    LIBRARY,
    "squeezed layers with a fixed `batch_size`",
    REFUSED,
    code="HSNN-F091",
    note="`hsnn.nn.MergedTime` frees the batch",
)
def fixed_batch():
    assert_equal(nn.Sequential(sl.IAFSqueeze(batch_size=2, **ONE)))


@construct(LIBRARY, "ALIF and other layers", REFUSED, code="HSNN-F090", note="no equation of hsnn")
def adaptive():
    assert_equal(BatchFirst(sl.ALIF(tau_mem=3.0, tau_adapt=4.0), sl.IAF(**ONE)))


@construct(
    LIBRARY,
    "feedback with a bias, or through a convolution",
    REFUSED,
    code="HSNN-F091",
    note="a bias that acts from the second timestep on; RecurrentLif is all to all",
)
def other_feedback():
    assert_equal(BatchFirst(sl.IAFRecurrent(nn.Linear(5, 5), **ONE), sl.IAF(**ONE)))
