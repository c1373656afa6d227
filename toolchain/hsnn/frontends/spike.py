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
import onnx
from onnx import TensorProto, helper, numpy_helper

from hsnn.errors import UnsupportedError, UsageError
from hsnn.frontends.onnx import from_onnx
from hsnn.ir.hybrid import MODULE_KEY, RECORD_KEY, HybridModel, module_of, read_model
from hsnn.ops import DOMAIN, OPSET_VERSION
from hsnn.ops.functions import onnx_opset

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

LINEAR = frozenset(
    "Conv Gemm MatMul Add Sub AveragePool GlobalAveragePool BatchNormalization Flatten Reshape Identity Dropout".split()
)
"""Operators that may stand between two marked activations as synapses."""


@dataclass(frozen=True, slots=True)
class SpikeOptions:
    """What becomes spiking, and how.

    Attributes:
        globs: Patterns of node names, module paths or outputs of ``Relu`` nodes.
        timesteps: Timesteps of a sample.
        percentile: Percentile of a layer's activations that its threshold is.
    """

    globs: tuple[str, ...]
    timesteps: int = 32
    percentile: float = 99.9


@dataclass(frozen=True, slots=True)
class SpikeError:
    """How a conversion compares with the network that it comes from.

    Attributes:
        timesteps: Timesteps of the conversion.
        error: Mean absolute difference of the first output, relative to its largest magnitude.
        agreement: Fraction of samples with the same largest output; None without two or more of them.
    """

    timesteps: int
    error: float
    agreement: float | None


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
    if not 1 <= options.timesteps <= 1 << 16 or not 0 < options.percentile <= 100:
        raise UsageError(
            "HSNN-U148",
            f"timesteps are {options.timesteps} and the percentile is {options.percentile:g}",
            allowed="1 to 65536, and above 0 to 100",
        )
    model = _prepared(source)
    marked = _marked(model.graph, options.globs)
    thresholds = _thresholds(model, marked, samples, options.percentile)
    return from_onnx(_Converter(model, thresholds, options).model())


def error_over_time(
    source: str | os.PathLike[str] | onnx.ModelProto, samples: Mapping[str, Array], options: SpikeOptions
) -> tuple[SpikeError, ...]:
    """Compare conversions of 1, 2, 4, ... timesteps, up to those asked for, with the network itself.

    Args:
        source: As for :func:`from_ann`.
        samples: Samples to compare on.
        options: What becomes spiking; ``timesteps`` is the last that is compared.
    """
    counts = [1 << power for power in range(17) if 1 << power < options.timesteps]
    expected = _run(_prepared(source), samples, [])[0]
    largest = max(float(np.abs(expected).max()), 1e-12)
    found = []
    for timesteps in (*counts, options.timesteps):
        hybrid = from_ann(source, samples, SpikeOptions(options.globs, timesteps, options.percentile))
        made = _run(hybrid.proto, samples, [])[0]
        same = None
        if expected.ndim == 2 and expected.shape[1] > 1:
            same = float(np.mean(made.argmax(1) == expected.argmax(1)))
        found.append(SpikeError(timesteps, float(np.abs(made - expected).mean()) / largest, same))
    return tuple(found)


def with_curve(hybrid: HybridModel, curve: Sequence[SpikeError]) -> HybridModel:
    """Keep the comparison with the model, so that the artifact records it."""
    points = [[item.timesteps, item.error, item.agreement] for item in curve]
    _record(hybrid.proto, {f"{RECORD_KEY}spike_error": json.dumps(points)})
    return hybrid


def _record(model: onnx.ModelProto, record: Mapping[str, str]) -> None:
    """Add records to a model's metadata."""
    kept = {item.key: item.value for item in model.metadata_props if item.key not in record}
    helper.set_model_props(model, {**kept, **record})


