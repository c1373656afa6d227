"""snnTorch inside a torch model."""

from __future__ import annotations

import random_snntorch
import snntorch as snn
import torch
from live_models import TIMESTEPS, Loop, assert_equal
from random_check import assert_same
from random_hybrids import RandomHybrid
from registry import EXACT, POLICY, REFUSED, construct
from snntorch import utils
from torch import nn

from hsnn.nn import KeepOutputs, OverTime

LIBRARY = "snnTorch 1.0.0, live modules"
ZERO_STATE = "state starts at zero for every sample, as `snntorch.utils.reset` does"


def explicit(neuron, x, state):
    out = neuron(x, *(state or ()))
    return out[0], (out if isinstance(neuron, snn.RLeaky | snn.RSynaptic) else out[1:])


def hidden(neuron, x, state):
    out = neuron(x)
    return (out[0] if isinstance(out, tuple) else out), None


@construct(LIBRARY, "Leaky, reset by subtraction (the default, one timestep late)", EXACT)
def leaky_subtract():
    assert_equal(Loop(snn.Leaky(0.8, threshold=0.6), snn.Leaky(torch.rand(4), threshold=0.5), explicit))


@construct(LIBRARY, "Leaky, reset to zero, late and at once", EXACT)
def leaky_zero():
    late = snn.Leaky(0.7, threshold=0.4, reset_mechanism="zero")
    at_once = snn.Leaky(0.9, threshold=0.3, reset_mechanism="zero", reset_delay=False)
    assert_equal(Loop(late, at_once, explicit, stacked=False))


@construct(LIBRARY, "Leaky without reset; its voltage read out over time", EXACT)
def leaky_none():
    class Readout(Loop):
        def forward(self, x):
            one = two = None
            voltages = []
            for _ in range(TIMESTEPS):
                spikes, one = self.first(self.fc1(x), one)
                _, two = self.second(self.fc2(spikes), two)
                voltages.append(two)
            return torch.stack(voltages)

    readout = snn.Leaky(0.95, reset_mechanism="none")
    assert_equal(Readout(snn.Leaky(0.9, threshold=0.7, reset_mechanism="none"), readout, None))


@construct(LIBRARY, "hidden state (`init_hidden=True`), reset in forward", POLICY, note=ZERO_STATE)
def leaky_hidden():
    class Hidden(Loop):
        def forward(self, x):
            utils.reset(self)
            return super().forward(x)

    first = snn.Leaky(0.85, threshold=0.5, init_hidden=True)
    assert_equal(Hidden(first, snn.Leaky(0.9, threshold=0.4, init_hidden=True, output=True), hidden))


@construct(LIBRARY, "graded spikes (`graded_spikes_factor`)", EXACT)
def graded():
    first = snn.Leaky(0.8, threshold=0.5, graded_spikes_factor=0.75)
    assert_equal(Loop(first, snn.Leaky(0.5, threshold=0.2), explicit))


@construct(LIBRARY, "Synaptic, each reset", EXACT)
def synaptic():
    pair = snn.Synaptic(0.6, 0.8, threshold=0.5), snn.Synaptic(0.3, 0.9, threshold=0.4, reset_mechanism="zero")
    assert_equal(Loop(*pair, explicit))
    at_once = snn.Synaptic(0.5, 0.7, threshold=0.6, reset_mechanism="zero", reset_delay=False)
    assert_equal(Loop(at_once, snn.Synaptic(0.2, 0.9, threshold=0.5, reset_mechanism="none"), explicit))


@construct(LIBRARY, "RLeaky and RSynaptic, all to all (`linear_features`) and one weight for each neuron", EXACT)
def recurrent():
    dense = snn.RLeaky(0.7, linear_features=5, threshold=0.5)
    single = snn.RLeaky(0.8, all_to_all=False, V=torch.tensor([0.3, -0.2, 0.5, -0.4]), threshold=0.4)
    assert_equal(Loop(dense, single, explicit))
    zero = snn.RSynaptic(0.4, 0.8, linear_features=5, threshold=0.6, reset_mechanism="zero")
    assert_equal(Loop(zero, snn.RLeaky(0.9, linear_features=4, threshold=0.5, reset_mechanism="zero"), explicit))


