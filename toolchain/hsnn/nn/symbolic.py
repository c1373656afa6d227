"""What all layers share: arguments checked against the operator table, and the symbol for the exporter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, cast

import torch
from torch import Tensor, nn

from hsnn.errors import UsageError
from hsnn.ops import DOMAIN, OPS, OPSET_VERSION, AttributeValue, OpSpec

_TRACING: ContextVar[bool] = ContextVar("hsnn_tracing", default=False)


@contextmanager
def tracing() -> Iterator[None]:
    """Let every layer emit its symbol instead of computing, in this context."""
    token = _TRACING.set(True)
    try:
        yield
    finally:
        _TRACING.reset(token)


def exporting() -> bool:
    """Tell whether the module is being traced, by :func:`tracing` or by ``torch.onnx.export``."""
    return _TRACING.get() or torch.onnx.is_in_onnx_export()


class OpLayer(nn.Module):
    """A layer that is one operator of the hsnn domain.

    Each attribute of the operator is a field of the layer; an exported node carries the fields as they are then.

    Args:
        op: Name of the operator.
        attributes: All its attributes, checked against the operator table; booleans become 0 or 1.

    Raises:
        UsageError: ``HSNN-U020``, if an attribute has a value that the operator does not allow.
    """

    def __init__(self, op: str, attributes: Mapping[str, AttributeValue | bool]) -> None:
        super().__init__()
        self.op: OpSpec = OPS[op]
        for item in self.op.attributes:
            setattr(self, item.name, checked_attribute(op, item.name, attributes[item.name]))

    @property
    def attributes(self) -> dict[str, AttributeValue]:
        """All attributes of the operator, from the fields of the same names.

        Raises:
            UsageError: ``HSNN-U020``, if one was set to a value that is not allowed.
        """
        names = (item.name for item in self.op.attributes)
        return {name: checked_attribute(self.op.name, name, getattr(self, name)) for name in names}

    def emit(self, inputs: Sequence[Tensor]) -> Tensor:
        """Return the symbol of this layer for the ONNX exporter.

        Args:
            inputs: Inputs of the operator in its order; the first gives the dtype, and its shape that of the symbol.

        Raises:
            UsageError: ``HSNN-U020``, if an attribute was set to a value that is not allowed.
        """
        x = inputs[0]
        attributes: dict[str, Any] = dict(self.attributes)
        shape = self.op.output_shape(cast("tuple[int, ...]", tuple(x.shape)), attributes)
        return torch.onnx.ops.symbolic(
            f"{DOMAIN}::{self.op.name}",
            tuple(inputs),
            attributes,
            dtype=x.dtype,
            shape=cast("tuple[int, ...]", shape),
            version=OPSET_VERSION,
        )

    def decision_margin(self, x: Tensor) -> Tensor | None:
        """How far each output value was from coming out differently.

        Args:
            x: Input, as for ``forward``.

        Returns:
            Distance from the nearest threshold or rounding border, relative to the largest value that is
            compared; shape of the output, infinite where nothing is decided. ``None`` if the layer decides nothing.
        """
        return None

    def extra_repr(self) -> str:
        """Attributes, for ``print(module)``."""
        return ", ".join(f"{name}={value!r}" for name, value in self.attributes.items())


def checked_attribute(op: str, name: str, value: AttributeValue | bool) -> AttributeValue:
    """Return the value as it is stored in a node.

    Raises:
        UsageError: ``HSNN-U020``, if the operator does not allow it.
    """
    attribute = OPS[op].attribute(name)
    stored: AttributeValue = int(value) if isinstance(value, bool) else value
    if attribute.type == "float" and isinstance(stored, int):
        stored = float(stored)
    if not isinstance(stored, int | float | str) or not attribute.accepts(stored):
        raise UsageError("HSNN-U020", f"{name} of {op} is {value!r}", allowed=attribute.allowed)
    return stored


def require_input(layer: OpLayer, x: Tensor, *, at_least: int, axes: str) -> None:
    """Check type and number of axes of what a layer gets.

    Raises:
        UsageError: ``HSNN-U022``, if it is not floating point or has too few axes.
    """
    if not x.is_floating_point():
        raise UsageError(
            "HSNN-U022", f"{layer.op.name} got a tensor of {x.dtype}", allowed="floating point", fix="call x.float()"
        )
    if x.ndim < at_least:
        raise UsageError(
            "HSNN-U022",
            f"{layer.op.name} got a tensor of shape {tuple(x.shape)}",
            allowed=f"{axes}: at least {at_least} axes",
            fix="put an encoder before spiking layers and a decoder behind them",
        )


TRAIN_AXES = "(timestep, batch, *feature)"
SAMPLE_AXES = "(batch, *feature) with at least one feature axis"
