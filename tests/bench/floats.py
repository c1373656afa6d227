"""Networks in floating-point libraries for spiking networks, for speed only: their spikes are their own.

The same weights, thresholds and decays; library defaults otherwise, eager torch. SpikingJelly's LIF neuron has one
state, which is less work than Loihi's two; snnTorch's ``Synaptic`` has two.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
from networks import Inputs

from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.populations import LifPopulation
from hsnn.ir.projections import ConvProjection

LIBRARIES = {"spikingjelly": "SpikingJelly", "snntorch": "snnTorch"}
INSTALL = "make bench-rivals"


def missing(library: str) -> str:
    """Say what is missing, or nothing."""
    absent = [name for name in ("torch", library) if find_spec(name) is None]
    return f"not installed: {', '.join(absent)}; {INSTALL}" if absent else ""


def load(library: str, net: IntegerNetwork, inputs: Inputs) -> Callable[[], Any]:
    """Make what runs a batch; the inputs are tensors already."""
    import torch

    torch.set_grad_enabled(False)
    tensor = torch.from_numpy(next(iter(inputs.values())).astype(np.float32))
    return (_spikingjelly if library == "spikingjelly" else _snntorch)(net, tensor)


def _layers(net: IntegerNetwork, linear: Any, conv: Any, flatten: Any, neurons: Callable[[LifPopulation], Any]) -> Any:
    """Layer after layer; a matrix after a convolution flattens first."""
    import torch

    flat = len(net.inputs[0].shape) == 1
    for population in net.neurons:
        (projection,) = net.into(population.name)
        if isinstance(projection, ConvProjection):
            shape = projection.weights.shape
            options = {"stride": projection.stride, "padding": projection.padding, "bias": False}
            layer = conv(shape[1], shape[0], shape[2:], **options)
        else:
            if not flat:
                yield flatten()
            flat = True
            layer = linear(*projection.weights.shape[::-1], bias=False)
        layer.weight = torch.nn.Parameter(torch.from_numpy(projection.weights.astype(np.float32)))
        yield layer
        yield neurons(population)


def _spikingjelly(net: IntegerNetwork, tensor: Any) -> Callable[[], Any]:
    """Multi-step mode, backend torch: the whole sample goes through a layer at once."""
    import torch
    from spikingjelly.activation_based import functional, layer, neuron

    def neurons(population: LifPopulation) -> Any:
        # one state only: a threshold below that of two states gives about as many spikes
        threshold = float(population.threshold) / 64 / 3
        return neuron.LIFNode(tau=4.0, v_threshold=threshold, v_reset=0.0, decay_input=False)

    model = torch.nn.Sequential(*_layers(net, layer.Linear, layer.Conv2d, layer.Flatten, neurons)).eval()
    functional.set_step_mode(model, "m")

    def run() -> Any:
        functional.reset_net(model)
        return model(tensor)

    return run


def _snntorch(net: IntegerNetwork, tensor: Any) -> Callable[[], Any]:
    """Timestep after timestep, as its documentation does."""
    import snntorch
    import torch
    from torch import nn

    def neurons(population: LifPopulation) -> Any:
        return snntorch.Synaptic(
            alpha=0.75, beta=0.9, threshold=float(population.threshold) / 64, reset_mechanism="zero"
        )

    modules = list(_layers(net, nn.Linear, nn.Conv2d, nn.Flatten, neurons))

    def run() -> Any:
        states = {place: m.init_synaptic() for place, m in enumerate(modules) if isinstance(m, snntorch.Synaptic)}
        sent = []
        for spikes in tensor:
            for place, module in enumerate(modules):
                if place in states:
                    spikes, *states[place] = module(spikes, *states[place])  # it passes the layers
                else:
                    spikes = module(spikes)
            sent.append(spikes)
        return torch.stack(sent)

    return run
