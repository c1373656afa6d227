"""The target gpu equals the integer reference for every kind of neuron beyond plain LIF."""

from __future__ import annotations

import pytest
import torch

from hsnn_targets.gpu import GpuTarget
from hsnn_targets.reference.machine import ReferenceTarget
from support.neuron_kinds import draw, populations_of
from support.results import require_equal

DEVICES = ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)
DRAWN = {"sigma-delta": (60, 40), "resonators": (60, 10), "counting": (40, 30)}
"""For each kind: how many networks, and more than how many populations of it these hold."""


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", DRAWN)
def test_gpu_equals_reference(kind, device):
    networks, least = DRAWN[kind]
    seen = 0
    for seed in range(networks):
        network, inputs = draw(kind, seed)
        seen += len(populations_of(kind, network))
        expected = ReferenceTarget().load(network).run(inputs, trace=True)
        require_equal(GpuTarget(device).load(network).run(inputs, trace=True), expected)
    assert seen > least
