"""lava-dl's slayer inside a torch model."""

from __future__ import annotations

import numpy as np
import torch
from live_models import assert_equal
from registry import EXACT, POLICY, REFUSED, construct
from slayer import slayer
from torch import nn

from hsnn.frontends.live import adapt
from hsnn.frontends.torch import compare_with_library

LIBRARY = "lava-dl slayer, live modules"
ZERO_STATE = "state starts at zero for every sample, also with `persistent_state`"
T, BATCH = 24, 3
cuba, norm, sigma_delta, alif = slayer.block.cuba, slayer.neuron.norm, slayer.block.sigma_delta, slayer.block.alif
CLASSES = {"cuba": cuba, "sigma_delta": sigma_delta, "alif": alif}


def neuron(**changes):
    """Parameters of neurons; a dict of its own for each block, since blocks change it."""
    return {"threshold": 1.0, "current_decay": 0.25, "voltage_decay": 0.03} | changes


def adaptive(**changes):
    """Parameters of adaptive neurons."""
    own = {"threshold_step": 0.3, "threshold_decay": 0.1, "refractory_decay": 0.17}
    return neuron(threshold=0.6, voltage_decay=0.11) | own | changes


def unit(**changes):
    """Parameters of sigma-delta neurons."""
    return {"threshold": 0.1, "activation": torch.relu} | changes


class Chain(nn.Module):
    """Blocks one after the other, as slayer's tutorials write them."""

    def __init__(self, *blocks):
        super().__init__()
        self.blocks = nn.ModuleList(blocks)

    def forward(self, spike):
        for block in self.blocks:
            spike = block(spike)
        return spike


class Hybrid(nn.Module):
    """Ordinary layers, replicated over time, slayer blocks, the rate, an ordinary layer."""

    def __init__(self, *, enter=True, **settings):
        super().__init__()
        self.front = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2))
        self.enter = cuba.Input(neuron(threshold=0.5, current_decay=1.0, voltage_decay=0.1)) if enter else None
        self.conv = cuba.Conv(neuron(norm=norm.MeanOnlyBatchNorm), 4, 6, 3, weight_scale=4, **settings)
        self.flatten = cuba.Flatten()
        self.fc = cuba.Dense(neuron(), 24, 8, weight_scale=4, **settings)
        self.head = nn.Linear(8, 5)

    def forward(self, image):
        if self.enter is None:
            spike = self.front(image).unsqueeze(-1).repeat(1, 1, 1, 1, T)
        else:
            spike = self.enter(slayer.utils.time.replicate(self.front(image), T))
        spike = self.fc(self.flatten(self.conv(spike)))
        return self.head(slayer.classifier.Rate.rate(spike))


def events(seed, *shape, rate=0.3):
    """Spikes as slayer takes them: (batch, *feature, timestep)."""
    return torch.as_tensor((np.random.default_rng(seed).random((BATCH, *shape, T)) < rate).astype(np.float32))


def values(seed, *shape):
    """Values that wander over time."""
    steps = np.random.default_rng(seed).normal(0.02, 0.1, (BATCH, *shape, T))
    return torch.as_tensor(np.cumsum(steps, -1).astype(np.float32))


def images(seed):
    """Pictures of 8 x 8."""
    return torch.as_tensor(np.random.default_rng(seed).normal(0, 2, (BATCH, 1, 8, 8)).astype(np.float32))


def ready(model, x):
    """One call in training mode finds shapes and means and draws delays, which are then spread."""
    torch.manual_seed(1)
    with torch.no_grad():
        model.train()(x)
        for part in model.eval().modules():
            if isinstance(part, slayer.axon.Delay):
                part.delay.data = 5 * torch.rand_like(part.delay.data)
    return model


def equal(make, x, **options):
    """Hold hsnn to slayer on a fresh model that has seen one batch."""
    torch.manual_seed(0)
    assert_equal(ready(make(), x), x=x, **options)


