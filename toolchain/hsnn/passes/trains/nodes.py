"""Questions about a node of a hybrid model: its kind, its operands, constants and spike trains among them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from hsnn.ir.shape import Shape
from hsnn.ops import DOMAIN, OPS
from hsnn.passes.trains.affine import Affine
from hsnn.passes.trains.rule import NotLinearError, View

if TYPE_CHECKING:
    import onnx_ir as ir

    from hsnn.ops.spec import Kind


@dataclass(frozen=True, slots=True)
class Train:
    """A value that is a spike train.

    Attributes:
        timesteps: Timesteps per sample.
        merged: Whether time and batch are one axis.
        binary: Whether every element is known to be 0 or 1.
        voltage: Whether these are voltages of read-out neurons, not spikes.
    """

    timesteps: int
    merged: bool = False
    binary: bool = False
    voltage: bool = False

    @property
    def lead(self) -> int:
        """Number of leading axes that are not features."""
        return 1 if self.merged else 2


def feature_shape(value: ir.Value, train: Train) -> Shape:
    """Feature shape of a spike train.

    Raises:
        NotLinearError: If the model does not say it, or it depends on the batch.
    """
    if value.shape is None or len(value.shape) < train.lead:
        raise NotLinearError(f"the shape of {value.name!r} is unknown", mixes_time=True)
    dims = tuple(value.shape)[train.lead :]
    if not all(isinstance(dim, int) for dim in dims):
        raise NotLinearError("it mixes feature axes with time or batch", mixes_time=True)
    return tuple(int(dim) for dim in dims if isinstance(dim, int))


def constant(value: ir.Value | None) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]] | None:
    """Return the array of an initializer or Constant node, or None for anything computed."""
    import onnx_ir as ir

    tensor = None if value is None else ir.convenience.get_const_tensor(value)
    return None if tensor is None else np.asarray(tensor.numpy())


def train_operands(node: ir.Node, trains: Mapping[str, Train]) -> Iterator[tuple[int, ir.Value, Train]]:
    """Position, value and type of each operand that is a spike train."""
    for position, value in enumerate(node.inputs):
        train = None if value is None else trains.get(value.name or "")
        if value is not None and train is not None:
            yield position, value, train


def kind_of(node: ir.Node) -> Kind | None:
    """Kind of an hsnn operator, or None for any other."""
    return OPS[node.op_type].kind if node.domain == DOMAIN and node.op_type in OPS else None


def all_operands(node: ir.Node) -> list[ir.Value | None]:
    """Inputs of a node, with those that its subgraphs take from outside."""
    operands = list(node.inputs)
    for attribute in node.attributes.values():
        if attribute.type.name == "GRAPH":
            inner = attribute.as_graph()
            own = {output for item in inner for output in item.outputs} | set(inner.inputs)
            operands += [value for item in inner for value in all_operands(item) if value not in own]
    return operands


def view_of(node: ir.Node, trains: Mapping[str, Train], affine: Mapping[int, Affine]) -> View:
    """Show a node to its rule, with the given affine operands."""
    lead = next(train.lead for _, _, train in train_operands(node, trains))
    result = replace(next(train for _, _, train in train_operands(node, trains)))
    if node.op_type in ("MergeTime", "SplitTime"):
        result = replace(result, merged=node.op_type == "MergeTime")
    constants = {
        position: array for position, value in enumerate(node.inputs) if (array := constant(value)) is not None
    }
    return View(node, lead, feature_shape(node.outputs[0], result), affine, constants)
