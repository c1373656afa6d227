"""A neuron that goes onto the chip: its node, its name, what drives it, and its constant parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hsnn.errors import UnsupportedError
from hsnn.ir.hybrid import module_of, scale_text
from hsnn.ir.shape import Shape
from hsnn.ops import OPS
from hsnn.ops.resonators import RESONATE_FIRE
from hsnn.passes.trains.affine import Affine, Term
from hsnn.passes.trains.domains import Domains
from hsnn.passes.trains.linear_ops import LINEAR_OPS
from hsnn.passes.trains.nodes import constant, feature_shape, train_operands, view_of

if TYPE_CHECKING:
    import onnx_ir as ir
    from numpy.typing import NDArray

    Float = NDArray[np.float64]

SCALE_MIN, SCALE_MAX = 2.0**-64, 2.0**64
CONSTANT = "constant"
"""Name of the constant source of a segment."""


@dataclass(frozen=True, slots=True, eq=False)
class ChipNeuron:
    """A neuron that goes onto the chip.

    Attributes:
        node: Its ONNX node.
        name: Name of its population: the torch module where there is one.
        drive: Its input as a function of spike trains.
    """

    node: ir.Node
    name: str
    drive: Affine

    @property
    def value(self) -> str:
        """Name of the value that carries its output."""
        return self.node.outputs[0].name or ""

    @property
    def shape(self) -> Shape:
        """Feature shape of its output: that of its input, of which resonators give back half the channels."""
        first, *rest = self.drive.shape or (1,)
        return (first // 2, *rest) if self.node.op_type.endswith(RESONATE_FIRE.name) else self.drive.shape

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the values that drive it."""
        return tuple(dict.fromkeys(term.source for term in self.drive.terms))


def drive_of(value: ir.Value, domains: Domains, on_chip: frozenset[str]) -> Affine:
    """Express a spike train by its sources.

    Args:
        value: A value of type train.
        domains: Types of all values.
        on_chip: Names of the nodes that are synapses; the search stops at the result of any other.
    """
    node = value.producer()
    train = domains.trains[value.name or ""]
    if node is None or node.name not in on_chip:
        return Affine(feature_shape(value, train), (Term(value.name or ""),))
    operands = {
        position: drive_of(operand, domains, on_chip) for position, operand, _ in train_operands(node, domains.trains)
    }
    return LINEAR_OPS[node.domain, node.op_type](view_of(node, domains.trains, operands))


def fixed_scale(node: ir.Node, name: str) -> float | None:
    """Return the scale that a neuron or encoder fixes for its integers, or None.

    Args:
        node: Its node.
        name: What it is called in an error.

    Returns:
        Units of the integer per unit of the model's value.

    Raises:
        UnsupportedError: ``HSNN-L003``, if it is no number from ``SCALE_MIN`` to ``SCALE_MAX``.
    """
    text = scale_text(node)
    if text is None:
        return None
    try:
        scale = float(text)
    except ValueError:
        scale = 0.0
    if not SCALE_MIN <= scale <= SCALE_MAX:
        raise UnsupportedError(
            "HSNN-L003",
            f"the metadata of {name!r} fixes its scale as {text!r}",
            allowed=f"a number from {SCALE_MIN:g} to {SCALE_MAX:g}",
        )
    return scale


@dataclass(frozen=True, slots=True)
class Parameters:
    """Reads the constant inputs of a neuron's node."""

    neuron: ChipNeuron

    def __call__(self, name: str) -> Float:
        """Return a parameter as float64 of shape () or the feature shape.

        Raises:
            UnsupportedError: ``HSNN-L001`` if it is computed, ``HSNN-L002`` if it has another shape.
        """
        array, shape = self._constant(name), self.neuron.shape
        if array.size == 1:
            return array.reshape(())
        try:
            return np.ascontiguousarray(np.broadcast_to(array, shape))
        except ValueError:
            raise UnsupportedError(
                "HSNN-L002",
                f"{name} of neuron {self.neuron.name!r} has shape {array.shape}",
                allowed=f"a shape that broadcasts to {shape}",
            ) from None

    def matrix(self, name: str, neurons: int) -> Float:
        """Return a parameter that is a matrix ``(neurons, neurons)``.

        Raises:
            UnsupportedError: ``HSNN-L001`` if it is computed, ``HSNN-L002`` if it has another shape.
        """
        array = self._constant(name)
        if array.shape != (neurons, neurons):
            raise UnsupportedError(
                "HSNN-L002",
                f"{name} of neuron {self.neuron.name!r} has shape {array.shape}",
                allowed=f"({neurons}, {neurons})",
            )
        return array

    def _constant(self, name: str) -> Float:
        node = self.neuron.node
        array = constant(node.inputs[OPS[node.op_type].inputs.index(name)])
        if array is None:
            raise UnsupportedError(
                "HSNN-L001",
                f"{name} of neuron {self.neuron.name!r} is computed by the model, not a constant",
                allowed="parameters that are fixed after training",
                fix="store the value as a parameter or buffer, or keep the neuron on the host with --pin",
            )
        return np.asarray(array, np.float64)


def neuron_name(node: ir.Node, taken: set[str]) -> str:
    """Name a population after its torch module, else after its node; ``taken`` gets the name."""
    return unique_name(source_name(node, node.op_type), taken)


def source_name(node: ir.Node | None, otherwise: str) -> str:
    """Name what a node sends after its torch module, else after the node itself."""
    return (node and (module_of(node) or node.name)) or otherwise


def unique_name(wanted: str, taken: set[str]) -> str:
    """Number a name until nothing of the segment has it; ``taken`` gets the result."""
    name, number = wanted, 2
    while name in taken or name == CONSTANT:
        name, number = f"{wanted}.{number}", number + 1
    taken.add(name)
    return name