@construct(LIBRARY, "block.cuba.Dense with MeanOnlyBatchNorm, weight norm and axonal delays", POLICY, note=ZERO_STATE)
def dense():
    settings = {"weight_scale": 4, "weight_norm": True, "delay": True}
    equal(
        lambda: Chain(
            cuba.Dense(neuron(norm=norm.MeanOnlyBatchNorm, persistent_state=True), 12, 20, **settings),
            cuba.Dense(neuron(threshold=0.8), 20, 8, delay_shift=False, **settings),
        ),
        events(0, 12),
    )


@construct(LIBRARY, "block.cuba.Conv, Pool (odd extents too) and Flatten; groups, strides", POLICY, note=ZERO_STATE)
def conv():
    equal(
        lambda: Chain(
            cuba.Conv(neuron(norm=norm.MeanOnlyBatchNorm), 2, 6, 3, padding=1, weight_scale=4),
            cuba.Pool(neuron(), 2, weight_scale=1.5),
            cuba.Conv(neuron(), 6, 4, 3, stride=2, groups=2, weight_scale=4, delay=True),
            cuba.Flatten(),
            cuba.Dense(neuron(), 16, 5, weight_scale=4),
        ),
        events(3, 2, 9, 10),
    )


@construct(LIBRARY, "block.cuba.ConvT and Unpool", POLICY, note=ZERO_STATE)
def transposed():
    equal(
        lambda: Chain(
            cuba.ConvT(neuron(), 3, 4, 3, stride=2, padding=1, weight_scale=5),
            cuba.Unpool(neuron(), 2, weight_scale=1.5),
        ),
        events(4, 3, 3, 4),
    )


@construct(LIBRARY, "block.alif.Recurrent", POLICY, note=ZERO_STATE)
def recurrent_adaptive():
    equal(
        lambda: Chain(
            alif.Recurrent(adaptive(norm=norm.MeanOnlyBatchNorm), 12, 16, weight_scale=3, delay=True),
            alif.Dense(adaptive(threshold=0.4), 16, 8, weight_scale=8),
        ),
        events(5, 12),
    )


@construct(
    LIBRARY,
    "block.cuba.Recurrent",
    POLICY,
    note=ZERO_STATE + "; its norm stands in the current, as slayer computes it",
)
def recurrent():
    equal(
        lambda: Chain(
            cuba.Recurrent(neuron(norm=norm.MeanOnlyBatchNorm), 12, 16, weight_scale=3, delay=True),
            cuba.Dense(neuron(), 16, 8, weight_scale=4),
        ),
        events(5, 12),
    )


@construct(LIBRARY, "block.cuba.Input with neurons, weight and bias", EXACT)
def entry():
    settings = neuron(threshold=0.5, current_decay=0.4, voltage_decay=0.1)
    equal(
        lambda: Chain(
            cuba.Input(settings, weight=1.3, bias=0.2),
            cuba.Dense(neuron(norm=norm.MeanOnlyBatchNorm), 12, 20, weight_scale=4),
        ),
        torch.as_tensor(np.random.default_rng(6).normal(0.5, 1.0, (BATCH, 12, T)).astype(np.float32)),
    )


@construct(LIBRARY, "block.cuba.Affine, with and without dynamics, and Average", EXACT)
def affine():
    for dynamics in (True, False):
        equal(
            lambda d=dynamics: Chain(
                cuba.Dense(neuron(), 12, 20, weight_scale=4), cuba.Affine(neuron(), 20, 6, weight_scale=2, dynamics=d)
            ),
            events(7, 12),
        )
    equal(lambda: Chain(cuba.Dense(neuron(), 12, 20, weight_scale=4), cuba.Average(5)), events(8, 12))


