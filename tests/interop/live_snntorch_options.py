"""snnTorch's neurons, constructor argument by constructor argument, as ``snntorch/_neurons`` of 1.0.0 has them.

Exact rows compare outputs and spikes; the random hybrids compare states over time too.
"""

from __future__ import annotations

import snntorch as snn
import torch
from live_models import TIMESTEPS, Loop, assert_equal
from live_snntorch import LIBRARY, explicit, hidden
from registry import EXACT, REFUSED, construct
from snntorch import _neurons, surrogate
from snntorch._neurons.leakykernel import LeakyKernel
from torch import nn

from hsnn import register_neuron
from hsnn.frontends.live import registry as live_registry
from hsnn.nn import Lif


def loop(first, second=None, call=explicit):
    assert_equal(Loop(first, snn.Leaky(0.8, threshold=0.3) if second is None else second, call))


class Images(nn.Module):
    """A convolution, neurons on ``(channel, height, width)``, a read-out by a linear layer."""

    def __init__(self, neuron):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.neuron, self.fc = nn.Conv2d(1, 3, 3, padding=1), neuron, nn.Linear(48, 4)

    def forward(self, x):
        state, sent = (), []
        for _ in range(TIMESTEPS):
            state = self.neuron(3 * self.conv(x), *state)
            sent.append(state[0])
        return self.fc(torch.stack(sent).mean(0).flatten(1))


def images(neuron):
    assert_equal(Images(neuron), shape=(1, 4, 4))


@construct(LIBRARY, "`beta`, `alpha`: a number, one for each neuron, learned; snnTorch cuts them to 0 to 1", EXACT)
def decays():
    torch.manual_seed(2)
    loop(snn.Leaky(torch.tensor([0.3, 1.4, 0.7, 1.0, 0.9]), threshold=0.6, learn_beta=True))
    cut = torch.tensor([0.3, 1.4, 0.7, -0.2, 0.9])
    loop(snn.Leaky(cut, threshold=0.6, reset_mechanism="zero"))
    loop(snn.Synaptic(torch.rand(5), torch.rand(5), threshold=0.6, learn_alpha=True, learn_beta=True))


@construct(
    LIBRARY,
    "`beta` 0 with reset by subtraction",
    REFUSED,
    code="HSNN-F091",
    note="the threshold is taken off a voltage that was forgotten",
)
def nothing_kept():
    loop(snn.Leaky(0.0))


@construct(LIBRARY, "`threshold`: a number, one for each neuron or channel, learned (`learn_threshold`)", EXACT)
def thresholds():
    loop(snn.Leaky(0.7, threshold=torch.tensor([0.3, 0.5, 0.2, 0.6, 0.4]), learn_threshold=True))
    images(snn.RLeaky(0.7, V=0.2, all_to_all=False, threshold=torch.tensor([0.3, 0.5, 0.4]).reshape(3, 1, 1)))


@construct(LIBRARY, "`spike_grad`, `surrogate_disable`: any whose forward is a step at 0", EXACT)
def surrogates():
    loop(snn.Leaky(0.8, threshold=0.4, spike_grad=surrogate.fast_sigmoid(slope=9)))
    loop(snn.Synaptic(0.5, 0.8, threshold=0.4, surrogate_disable=True))


@construct(LIBRARY, "`spike_grad` that is no step", REFUSED, code="HSNN-F091", note="spikes are 0 or 1")
def no_step():
    loop(snn.Leaky(0.8, spike_grad=torch.sigmoid))


@construct(LIBRARY, "`init_hidden` with and without `output`, each kind of neuron", EXACT)
def hidden_states():
    loop(snn.Synaptic(0.4, 0.8, threshold=0.5, init_hidden=True), snn.Lapicque(0.6, init_hidden=True), hidden)
    first = snn.RLeaky(0.8, linear_features=5, threshold=0.4, init_hidden=True, output=True)
    second = snn.RSynaptic(0.5, 0.6, linear_features=4, threshold=0.3, init_hidden=True)
    assert_equal(Loop(first, second, hidden))


