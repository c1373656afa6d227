"""Small pieces of the hybrid ONNX model that a ``.net`` file becomes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper

from hsnn.ir.hybrid import MODULE_KEY, SCALE_KEY
from hsnn.ops import DOMAIN

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@dataclass(slots=True)
class Graph:
    """Nodes and constants so far.

    Attributes:
        nodes, constants: In order.
        layer: Name of the layer that is being built; nodes and constants are named after it.
    """

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    layer: str = "input"

    def constant(self, value: ArrayLike, dtype: type[np.generic] = np.float32) -> str:
        """Add a constant.

        Args:
            value: Of any shape, which it keeps.
            dtype: What its numbers are cast to.

        Returns:
            Its name.
        """
        name = f"{self.layer}.constant_{len(self.constants)}"
        self.constants.append(
            onnx.numpy_helper.from_array(np.ascontiguousarray(value, dtype).reshape(np.shape(value)), name)
        )
        return name

    def node(self, op: str, *inputs: str, scale: float | None = None, **attributes: Any) -> str:
        """Add a node of ONNX, or of hsnn where ``op`` starts with its domain, and return the name of its output."""
        domain, _, kind = op.rpartition(".")
        name = f"{self.layer}.{kind.lower()}_{len(self.nodes)}"
        node = onnx.helper.make_node(kind, list(inputs), [f"{name}.out"], name=name, domain=domain, **attributes)
        found = {MODULE_KEY: self.layer} | ({} if scale is None else {SCALE_KEY: repr(scale)})
        for key, value in found.items():
            entry = node.metadata_props.add()
            entry.key, entry.value = key, value
        self.nodes.append(node)
        return str(node.output[0])

    def each_timestep(self, value: str, timesteps: int, op: str, *inputs: str, **attributes: Any) -> str:
        """Apply an operator that knows one batch axis to every timestep of a train."""
        merged = self.node(f"{DOMAIN}.MergeTime", value)
        applied = self.node(op, merged, *inputs, **attributes)
        return self.node(f"{DOMAIN}.SplitTime", applied, timesteps=timesteps)