@construct(LIBRARY, "decays per channel (`shared_param=False`), a mask, another `scale`", EXACT)
def decays():
    each = {"shared_param": False, "current_decay": (0.1, 0.9), "voltage_decay": (0.01, 0.2), "scale": 1 << 5}
    mask = torch.as_tensor(np.random.default_rng(1).random((20, 12)) < 0.5).float()
    equal(lambda: Chain(cuba.Dense(neuron(**each), 12, 20, weight_scale=4, mask=mask)), events(9, 12))


@construct(
    LIBRARY, "WgtScaleBatchNorm where current_decay is 1", EXACT, note="elsewhere it divides a current with memory"
)
def wgt_scale():
    settings = neuron(norm=norm.WgtScaleBatchNorm, current_decay=1.0)
    equal(lambda: Chain(cuba.Dense(dict(settings), 12, 20, weight_scale=16)), events(10, 12))
    equal(lambda: Chain(cuba.Recurrent(dict(settings), 12, 20, weight_scale=16)), events(10, 12))


@construct(LIBRARY, "alif blocks", POLICY, note=ZERO_STATE)
def alif_blocks():
    equal(
        lambda: Chain(
            alif.Dense(adaptive(norm=norm.MeanOnlyBatchNorm), 12, 20, weight_scale=4),
            alif.Dense(adaptive(), 20, 8, weight_scale=4, delay=True),
        ),
        events(11, 12),
    )


@construct(LIBRARY, "sigma_delta blocks: Input, Dense with norm and `set_bias`, Output", POLICY, note=ZERO_STATE)
def sigma_delta_blocks():
    def make():
        biased = sigma_delta.Dense(unit(threshold=0.07), 20, 8, weight_scale=2)
        biased.neuron.set_bias(0.3 * torch.randn(8))
        return Chain(
            sigma_delta.Input(unit(), weight=1.3, bias=0.2),
            sigma_delta.Dense(unit(norm=norm.MeanOnlyBatchNorm), 12, 20, weight_scale=2, weight_norm=True),
            biased,
            sigma_delta.Output(unit(), 8, 5, weight_scale=2, weight_norm=True),
        )

    equal(make, values(12, 12))


@construct(LIBRARY, "sigma_delta.Conv and Pool, thresholds per channel, a delay", POLICY, note=ZERO_STATE)
def sigma_delta_conv():
    equal(
        lambda: Chain(
            sigma_delta.Input(unit(shared_param=False)),
            sigma_delta.Conv(unit(shared_param=False), 2, 4, 3, weight_scale=3, delay=True),
            sigma_delta.Pool(unit(threshold=0.05, activation=nn.Identity()), 2),
        ),
        values(13, 2, 6, 8),
    )


@construct(LIBRARY, "bare synapses and neurons (`synapse.Dense`, `neuron.cuba.Neuron`, `axon.Delta`, ...)", EXACT)
def bare():
    class Bare(nn.Module):
        def __init__(self):
            super().__init__()
            self.change, self.sum = slayer.axon.Delta(0.1, scale=1 << 12), slayer.dendrite.Sigma()
            self.synapse = slayer.synapse.Dense(12, 9, weight_scale=4)
            self.neuron = slayer.neuron.cuba.Neuron(**neuron(threshold=0.4))
            self.synapse.pre_hook_fx = self.neuron.quantize_8bit
            self.delay = slayer.axon.Delay(max_delay=62)

        def forward(self, x):
            return self.delay(self.neuron(self.synapse(self.sum(self.change(x)))))

    equal(Bare, values(14, 12) * 3)


@construct(
    LIBRARY,
    "hybrid of ordinary layers and blocks, `slayer.utils.time.replicate`, `slayer.classifier.Rate.rate`",
    EXACT,
    note="neurons that get real values, as behind ordinary layers, are quantized as those of any model",
)
def hybrid():
    equal(Hybrid, images(15))
    equal(lambda: Hybrid(enter=False, delay=True), images(16))


