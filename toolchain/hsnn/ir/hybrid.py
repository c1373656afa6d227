"""HybridModel: the whole network as one ONNX model, ANN and spiking operators together.

ANN operators are plain ONNX, spiking ones are nodes of the domain ``hsnn``. The model carries the functions
of the hsnn operators that it uses, so stock ONNX Runtime runs it as the float reference. Every node has a name,
and the path of its torch module, where there is one, in its metadata under :data:`MODULE_KEY`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from hsnn.errors import UnsupportedError, UsageError
from hsnn.ir.plan import ModelValue

if TYPE_CHECKING:
    import onnx
    import onnx_ir
    from google.protobuf.message import Message  # type: ignore[import-untyped]  # protobuf ships no types

MODULE_KEY = "hsnn.module"
"""Key of a node's metadata that holds the path of the torch module it comes from, such as ``block1.conv``."""
SCALE_KEY = "hsnn.scale"
"""Key of a neuron's metadata that fixes its integers: integer voltage units per unit of the model's voltage. Who writes
it knows that weights, biases, decays and threshold are integers at that scale; the quantizer holds the model to it."""


RECORD_KEY = "hsnn.import."
"""Prefix of keys of a model's metadata that say how a front end understood what it read."""


RECORD_KEY = "hsnn.import."
"""Prefix of keys of a model's metadata that say how a front end understood what it read."""


@dataclass(frozen=True, slots=True, eq=False)
class HybridModel:
    """A hybrid model that has been checked.

    Attributes:
        proto: The model; to be read only, take :meth:`to_ir` to change it.
        inputs: Its inputs, batch axis first.
        outputs: Its outputs, batch axis first.
        shapes: Shape of every value of the main graph; ``None`` where an axis depends on the batch.
    """

    proto: onnx.ModelProto
    inputs: tuple[ModelValue, ...]
    outputs: tuple[ModelValue, ...]
    shapes: Mapping[str, tuple[int | None, ...]]

    def to_ir(self) -> onnx_ir.Model:
        """Return a copy for passes to work on, functions and shapes included."""
        import onnx_ir

        return onnx_ir.from_proto(_copy(self.proto))

    def record(self) -> dict[str, str]:
        """What a front end recorded about how it understood a model from elsewhere."""
        found = {item.key: item.value for item in self.proto.metadata_props if item.key.startswith(RECORD_KEY)}
        return {key.removeprefix(RECORD_KEY): str(value) for key, value in sorted(found.items())}

    def to_bytes(self) -> bytes:
        """Return the serialized ONNX model; equal models give equal bytes."""
        return bytes(self.proto.SerializeToString(deterministic=True))


def wrap(proto: onnx.ModelProto) -> HybridModel:
    """Return the model with what passes need to know about its values.

    Args:
        proto: A model whose values all have shapes. It is not copied.
    """
    graph = proto.graph
    initializers = {item.name: tuple(item.dims) for item in graph.initializer}
    inputs = tuple(_model_value(item) for item in graph.input if item.name not in initializers)
    outputs = tuple(_model_value(item) for item in graph.output)
    shapes: dict[str, tuple[int | None, ...]] = dict(initializers)
    shapes.update((item.name, value_shape(item)) for item in graph.value_info)
    shapes.update((item.name, item.shape) for item in (*inputs, *outputs))
    return HybridModel(proto, inputs, outputs, MappingProxyType(shapes))


def read_model(path: str | Path) -> onnx.ModelProto:
    """Read an ONNX file.

    Raises:
        UsageError: ``HSNN-F020``, if the file is missing or no ONNX model.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(str(path))
    except (OSError, DecodeError, ValueError, onnx.checker.ValidationError) as error:  # ValueError: bad external data
        raise UsageError(
            "HSNN-F020",
            f"{str(path)!r} cannot be read as an ONNX model: {error}",
            allowed="a binary .onnx file, its external data beside it",
            fix="check the path; external data has to lie beside the file",
        ) from error
    if not model.ByteSize() or not model.HasField("graph"):
        raise UsageError(
            "HSNN-F020",
            f"{str(path)!r} holds no ONNX graph",
            allowed="a binary .onnx file",
            fix="name a file that an exporter of ONNX wrote",
        )
    _require_text(model, str(path))
    return model


def _require_text(message: Message, path: str) -> None:
    """Refuse texts that are no UTF-8: they come as bytes, which nobody expects where a name is."""
    for field, value in message.ListFields():
        if field.type == field.TYPE_STRING:
            if any(isinstance(item, bytes) for item in (value if field.is_repeated else (value,))):
                raise UsageError(
                    "HSNN-F020",
                    f"{path!r} has a name that is no text: {field.name}",
                    allowed="UTF-8",
                    fix="export it again",
                )
        elif field.type == field.TYPE_MESSAGE:
            for item in value if field.is_repeated else (value,):
                _require_text(item, path)


def module_of(node: onnx_ir.Node | onnx.NodeProto) -> str:
    """Return the path of the torch module that a node comes from, or an empty string."""
    properties = node.metadata_props
    if isinstance(properties, Mapping):
        return str(properties.get(MODULE_KEY, ""))
    return next((str(item.value) for item in properties if item.key == MODULE_KEY), "")


def scale_text(node: onnx_ir.Node) -> str | None:
    """Return what a neuron says of its scale under :data:`SCALE_KEY`, or None."""
    found = node.metadata_props.get(SCALE_KEY)
    return None if found is None else str(found)


def value_shape(info: onnx.ValueInfoProto) -> tuple[int | None, ...]:
    """Return the shape in a value's type; ``None`` where it is not a number."""
    dims = info.type.tensor_type.shape.dim
    return tuple(int(dim.dim_value) if dim.HasField("dim_value") else None for dim in dims)


def _model_value(info: onnx.ValueInfoProto) -> ModelValue:
    import onnx

    try:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(info.type.tensor_type.elem_type)
    except KeyError as error:
        raise UnsupportedError(
            "HSNN-F021", f"value {info.name!r} has an unknown type of elements", fix="export it again"
        ) from error
    return ModelValue(info.name, value_shape(info), str(dtype))


def _copy(proto: onnx.ModelProto) -> onnx.ModelProto:
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    return copy
