"""Resonators of ``.net`` layers: complex synapses and their neurons, to nodes of a hybrid model.

slayer gives them two sets of weights, one for the real and one for the imaginary part of what they get. hsnn has one
projection whose channels take turns: ``2 c`` is the real part of channel ``c``, ``2 c + 1`` the imaginary one.

Source: lava-dl 0.6.0, ``slayer/neuron/rf.py`` and ``rf_iz.py``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hsnn.errors import UnsupportedError
from hsnn.frontends.netx import synapses
from hsnn.frontends.netx.layers import ConvLayer, DenseLayer, PoolLayer, Resonator
from hsnn.frontends.netx.parse_neurons import DECAY_ONE, READ_OUT
from hsnn.frontends.netx.synapses import WEIGHT_ONE, Train
from hsnn.ir.shape import Shape
from hsnn.ops import DOMAIN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hsnn.frontends.netx.graph import Graph

    Ints = NDArray[np.int64]
    SynapticLayer = DenseLayer | ConvLayer | PoolLayer

VOLTAGE_ONE = 4096.0
"""Integer units of a state per unit of slayer, as for other neurons."""


def add_resonators(graph: Graph, layer: SynapticLayer, train: Train, neuron: Resonator) -> Train:
    """Add complex synapses and their resonators.

    Args:
        graph: Where to.
        layer: Synapses.
        train: What they read.
        neuron: The layer's neurons.

    Raises:
        UnsupportedError: ``HSNN-F071`` or ``HSNN-F072``, naming the layer.
    """
    imaginary = _check(layer, neuron)
    match layer:
        case DenseLayer():
            both = _in_turn(layer.weight, imaginary, axis=0)
            drive = synapses.dense(graph, replace(layer, weight=both), train)
        case ConvLayer():
            # The channels of a group stay together, whichever axis they are on.
            both = _in_turn(layer.weight, imaginary, axis=int(layer.transposed))
            drive = synapses.conv(graph, replace(layer, weight=both, shape=_doubled(layer.shape)), train)
        case PoolLayer():
            drive = synapses.complex_pool(graph, layer, imaginary, train)
    channels, *rest = drive.shape
    value = graph.node(
        f"{DOMAIN}.FixedResonateFire",
        drive.value,
        graph.constant(_per_channel(neuron.cos_decay, len(rest)) / DECAY_ONE),
        graph.constant(_per_channel(neuron.sin_decay, len(rest)) / DECAY_ONE),
        graph.constant(np.float64(neuron.threshold / WEIGHT_ONE)),
        scale=VOLTAGE_ONE,
        firing="izhikevich" if neuron.izhikevich else "phase",
        resolution=1.0 / VOLTAGE_ONE,
    )
    return replace(drive, value=value, shape=(channels // 2, *rest))


def _check(layer: SynapticLayer, neuron: Resonator) -> Ints:
    """Return the imaginary weights of a layer that can be compiled."""
    if layer.imaginary is None:
        raise _refused(layer, "its resonators have real weights only", "weight/real and weight/imag, as slayer writes")
    if isinstance(layer, DenseLayer) and layer.recurrent is not None:
        raise _refused(layer, "recurrent synapses onto resonators, which slayer lacks", "dense")
    if not isinstance(layer, PoolLayer) and layer.bias is not None and layer.bias.any():
        raise _refused(layer, "a bias for resonators, which slayer and netx do not have", "no bias")
    if not 0 < neuron.threshold < READ_OUT:
        raise _refused(
            layer,
            f"vThMant of its resonators is {neuron.threshold}: "
            + ("they are read out as a state" if neuron.threshold else "they fire at rest"),
            f"1 to {READ_OUT - 1}",
        )
    radius = np.hypot(neuron.sin_decay, neuron.cos_decay)
    if np.any(radius > DECAY_ONE):
        raise _refused(layer, f"the state of its resonators grows: its radius is {radius.max():g}", f"{DECAY_ONE}")
    return layer.imaginary


def _in_turn(real: Ints, imaginary: Ints, *, axis: int) -> Ints:
    """Let the channels of real and imaginary weights take turns along an axis."""
    both = np.stack((real, imaginary), axis=axis + 1)
    return both.reshape(*real.shape[:axis], 2 * real.shape[axis], *real.shape[axis + 1 :])


def _doubled(shape: Shape) -> Shape:
    return (2 * shape[0], *shape[1:])


def _per_channel(values: Ints, axes: int) -> NDArray[np.float64]:
    return values.reshape(values.shape + (1,) * axes * bool(values.ndim)).astype(np.float64)


def _refused(layer: SynapticLayer, found: str, allowed: str) -> UnsupportedError:
    return UnsupportedError("HSNN-F072", f"layer {layer.index}: {found}", allowed=allowed)
