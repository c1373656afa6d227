"""SpikingJelly's neurons, argument by argument, and its layers and containers, as 2.0.0 has them."""

from __future__ import annotations

import torch
from live_models import TIMESTEPS, Loop, all_refused, assert_equal
from live_spikingjelly import LIBRARY, ZERO_STATE
from registry import EXACT, POLICY, REFUSED, construct
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import nn

from hsnn.frontends.torch import from_torch


class Between(nn.Module):
    """A layer between two of IFNode, on ``(timestep, batch, *feature)``; the mean over time."""

    def __init__(self, middle):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = neuron.IFNode(0.3, step_mode="m"), neuron.IFNode(0.2, step_mode="m")
        self.middle = middle

    def forward(self, x):
        x_seq = x.unsqueeze(0).repeat(TIMESTEPS, 1, 1, 1, 1)
        return self.second(self.middle(self.first(x_seq))).mean(0)


def between(*layers):
    torch.manual_seed(0)
    for item in layers:
        assert_equal(Between(item), shape=(2, 4, 4))


def stepwise(node, x, _):
    return node(x), None


@construct(
    LIBRARY,
    "`v_threshold`, `v_reset`, None too, for each of IFNode, LIFNode, ParametricLIFNode",
    POLICY,
    note=ZERO_STATE,
)
def resets():
    for v_reset in (None, 0.0, -0.3, 0.15):
        options = {"v_threshold": 0.4, "v_reset": v_reset, "step_mode": "m"}
        between(neuron.IFNode(**options), neuron.LIFNode(1.5, **options), neuron.ParametricLIFNode(1.5, **options))


@construct(
    LIBRARY, "`v_threshold` that is not above `v_reset`", REFUSED, code="HSNN-F091", note="every timestep would spike"
)
def low_threshold():
    between(neuron.IFNode(v_threshold=0.1, v_reset=0.2, step_mode="m"))


@construct(LIBRARY, "`surrogate_function`: any that spikes; `detach_reset`, which acts on gradients alone", EXACT)
def surrogates():
    options = {"detach_reset": True, "step_mode": "m", "v_threshold": 0.4}
    between(
        neuron.IFNode(surrogate_function=surrogate.Erf(alpha=1.2), **options),
        neuron.LIFNode(1.5, surrogate_function=surrogate.LeakyKReLU(leak=0.1, k=0.9), **options),
    )


@construct(LIBRARY, "`surrogate_function` with `spiking=False`", REFUSED, code="HSNN-F091", note="spikes are 0 or 1")
def not_spiking():
    between(neuron.IFNode(surrogate_function=surrogate.Sigmoid(spiking=False), step_mode="m"))


@construct(LIBRARY, "`store_v_seq`, which keeps voltages for whoever looks at the neuron", EXACT)
def stored_voltages():
    between(neuron.LIFNode(1.5, v_threshold=0.4, store_v_seq=True, step_mode="m"))


@construct(
    LIBRARY,
    "voltages (`v`, `v_seq`) as an output of the model",
    REFUSED,
    code="HSNN-F095",
    note="spiking neurons send spikes only; while the model is traced `v` is where it starts",
)
def voltages():
    class Reads(Loop):
        def forward(self, x):
            total = 0
            for _ in range(TIMESTEPS):
                self.first(self.fc1(x))
                total = total + self.fc1(x) * self.first.v
            return total

    from_torch(Reads(neuron.LIFNode(v_threshold=0.3), nn.Identity(), None).eval(), (torch.rand(3, 6),))


