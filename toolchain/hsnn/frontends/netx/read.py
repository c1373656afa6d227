"""Read a ``.net`` file of lava-dl into frozen data."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hsnn.errors import UnsupportedError
from hsnn.frontends.netx.fields import EXTENT_MAX, Fields
from hsnn.frontends.netx.layers import (
    AverageLayer,
    ConcatLayer,
    ConvLayer,
    DenseLayer,
    FlattenLayer,
    InputLayer,
    Layer,
    NetxNetwork,
    PoolLayer,
    Window,
)
from hsnn.frontends.netx.parse_neurons import parse_neuron
from hsnn.frontends.netx.raw import read_arrays

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Arrays = Mapping[str, NDArray[Any]]

WEIGHT_MIN, WEIGHT_MAX = -512, 510
"""What lava-dl's widest quantization hook lets through; 8 bits are -256 to 254."""
ODD_MAX = 127
"""Loihi holds odd weights of mixed sign up to this."""
BIAS_MAX = 4095
"""Mantissas of biases have 13 bits with their sign."""
DELAY_MAX = 62


def read_net(path: str | os.PathLike[str]) -> NetxNetwork:
    """Read and check a file.

    Args:
        path: A ``.net`` file, of lava-dl or of its older slayer.

    Raises:
        UsageError: ``HSNN-F070`` or ``HSNN-F073``, if the file cannot be read.
        UnsupportedError: ``HSNN-F071`` if a field is missing, unknown or impossible; ``HSNN-F072`` if a layer is clear
            but not supported. Both name the layer.
    """
    return parse_arrays(read_arrays(path))


def parse_arrays(arrays: Arrays) -> NetxNetwork:
    """Check the arrays of a file.

    Args:
        arrays: By path, such as ``layer/0/weight``; of ``simulation`` only ``tSample`` counts.

    Raises:
        UnsupportedError: ``HSNN-F071`` or ``HSNN-F072``, as :func:`read_net`.
    """
    grouped: dict[int, dict[str, NDArray[Any]]] = {}
    timesteps = None
    for name, array in arrays.items():
        root, _, rest = name.partition("/")
        if root == "simulation":
            if rest == "tSample":
                timesteps = _timesteps(array)
            continue
        index, _, field = rest.partition("/")
        if not (index.isascii() and index.isdecimal()) or not field or str(int(index[:9])) != index:
            raise UnsupportedError("HSNN-F071", f"{name!r} belongs to no layer", allowed="layer/0/..., layer/1/...")
        grouped.setdefault(int(index), {})[field] = array
    if not grouped or sorted(grouped) != list(range(len(grouped))):
        found = ", ".join(map(str, sorted(grouped))) or "none"
        raise UnsupportedError(
            "HSNN-F071", f"the file has the layers {found[:200]}", allowed="layers 0, 1, 2, ... without a gap"
        )
    return NetxNetwork(tuple(_layer(Fields(index, grouped[index])) for index in sorted(grouped)), timesteps)


def _timesteps(array: NDArray[Any]) -> int | None:
    if array.size != 1 or array.dtype.kind not in "iu" or not 1 <= int(array.reshape(-1)[0]) <= EXTENT_MAX:
        return None
    return int(array.reshape(-1)[0])


def _layer(fields: Fields) -> Layer:
    kind = fields.text("type")
    parsers: dict[str, Callable[[Fields], Layer]] = {
        "input": _input,
        "flatten": _flatten,
        "average": _average,
        "concat": _concat,
        "dense": _dense,
        "dense_rec": _dense,
        "conv": _conv,
        "convT": _conv,
        "pool": _pool,
        "unpool": _pool,
    }
    if kind not in parsers:
        raise fields.wrong("type", f"is {kind!r}", ", ".join(parsers), fix="netx would skip such a layer silently")
    fields.kind = kind
    layer = parsers[kind](fields)
    fields.finish()
    return layer


def _input(fields: Fields) -> InputLayer:
    shape = fields.shape()
    weight = fields.integer("weight", WEIGHT_MIN, WEIGHT_MAX) if fields.has("weight") else None
    bias = fields.integer("bias", WEIGHT_MIN, WEIGHT_MAX) if fields.has("bias") else None
    return InputLayer(fields.index, shape, weight, bias, parse_neuron(fields, shape[0]))


def _flatten(fields: Fields) -> FlattenLayer:
    return FlattenLayer(fields.index, math.prod(fields.shape()))


def _average(fields: Fields) -> AverageLayer:
    return AverageLayer(fields.index, math.prod(fields.shape()))


