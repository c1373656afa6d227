"""A plain ONNX network whose marked activations become spiking: rectified linear units to integrate-and-fire.

A unit with the rectified value ``relu(z)`` becomes a neuron that adds ``z`` at every timestep, spikes at a threshold
and subtracts it. Its rate times the threshold approaches ``clip(z, 0, threshold)`` as ``1 / timesteps``. The threshold
of a layer is a percentile of what it reached on calibration samples; half of it, spread over the timesteps, is added,
so that rates are rounded and not floored. Layers between two marked activations become synapses; what else reads one
gets its rate.

Source: Rueckauer et al., Frontiers in Neuroscience 11:682, 2017 (conversion, percentiles, reset by subtraction); Bu et
al., ICLR 2022, arXiv 2303.04347 (half a threshold added).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import numpy as np

from hsnn.errors import UnsupportedError, UsageError
from hsnn.frontends.onnx import from_onnx
from hsnn.frontends.spike.constants import constant_values
from hsnn.frontends.spike.graph import Converter
from hsnn.frontends.spike.plain import prepared, run
from hsnn.ir.hybrid import HybridModel, module_of

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

    Array = NDArray[Any]

MOST_TIMESTEPS = 1 << 16
"""Timesteps of the longest conversion."""


@dataclass(frozen=True, slots=True)
class SpikeOptions:
    """What becomes spiking, and how.

    Attributes:
        globs: Patterns of node names, module paths or outputs of ``Relu`` nodes, and of ``Clip`` from 0 (ReLU6).
        timesteps: Timesteps of a sample.
        percentile: Percentile of a layer's activations that its threshold is.
    """

    globs: tuple[str, ...]
    timesteps: int = 32
    percentile: float = 99.9


@dataclass(frozen=True, slots=True, eq=False)
class Conversion:
    """A network that is ready to be converted: what does not depend on the timesteps.

    Attributes:
        network: The network itself, with a free batch axis; it is not changed.
        thresholds: Threshold of each marked activation, by the name of its output.
        record: What the hybrid model keeps of the options.
    """

    network: onnx.ModelProto
    thresholds: Mapping[str, float]
    record: Mapping[str, str]

    def at(self, timesteps: int) -> HybridModel:
        """Convert the network for samples of so many timesteps; raises as :func:`from_ann`."""
        return from_onnx(Converter(self.network, self.thresholds, timesteps, self.record).model())


def from_ann(
    source: str | os.PathLike[str] | onnx.ModelProto, samples: Mapping[str, Array], options: SpikeOptions
) -> HybridModel:
    """Convert a network.

    Args:
        source: An ONNX file, or a model, which is not changed.
        samples: For each input: calibration samples, batch axis first, float32.
        options: What becomes spiking.

    Raises:
        UsageError: ``HSNN-U148``, if nothing matches or an option is out of range.
        UnsupportedError: ``HSNN-F089``, if a marked activation was never above zero; or as ``from_onnx``.
    """
    return conversion(source, samples, options).at(options.timesteps)


def conversion(
    source: str | os.PathLike[str] | onnx.ModelProto, samples: Mapping[str, Array], options: SpikeOptions
) -> Conversion:
    """Read a network and find its thresholds; arguments and errors are those of :func:`from_ann`."""
    if not 1 <= options.timesteps <= MOST_TIMESTEPS or not 0 < options.percentile <= 100:
        raise UsageError(
            "HSNN-U148",
            f"timesteps are {options.timesteps} and the percentile is {options.percentile:g}",
            allowed="1 to 65536, and above 0 to 100",
            fix="leave --spike-timesteps and --spike-percentile out for 32 and 99.9",
        )
    model = prepared(source, samples)
    marked = _marked(model.graph, options.globs)
    thresholds = _thresholds(model, marked, samples, options.percentile)
    record = {"spike": json.dumps(options.globs), "spike_percentile": f"{options.percentile:g}"}
    return Conversion(model, thresholds, record)


def _marked(graph: onnx.GraphProto, globs: Sequence[str]) -> tuple[onnx.NodeProto, ...]:
    constants = constant_values(graph)
    units = [node for node in graph.node if _rectifies(node, constants)]
    found = []
    for glob in globs:
        hits = [n for n in units if any(fnmatchcase(t, glob) for t in (n.name, n.output[0], module_of(n)) if t)]
        if not hits:
            raise UsageError(
                "HSNN-U148",
                f"--spike {glob} matches no rectified linear unit",
                allowed=", ".join(_title(node) for node in units[:20]) or "a network with Relu nodes, or Clip from 0",
                fix="--spike '*' marks all of them" if units else "train it with ReLU; other activations have no rate",
            )
        found += [node for node in hits if node not in found]
    return tuple(found)


def _rectifies(node: onnx.NodeProto, constants: Mapping[str, Array]) -> bool:
    """Tell whether a node is a rectified linear unit: ``Relu``, or ``Clip`` from 0 to above 0, which is ReLU6."""
    if node.domain or node.op_type not in ("Relu", "Clip"):
        return False
    if node.op_type == "Relu":
        return True
    low, high = ([*node.input[1:], "", ""])[:2]
    if low not in constants or (high and high not in constants):
        return False
    return bool((constants[low] == 0).all()) and not (high and bool((constants[high] <= 0).any()))


def _title(node: onnx.NodeProto) -> str:
    path = module_of(node)
    return f"{node.name} ({path})" if path and path not in node.name else node.name


def _thresholds(
    model: onnx.ModelProto, marked: Sequence[onnx.NodeProto], samples: Mapping[str, Array], percentile: float
) -> dict[str, float]:
    names = [node.output[0] for node in marked]
    values = run(model, samples, names)
    thresholds = {}
    for node, value in zip(marked, values[len(model.graph.output) :], strict=True):
        reached = float(np.percentile(value, percentile))
        if reached <= 0:
            reached = float(value.max())
        if reached <= 0:
            raise UnsupportedError(
                "HSNN-F089",
                f"{node.name!r} was never above zero on the calibration samples",
                allowed="activations that the samples reach",
                fix="leave it out of --spike, or calibrate with other samples",
            )
        thresholds[node.output[0]] = reached
    return thresholds
