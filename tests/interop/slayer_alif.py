"""slayer's blocks of adaptive neurons, ``alif``: run by slayer and by hsnn, equal in every spike."""

from __future__ import annotations

import numpy as np
import torch
from registry import POLICY, construct
from slayer import BATCH, LIBRARY, SLAYER, T, assert_equal, fired, norm, slayer

alif = slayer.block.alif


def adaptive(**changes):
    """Parameters of adaptive neurons, a dict for each block."""
    own = {"threshold": 1.0, "threshold_step": 0.5, "current_decay": 0.1, "voltage_decay": 0.1}
    return {**own, "threshold_decay": 0.1, "refractory_decay": 0.17, **changes}


@construct(LIBRARY, "alif.Dense, with norm and delays", POLICY, note=SLAYER + "; netx has no ALIF")
def dense():
    assert_equal(
        lambda shift: [
            alif.Dense(adaptive(norm=norm.MeanOnlyBatchNorm), 12, 20, weight_scale=4, delay_shift=shift, delay=True),
            alif.Dense(adaptive(), 20, 8, weight_scale=8, delay_shift=shift),
        ],
        fired(12, 12),
    )


@construct(LIBRARY, "alif.Conv, Pool and Flatten", POLICY, note=SLAYER + "; netx has no ALIF")
def conv():
    assert_equal(
        lambda shift: [
            alif.Conv(adaptive(norm=norm.MeanOnlyBatchNorm), 2, 6, 3, padding=1, weight_scale=4, delay_shift=shift),
            alif.Pool(adaptive(threshold=0.4), 2, weight_scale=1.5, delay_shift=shift),
            alif.Conv(adaptive(threshold=0.5), 6, 4, 3, stride=2, groups=2, weight_scale=6, delay_shift=shift),
            alif.Flatten(),
            alif.Dense(adaptive(threshold=0.4), 16, 5, weight_scale=8, delay_shift=shift),
        ],
        fired(3, 2, 9, 10),
        shape=(2, 9, 10),
    )


@construct(LIBRARY, "alif.ConvT and Unpool", POLICY, note=SLAYER + "; netx has no ALIF")
def transposed():
    assert_equal(
        lambda shift: [
            alif.ConvT(adaptive(), 3, 4, 3, stride=2, padding=1, weight_scale=5, delay_shift=shift),
            alif.Unpool(adaptive(threshold=0.4), 2, weight_scale=1.5, delay_shift=shift),
        ],
        fired(4, 3, 3, 4),
        shape=(3, 3, 4),
    )


@construct(LIBRARY, "alif.Input with neurons, weight and bias", POLICY, note=SLAYER + "; its neurons run on the host")
def entry():
    assert_equal(
        lambda shift: [
            alif.Input(adaptive(threshold=0.5), weight=1.3, bias=0.2, delay_shift=shift),
            alif.Dense(adaptive(), 12, 20, weight_scale=4, delay_shift=shift),
        ],
        torch.as_tensor(np.random.default_rng(6).normal(0.5, 1.0, (BATCH, 12, T)).astype(np.float32)),
    )


@construct(LIBRARY, "alif.Recurrent", POLICY, note=SLAYER + "; netx has no ALIF")
def recurrent():
    assert_equal(
        lambda shift: [
            alif.Recurrent(adaptive(norm=norm.MeanOnlyBatchNorm), 12, 16, weight_scale=4, delay_shift=shift),
            alif.Dense(adaptive(threshold=0.5), 16, 8, weight_scale=8, delay_shift=shift),
        ],
        fired(5, 12),
    )
