"""The structure of an ONNX model: nodes, tensors and names, found in its bytes.

Field numbers and types are those of ``onnx/onnx.proto`` (onnx 1.17). Fields that are not asked for are passed over, as
every reader of protocol buffers does. A field that may stand once and is asked for must not stand twice: readers that
merge the two and readers that take one of them would see different models.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hsnn.artifact.wire import Field, read_fields

DEPTH_MAX = 100
"""Messages inside one another, as protobuf's own readers allow."""
EXTERNAL = 1
"""``TensorProto.DataLocation``: the data are in another file."""

_PARTS: Mapping[str, Mapping[int, str]] = {
    "Model": {7: "Graph", 8: "OperatorSet", 20: "Training", 25: "Function"},
    "Training": {1: "Graph", 2: "Graph"},
    "Graph": {1: "Node", 5: "Tensor", 11: "Value", 12: "Value", 15: "SparseTensor"},
    "Function": {7: "Node", 11: "Attribute"},
    "Node": {5: "Attribute"},
    "Attribute": {5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 22: "SparseTensor", 23: "SparseTensor"},
    "SparseTensor": {1: "Tensor", 2: "Tensor"},
    "Tensor": {13: "Entry"},
}
"""By type of a message: the fields that are messages, and their types."""
_ONCE: Mapping[str, tuple[int, ...]] = {
    "Model": (7,),
    "Training": (1, 2),
    "Node": (3, 4, 7),
    "Attribute": (5, 6, 22),
    "SparseTensor": (1, 2),
    "Tensor": (8, 14),
    "Value": (1,),
    "Entry": (1, 2),
}
"""By type of a message: fields that are asked for and stand once."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message of the model, and everything inside it.

    Attributes:
        kind: Its type: ``Model``, ``Graph``, ``Node`` ...
        fields: Its values by field number.
        parts: The messages in it, by field number.
    """

    kind: str
    fields: Mapping[int, list[Field]]
    parts: Mapping[int, tuple[Message, ...]]

    def text(self, number: int) -> str:
        """Return a string; empty if it is not there."""
        for value in self.fields.get(number, ()):
            if isinstance(value, memoryview):
                return str(value, "utf-8", "replace")
        return ""

    def number(self, number: int) -> int:
        """Return an integer of 32 bits; 0 if it is not there."""
        return next((value & 0xFFFFFFFF for value in self.fields.get(number, ()) if isinstance(value, int)), 0)

    def inside(self, kind: str) -> Iterator[Message]:
        """All messages of a type in it, however deep, in order."""
        for parts in self.parts.values():
            for part in parts:
                if part.kind == kind:
                    yield part
                yield from part.inside(kind)


def read_structure(data: bytes) -> Message:
    """Read a model.

    Raises:
        ValueError: If the bytes are no model; the text says where they end to be one.
    """
    return _read(memoryview(data), "Model", 0)


def _read(data: memoryview, kind: str, depth: int) -> Message:
    if depth > DEPTH_MAX:
        raise ValueError(f"more than {DEPTH_MAX} messages inside one another")
    fields = read_fields(data)
    for number in _ONCE.get(kind, ()):
        if len(fields.get(number, ())) > 1:
            raise ValueError(f"field {number} of a {kind} stands twice")
    parts: dict[int, tuple[Message, ...]] = {}
    for number, inner in _PARTS.get(kind, {}).items():
        values = fields.get(number, [])
        found = [_read(value, inner, depth + 1) for value in values if isinstance(value, memoryview)]
        if len(found) < len(values):
            raise ValueError(f"field {number} of a {kind} is a number")
        parts[number] = tuple(found)
    return Message(kind, fields, parts)
