"""Write the integers of a spiking segment as a ``.net`` file that netx loads and runs.

netx knows chains of dense, recurrent and convolutional layers with CUBA neurons, and of dense ones with resonators, one
input and one output. Everything else is refused by name: what netx would ignore or compute otherwise is never written.

Source of the types: lava-dl 0.6.0, ``slayer/block/base.py`` (``export_hdf5``); it reads them in ``netx/hdf5.py``.
"""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from hsnn.errors import UnsupportedError
from hsnn.frontends.netx.parse_neurons import THRESHOLD_MAX
from hsnn.frontends.netx.raw import require_h5py
from hsnn.frontends.netx.resonators import resonator_fields
from hsnn.ir.arithmetic import STATE_SHIFT, STOCK_VTH_MAX
from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.populations import (
    ConstantSource,
    CountingLifPopulation,
    IntegratorPopulation,
    LifPopulation,
    ResonatorPopulation,
)
from hsnn.ir.projections import ConvProjection, Projection, SparseProjection
from hsnn.ir.shape import size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hsnn.ir.shape import Shape

    Int32 = NDArray[np.int32]
    Fields = dict[str, Any]

BIAS_MAX = 4095


def net_bytes(network: IntegerNetwork) -> bytes:
    """Return a segment as a ``.net`` file; equal networks give equal bytes.

    Args:
        network: A valid segment.

    Raises:
        UnsupportedError: ``HSNN-F079``, naming what netx does not know; all reasons at once.
        UsageError: ``HSNN-F073``, if h5py is not installed.
    """
    layers = net_layers(network)
    require_h5py()
    import h5py

    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file["simulation/tSample"] = network.timesteps
        root = file.create_group("layer")
        for index, layer in enumerate(layers):
            group = root.create_group(str(index))
            for name, value in layer.items():
                if name == "type":
                    group.create_dataset(name, (1,), "S10", [str(value).encode()])
                else:
                    group.create_dataset(name, data=value)
    return stream.getvalue()


def net_layers(network: IntegerNetwork) -> list[Fields]:
    """Return the fields of every layer, in order; raises ``HSNN-F079`` as :func:`net_bytes`."""
    reasons = [*_topology(network)]
    if reasons:
        raise UnsupportedError.joined(reasons)
    (port,) = network.inputs
    layers: list[Fields] = [{"type": "input", "shape": np.array(port.shape, np.int64)}]
    shape = port.shape
    for population in network.populations:
        assert isinstance(population, LifPopulation | IntegratorPopulation | ResonatorPopulation)
        try:
            made, shape = _layers(network, population, shape)
            layers += made
        except UnsupportedError as error:
            reasons.append(error)
            shape = population.shape
    if reasons:
        raise UnsupportedError.joined(reasons)
    return layers


def _topology(network: IntegerNetwork) -> list[UnsupportedError]:
    """What keeps a segment from being a chain with one input and one output."""
    reasons = []
    if len(network.inputs) != 1 or network.inputs[0].graded:
        found = ", ".join(f"{port.name} ({'graded' if port.graded else 'binary'})" for port in network.inputs)
        reasons.append(_refused(f"segment {network.name!r} has the inputs {found}", "one input of binary spikes"))
    if not network.populations or network.outputs != (network.populations[-1].name,):
        found = f"segment {network.name!r} gives back {', '.join(network.outputs)}"
        reasons.append(_refused(found, "the last population and nothing else"))
    before = {item.name: None if index == 0 else previous for index, (item, previous) in enumerate(_pairs(network))}
    for population in network.populations:
        if isinstance(population, ConstantSource):
            found = f"{population.name!r} sends biases into the current of neurons with current memory"
            reasons.append(_refused(found, "biases of the voltage"))
        elif not isinstance(population, LifPopulation | IntegratorPopulation | ResonatorPopulation):
            found = f"{population.name!r} is a {type(population).__name__}"
            reasons.append(_refused(found, "CUBA neurons and resonators"))
        else:
            sources = [link.pre for link in network.into(population.name)]
            wanted = before[population.name] or network.inputs[0].name if network.inputs else ""
            if sorted(set(sources) - {population.name}) != [wanted] or len(set(sources)) != len(sources):
                found = f"{population.name!r} reads {', '.join(sources) or 'nothing'}"
                reasons.append(_refused(found, f"a chain: one projection from {wanted!r}, and one from itself at most"))
    return reasons


def _pairs(network: IntegerNetwork) -> list[tuple[Any, str]]:
    names = ["", *(population.name for population in network.populations)]
    return list(zip(network.populations, names, strict=False))


def _layers(
    network: IntegerNetwork, population: LifPopulation | IntegratorPopulation | ResonatorPopulation, before: Shape
) -> tuple[list[Fields], Shape]:
    if isinstance(population, ResonatorPopulation):
        flatten = {"type": "flatten", "shape": np.array([size(before), 1, 1], np.int64)}
        layer_of_resonators = resonator_fields(network, population)
        return [*([flatten] if len(before) == 3 else []), layer_of_resonators], population.shape
    links = network.into(population.name)
    (link,) = (item for item in links if item.pre != population.name)
    loops = [item for item in links if item.pre == population.name]
    if link.delay:
        raise _refused(f"{link.name!r} has a delay of {link.delay}", "no delays: netx delays something else")
    weights = _weights(link)
    extra: Fields = {}
    flat: list[Fields] = []
    if isinstance(link, ConvProjection):
        layer: Fields = _conv_fields(link, weights)
        shape, channels = population.shape, population.shape[0]
    else:
        if len(before) == 3:
            flat = [{"type": "flatten", "shape": np.array([size(before), 1, 1], np.int64)}]
        shape, channels = (size(population.shape),), size(population.shape)
        dense = _dense(weights, link, size(before), channels)
        layer = {"type": "dense", "inFeatures": dense.shape[1], "outFeatures": dense.shape[0], "weight": dense}
    for loop in loops:
        if loop.delay != 1 or isinstance(loop, ConvProjection) or isinstance(link, ConvProjection):
            raise _refused(f"{loop.name!r} is a loop that netx does not know", "dense synapses with a delay of 1")
        extra["weight_rec"] = _dense(_weights(loop), loop, channels, channels)
        layer["type"] = "dense_rec"
    neuron, bias = _neuron(population, channels)
    if bias is not None:
        extra["bias"] = bias
    return [*flat, {**layer, "shape": np.array(shape, np.int64), **extra, **neuron}], shape


