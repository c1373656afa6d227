"""Networks of slayer's blocks that netx runs on Lava, in whole or after hsnn has exported them."""

from __future__ import annotations

import numpy as np
import torch
from slayer import UNIT, cuba, neuron, norm, slayer, wandering

from hsnn.frontends.netx.write_resonators import netx_pair

MEAN = norm.MeanOnlyBatchNorm
SMALL = {"weight_scale": 4}
delta = slayer.block.sigma_delta
BIASED = {**UNIT, "norm": MEAN}


def dense(**more):
    """Dense layers of CUBA neurons."""
    return [cuba.Dense(neuron(norm=MEAN), 12, 20, **more, **SMALL), cuba.Dense(neuron(), 20, 8, **SMALL)]


def recurrent(*, biased=False, **more):
    """A recurrent layer, and a dense one."""
    return [
        cuba.Recurrent(neuron(norm=MEAN if biased else None), 12, 16, **more, **SMALL),
        cuba.Dense(neuron(), 16, 8, **SMALL),
    ]


def conv():
    """Convolutions with biases, strides and groups; decays of one neuron each behind them."""
    each = {"shared_param": False, "current_decay": (0.1, 0.9), "voltage_decay": (0.01, 0.2)}
    return [
        cuba.Conv(neuron(norm=MEAN), 2, 4, 3, padding=1, groups=2, **SMALL),
        cuba.Conv(neuron(), 4, 3, (3, 2), stride=2, dilation=(1, 2), **SMALL),
        cuba.Flatten(),
        cuba.Dense(neuron(**each), 18, 8, **SMALL),
    ]


def delayed():
    """Axonal delays, and no biases."""
    return [cuba.Dense(neuron(), 12, 20, delay=True, **SMALL), cuba.Dense(neuron(), 20, 8, **SMALL)]


def pooled():
    """Layers that netx lacks among those that it has."""
    return [
        cuba.Conv(neuron(), 2, 4, 3, padding=1, **SMALL),
        cuba.Pool(neuron(), 2, weight_scale=1.5),
        cuba.ConvT(neuron(), 4, 3, 2, stride=2, **SMALL),
        cuba.Conv(neuron(norm=MEAN), 3, 2, 3, **SMALL),
        cuba.Unpool(neuron(), 2, weight_scale=1.5),
    ]


def resonator(*, survives=True):
    """Parameters of resonators whose pair of decays netx gives back, or does not."""
    for period in np.arange(5.0, 12.0, 0.37):
        device = slayer.neuron.rf.Neuron(0.5, float(period), 0.08).device_params
        pair = (int(device["sinDecay"]), int(device["cosDecay"]))
        if (netx_pair(*pair) == pair) == survives:
            return {"threshold": 0.5, "period": float(period), "decay": 0.08}
    raise AssertionError("no such period")


def resonators(kind, *, survives=True, **more):
    """Two layers of resonators and one of CUBA neurons."""
    return [
        kind.Dense(resonator(survives=survives), 12, 20, weight_scale=4, **more),
        kind.Dense(resonator(survives=survives), 20, 16, weight_scale=8),
        cuba.Dense(neuron(), 16, 6, weight_scale=8),
    ]


def values(seed, *shape):
    """Values that wander over time in steps of 1/32, which slayer's input block lets through as they are."""
    return torch.round(wandering(seed, *shape).clamp(-4, 3.9) * 32) / 32


def changes(**more):
    """Sigma-delta neurons: an input, dense layers with biases, an output that sends its sum."""
    return [
        delta.Input(dict(UNIT)),
        delta.Dense(dict(BIASED), 12, 20, weight_scale=2, weight_norm=True, **more),
        delta.Dense(dict(BIASED), 20, 8, weight_scale=2),
        delta.Output(dict(UNIT), 8, 5, weight_scale=2),
    ]


def changes_conv():
    """Sigma-delta neurons: convolutions."""
    return [
        delta.Input(dict(UNIT)),
        delta.Conv(dict(BIASED), 2, 4, 3, stride=2, padding=1, weight_scale=3),
        delta.Conv(dict(UNIT), 4, 3, 2, weight_scale=2),
        delta.Flatten(),
        delta.Dense(dict(UNIT), 18, 5, weight_scale=2),
    ]


def changes_pooled():
    """Sigma-delta neurons: layers that netx lacks."""
    return [
        delta.Input(dict(UNIT)),
        delta.Pool(dict(UNIT), 2, weight_scale=0.5),
        delta.ConvT(dict(BIASED), 2, 3, 2, stride=2, weight_scale=3),
        delta.Flatten(),
        delta.Dense(dict(UNIT), 3 * 6 * 8, 5, weight_scale=2),
    ]


def changes_delayed():
    """Sigma-delta neurons: axonal delays, and no biases."""
    return [
        delta.Input(dict(UNIT)),
        delta.Dense(dict(UNIT), 12, 20, weight_scale=2, delay=True),
        delta.Dense(dict(UNIT), 20, 8, weight_scale=2),
    ]