def curve_svg(curve: Sequence[SpikeError]) -> str:
    """Draw error, and agreement where there is one, against timesteps: a small page of SVG."""
    width, height, left, top = 420, 240, 50, 20
    lines = [("error", "#c0392b", [item.error for item in curve])]
    if all(item.agreement is not None for item in curve):
        lines.append(("agreement", "#2471a3", [item.agreement or 0.0 for item in curve]))
    step = (width - left - 20) / max(len(curve) - 1, 1)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif">']
    for value in (0.0, 0.5, 1.0):
        y = top + (1 - value) * (height - 2 * top - 20)
        parts.append(f'<line x1="{left}" x2="{width - 20}" y1="{y:g}" y2="{y:g}" stroke="#ddd"/>')
        parts.append(f'<text x="8" y="{y + 4:g}" font-size="11">{value:g}</text>')
    for index, item in enumerate(curve):
        parts.append(f'<text x="{left + index * step - 4:g}" y="{height - 22}" font-size="11">{item.timesteps}</text>')
    for row, (name, colour, values) in enumerate(lines):
        points = [
            f"{left + index * step:g},{top + (1 - min(value, 1.0)) * (height - 2 * top - 20):g}"
            for index, value in enumerate(values)
        ]
        parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{" ".join(points)}"/>')
        parts.append(f'<text x="{left + 110 * row}" y="{height - 6}" font-size="11" fill="{colour}">{name}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _prepared(source: str | os.PathLike[str] | onnx.ModelProto) -> onnx.ModelProto:
    given = source if isinstance(source, onnx.ModelProto) else read_model(os.fspath(source))
    onnx_opset(given)
    model = onnx.ModelProto()
    model.CopyFrom(given)
    fixed = {item.name for item in model.graph.initializer}
    for item in (*model.graph.input, *model.graph.output):
        if item.name not in fixed and item.type.tensor_type.shape.dim:
            item.type.tensor_type.shape.dim[0].dim_param = "batch"
    del model.graph.value_info[:]
    for index, node in enumerate(model.graph.node):
        node.name = node.name or f"{node.op_type}_{index}"
    return model


def _marked(graph: onnx.GraphProto, globs: Sequence[str]) -> tuple[onnx.NodeProto, ...]:
    units = [node for node in graph.node if node.op_type == "Relu" and not node.domain]
    found = []
    for glob in globs:
        hits = [n for n in units if any(fnmatchcase(t, glob) for t in (n.name, n.output[0], module_of(n)) if t)]
        if not hits:
            raise UsageError(
                "HSNN-U148",
                f"--spike {glob} matches no rectified linear unit",
                allowed=", ".join(node.name for node in units[:20]) or "a network with Relu nodes",
            )
        found += [node for node in hits if node not in found]
    return tuple(found)


def _thresholds(
    model: onnx.ModelProto, marked: Sequence[onnx.NodeProto], samples: Mapping[str, Array], percentile: float
) -> dict[str, float]:
    names = [node.output[0] for node in marked]
    values = _run(model, samples, names)
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


def _run(model: onnx.ModelProto, samples: Mapping[str, Array], more: Sequence[str]) -> list[Array]:
    import onnxruntime as ort

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    stated = {item.name for item in copy.graph.output}
    copy.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in more if name not in stated
    )
    options = ort.SessionOptions()
    options.log_severity_level = 3
    # Neurons are loops of small steps, for which a second thread only waits.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(copy.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [item.name for item in model.graph.output]
    return list(session.run([*names, *more], {item.name: samples[item.name] for item in session.get_inputs()}))