def _weights(link: Projection) -> NDArray[np.float32]:
    """Weights with their exponent, as lava-dl stores them."""
    raw = link.data if isinstance(link, SparseProjection) else link.weights
    wide = raw.astype(np.int64) << link.weight_exp
    if not wide.size or not wide.any():
        raise _refused(f"all weights of {link.name!r} are 0", "at least one weight, since netx fails without")
    if wide.min() < -256 or wide.max() > 254 or np.any(wide % 2):
        found = f"weights of {link.name!r} reach from {wide.min()} to {wide.max()}, in units of 64"
        raise _refused(found, "even weights from -256 to 254: netx has no exponent for larger ones")
    return wide.astype(np.float32)


def _dense(weights: NDArray[np.float32], link: Projection, inputs: int, outputs: int) -> NDArray[np.float32]:
    if not isinstance(link, SparseProjection):
        return weights
    whole = np.zeros((outputs, inputs), np.float32)
    np.add.at(whole, (np.repeat(np.arange(outputs), np.diff(link.indptr)), link.indices), weights)
    if np.abs(whole).max() > 254:
        raise _refused(f"{link.name!r} has several synapses between two neurons", "one, or a sum within -254 to 254")
    return whole


def _conv_fields(link: ConvProjection, weights: NDArray[np.float32]) -> Fields:
    transposed = getattr(link, "transposed", False)
    if transposed:
        raise _refused(f"{link.name!r} is a transposed convolution", "conv and dense layers")
    pairs = {
        "kernelSize": link.weights.shape[2:],
        "stride": link.stride,
        "padding": link.padding,
        "dilation": link.dilation,
    }
    return {
        "type": "conv",
        "inChannels": link.weights.shape[1] * link.groups,
        "outChannels": link.weights.shape[0],
        "groups": link.groups,
        "weight": weights,
        **{name: np.array(pair, np.int64) for name, pair in pairs.items()},
    }


def _neuron(
    population: LifPopulation | IntegratorPopulation, channels: int
) -> tuple[Fields, NDArray[np.float32] | None]:
    """Fields of the neurons, and the bias if there is one."""
    name = population.name
    threshold = THRESHOLD_MAX
    if isinstance(population, LifPopulation):
        if isinstance(population, CountingLifPopulation):
            raise _refused(f"{name!r} counts its spikes or has a floor", "one spike a timestep and no floor")
        if population.reset != "zero" or population.refractory:
            found = f"{name!r} resets by {population.reset!r} and has a refractory time of {population.refractory}"
            raise _refused(found, "a reset to zero and no refractory time")
        level = _per_channel(population.threshold, name, "threshold", channels)
        if level.ndim or level % (1 << STATE_SHIFT) or level >> STATE_SHIFT >= STOCK_VTH_MAX:
            raise _refused(
                f"the threshold of {name!r} is {population.threshold.min()} to {population.threshold.max()}",
                "one multiple of 64 below 131071 * 64 for all neurons",
            )
        threshold = int(level) >> STATE_SHIFT
    bias = _per_channel(population.bias, name, "bias", channels)
    if np.any(bias % (1 << STATE_SHIFT)) or np.abs(bias >> STATE_SHIFT).max() > BIAS_MAX:
        raise _refused(f"biases of {name!r} reach from {bias.min()} to {bias.max()}", "multiples of 64 up to 4095 * 64")
    fields = {
        "neuron/type": "CUBA",
        "neuron/iDecay": _per_channel(population.du, name, "du", channels).astype(np.int64) + 1,
        "neuron/vDecay": _per_channel(population.dv, name, "dv", channels).astype(np.int64),
        "neuron/vThMant": threshold,
        "neuron/refDelay": 1,
        "neuron/gradedSpike": False,
    }
    if not bias.any():
        return fields, None
    return fields, np.broadcast_to(bias >> STATE_SHIFT, (channels,)).astype(np.float32)


def _per_channel(values: Int32, name: str, what: str, channels: int) -> Int32:
    """Reduce a parameter to shape () or one per channel."""
    if not values.ndim:
        return values
    rows = values.reshape(channels, math.prod(values.shape) // channels)
    if np.any(rows != rows[:, :1]):
        raise _refused(f"{what} of {name!r} differs within a channel", "one number per channel")
    return rows[:, 0].copy()


def _refused(found: str, allowed: str) -> UnsupportedError:
    return UnsupportedError("HSNN-F079", found, allowed=allowed, fix="run the artifact with hsnn-compile run instead")


def chain_names(layers: Sequence[Fields]) -> list[str]:
    """Names of the layers' types, for people.

    >>> chain_names([{"type": "input"}, {"type": "dense"}])
    ['input', 'dense']
    """
    return [str(layer["type"]) for layer in layers]