@construct(LIBRARY, "Lapicque", EXACT)
def lapicque():
    first = snn.Lapicque(R=5.0, C=0.8, time_step=1, threshold=0.3)
    assert_equal(Loop(first, snn.Lapicque(beta=0.6, threshold=0.2, reset_mechanism="zero"), explicit))


@construct(LIBRARY, "the input is a train, `x[:, t]` at each timestep; spikes over time returned", EXACT)
def train_input():
    class Train(Loop):
        def forward(self, x):
            one = two = None
            sent = []
            for t in range(x.shape[1]):
                spikes, one = self.first(self.fc1(x[:, t]), one)
                out, two = self.second(self.fc2(spikes), two)
                sent.append(out)
            return torch.stack(sent, dim=1)

    model = Train(snn.Leaky(0.8, threshold=0.4), snn.Leaky(0.9, threshold=0.3), None)
    assert_equal(model, x=(torch.rand(4, TIMESTEPS, 6) > 0.5).float())


@construct(LIBRARY, "convolution, batch norm, max pooling and flattening inside the loop", EXACT)
def convolutional():
    class Conv(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.bn, self.pool = nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.MaxPool2d(2)
            self.lif1, self.fc = (
                snn.Leaky(0.9, threshold=torch.tensor([0.3, 0.4, 0.5]).reshape(3, 1, 1)),
                nn.Linear(48, 5),
            )
            self.lif2 = snn.Leaky(0.8, threshold=0.1)

        def forward(self, x):
            mem1, mem2 = self.lif1.reset_mem(), self.lif2.reset_mem()
            total = 0.0
            for _ in range(TIMESTEPS):
                spikes, mem1 = self.lif1(self.bn(self.conv(x)), mem1)
                hidden = self.pool(spikes)
                out, mem2 = self.lif2(self.fc(hidden.view(hidden.size(0), -1)), mem2)
                total = total + out
            return torch.softmax(total / TIMESTEPS, dim=1)

    torch.manual_seed(0)
    assert_equal(Conv(), shape=(1, 8, 8))


@construct(LIBRARY, "a model of one timestep in `hsnn.nn.OverTime`", POLICY, note=ZERO_STATE)
def over_time():
    one_step = nn.Sequential(nn.Linear(6, 5), snn.Leaky(0.8, threshold=0.2, init_hidden=True))
    assert_equal(OverTime(one_step, timesteps=TIMESTEPS, outputs="sum"))


@construct(
    LIBRARY,
    "random hybrids of Leaky, Synaptic, Lapicque, RLeaky, RSynaptic: no field at its default, states over time too",
    EXACT,
)
def drawn_at_random():
    assert_same(RandomHybrid(100, random_snntorch))


def refused_pair(neuron):
    assert_equal(Loop(neuron, snn.Leaky(0.9), explicit))


@construct(LIBRARY, "RSynaptic with `reset_delay=False`, which snnTorch does not heed", EXACT)
def unheeded_reset_delay():
    neuron = snn.RSynaptic(0.4, 0.8, linear_features=5, threshold=0.5, reset_delay=False)

    class Zeroed(Loop):
        def forward(self, x):
            states, sent, two = tuple(torch.zeros(x.shape[0], 5) for _ in range(3)), [], None
            for _ in range(TIMESTEPS):
                states = self.first(self.fc1(x), *states)
                out, two = self.second(self.fc2(states[0]), two)
                sent.append(out)
            return torch.stack(sent).mean(0)

    assert_equal(Zeroed(neuron, snn.Leaky(0.8, threshold=0.4), None))


@construct(
    LIBRARY,
    "`reset_delay=False` with reset by subtraction",
    REFUSED,
    code="HSNN-F091",
    note="what a reset leaves above the threshold is compared with twice the threshold at the next timestep",
)
def subtract_at_once():
    refused_pair(snn.Leaky(0.8, reset_delay=False))


@construct(LIBRARY, "`inhibition=True`", REFUSED, code="HSNN-F091", note="neurons of a layer see each other")
def inhibition():
    refused_pair(snn.Leaky(0.8, inhibition=True))


class States(Loop):
    """Returns every state of both neurons over time, and the spikes of the second."""

    def forward(self, x):
        one = two = None
        states = []
        for _ in range(TIMESTEPS):
            spikes, one = explicit(self.first, self.fc1(x), one)
            sent, two = explicit(self.second, self.fc2(spikes), two)
            states.append((sent, *one, *two))
        return tuple(torch.stack(state) for state in zip(*states, strict=True))


def all_states(first, second):
    assert_equal(States(first, second, None))


@construct(LIBRARY, "voltages and currents of neurons that spike and reset by subtraction, as results", EXACT)
def states_returned():
    torch.manual_seed(3)
    one_each = torch.rand(4)
    all_states(snn.Leaky(0.8, threshold=0.4), snn.Leaky(one_each, threshold=one_each + 0.1))
    all_states(snn.Leaky(1.0, threshold=0.3, graded_spikes_factor=0.5), snn.Lapicque(R=2.0, C=1.0, threshold=0.1))
    all_states(snn.Synaptic(0.6, 0.8, threshold=0.5), snn.Synaptic(one_each, 0.9, threshold=0.3))
    graded = snn.RLeaky(0.8, threshold=0.5, linear_features=5)
    graded.graded_spikes_factor = torch.tensor(0.7)
    all_states(graded, snn.RSynaptic(0.5, one_each, threshold=0.3, all_to_all=False, V=torch.rand(4)))
    never = {"reset_mechanism": "none"}
    one_to_one = snn.RLeaky(0.7, V=0.2, all_to_all=False, **never)
    all_states(snn.RSynaptic(0.5, 0.8, linear_features=5, **never), one_to_one)


@construct(
    LIBRARY,
    "voltage of neurons that spike and reset to zero, as a result",
    REFUSED,
    code="HSNN-F093",
    note="what a spike takes away is the voltage itself; `--outputs` leaves it out",
)
def voltage():
    class Reads(Loop):
        def forward(self, x):
            mem = None
            voltages = []
            for _ in range(TIMESTEPS):
                _, mem = self.first(self.fc1(x), mem)
                voltages.append(mem)
            return torch.stack(voltages).mean(0)

    assert_equal(Reads(snn.Leaky(0.8, reset_mechanism="zero"), snn.Leaky(0.8), None))


@construct(LIBRARY, "spikes and voltages returned, `--outputs 0` or `hsnn.nn.KeepOutputs(model, [0])`", EXACT)
def keeps_spikes():
    class Tutorial(Loop):
        """As snnTorch's tutorial 5 writes its network."""

        def forward(self, x):
            mem1, mem2 = self.first.init_leaky(), self.second.init_leaky()
            spikes, voltages = [], []
            for _ in range(TIMESTEPS):
                spk1, mem1 = self.first(self.fc1(x), mem1)
                spk2, mem2 = self.second(self.fc2(spk1), mem2)
                spikes.append(spk2)
                voltages.append(mem2)
            return torch.stack(spikes, dim=0), torch.stack(voltages, dim=0)

    assert_equal(KeepOutputs(Tutorial(snn.Leaky(0.95), snn.Leaky(0.9), None), [0]))


@construct(
    LIBRARY,
    "the loop over time is outside of the model",
    REFUSED,
    code="HSNN-F092",
    note="`hsnn.nn.OverTime` brings it in",
)
def no_loop():
    assert_equal(nn.Sequential(nn.Linear(6, 4), snn.Leaky(0.8, init_hidden=True)))


@construct(LIBRARY, "spikes fed back through another layer", REFUSED, code="HSNN-F092", note="use RLeaky")
def feedback():
    class Feedback(Loop):
        def forward(self, x):
            mem, spikes, sent = None, torch.zeros(x.shape[0], 5), []
            for _ in range(TIMESTEPS):
                spikes, mem = self.first(self.fc1(x) + 0.5 * spikes, mem)
                sent.append(spikes)
            return torch.stack(sent).mean(0)

    assert_equal(Feedback(snn.Leaky(0.8), snn.Leaky(0.8), None))