@construct(
    LIBRARY, "`step_mode`: 's' in a loop or in `functional.multi_step_forward`, 'm' on trains", POLICY, note=ZERO_STATE
)
def step_modes():
    class Functional(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.conv, self.node = nn.Conv2d(2, 3, 3), neuron.LIFNode(1.5, v_threshold=0.2)

        def forward(self, x_seq):
            return functional.multi_step_forward(functional.seq_to_ann_forward(x_seq, self.conv), self.node)

    between(Functional())
    net = nn.Sequential(layer.Conv2d(2, 3, 3), layer.BatchNorm2d(3), neuron.IFNode(0.3))
    functional.set_step_mode(net, "m")
    between(net)


@construct(
    LIBRARY,
    "`step_mode='s'` of a neuron that gets whole trains",
    REFUSED,
    code="HSNN-F092",
    note="to SpikingJelly that is one timestep; set `step_mode='m'`",
)
def forgotten_step_mode():
    between(neuron.IFNode(0.3))


@construct(
    LIBRARY,
    "a start set by `set_reset_value` that is not the reset",
    REFUSED,
    code="HSNN-F091",
    note="hsnn starts at the reset",
)
def other_start():
    node = neuron.IFNode(v_threshold=0.5, step_mode="m")
    node.set_reset_value("v", 0.2)
    between(node)


@construct(
    LIBRARY,
    "another precision (`precision.convert_model_for_precision`; `backend` is gone since 2.0)",
    REFUSED,
    code="HSNN-F091",
    note="float32",
)
def other_precision():
    node = neuron.IFNode(step_mode="m")
    node._neuron_precision = (torch.float16, "fp32", "fp32")  # what the conversion sets where Triton runs
    between(node)


@construct(LIBRARY, "SimpleIFNode, SimpleLIFNode with `v_reset` 0 (IF: or None)", POLICY, note=ZERO_STATE)
def simple():
    options = {"v_threshold": 0.4, "step_mode": "m", "detach_reset": True}
    between(
        neuron.SimpleIFNode(v_reset=None, **options),
        neuron.SimpleLIFNode(tau=1.5, decay_input=True, **options),
        neuron.SimpleLIFNode(tau=3.0, decay_input=False, **options),
    )


@construct(
    LIBRARY, "SimpleIFNode and SimpleLIFNode with another `v_reset`", REFUSED, code="HSNN-F091", note="they start at 0"
)
def simple_elsewhere():
    between(neuron.SimpleLIFNode(tau=1.5, decay_input=True, v_reset=0.1, step_mode="m"))


@construct(LIBRARY, "CUBALIFNode, `v_reset` 0 or None", POLICY, note=ZERO_STATE)
def with_current():
    hard, soft = neuron.CUBALIFNode(0.4, 0.7, 0.6), neuron.CUBALIFNode(0.3, 0.8, 0.5, v_reset=None)
    assert_equal(Loop(hard, soft, stepwise))


@construct(LIBRARY, "CUBALIFNode with another `v_reset`", REFUSED, code="HSNN-F091", note="it decays to 0")
def with_current_elsewhere():
    assert_equal(Loop(neuron.CUBALIFNode(v_reset=0.1), neuron.IFNode(), stepwise))


@construct(LIBRARY, "NonSpikingIFNode, NonSpikingLIFNode with `decode` max-mem, mean-mem, last_mem", EXACT)
def readouts():
    class Readout(nn.Module):
        def __init__(self, decode):
            super().__init__()
            torch.manual_seed(0)
            self.node = neuron.IFNode(0.3, step_mode="m")
            self.one, self.two = neuron.NonSpikingIFNode(decode), neuron.NonSpikingLIFNode(1.7, decode)

        def forward(self, x):
            spikes = self.node(torch.stack([x] * TIMESTEPS))
            return self.one(spikes) + self.two(spikes)

    for decode in ("max-mem", "mean-mem", "last_mem"):
        assert_equal(Readout(decode))


@construct(
    LIBRARY,
    "NonSpikingIFNode, NonSpikingLIFNode with `decode` None or max-abs-mem",
    REFUSED,
    code="HSNN-F091",
    note="a list over time; the larger of two extremes",
)
def other_readouts():
    all_refused(between, neuron.NonSpikingIFNode(), neuron.NonSpikingLIFNode(2.0, "max-abs-mem"))


@construct(
    LIBRARY,
    "stateless layers: Conv, ConvTranspose, Linear, BatchNorm, GroupNorm, pools, Upsample, Flatten, Dropout, WSConv, "
    "WSLinear, ThresholdDependentBatchNorm, VotingLayer",
    EXACT,
)
def stateless():
    m = {"step_mode": "m"}
    between(
        nn.Sequential(layer.WSConv2d(2, 3, 3, **m), layer.BatchNorm2d(3, **m), layer.Dropout2d(0.5, **m)),
        nn.Sequential(
            layer.ConvTranspose2d(2, 3, 2, stride=2, **m), layer.GroupNorm(3, 3, **m), layer.MaxPool2d(2, **m)
        ),
        nn.Sequential(layer.Upsample(scale_factor=2, **m), layer.AvgPool2d(2, **m), layer.Linear(4, 3, **m)),
        nn.Sequential(layer.ThresholdDependentBatchNorm2d(1.0, 1.0, 2), layer.WSLinear(4, 3, **m)),
        nn.Sequential(layer.AdaptiveAvgPool2d((2, 2), **m), layer.Flatten(**m), layer.VotingLayer(2, **m)),
    )


@construct(
    LIBRARY,
    "layers that keep state: BatchNormThroughTime, NeuNorm, Delay, SynapseFilter, DropConnectLinear",
    REFUSED,
    code="HSNN-F090",
    note="no equation of hsnn; `hsnn.register_neuron`",
)
def stateful():
    m = {"step_mode": "m"}
    all_refused(
        between,
        layer.BatchNormThroughTime2d(TIMESTEPS, 2, **m),
        layer.NeuNorm(2, 4, 4, **m),
        layer.Delay(2, **m),
        layer.SynapseFilter(**m),
        layer.DropConnectLinear(4, 4, **m),
    )


@construct(
    LIBRARY,
    "layers that differ over time: TemporalEffectiveBatchNorm, SpikeCountToBinary, TemporalBinSum",
    EXACT,
    note="on the host: they get whole trains",
)
def over_time():
    layers = layer.TemporalEffectiveBatchNorm2d(TIMESTEPS, 2), layer.SpikeCountToBinary(3)
    between(*layers, layer.TemporalBinSum(TIMESTEPS))


@construct(LIBRARY, "MultiStepContainer, StepModeContainer of both kinds, neurons in them", POLICY, note=ZERO_STATE)
def containers():
    def parts():
        return nn.Conv2d(2, 3, 3), neuron.LIFNode(1.5, v_threshold=0.1)

    between(
        layer.MultiStepContainer(*parts()),
        layer.StepModeContainer(True, "m", *parts()),
        layer.StepModeContainer(False, "m", nn.Conv2d(2, 3, 3)),
    )


@construct(
    LIBRARY,
    "ElementWiseRecurrentContainer, LinearRecurrentContainer",
    REFUSED,
    code="HSNN-F090",
    note="feedback around a whole layer; snnTorch's RLeaky or `hsnn.nn.RecurrentLif` have it",
)
def recurrent_containers():
    m = {"step_mode": "m"}
    all_refused(
        between,
        layer.ElementWiseRecurrentContainer(neuron.IFNode(), lambda y, x: x + y, **m),
        layer.LinearRecurrentContainer(neuron.IFNode(), 4, 4, **m),
    )


@construct(LIBRARY, "SEW blocks with each connection of `model.sew_resnet`: ADD, AND, IAND", POLICY, note=ZERO_STATE)
def sew():
    class Block(nn.Module):
        def __init__(self, connection):
            super().__init__()
            self.conv, self.connection = layer.Conv2d(2, 2, 3, padding=1, step_mode="m"), connection
            self.node = neuron.IFNode(0.2, step_mode="m")

        def forward(self, x_seq):
            return self.connection(x_seq, self.node(self.conv(x_seq)))

    torch.manual_seed(0)
    between(Block(torch.add), Block(torch.mul), Block(lambda x, y: x * (1.0 - y)))


@construct(
    LIBRARY,
    "ILIFNode, LIAFNode: classes on top of LIFNode that send something else",
    REFUSED,
    code="HSNN-F090",
    note="counts; activations",
)
def on_top_of_lif():
    m = {"step_mode": "m"}
    all_refused(between, neuron.ILIFNode(**m), neuron.LIAFNode(torch.relu, False, **m))


@construct(
    LIBRARY,
    "PSN, MaskedPSN, SlidingPSN, GatedLIFNode, KLIFNode, ComplementaryLIFNode, EIFNode, IzhikevichNode, TernaryIFNode, "
    "HalfThresholdIFNode, ActivationAwareIFNode, RAFNode, DSRLIFNode",
    REFUSED,
    code="HSNN-F090",
    note="no equation of hsnn; `hsnn.register_neuron`",
)
def others():
    m = {"step_mode": "m"}
    all_refused(
        between,
        neuron.PSN(TIMESTEPS),
        neuron.MaskedPSN(2, TIMESTEPS, **m),
        neuron.SlidingPSN(2, **m),
        neuron.GatedLIFNode(TIMESTEPS, **m),
        neuron.KLIFNode(**m),
        neuron.ComplementaryLIFNode(**m),
        neuron.EIFNode(**m),
        neuron.IzhikevichNode(**m),
        neuron.TernaryIFNode(**m),
        neuron.HalfThresholdIFNode(**m),
        neuron.ActivationAwareIFNode(**m),
        neuron.RAFNode(**m),
        neuron.DSRLIFNode(),
    )