@construct(
    LIBRARY, "`reset_mechanism='none'` of every neuron; spikes are sent at every timestep above the threshold", EXACT
)
def no_reset():
    loop(snn.Leaky(0.7, threshold=0.6, reset_mechanism="none"), snn.Lapicque(0.6, reset_mechanism="none"))
    first = snn.RLeaky(0.7, linear_features=5, threshold=0.6, reset_mechanism="none")
    loop(first, snn.RSynaptic(0.5, 0.6, V=0.2, all_to_all=False, threshold=0.4, reset_mechanism="none"))


@construct(
    LIBRARY,
    "`reset_mechanism` changed after the neuron was made",
    REFUSED,
    code="HSNN-F091",
    note="snnTorch goes on with the state function of the first one; make the neuron anew",
)
def changed_reset():
    neuron = snn.Leaky(0.8)
    neuron.reset_mechanism = "zero"
    loop(neuron)


@construct(LIBRARY, "`reset_delay=False` with reset to zero: Leaky, Synaptic, RLeaky", EXACT)
def zero_at_once():
    at_once = {"reset_mechanism": "zero", "reset_delay": False}
    loop(snn.Leaky(0.7, threshold=0.4, **at_once), snn.Synaptic(0.5, 0.7, threshold=0.4, **at_once))
    loop(snn.RLeaky(0.7, linear_features=5, threshold=0.4, **at_once))


@construct(LIBRARY, "`graded_spikes_factor` (`learn_graded_spikes_factor`) of Leaky, for each neuron", EXACT)
def graded_each():
    factor = torch.tensor([0.5, 2.0, 1.25, 0.75, 3.0])
    loop(snn.Leaky(0.8, threshold=0.5, graded_spikes_factor=factor, learn_graded_spikes_factor=True))
    loop(snn.Leaky(0.8, graded_spikes_factor=factor, reset_mechanism="zero", reset_delay=False, threshold=0.5))


@construct(LIBRARY, "`graded_spikes_factor` loaded into RLeaky and RSynaptic: spikes come back graded", EXACT)
def graded_feedback():
    neuron = snn.RLeaky(0.7, linear_features=5, threshold=0.5)
    state = neuron.state_dict() | {"graded_spikes_factor": torch.tensor(0.6)}
    neuron.load_state_dict(state)
    loop(neuron)


@construct(LIBRARY, "`linear_features` on neurons of several axes, which works along the last one", EXACT)
def linear_along_the_last_axis():
    torch.manual_seed(4)
    images(snn.RLeaky(0.7, linear_features=4, threshold=0.5, learn_recurrent=False))


@construct(
    LIBRARY,
    "convolutional recurrence (`conv2d_channels`, `kernel_size`, a number or a pair), up to 8192 neurons",
    EXACT,
    note="one matrix in the ONNX file, on the chip the synapses that the kernel has",
)
def convolutional_recurrence():
    torch.manual_seed(4)
    images(snn.RLeaky(0.7, conv2d_channels=3, kernel_size=3, threshold=0.5))
    images(snn.RSynaptic(0.4, 0.7, conv2d_channels=3, kernel_size=(1, 3), threshold=0.5, reset_mechanism="zero"))


@construct(
    LIBRARY, "convolutional recurrence of more neurons", REFUSED, code="HSNN-F091", note="the matrix has at most 2**26"
)
def large_convolutional_recurrence():
    model = Images(snn.RLeaky(0.7, conv2d_channels=3, kernel_size=3))
    model.fc = nn.Linear(3 * 53 * 53, 4)
    assert_equal(model, shape=(1, 53, 53), samples=1)


@construct(
    LIBRARY,
    "convolutional recurrence with an even `kernel_size`",
    REFUSED,
    code="HSNN-F091",
    note="it gives one row and column too many, so snnTorch itself fails",
)
def even_kernel():
    images(snn.RLeaky(0.7, conv2d_channels=3, kernel_size=2))


