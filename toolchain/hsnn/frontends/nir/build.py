"""From a NIR graph to a hybrid ONNX model, node by node."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import onnx
from onnx import TensorProto, helper

from hsnn.errors import UnsupportedError, UsageError
from hsnn.frontends.nir import values
from hsnn.frontends.nir.emit import Emitter
from hsnn.frontends.nir.flatten import NEURONS, FlatNet, flatten
from hsnn.frontends.nir.layers import LAYERS, Place
from hsnn.frontends.nir.loops import feedback_of
from hsnn.frontends.nir.neurons import extents, meaning_of
from hsnn.frontends.nir.policy import POLICY_KEY, TIMESTEPS_KEY, NirPolicy, changed_policy, choices, parse_policy
from hsnn.frontends.nir.read import NirNet, NirNode, as_net, read_nir
from hsnn.frontends.onnx import from_onnx
from hsnn.ir.hybrid import RECORD_KEY, HybridModel
from hsnn.ops import DOMAIN, OPSET_VERSION
from hsnn.ops.counting import NO_FLOOR
from hsnn.ops.functions import DEFAULT_OPSET

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[np.float64]
    Shape: TypeAlias = tuple[int, ...]

ELEMENTS = 1 << 28
"""Elements that any value of a sample may have at one timestep."""


def from_nir(
    source: str | os.PathLike[str] | Any, *, timesteps: int | None = None, policy: NirPolicy | str | None = None
) -> HybridModel:
    """Read a NIR graph as a hybrid model.

    Inputs and outputs are trains, ``(batch, timestep, *feature)``, as ``TrainEncode`` and ``TrainDecode`` have them.

    Args:
        source: A ``.nir`` file, or a ``nir.NIRGraph``.
        timesteps: Timesteps of a sample; NIR has none. None for those of the model that hsnn exported.
        policy: What NIR leaves open: a policy or its text, see :mod:`hsnn.frontends.nir.policy`. None is enough for a
            graph that hsnn exported, which carries its own, for single neurons too.

    Raises:
        UsageError: ``HSNN-F080`` or ``HSNN-F088``, see :func:`read_nir`; ``HSNN-F084`` for no or a wrong policy;
            ``HSNN-F085`` for no or a wrong number of timesteps.
        UnsupportedError: ``HSNN-F081`` to ``HSNN-F083`` and ``HSNN-F086`` for what the graph holds, or as
            :func:`~hsnn.frontends.onnx.from_onnx`.
    """
    net = read_nir(source) if isinstance(source, str | os.PathLike) else as_net(source)
    chosen = parse_policy(policy) if isinstance(policy, str) else policy or _own_policy(net)
    builder = _Builder(flatten(net), _timesteps(timesteps, net), chosen, own=policy is None)
    return from_onnx(builder.model())


def _timesteps(given: int | None, net: NirNet) -> int:
    stated = net.metadata.get(TIMESTEPS_KEY, "")
    if given is None and not stated:
        raise UsageError(
            "HSNN-F085",
            "NIR does not say how many timesteps a sample has",
            fix="add --timesteps, such as --timesteps 64; in Python from_nir(path, timesteps=64, policy=...)",
        )
    readable = stated.isascii() and stated.isdecimal() and len(stated) < 8
    chosen = given if given is not None else int(stated) if readable else 0
    if not 1 <= chosen <= 1 << 20:
        raise UsageError(
            "HSNN-F085",
            f"timesteps is {stated[:20] if given is None else given}",
            allowed="1 to 1048576",
            fix="add --timesteps 32, with the number that it was trained with",
        )
    return chosen


def _own_policy(net: NirNet) -> NirPolicy:
    if POLICY_KEY in net.metadata:
        return parse_policy(net.metadata[POLICY_KEY])
    raise UsageError(
        "HSNN-F084",
        "NIR does not say how long a timestep is, how neurons are integrated and how they reset",
        allowed=choices(),
        fix="name the library that wrote the file: --nir-policy spikingjelly; in Python "
        "hsnn.frontends.nir.build.from_nir(path, policy='spikingjelly', timesteps=...)",
    )


class _Builder:
    """Collects the nodes of the model."""

    def __init__(self, net: FlatNet, timesteps: int, policy: NirPolicy, *, own: bool) -> None:
        self._net, self._policy, self._own = net, policy, own
        self._emit = Emitter(timesteps, policy.dt)
        self._shapes: dict[str, Shape] = {}
        self._values: dict[str, str] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []

    def model(self) -> onnx.ModelProto:
        for name, node in self._net.nodes.items():
            self._add(name, node)
        constants = list(self._emit.constants.values())
        graph = helper.make_graph(self._emit.nodes, "hybrid", self._inputs, self._outputs, constants)
        opsets = [helper.make_opsetid("", DEFAULT_OPSET), helper.make_opsetid(DOMAIN, OPSET_VERSION)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=10, producer_name="hsnn")
        record = {f"{RECORD_KEY}nir_policy": self._policy.text(), f"{RECORD_KEY}nir_preset": self._policy.name}
        helper.set_model_props(model, record)
        return model

    def _policy_of(self, node: NirNode) -> NirPolicy:
        """The graph's policy, with what a node that hsnn exported does otherwise."""
        return changed_policy(self._policy, node.metadata.get(POLICY_KEY, "")) if self._own else self._policy

    def _add(self, name: str, node: NirNode) -> None:
        if node.kind == "Input":
            self._add_input(name, node)
            return
        shape, value = self._combined(name)
        if node.kind == "Output":
            self._add_output(name, node, shape, value)
            return
        if node.kind in NEURONS:
            self._values[name], self._shapes[name] = self._neuron(name, node, shape, value), shape
        else:
            self._values[name], self._shapes[name] = LAYERS[node.kind](self._emit, Place(name, node, shape, value))
        if math.prod(self._shapes[name]) > ELEMENTS:
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
            value = self._emit.node("Add", [value, self._values[other]], f"{name}/sum", name)
        return shapes.pop(), value

    def _add_input(self, name: str, node: NirNode) -> None:
        shape = values.ints(name, "shape", node.fields["shape"])
        if not shape or min(shape) < 1 or math.prod(shape) > ELEMENTS:
            raise UnsupportedError(
                "HSNN-F082", f"input {name!r} has the shape {shape}", allowed="1 or more in each axis"
            )
        given = self._emit.unique(name)
        dims: list[str | int | None] = ["batch", self._emit.timesteps, *shape]
        self._inputs.append(helper.make_tensor_value_info(given, TensorProto.FLOAT, dims))
        self._values[name] = self._emit.node(
            "TrainEncode",
            [given],
            f"{name}/train",
            name,
            timesteps=self._emit.timesteps,
            values=self._policy_of(node).inputs,
        )
        self._shapes[name] = shape

    def _add_output(self, name: str, node: NirNode, shape: Shape, value: str) -> None:
        stated = node.fields["shape"]
        wanted = None if stated is None else values.ints(name, "shape", stated)
        if wanted and extents(wanted) != extents(shape) and math.prod(wanted) != 1:
            raise UnsupportedError("HSNN-F082", f"output {name!r} gets {shape}, but says {wanted}", allowed=str(wanted))
        made = self._emit.node("TrainDecode", [value], name, name)
        dims: list[str | int | None] = ["batch", self._emit.timesteps, *shape]
        self._outputs.append(helper.make_tensor_value_info(made, TensorProto.FLOAT, dims))

    def _neuron(self, name: str, node: NirNode, shape: Shape, value: str) -> str:
        policy = self._policy_of(node)
        meant = meaning_of(name, node, shape, policy)
        back = feedback_of(self._net, name, shape, meant)
        value = self._emit.scaled(name, value, meant.gain)
        if back is not None and back[1].any():
            value = self._emit.node(
                "Add", [value, self._emit.constant(f"{name}.rec_bias", back[1])], f"{name}/rec", name
            )
        decays = [
            self._emit.constant(f"{name}.current_decay", values.plain(meant.current_decay)),
            self._emit.constant(f"{name}.voltage_decay", values.plain(meant.voltage_decay)),
        ]
        bias = self._emit.constant(f"{name}.bias", values.plain(meant.bias))
        if meant.threshold is None:
            made = self._emit.node("LeakyIntegrator", [value, *decays, bias], f"{name}/v", name, decay_input=0)
            if meant.shift.any():
                made = self._emit.node(
                    "Add", [made, self._emit.constant(f"{name}.v", meant.shift)], f"{name}/shift", name
                )
            return made
        inputs = [value, *decays, self._emit.constant(f"{name}.threshold", values.plain(meant.threshold)), bias]
        kind, prefix = "Lif", "" if back is None else "Recurrent"
        choices: dict[str, str | int] = {"comparison": policy.comparison, "refractory": meant.refractory}
        if meant.most is not None:
            kind, choices = "CountingLif", {"max_spikes": meant.most}
            floor = np.array(NO_FLOOR) if meant.v_min is None else values.plain(meant.v_min)
            inputs.append(self._emit.constant(f"{name}.v_min", floor))
        if back is not None:
            inputs.append(self._emit.constant(f"{name}.recurrent_weight", back[0]))
        made = self._emit.node(
            f"{prefix}{kind}", inputs, f"{name}/spikes", name, reset=meant.reset, decay_input=0, **choices
        )
        if policy.sends == "now" or node.kind == "Threshold":
            return made
        return self._emit.node("Delay", [made], f"{name}/next", name, steps=1)
