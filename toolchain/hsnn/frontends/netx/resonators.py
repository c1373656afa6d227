"""Resonators of ``.net`` layers: complex synapses and their neurons, to nodes of a hybrid model and back to fields.

slayer gives them two sets of weights, one for the real and one for the imaginary part of what they get. hsnn has one
projection whose channels take turns: ``2 c`` is the real part of channel ``c``, ``2 c + 1`` the imaginary one.

Source: lava-dl 0.6.0, ``slayer/neuron/rf.py`` and ``rf_iz.py`` for the dynamics, ``netx/hdf5.py`` for what netx makes
of a file.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hsnn.errors import UnsupportedError
from hsnn.frontends.netx import synapses
from hsnn.frontends.netx.layers import ConvLayer, DenseLayer, PoolLayer, Resonator
from hsnn.frontends.netx.parse_neurons import DECAY_ONE, READ_OUT
from hsnn.frontends.netx.synapses import WEIGHT_ONE, Train
from hsnn.ir.arithmetic import STATE_SHIFT, STOCK_VTH_MAX
from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.populations import ResonatorPopulation
from hsnn.ir.projections import DenseProjection
from hsnn.ir.shape import Shape, size
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
        f"{DOMAIN}.ResonateFire",
        drive.value,
        graph.constant(_per_channel(neuron.cos_decay, len(rest)) / DECAY_ONE),
        graph.constant(_per_channel(neuron.sin_decay, len(rest)) / DECAY_ONE),
        graph.constant(np.float64(neuron.threshold / WEIGHT_ONE)),
        scale=VOLTAGE_ONE,
        firing="izhikevich" if neuron.izhikevich else "phase",
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


def resonator_fields(network: IntegerNetwork, population: ResonatorPopulation) -> dict[str, Any]:
    """Fields of a layer of resonators that netx runs as hsnn does.

    netx makes a period and a decay of the two numbers, and those numbers again of these, cutting off what is behind the
    point: four of ten pairs come back off by one. Such a pair is refused.

    Raises:
        UnsupportedError: ``HSNN-F079``, naming what netx does not know or would compute otherwise.
    """
    name, count = population.name, size(population.shape)
    link, *more = network.into(name)
    if more or not isinstance(link, DenseProjection) or link.delay:
        found = f"{', '.join(item.name for item in (link, *more))} lead to resonators {name!r}"
        raise _unknown(found, "dense synapses without a delay and without loops, all that netx has for them")
    parts = {}
    for part, rows in (("real", link.weights[0::2]), ("imag", link.weights[1::2])):
        wide = rows.astype(np.int64) << link.weight_exp
        if not wide.any() or wide.min() < -256 or wide.max() > 254 or np.any(wide % 2):
            found = f"the {part} weights of {link.name!r} reach from {wide.min()} to {wide.max()}"
            raise _unknown(found, "even weights from -256 to 254, and not only zeros")
        parts[f"weight/{part}"] = wide.astype(np.float32)
    if len(population.shape) != 1:
        raise _unknown(f"resonators {name!r} have the shape {population.shape}", "one axis, all that netx has for them")
    level = _shared(population, "threshold")
    if level % (1 << STATE_SHIFT) or not 0 < level >> STATE_SHIFT < STOCK_VTH_MAX:
        raise _unknown(f"the threshold of {name!r} is {level}", "a multiple of 64 below 131071 * 64")
    pair = (_shared(population, "sin_decay"), _shared(population, "cos_decay"))
    if netx_pair(*pair) != pair:
        found = f"sinDecay and cosDecay of {name!r} are {pair}, of which netx makes {netx_pair(*pair)}"
        raise _unknown(found, "a pair that its floats give back, about six of ten")
    return {
        "type": "dense",
        "shape": np.array([count], np.int64),
        "inFeatures": link.weights.shape[1],
        "outFeatures": count,
        **parts,
        "neuron/type": "RF_IZHIKEVICH" if population.firing == "izhikevich" else "RF_PHASE",
        "neuron/sinDecay": pair[0],
        "neuron/cosDecay": pair[1],
        "neuron/vThMant": level >> STATE_SHIFT,
        "neuron/gradedSpike": False,
    }


def netx_pair(sin: int, cos: int) -> tuple[int, int] | None:
    """What netx and Lava's RF make of ``sinDecay`` and ``cosDecay``; None where they divide by zero.

    Source: ``neuron_params`` of lava-dl ``slayer/neuron/rf.py``, then the constructor of lava ``proc/rf/process.py``.

    >>> netx_pair(1480, 782), netx_pair(10, 4000)
    ((1479, 782), (10, 4000))
    """
    part_sin, part_cos = sin / DECAY_ONE, cos / DECAY_ONE
    alpha = 1 - np.sqrt(part_sin**2 + part_cos**2)
    frequency = np.arctan2(part_sin, part_cos) / 2 / np.pi
    if frequency == 0.0:
        return None
    period = 1 / frequency
    angle = np.pi * 2 * 1 / period
    return int((1 - alpha) * np.sin(angle) * DECAY_ONE), int((1 - alpha) * np.cos(angle) * DECAY_ONE)


def _shared(population: ResonatorPopulation, what: str) -> int:
    values = getattr(population, what)
    if values.min() != values.max():
        raise _unknown(f"resonators {population.name!r} have a {what} each", "one for all neurons, as netx has it")
    return int(values.flat[0])


def _refused(layer: SynapticLayer, found: str, allowed: str) -> UnsupportedError:
    return UnsupportedError("HSNN-F072", f"layer {layer.index}: {found}", allowed=allowed)


def _unknown(found: str, allowed: str) -> UnsupportedError:
    return UnsupportedError("HSNN-F079", found, allowed=allowed, fix="run the artifact with hsnn-compile run instead")