def _concat(fields: Fields) -> ConcatLayer:
    fields.shape()
    named = fields.integers("layers", low=0, high=EXTENT_MAX).reshape(-1)
    return ConcatLayer(fields.index, tuple(int(index) for index in named))


def _dense(fields: Fields) -> DenseLayer:
    inputs = fields.integer("inFeatures", 1, EXTENT_MAX)
    outputs = fields.integer("outFeatures", 1, EXTENT_MAX)
    shape = fields.shape()
    if math.prod(shape) != outputs:
        raise fields.wrong("shape", f"is {shape}", f"{outputs} neurons, as outFeatures says")
    name, imaginary = _complex_names(fields)
    weight = _weights(fields, name, (outputs, inputs))
    return DenseLayer(
        fields.index,
        weight,
        None if imaginary is None else _weights(fields, imaginary, (outputs, inputs)),
        _weights(fields, "weight_rec", (outputs, outputs)) if fields.kind == "dense_rec" else None,
        _bias(fields, outputs),
        _delay(fields, outputs),
        parse_neuron(fields, outputs),
    )


def _conv(fields: Fields) -> ConvLayer:
    inputs = fields.integer("inChannels", 1, EXTENT_MAX)
    outputs = fields.integer("outChannels", 1, EXTENT_MAX)
    groups = fields.integer("groups", 1, EXTENT_MAX)
    window, shape, transposed = _window(fields), fields.shape(), fields.kind == "convT"
    if len(shape) != 3 or shape[0] != outputs:
        raise fields.wrong("shape", f"is {shape}", f"({outputs}, H, W), as outChannels says")
    if inputs % groups or outputs % groups:
        raise fields.wrong("groups", f"is {groups}", f"a divisor of {inputs} and of {outputs} channels")
    pair = (inputs, outputs // groups) if transposed else (outputs, inputs // groups)
    name, imaginary = _complex_names(fields)
    neuron = parse_neuron(fields, outputs)
    if neuron is None:
        raise fields.wrong("neuron/type", "is missing", "neurons")
    return ConvLayer(
        fields.index,
        shape,
        window,
        _weights(fields, name, (*pair, *window.kernel)),
        groups,
        neuron,
        transposed,
        None if imaginary is None else _weights(fields, imaginary, (*pair, *window.kernel)),
        _bias(fields, outputs),
        _delay(fields, outputs),
    )


def _pool(fields: Fields) -> PoolLayer:
    window, shape = _window(fields), fields.shape()
    if len(shape) != 3:
        raise fields.wrong("shape", f"is {shape}", "(C, H, W)")
    name, imaginary = _complex_names(fields)
    neuron = parse_neuron(fields, shape[0])
    if neuron is None:
        raise fields.wrong("neuron/type", "is missing", "neurons")
    return PoolLayer(
        fields.index,
        shape,
        window,
        _weights(fields, name, (1, 1, *window.kernel))[0, 0],
        neuron,
        fields.kind == "unpool",
        None if imaginary is None else _weights(fields, imaginary, (1, 1, *window.kernel))[0, 0],
        _delay(fields, shape[0]),
    )


def _window(fields: Fields) -> Window:
    return Window(
        fields.pair("kernelSize", 1), fields.pair("stride", 1), fields.pair("padding", 0), fields.pair("dilation", 1)
    )


def _complex_names(fields: Fields) -> tuple[str, str | None]:
    """Names of the real and imaginary weights; the second is None for real synapses."""
    if fields.has("weight/real") or fields.has("weight/imag"):
        return "weight/real", "weight/imag"
    return "weight", None


def _weights(fields: Fields, name: str, shape: tuple[int, ...]) -> Ints:
    """Read weights; older files drop axes of extent 1 or add one behind."""
    values = fields.integers(name, low=WEIGHT_MIN, high=WEIGHT_MAX)
    found = tuple(extent for extent in values.shape if extent != 1)
    if found != tuple(extent for extent in shape if extent != 1):
        raise fields.wrong(name, f"has shape {values.shape}", f"{shape}")
    odd = np.abs(values[values % 2 != 0])
    if odd.size and int(odd.max()) > ODD_MAX:
        raise fields.wrong(name, f"has an odd weight of magnitude {odd.max()}", f"odd weights up to {ODD_MAX}")
    return values.reshape(shape)


def _bias(fields: Fields, channels: int) -> Ints | None:
    return fields.vector("bias", channels, low=-BIAS_MAX, high=BIAS_MAX) if fields.has("bias") else None


def _delay(fields: Fields, channels: int) -> Ints | None:
    return fields.vector("delay", channels, low=0, high=DELAY_MAX) if fields.has("delay") else None
