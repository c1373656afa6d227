"""What everything that adds LLVM's instructions shares: its types, and how functions that do so are marked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from llvmlite import ir  # type: ignore[import-untyped]

Value: TypeAlias = Any
"""An LLVM value or type; llvmlite has no types to check."""
Builder: TypeAlias = Any

BYTE, INT, LONG, FLAG = ir.IntType(8), ir.IntType(32), ir.IntType(64), ir.IntType(1)
INTRINSIC = "adds_instructions"
CHECKED = "checked"
"""Name of modules whose code looks at every index."""


def intrinsic(function: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a function that adds instructions where a kernel calls it.

    It is called with LLVM's builder and the arguments: integers as LLVM's values of 64 bits, flags of one bit, arrays
    as :class:`~hsnn_targets.emulator.vector_ir.Array`, tuples and None as
    :class:`~hsnn_targets.emulator.language.types.Typed`. It returns None, an integer of 64 bits, a flag, or a value of
    another type as a ``Typed``.
    """
    setattr(function, INTRINSIC, True)
    return function


def declare(builder: Builder, name: str, result: Value, arguments: Sequence[Value]) -> Value:
    """Declare a function of LLVM."""
    found = builder.module.globals.get(name)
    return found or ir.Function(builder.module, ir.FunctionType(result, list(arguments)), name)


def checks(builder: Builder) -> bool:
    """Whether code of this module looks at every index."""
    return bool(builder.module.name == CHECKED)


def declare_trap(builder: Builder) -> Value:
    """Declare what stops the process."""
    return declare(builder, "llvm.trap", ir.VoidType(), [])
