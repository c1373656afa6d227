"""From a NIR graph to a hybrid ONNX model, node by node."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from hsnn.errors import UnsupportedError, UsageError
from hsnn.frontends.nir.flatten import NEURONS, FlatNet, flatten
from hsnn.frontends.nir.neurons import NeuronMeaning, meaning_of
from hsnn.frontends.nir.policy import NirPolicy, choices, parse_policy
from hsnn.frontends.nir.read import NirNet, NirNode, as_net, read_nir
from hsnn.frontends.onnx import from_onnx
from hsnn.ir.hybrid import MODULE_KEY, RECORD_KEY, HybridModel
from hsnn.ops import DOMAIN, OPSET_VERSION
from hsnn.ops.functions import DEFAULT_OPSET

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[Any]
    Shape: TypeAlias = tuple[int, ...]

DELAYS = 64
"""Different delays that one Delay node may have."""
ELEMENTS = 1 << 28
"""Elements that any value of a sample may have at one timestep."""


def from_nir(
    source: str | os.PathLike[str] | Any, *, timesteps: int, policy: NirPolicy | str | None = None
) -> HybridModel:
    """Read a NIR graph as a hybrid model.

    Inputs and outputs are trains, ``(batch, timestep, *feature)``, as ``TrainEncode`` and ``TrainDecode`` have them.

    Args:
        source: A ``.nir`` file, or a ``nir.NIRGraph``.
        timesteps: Timesteps of a sample; NIR has none.
        policy: What NIR leaves open: a policy or its text, see :mod:`hsnn.frontends.nir.policy`. None is enough for a
            graph that hsnn exported, which carries its own.

    Raises:
        UsageError: ``HSNN-F080`` or ``HSNN-F088``, see :func:`read_nir`; ``HSNN-F084`` for no or a wrong policy;
            ``HSNN-F085`` for a wrong number of timesteps.
        UnsupportedError: ``HSNN-F081`` to ``HSNN-F083`` and ``HSNN-F086`` for what the graph holds, or as
            :func:`~hsnn.frontends.onnx.from_onnx`.
    """
    if not 1 <= timesteps <= 1 << 20:
        raise UsageError("HSNN-F085", f"timesteps is {timesteps}", allowed="1 to 1048576")
    net = read_nir(source) if isinstance(source, str | os.PathLike) else as_net(source)
    chosen = parse_policy(policy) if isinstance(policy, str) else policy or _own_policy(net)
    builder = _Builder(flatten(net), timesteps, chosen)
    return from_onnx(builder.model())


def _own_policy(net: NirNet) -> NirPolicy:
    if "hsnn_policy" in net.metadata:
        return parse_policy(net.metadata["hsnn_policy"])
    raise UsageError(
        "HSNN-F084",
        "NIR does not say how long a timestep is, how neurons are integrated and how they reset",
        allowed=choices(),
        fix="name the library that wrote the file: --nir-policy spikingjelly",
    )


class _Builder:
    """Collects the nodes of the model."""

    def __init__(self, net: FlatNet, timesteps: int, policy: NirPolicy) -> None:
        self._net, self._timesteps, self._policy = net, timesteps, policy
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._shapes: dict[str, Shape] = {}
        self._values: dict[str, str] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._used: set[str] = set()

    def model(self) -> onnx.ModelProto:
        for name, node in self._net.nodes.items():
            self._add(name, node)
        graph = helper.make_graph(self._nodes, "hybrid", self._inputs, self._outputs, list(self._constants.values()))
        opsets = [helper.make_opsetid("", DEFAULT_OPSET), helper.make_opsetid(DOMAIN, OPSET_VERSION)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=10, producer_name="hsnn")
        record = {f"{RECORD_KEY}nir_policy": self._policy.text(), f"{RECORD_KEY}nir_preset": self._policy.name}
        helper.set_model_props(model, record)
        return model

    def _add(self, name: str, node: NirNode) -> None:
        if node.kind == "Input":
            self._add_input(name, node)
            return
        shape, value = self._combined(name)
        if node.kind == "Output":
            self._add_output(name, node, shape, value)
        elif node.kind in NEURONS:
            self._values[name] = self._neuron(name, node, shape, value)
            self._shapes[name] = shape
        else:
            build: Callable[[str, NirNode, Shape, str], tuple[str, Shape]] = getattr(self, f"_{node.kind.lower()}")
            self._values[name], self._shapes[name] = build(name, node, shape, value)
        if node.kind != "Output" and math.prod(self._shapes[name]) > ELEMENTS:
            raise UnsupportedError("HSNN-F082", f"{name!r} makes {self._shapes[name]}", allowed=f"{ELEMENTS} elements")

    def _combined(self, name: str) -> tuple[Shape, str]:
        """Shape and name of the sum of all that feeds a node."""
        sources = self._net.sources[name]
        if not sources:
            raise UnsupportedError("HSNN-F082", f"{name!r} is fed by nothing but itself", allowed="an Input before it")
        shapes = {self._shapes[source] for source in sources}
        if len(shapes) > 1:
            raise UnsupportedError("HSNN-F082", f"{name!r} is fed by shapes {sorted(shapes)}", allowed="one shape")
        value = self._values[sources[0]]
        for other in sources[1:]:
            value = self._node("Add", [value, self._values[other]], f"{name}/sum", name)
        return shapes.pop(), value

    def _add_input(self, name: str, node: NirNode) -> None:
        shape = _ints(name, "shape", node.fields["shape"])
        if not shape or min(shape) < 1 or math.prod(shape) > ELEMENTS:
            raise UnsupportedError(
                "HSNN-F082", f"input {name!r} has the shape {shape}", allowed="1 or more in each axis"
            )
        given = self._unique(name)
        dims: list[str | int | None] = ["batch", self._timesteps, *shape]
        self._inputs.append(helper.make_tensor_value_info(given, TensorProto.FLOAT, dims))
        self._values[name] = self._node(
            "TrainEncode", [given], f"{name}/train", name, timesteps=self._timesteps, values=self._policy.inputs
        )
        self._shapes[name] = shape

    def _add_output(self, name: str, node: NirNode, shape: Shape, value: str) -> None:
        stated = node.fields["shape"]
        wanted = None if stated is None else _ints(name, "shape", stated)
        if wanted and wanted != shape and math.prod(wanted) != 1:
            raise UnsupportedError("HSNN-F082", f"output {name!r} gets {shape}, but says {wanted}", allowed=str(wanted))
        made = self._node("TrainDecode", [value], name, name)
        dims: list[str | int | None] = ["batch", self._timesteps, *shape]
        self._outputs.append(helper.make_tensor_value_info(made, TensorProto.FLOAT, dims))

    def _neuron(self, name: str, node: NirNode, shape: Shape, value: str) -> str:
        meant = meaning_of(name, node, shape, self._policy)
        back = self._recurrent(name, shape, meant)
        value = self._scaled(name, value, meant.gain)
        if back is not None and back[1].any():
            value = self._node("Add", [value, self._constant(f"{name}.rec_bias", back[1])], f"{name}/rec", name)
        decays = [
            self._constant(f"{name}.current_decay", _plain(meant.current_decay)),
            self._constant(f"{name}.voltage_decay", _plain(meant.voltage_decay)),
        ]
        bias = self._constant(f"{name}.bias", _plain(meant.bias))
        if meant.threshold is None:
            made = self._node("LeakyIntegrator", [value, *decays, bias], f"{name}/v", name, decay_input=0)
            if meant.shift.any():
                made = self._node("Add", [made, self._constant(f"{name}.v", meant.shift)], f"{name}/shift", name)
            return made
        inputs = [value, *decays, self._constant(f"{name}.threshold", _plain(meant.threshold)), bias]
        if back is not None:
            inputs.append(self._constant(f"{name}.recurrent_weight", back[0]))
        return self._node(
            "Lif" if back is None else "RecurrentLif",
            inputs,
            f"{name}/spikes",
            name,
            reset=meant.reset,
            comparison=self._policy.comparison,
            refractory=meant.refractory,
            decay_input=0,
        )

    def _recurrent(self, name: str, shape: Shape, meant: NeuronMeaning) -> tuple[Array, Array] | None:
        """Weight and bias of what comes back to a neuron from its own spikes, in front of the current."""
        looped = name in self._net.loops
        if not looped and meant.feedback is None:
            return None
        if len(shape) != 1:
            raise UnsupportedError(
                "HSNN-F086",
                f"{name!r} feeds itself and has features of shape {shape}",
                allowed="one feature axis",
                fix="for snnTorch's reset by subtraction: train with reset_mechanism='zero'" if not looped else "",
            )
        size = shape[0]
        if size > 1 << 13:
            raise UnsupportedError("HSNN-F086", f"{name!r} feeds itself and has {size} neurons", allowed="8192")
        weight, bias = np.zeros((size, size)), np.zeros(size)
        if looped:
            weight, bias = self._loop(name, size)
            weight, bias = meant.gain[:, None] * weight, meant.gain * bias
        if meant.feedback is not None:
            weight = weight + np.diag(meant.feedback)
        return weight, bias

    def _loop(self, neuron: str, size: int) -> tuple[Array, Array]:
        maps: dict[str, tuple[Array, Array]] = {neuron: (np.eye(size), np.zeros(size))}

        def total(name: str) -> tuple[Array, Array]:
            parts = [maps[source] for source in self._net.inside[name]]
            if len({part[1].shape for part in parts}) != 1:
                raise UnsupportedError("HSNN-F082", f"{name!r} is fed by different shapes", allowed="one shape")
            return sum(part[0] for part in parts), sum(part[1] for part in parts)  # type: ignore[return-value]  # arrays

        for name in self._net.loops[neuron]:
            node = self._net.all_nodes[name]
            weight, bias = total(name)
            if node.kind == "Scale":
                scale = _parameter(name, "scale", node.fields["scale"], bias.shape)
                maps[name] = (scale[:, None] * weight, scale * bias)
                continue
            matrix = _matrix(name, node, bias.shape)
            maps[name] = (matrix @ weight, matrix @ bias + (_bias(name, node, matrix) if node.kind == "Affine" else 0))
        weight, bias = total(neuron)
        if weight.shape != (size, size):
            raise UnsupportedError(
                "HSNN-F082", f"what comes back to {neuron!r} has {weight.shape[0]} elements, not {size}"
            )
        return weight, bias

    def _linear(self, name: str, node: NirNode, shape: Shape, value: str) -> tuple[str, Shape]:
        matrix = _matrix(name, node, shape)
        made = self._node("MatMul", [value, self._constant(f"{name}.weight", matrix.T)], name, name)
        return made, (*shape[:-1], matrix.shape[0])

    def _affine(self, name: str, node: NirNode, shape: Shape, value: str) -> tuple[str, Shape]:
        made, after = self._linear(name, node, shape, value)
        bias = _bias(name, node, _matrix(name, node, shape))
        return self._node("Add", [made, self._constant(f"{name}.bias", bias)], f"{name}/bias", name), after

    def _scale(self, name: str, node: NirNode, shape: Shape, value: str) -> tuple[str, Shape]:
        scale = _parameter(name, "scale", node.fields["scale"], shape)
        return self._node("Mul", [value, self._constant(f"{name}.scale", scale)], name, name), shape

    def _conv1d(self, name: str, node: NirNode, shape: Shape, value: str) -> tuple[str, Shape]:
        return self._conv(name, node, shape, value, axes=1)

    def _conv2d(self, name: str, node: NirNode, shape: Shape, value: str) -> tuple[str, Shape]:
        return self._conv(name, node, shape, value, axes=2)

    def _conv(self, name: str, node: NirNode, shape: Shape, value: str, *, axes: int) -> tuple[str, Shape]:
        weight = np.asarray(node.fields["weight"])
        groups = _ints(name, "groups", node.fields["groups"])
        stride, dilation = (_pair(name, key, node.fields[key], axes, least=1) for key in ("stride", "dilation"))
        stated = node.fields.get("input_shape")
        wanted = shape[1:] if stated is None else _ints(name, "input_shape", stated)
        fits = len(shape) == axes + 1 and weight.ndim == axes + 2 and len(groups) == 1 and groups[0] >= 1
        if not fits or weight.shape[1] * groups[0] != shape[0] or weight.shape[0] % groups[0] or wanted != shape[1:]:
            raise UnsupportedError(
                "HSNN-F082",
                f"{name!r} ({node.kind}) has weights {weight.shape}, groups {groups} and input_shape {wanted}",
                allowed=f"what fits its input of shape {shape}",
            )
        kernel = weight.shape[2:]
        pads = _pads(name, node.fields["padding"], kernel, stride, dilation)
        after = _windows(name, shape[1:], kernel, stride, pads, dilation)
        bias = np.asarray(node.fields["bias"], np.float64).reshape(-1)
        if bias.size not in (1, weight.shape[0]):
            raise UnsupportedError(
                "HSNN-F082", f"bias of {name!r} has {bias.size} values", allowed=str(weight.shape[0])
            )
        constants = [
            self._constant(f"{name}.weight", weight),
            self._constant(f"{name}.bias", np.broadcast_to(bias, weight.shape[:1])),
        ]
        options = {"strides": stride, "dilations": dilation, "pads": pads, "group": groups[0], "kernel_shape": kernel}
        return self._merged("Conv", name, value, constants, options), (weight.shape[0], *after)

    def _avgpool2d(self, name: str, node: NirNode, shape: Shape, value: str) -> tuple[str, Shape]:
        kernel, stride = (_pair(name, key, node.fields[key], 2, least=1) for key in ("kernel_size", "stride"))
        pads = _pads(name, node.fields["padding"], kernel, stride, (1, 1))
        if len(shape) != 3:
            raise UnsupportedError("HSNN-F082", f"{name!r} pools {shape}", allowed="(channel, height, width)")
        if any(pad >= extent for pad, extent in zip(pads, (*kernel, *kernel), strict=True)):
            raise UnsupportedError("HSNN-F083", f"{name!r} pads by {pads}", allowed="less than the kernel")
        after = _windows(name, shape[1:], kernel, stride, pads, (1, 1))
        options = {"kernel_shape": kernel, "strides": stride, "pads": pads, "count_include_pad": 1}
        return self._merged("AveragePool", name, value, [], options), (shape[0], *after)

    def _sumpool2d(self, name: str, node: NirNode, shape: Shape, value: str) -> tuple[str, Shape]:
        made, after = self._avgpool2d(name, node, shape, value)
        count = np.asarray(math.prod(_pair(name, "kernel_size", node.fields["kernel_size"], 2, least=1)), np.float64)
        return self._node("Mul", [made, self._constant(f"{name}.count", count)], f"{name}/sum", name), after

    def _flatten(self, name: str, node: NirNode, shape: Shape, value: str) -> tuple[str, Shape]:
        start, end = (_ints(name, key, node.fields[key]) for key in ("start_dim", "end_dim"))
        first, last = (int(item[0]) % len(shape) if len(item) == 1 else -1 for item in (start, end))
        if first < 0 or last < first or max(abs(start[0]), abs(end[0])) > len(shape):
            raise UnsupportedError(
                "HSNN-F082", f"{name!r} flattens axes {start} to {end} of {shape}", allowed="axes of its input"
            )
        after = (*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :])
        target = self._constant(f"{name}.shape", np.array([0, 0, *after], np.int64))
        return self._node("Reshape", [value, target], name, name), after

    def _delay(self, name: str, node: NirNode, shape: Shape, value: str) -> tuple[str, Shape]:
        steps = _parameter(name, "delay", node.fields["delay"], shape) / self._policy.dt
        whole = np.rint(steps)
        if bool((np.abs(steps - whole) > 1e-3).any()) or whole.min() < 0 or whole.max() >= self._timesteps:
            raise UnsupportedError(
                "HSNN-F083",
                f"{name!r} delays by {steps.min():g} to {steps.max():g} timesteps",
                allowed=f"whole timesteps, fewer than {self._timesteps}",
                fix="name the dt that the file was written with: --nir-policy NAME,dt=SECONDS",
            )
        kinds = np.unique(whole)
        if kinds.size > DELAYS:
            raise UnsupportedError("HSNN-F086", f"{name!r} has {kinds.size} different delays", allowed=str(DELAYS))
        parts = []
        for count in kinds:
            mask = (whole == count).astype(np.float64)
            kept = value if kinds.size == 1 else self._scaled(f"{name}.{int(count)}", value, mask, owner=name)
            parts.append(self._node("Delay", [kept], f"{name}/delay", name, steps=int(count)))
        made = parts[0]
        for part in parts[1:]:
            made = self._node("Add", [made, part], f"{name}/sum", name)
        return made, shape

    def _scaled(self, name: str, value: str, factor: Array, *, owner: str = "") -> str:
        if bool((factor == 1.0).all()):
            return value
        return self._node("Mul", [value, self._constant(f"{name}.gain", _plain(factor))], f"{name}/gain", owner or name)

    def _merged(self, op: str, name: str, value: str, constants: list[str], options: Mapping[str, Any]) -> str:
        merged = self._node("MergeTime", [value], f"{name}/merge", name)
        made = self._node(op, [merged, *constants], name, name, **options)
        return self._node("SplitTime", [made], f"{name}/split", name, timesteps=self._timesteps)

    def _node(self, op: str, inputs: list[str], title: str, module: str, **attributes: Any) -> str:
        name = self._unique(title)
        hsnn = op in ("TrainEncode", "TrainDecode", "Lif", "RecurrentLif", "LeakyIntegrator", "Delay")
        domain = DOMAIN if hsnn or op in ("MergeTime", "SplitTime") else ""
        node = helper.make_node(op, inputs, [name], name=name, domain=domain, **attributes)
        helper.set_model_props(node, {MODULE_KEY: module})
        self._nodes.append(node)
        return name

    def _constant(self, title: str, array: Array) -> str:
        name = self._unique(title)
        stored = array if array.dtype == np.int64 else np.asarray(array, np.float32)
        self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(stored), name)
        return name

    def _unique(self, title: str) -> str:
        name, count = title, 0
        while name in self._used:
            count += 1
            name = f"{title}_{count}"
        self._used.add(name)
        return name


def _plain(array: Array) -> Array:
    """One number where all are equal."""
    return array.reshape(-1)[0] if array.size and bool((array == array.reshape(-1)[0]).all()) else array


def _ints(name: str, key: str, value: Any) -> tuple[int, ...]:
    array = np.asarray(value)
    if array.dtype.kind not in "iuf" or array.ndim > 1 or array.size > 8 or bool((array != np.rint(array)).any()):
        raise UnsupportedError("HSNN-F083", f"{key} of {name!r} is {str(value)[:60]}", allowed="whole numbers")
    if bool((np.abs(array.astype(np.float64)) > 1 << 31).any()):
        raise UnsupportedError("HSNN-F083", f"{key} of {name!r} is {str(value)[:60]}", allowed="less than 2**31")
    return tuple(int(item) for item in array.reshape(-1))


def _pair(name: str, key: str, value: Any, axes: int, *, least: int) -> tuple[int, ...]:
    found = _ints(name, key, value)
    found = found * axes if len(found) == 1 else found
    if len(found) != axes or min(found) < least or max(found) > 1 << 16:
        raise UnsupportedError("HSNN-F083", f"{key} of {name!r} is {found}", allowed=f"{axes} numbers from {least} on")
    return found


def _pads(name: str, value: Any, kernel: Shape, stride: Shape, dilation: Shape) -> tuple[int, ...]:
    if isinstance(value, str) and value == "valid":
        return (0,) * 2 * len(kernel)
    if isinstance(value, str) and value == "same":
        if max(stride) > 1:
            raise UnsupportedError("HSNN-F083", f"{name!r} pads 'same' with stride {stride}", allowed="stride 1")
        total = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        return (*(t // 2 for t in total), *(t - t // 2 for t in total))
    if isinstance(value, str):
        raise UnsupportedError("HSNN-F083", f"padding of {name!r} is {value[:40]!r}", allowed="same, valid or numbers")
    return _pair(name, "padding", value, len(kernel), least=0) * 2


def _windows(name: str, shape: Shape, kernel: Shape, stride: Shape, pads: Shape, dilation: Shape) -> Shape:
    axes = len(kernel)
    room = [extent + pads[i] + pads[i + axes] - dilation[i] * (kernel[i] - 1) - 1 for i, extent in enumerate(shape)]
    if min(room) < 0 or min(kernel) < 1:
        raise UnsupportedError("HSNN-F082", f"the kernel {kernel} of {name!r} does not fit into {shape}")
    return tuple(free // step + 1 for free, step in zip(room, stride, strict=True))


def _parameter(name: str, key: str, value: Any, shape: Shape) -> Array:
    array = np.asarray(value, np.float64)
    if array.size != 1 and array.shape != shape:
        raise UnsupportedError(
            "HSNN-F082", f"{key} of {name!r} has the shape {array.shape}, but its input {shape}", allowed=str(shape)
        )
    return np.full(shape, array.reshape(())) if array.size == 1 else array


def _matrix(name: str, node: NirNode, shape: Shape) -> Array:
    weight = np.asarray(node.fields["weight"], np.float64)
    if weight.ndim != 2 or not shape or weight.shape[1] != shape[-1]:
        raise UnsupportedError(
            "HSNN-F082",
            f"{name!r} ({node.kind}) has weights {weight.shape} for an input of shape {shape}",
            allowed="weights (post, pre) with pre the last axis of the input",
        )
    return weight


def _bias(name: str, node: NirNode, matrix: Array) -> Array:
    bias = np.asarray(node.fields["bias"], np.float64)
    if bias.size != 1 and bias.shape != (matrix.shape[0],):
        raise UnsupportedError(
            "HSNN-F082", f"bias of {name!r} has the shape {bias.shape}", allowed=f"({matrix.shape[0]},)"
        )
    return np.broadcast_to(bias.reshape(-1), (matrix.shape[0],)) if bias.size == 1 else bias
