"""The hybrid model that is being built from a NIR graph: its operators and constants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import onnx
from onnx import helper, numpy_helper

from hsnn.frontends.nir import values
from hsnn.ir.hybrid import MODULE_KEY
from hsnn.ops import DOMAIN, OPS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[Any]


class Emitter:
    """Collects the operators and constants of a hybrid model.

    Attributes:
        timesteps: Timesteps of a sample.
        dt: Seconds of a timestep.
        nodes: Operators so far, in order.
        constants: Initializers by name.
    """

    def __init__(self, timesteps: int, dt: float) -> None:
        self.timesteps, self.dt = timesteps, dt
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self._used: set[str] = set()

    def node(self, op: str, inputs: list[str], title: str, module: str, **attributes: Any) -> str:
        """Add an operator for the NIR node ``module``; return the name of what it makes."""
        name = self.unique(title)
        node = helper.make_node(op, inputs, [name], name=name, domain=DOMAIN if op in OPS else "", **attributes)
        helper.set_model_props(node, {MODULE_KEY: module})
        self.nodes.append(node)
        return name

    def constant(self, title: str, array: Array) -> str:
        """Add an initializer of any shape, cast to float32 unless it is int64; return its name."""
        name = self.unique(title)
        stored = array if array.dtype == np.int64 else np.asarray(array, np.float32)
        self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(stored), name)
        return name

    def scaled(self, name: str, value: str, factor: Array, *, owner: str = "") -> str:
        """Multiply a value, unless it would stay what it is in float32.

        Args:
            name: Title of the operator.
            value: Name of the value.
            factor: Broadcasts to the value's feature shape; stored as one number where all are equal.
            owner: The NIR node that it is for; ``name`` if empty.

        Returns:
            Name of the product, or ``value``.
        """
        if bool((np.asarray(factor, np.float32) == 1.0).all()):
            return value
        gain = self.constant(f"{name}.gain", values.plain(factor))
        return self.node("Mul", [value, gain], f"{name}/gain", owner or name)

    def merged(self, op: str, name: str, value: str, constants: list[str], options: Mapping[str, Any]) -> str:
        """Add an operator that takes time and batch as one axis."""
        merged = self.node("MergeTime", [value], f"{name}/merge", name)
        made = self.node(op, [merged, *constants], name, name, **options)
        return self.node("SplitTime", [made], f"{name}/split", name, timesteps=self.timesteps)

    def unique(self, title: str) -> str:
        """Return a free name."""
        name, count = title, 0
        while name in self._used:
            count += 1
            name = f"{title}_{count}"
        self._used.add(name)
        return name
