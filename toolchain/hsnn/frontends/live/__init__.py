"""Neurons of other libraries inside a torch model: found by type, mapped with their own equations.

::

    module -> neurons found -> torch.export, neurons as leaves -> time loops rolled into spike trains -> hsnn layers

The user's module is never changed, and no library is imported that the module did not bring.
"""

from __future__ import annotations

from hsnn.libraries import named_if_missing

with named_if_missing():
    from hsnn.frontends.live.adapt import LiveModel, adapt
    from hsnn.frontends.live.registry import has_foreign_neurons, register_neuron
    from hsnn.frontends.live.spec import LiveNeuron, StateReadout

__all__ = ["LiveModel", "LiveNeuron", "StateReadout", "adapt", "has_foreign_neurons", "register_neuron"]
