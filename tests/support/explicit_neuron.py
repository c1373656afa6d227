"""A neuron of nobody's library, registered for the tests of loops over time."""

from __future__ import annotations

from torch import nn

import hsnn
from hsnn import nn as snn
from hsnn.frontends.live import LiveNeuron, adapt
from hsnn.frontends.torch import compare_with_library


class Explicit(nn.Module):
    """Takes and returns its voltage."""

    def forward(self, x, state=None):
        v = x if state is None else 0.5 * state + x
        spikes = (v >= 1).to(x.dtype)
        return spikes, v * (1 - spikes)


def register_explicit(monkeypatch):
    """Register ``Explicit`` for one test."""
    monkeypatch.setattr("hsnn.frontends.live.registry._REGISTERED", {})

    @hsnn.register_neuron(Explicit)
    def explicit(neuron):
        def protocol(_, emit):
            return lambda x, state=None: tuple(emit(x, () if state is None else (state,)))

        layer = snn.Lif(1.0, voltage_decay=0.5, comparison=">=")
        return LiveNeuron((layer, None), states=(1,), keeps_state=False, protocol=protocol)


def assert_same(model, x):
    """Assert that hsnn makes the same of a model, and that all of its neurons send spikes."""
    found = compare_with_library(adapt(model, (x,)), (x,))
    assert found.flips == 0
    assert found.max_abs < 1e-6
    assert all(item.spikes > 0 for item in found.neurons)
