"""What is known about an operator without its meaning: kind, attributes, shapes, values."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["encoder", "neuron", "decoder", "structure"]
ShapeRule: TypeAlias = Literal[
    "add_time", "same", "drop_time", "merge_time", "split_time", "time_first", "batch_first", "half_features"
]
Values: TypeAlias = Literal[
    "binary", "graded", "real", "as_input", "binary_if_floor_lsb", "binary_if_single", "by_values"
]
AttributeValue: TypeAlias = int | float | str
AttributeType: TypeAlias = Literal["int", "float", "string"]
Dim: TypeAlias = int | str | None


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of an operator. A node always stores it, also where it has its default.

    Attributes:
        name: Name in the node.
        type: ``int`` (booleans are 0 or 1), ``float`` or ``string``.
        default: Default of the torch layer, or ``None`` where the user must choose.
        minimum: Smallest number allowed, or ``None``.
        above: Number that the value must exceed, or ``None``.
        maximum: Largest number allowed, or ``None``.
        below: Number that the value must stay under, or ``None``.
        choices: Values allowed, or an empty tuple for any.
    """

    name: str
    type: AttributeType
    default: AttributeValue | None = None
    minimum: float | None = None
    above: float | None = None
    maximum: float | None = None
    below: float | None = None
    choices: tuple[AttributeValue, ...] = ()

    @property
    def allowed(self) -> str:
        """What is allowed, in words."""
        if self.choices:
            return " or ".join(repr(choice) for choice in self.choices)
        kind = {"int": "an integer", "float": "a finite number", "string": "a string"}[self.type]
        bounds = (
            (f"at least {self.minimum:g}" if self.minimum is not None else ""),
            (f"above {self.above:g}" if self.above is not None else ""),
            (f"at most {self.maximum:g}" if self.maximum is not None else ""),
            (f"below {self.below:g}" if self.below is not None else ""),
        )
        return ", ".join(part for part in (kind, *bounds) if part)

    def accepts(self, value: AttributeValue) -> bool:
        """Tell whether a node may carry this value; floats are judged as the float32 that they are stored as.

        >>> Attribute("refractory", "int", 0, minimum=0).accepts(-1)
        False
        >>> Attribute("scale", "float", 1.0, above=0).accepts(1e-50)
        False
        """
        if type(value) is not {"int": int, "float": float, "string": str}[self.type]:
            return False
        if self.choices:
            return value in self.choices
        if isinstance(value, str):
            return True
        number = float32(value) if isinstance(value, float) else value
        return (
            number - number == 0  # neither infinite nor NaN
            and (self.minimum is None or number >= self.minimum)
            and (self.above is None or number > self.above)
            and (self.maximum is None or number <= self.maximum)
            and (self.below is None or number < self.below)
        )


@dataclass(frozen=True, slots=True)
class OpSpec:
    """One operator of the hsnn domain.

    Attributes:
        name: Operator type, such as ``Lif``.
        kind: Family.
        inputs: Names of its inputs; the first carries the data, the others are parameters.
        attributes: Its attributes, all of them stored in every node.
        shape_rule: How the output shape follows from that of the first input.
        values: What the output holds.
        body: Its float meaning: the body of an ONNX function, in ONNX text syntax.
    """

    name: str
    kind: Kind
    inputs: tuple[str, ...]
    attributes: tuple[Attribute, ...]
    shape_rule: ShapeRule
    values: Values
    body: str

    def attribute(self, name: str) -> Attribute:
        """Return the attribute of that name.

        Raises:
            KeyError: If there is none.
        """
        for item in self.attributes:
            if item.name == name:
                return item
        raise KeyError(name)

    def is_binary(self, attributes: Mapping[str, AttributeValue], *, input_binary: bool) -> bool:
        """Tell whether every output value is 0 or 1.

        Args:
            attributes: Those of the node.
            input_binary: Whether its first input is binary; for operators that pass values on.
        """
        if self.values == "as_input":
            return input_binary
        if self.values == "binary_if_floor_lsb":
            return bool(attributes["floor_lsb"])
        if self.values == "binary_if_single":
            return attributes["max_spikes"] == 1
        if self.values == "by_values":
            return attributes["values"] == "binary"
        return self.values == "binary"

    @property
    def least_rank(self) -> int:
        """Number of axes that the first input has at least."""
        return {"add_time": 0, "same": 0, "drop_time": 1, "split_time": 1}.get(self.shape_rule, 2)

    def output_shape(self, shape: tuple[Dim, ...], attributes: Mapping[str, AttributeValue]) -> tuple[Dim, ...]:
        """Shape of the output.

        Args:
            shape: Shape of the first input, of :attr:`least_rank` axes or more: numbers (torch's symbolic ones too),
                names, or ``None``.
            attributes: Those of the node.
        """
        if self.shape_rule == "same":
            return shape
        if self.shape_rule == "half_features":
            first = shape[2] if len(shape) > 2 else None
            half = None if first is None or isinstance(first, str) else first // 2
            return (*shape[:2], half, *shape[3:])
        if self.shape_rule in ("time_first", "batch_first"):
            return (shape[1], shape[0], *shape[2:])
        if self.shape_rule == "drop_time":
            return shape[1:]
        if self.shape_rule == "merge_time":
            return (_product(shape[0], shape[1]), *shape[2:])
        timesteps = int(attributes["planes" if "planes" in attributes else "timesteps"])
        if self.shape_rule == "add_time":
            return (timesteps, *shape)
        return (timesteps, _quotient(shape[0], timesteps), *shape[1:])


def float32(value: float) -> float:
    """Return the nearest single-precision number; infinite beyond its range.

    >>> float32(0.1) == 0.1, float32(1e39)
    (False, inf)
    """
    try:
        return float(struct.unpack("f", struct.pack("f", value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)


FLAG: tuple[AttributeValue, ...] = (0, 1)
MOST_TIMESTEPS = 1 << 20
"""Timesteps that a sample may have, and a delay: beyond any use, and far below where sizes overflow."""
TIMESTEPS = Attribute("timesteps", "int", minimum=1, maximum=MOST_TIMESTEPS)


def _product(timesteps: Dim, batch: Dim) -> Dim:
    if timesteps is None or batch is None:
        return None
    if isinstance(timesteps, str) or isinstance(batch, str):
        return f"{timesteps}*{batch}"
    return timesteps * batch


def _quotient(rows: Dim, timesteps: int) -> Dim:
    if rows is None or isinstance(rows, str):
        prefix = f"{timesteps}*"
        return rows.removeprefix(prefix) if rows is not None and rows.startswith(prefix) else None
    return rows // timesteps