@construct(LIBRARY, "`all_to_all=False`: `V` a number (the default 1), for each channel or neuron, learned", EXACT)
def one_to_one():
    torch.manual_seed(4)
    loop(snn.RLeaky(0.5, all_to_all=False, threshold=0.4), snn.RLeaky(0.5, V=-0.3, all_to_all=False, threshold=0.3))
    images(snn.RSynaptic(0.3, 0.6, V=torch.rand(3, 1, 1) - 0.5, all_to_all=False, threshold=0.4))
    images(snn.RLeaky(0.6, V=torch.rand(3, 4, 4) - 0.5, all_to_all=False, threshold=0.4, learn_recurrent=False))


@construct(LIBRARY, "Lapicque: `R`, `C`, `time_step`, `beta` in each combination; `learn_beta` changes nothing", EXACT)
def lapicque_circuits():
    loop(snn.Lapicque(R=3.0, C=0.8, time_step=0.7, threshold=0.4), snn.Lapicque(beta=0.7, R=2.0, threshold=0.2))
    loop(
        snn.Lapicque(beta=0.8, C=2.0, time_step=0.5, threshold=0.2),
        snn.Lapicque(beta=0.6, learn_beta=True, threshold=0.1),
    )


@construct(
    LIBRARY,
    "Lapicque with `time_step` above `R * C`, as with `beta` below 0.368",
    REFUSED,
    code="HSNN-F091",
    note="it keeps a negative share of its voltage",
)
def negative_share():
    loop(snn.Lapicque(beta=0.2))


@construct(LIBRARY, "`state_quant`", REFUSED, code="HSNN-F091", note="hsnn rounds to integers itself")
def rounded_state():
    loop(snn.Leaky(0.8, state_quant=torch.round))


@construct(
    LIBRARY, "a neuron called with some of its states only", REFUSED, code="HSNN-F093", note="the others would be lost"
)
def some_states():
    loop(snn.Synaptic(0.5, 0.8), call=lambda neuron, x, state: (neuron(x, mem=torch.zeros_like(x))[0], None))


@construct(
    LIBRARY,
    "a state passed to a neuron with `init_hidden=True`",
    REFUSED,
    code="HSNN-F093",
    note="snnTorch raises a TypeError",
)
def state_of_a_hidden_neuron():
    def call(neuron, x, _):
        return neuron(x, torch.zeros_like(x)), None

    loop(snn.Leaky(0.8, init_hidden=True), snn.Leaky(0.8, init_hidden=True), call)


class Louder(snn.Leaky):
    """Another equation behind snnTorch's way of calling."""

    def forward(self, input_, mem=None):
        return super().forward(2.0 * input_, mem)


@construct(LIBRARY, "a class on top of Leaky that changes `forward`", REFUSED, code="HSNN-F090", note="register it")
def on_top():
    loop(Louder(0.8, threshold=0.6))


@construct(LIBRARY, "the same, its equation told by `hsnn.register_neuron`: it is called as Leaky is", EXACT)
def on_top_registered():
    @register_neuron(Louder)
    def convert(neuron):
        kept = 1 - neuron.beta.detach()
        return Lif(threshold=neuron.threshold / 2, voltage_decay=kept, reset="subtract_late")

    try:
        loop(Louder(0.8, threshold=0.6))
    finally:
        live_registry._REGISTERED.clear()


OTHERS = {
    "Alpha": lambda: snn.Alpha(alpha=0.9, beta=0.8),
    "SLSTM": lambda: snn.SLSTM(5, 5),
    "SConv2dLSTM": lambda: snn.SConv2dLSTM(1, 1, 3),
    "LeakyParallel": lambda: snn.LeakyParallel(5, 5),
    "StateLeaky": lambda: _neurons.StateLeaky(0.8, 5),
    "LinearLeaky": lambda: _neurons.LinearLeaky(0.8, 5, 5),
    "LeakyKernel": lambda: LeakyKernel(5, 5),
    "AssociativeLeaky": lambda: _neurons.AssociativeLeaky(5, 5, 5, 25),
    "DeltaLeaky": lambda: _neurons.DeltaLeaky(0.5, beta=0.8),
}


def other(make):
    return lambda: loop(make())


for name, make in OTHERS.items():
    construct(LIBRARY, name, REFUSED, code="HSNN-F090", note="no equation of hsnn; `hsnn.register_neuron`")(other(make))
