"""Sigma-delta layers of a ``.net`` file as nodes of a hybrid model.

Messages have 12 fractional bits and states 18: what netx gives Lava as ``spike_exp`` and ``state_exp`` of 6, and what
slayer computes with, so integers are equal in all three.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hsnn.errors import UnsupportedError
from hsnn.frontends.netx.layers import ConvLayer, DenseLayer, InputLayer, Layer, PoolLayer, SigmaDelta
from hsnn.frontends.netx.synapses import WEIGHT_ONE, Train
from hsnn.ops import DOMAIN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hsnn.frontends.netx.graph import Graph

MESSAGE_ONE = 4096.0
"""Units of a message in 1."""
STATE_ONE = 64 * MESSAGE_ONE
"""Units of a state in 1."""


def sigma_delta(
    graph: Graph,
    neuron: SigmaDelta,
    drive: Train,
    *,
    bias: NDArray[np.int64] | None,
    recurrent: NDArray[np.int64] | None,
    index: int,
    last: bool,
) -> Train:
    """Add the neurons of a layer.

    Output neurons, which send their sum, become neurons that send every change, as finely as the state is, and a sum
    on the host: a chip's read-out neurons have 24 bits, Lava's Sigma 32.

    Args:
        graph: Where to.
        neuron: The neurons.
        drive: What arrives at them.
        bias: Integers in units of 1/64, one for each channel, or for each neuron of a dense layer; None for none.
        recurrent: Synapses from the layer to itself, which are refused.
        index: Number of the layer, for the message.
        last: Whether it is the last layer.

    Raises:
        UnsupportedError: ``HSNN-F072``, naming the layer.
    """
    if recurrent is not None:
        raise _refused(index, "sigma-delta neurons with recurrent synapses", "'dense' layers")
    if neuron.sends_sum:
        if not last:
            raise _refused(index, "neurons that send their sum to another layer", "sigma_output at the end")
        if bias is not None and bias.any():
            raise _refused(index, "neurons that send their sum have a bias, which slayer never writes", "no bias")
        return _sum(graph, drive)
    if neuron.activation != "relu":
        raise _refused(
            index, f"the activation is {neuron.activation!r}; netx takes it for a ReLU", "'relu', which netx computes"
        )
    whole = np.zeros(()) if bias is None else bias.reshape(-1, *(1,) * (len(drive.shape) - 1)) / WEIGHT_ONE
    value = graph.node(
        f"{DOMAIN}.FixedSigmaDelta",
        drive.value,
        graph.constant(np.float64((neuron.threshold or 0) / WEIGHT_ONE)),
        graph.constant(whole),
        scale=STATE_ONE,
        activation="relu",
        resolution=1.0 / MESSAGE_ONE,
    )
    return replace(drive, value=value, spikes=False)


def sends_changes(layers: tuple[Layer, ...]) -> bool:
    """Tell whether the network is one of sigma-delta neurons.

    Raises:
        UnsupportedError: ``HSNN-F072``, if it has others beside them: whose timesteps would be whose is open.
    """
    found = [
        (layer.index, layer.neuron)
        for layer in layers
        if isinstance(layer, InputLayer | DenseLayer | ConvLayer | PoolLayer)
    ]
    kinds = [(index, isinstance(neuron, SigmaDelta)) for index, neuron in found if neuron is not None]
    if not any(kind for _, kind in kinds):
        return False
    other = next((index for index, kind in kinds if not kind), None)
    if other is not None:
        raise _refused(other, "spiking neurons in a network of sigma-delta neurons", "one kind in a file")
    return True


def delta(graph: Graph, neuron: SigmaDelta, train: Train) -> Train:
    """Add the neurons of an input layer, which send how a value changes."""
    value = graph.node(
        f"{DOMAIN}.FixedDelta",
        train.value,
        graph.constant(np.float64((neuron.threshold or 0) / WEIGHT_ONE)),
        scale=STATE_ONE,
        resolution=1.0 / MESSAGE_ONE,
    )
    return replace(train, value=value, spikes=False)


def _sum(graph: Graph, drive: Train) -> Train:
    value = graph.node(
        f"{DOMAIN}.FixedSigmaDelta",
        drive.value,
        graph.constant(np.zeros(())),
        graph.constant(np.zeros(())),
        scale=STATE_ONE,
        activation="identity",
        resolution=1.0 / STATE_ONE,
    )
    return replace(drive, value=value, spikes=False, sums=True)


def _refused(index: int, found: str, allowed: str) -> UnsupportedError:
    return UnsupportedError("HSNN-F072", f"layer {index}: {found}", allowed=allowed)