class _Converter:
    """Rewrites a graph: values are tensors, or trains where neurons follow."""

    def __init__(self, model: onnx.ModelProto, thresholds: Mapping[str, float], options: SpikeOptions) -> None:
        self._model, self._thresholds, self._timesteps = model, thresholds, options.timesteps
        self._percentile = options.percentile
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._trains: dict[str, str] = {}
        self._decoded: set[str] = set()
        self._fixed = {item.name for item in model.graph.initializer}
        self._fixed |= {node.output[0] for node in model.graph.node if node.op_type == "Constant"}
        self._wanted = self._values_before_neurons()

    def model(self) -> onnx.ModelProto:
        for node in self._model.graph.node:
            if node.output[0] in self._thresholds:
                self._neuron(node)
            elif node.output[0] in self._wanted and any(name in self._trains for name in node.input):
                self._synapse(node)
            else:
                for name in _reads(node):
                    self._tensor(name)
                self._nodes.append(node)
        for item in self._model.graph.output:
            self._tensor(item.name)
        result = onnx.ModelProto()
        result.CopyFrom(self._model)
        del result.graph.node[:]
        result.graph.node.extend(self._nodes)
        result.graph.initializer.extend(self._constants.values())
        result.opset_import.append(helper.make_opsetid(DOMAIN, OPSET_VERSION))
        record = {
            f"{RECORD_KEY}spike_thresholds": json.dumps(dict(self._thresholds)),
            f"{RECORD_KEY}spike_timesteps": str(self._timesteps),
            f"{RECORD_KEY}spike_percentile": f"{self._percentile:g}",
        }
        _record(result, record)
        return result

    def _values_before_neurons(self) -> set[str]:
        """Values that linear operators turn into the input of a marked activation."""
        makers = {node.output[0]: node for node in self._model.graph.node}
        pending = [node.input[0] for node in self._model.graph.node if node.output[0] in self._thresholds]
        found: set[str] = set()
        while pending:
            name = pending.pop()
            maker = makers.get(name)
            if maker is None or name in found or name in self._thresholds:
                continue
            if maker.op_type in LINEAR and not maker.domain and len(maker.output) == 1:
                found.add(name)
                pending.extend(maker.input)
        return found

    def _neuron(self, node: onnx.NodeProto) -> None:
        threshold = self._thresholds[node.output[0]]
        drive, module = self._train(node.input[0]), module_of(node) or node.name
        title = node.output[0]
        parameters = [
            self._constant(f"{title}/{key}", value)
            for key, value in (
                ("current_decay", 1.0),
                ("voltage_decay", 0.0),
                ("threshold", threshold),
                ("bias", threshold / (2 * self._timesteps)),
            )
        ]
        self._add("Lif", [drive, *parameters], f"{title}/spikes", module, **_INTEGRATE_AND_FIRE)
        scaled = [f"{title}/spikes", self._constant(f"{title}/scale", threshold)]
        self._trains[title] = self._add("Mul", scaled, f"{title}/train", module)

    def _synapse(self, node: onnx.NodeProto) -> None:
        """The same operator at every timestep."""
        inputs = [name if not name or name in self._fixed else self._merged(name) for name in node.input]
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        del copy.input[:]
        copy.input.extend(inputs)
        copy.output[0] = f"{node.output[0]}/merged"
        self._nodes.append(copy)
        split = {"timesteps": self._timesteps}
        title = node.output[0]
        self._trains[title] = self._add("SplitTime", [copy.output[0]], f"{title}/train", module_of(node), **split)

    def _merged(self, name: str) -> str:
        train = self._train(name)
        title = f"{train}/merge"
        if not any(node.output[0] == title for node in self._nodes):
            self._add("MergeTime", [train], title, "")
        return title

    def _train(self, name: str) -> str:
        if name not in self._trains:
            title = f"{name}/encoded"
            self._trains[name] = self._add("DirectEncode", [name], title, "", timesteps=self._timesteps)
            self._decoded.add(name)
        return self._trains[name]

    def _tensor(self, name: str) -> None:
        """Make the value itself, as a rate, where a train is all there is."""
        if name in self._trains and name not in self._decoded:
            self._decoded.add(name)
            node = helper.make_node("RateDecode", [self._trains[name]], [name], f"{name}/rate", domain=DOMAIN)
            self._nodes.append(node)

    def _add(self, op: str, inputs: Sequence[str], title: str, module: str, **attributes: Any) -> str:
        domain = "" if op == "Mul" else DOMAIN
        node = helper.make_node(op, list(inputs), [title], name=title, domain=domain, **attributes)
        helper.set_model_props(node, {MODULE_KEY: module})
        self._nodes.append(node)
        return title

    def _constant(self, name: str, value: float) -> str:
        self._constants[name] = numpy_helper.from_array(np.array(value, np.float32), name)
        return name


_INTEGRATE_AND_FIRE = {"reset": "subtract", "comparison": ">=", "refractory": 0, "decay_input": 0}


def _reads(node: onnx.NodeProto) -> list[str]:
    names = [name for name in node.input if name]
    for attribute in node.attribute:
        if attribute.HasField("g"):
            names += [name for inner in attribute.g.node for name in _reads(inner)]
    return names