@construct(LIBRARY, "weights loaded after the last call, under weight norm of both kinds", EXACT)
def stale():
    x = events(17, 12)
    for old in (True, False):
        model = ready(Chain(cuba.Dense(neuron(), 12, 20, weight_scale=4, weight_norm=old)), x)
        if not old:
            nn.utils.parametrizations.weight_norm(model.blocks[0].synapse, "weight")
        with torch.no_grad():
            for parameter in model.blocks[0].synapse.parameters():
                parameter.mul_(1.5)
        assert_equal(model, x=x)


@construct(LIBRARY, "state that an earlier call left (`persistent_state`, Recurrent)", POLICY, note=ZERO_STATE)
def left_state():
    x = events(18, 12)
    model = ready(
        Chain(
            cuba.Dense(neuron(persistent_state=True), 12, 16, weight_scale=4),
            cuba.Recurrent(neuron(), 16, 8, weight_scale=4),
        ),
        x,
    )
    first = adapt(model, (x,)).run_original((x,))[0][0]
    with torch.no_grad():
        model(x)
    assert torch.equal(adapt(model, (x,)).run_original((x,))[0][0], first)
    assert compare_with_library(adapt(model, (x,)), (x,)).flips == 0


def _refuse(make, x, *, seen=True):
    torch.manual_seed(0)
    model = make()
    adapt(ready(model, x) if seen else model.eval(), (x,))


@construct(LIBRARY, "adrf and adrf_iz blocks", REFUSED, code="HSNN-F090", note="no equation of hsnn")
def adaptive_resonators():
    settings = {"threshold": 0.5, "threshold_step": 0.1, "period": 10, "decay": 0.1}
    settings |= {"threshold_decay": 0.1, "refractory_decay": 0.1}
    _refuse(lambda: Chain(slayer.block.adrf.Dense(settings, 12, 20, weight_scale=4)), events(19, 12))


@construct(LIBRARY, "KWTA", REFUSED, code="HSNN-F090", note="neurons of a block compete within one timestep")
def kwta():
    _refuse(lambda: Chain(cuba.KWTA(neuron(), 12, 8, 2)), events(20, 12))


@construct(LIBRARY, "graded spikes", REFUSED, code="HSNN-F091", note="spikes would carry voltages")
def graded():
    _refuse(lambda: Chain(cuba.Dense(neuron(graded_spike=True), 12, 20, weight_scale=4)), events(21, 12))


@construct(
    LIBRARY,
    "thresholds of 64 or more",
    REFUSED,
    code="HSNN-F091",
    note="slayer sends at the threshold and resets above it there, since float32 loses its small step",
)
def high_threshold():
    _refuse(lambda: Chain(cuba.Dense(neuron(threshold=64.0), 12, 20, weight_scale=4)), events(22, 12))


@construct(
    LIBRARY, "delays and decays that slayer draws at the first call", REFUSED, code="HSNN-F091", note="call it once"
)
def undrawn():
    _refuse(lambda: Chain(cuba.Dense(neuron(), 12, 20, delay=True)), events(23, 12), seen=False)


@construct(
    LIBRARY, "Pool whose windows overlap", REFUSED, code="HSNN-F091", note="slayer's reach into the next channel"
)
def overlapping():
    _refuse(lambda: Chain(cuba.Pool(neuron(), 3, stride=1)), events(24, 2, 6, 6))


@construct(LIBRARY, "`cum_error` of sigma-delta neurons", REFUSED, code="HSNN-F091", note="no equation of hsnn")
def cumulative():
    _refuse(lambda: Chain(sigma_delta.Dense(unit(cum_error=True), 12, 8)), values(25, 12), seen=False)


@construct(
    LIBRARY,
    "TimeDecimation behind the last neurons",
    EXACT,
    note="on the host: it gets whole trains",
)
def decimated():
    equal(lambda: Chain(cuba.Dense(neuron(), 12, 20, weight_scale=4), cuba.TimeDecimation(2)), events(26, 12))
