"""What intrinsics share: the way from numba's arguments to LLVM's pointers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, cast

import numba.extending
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils
from numba.np import arrayobj

Value: TypeAlias = Any
"""An LLVM value or type; llvmlite has no types to check."""
Builder: TypeAlias = Any

BYTE, INT, LONG, FLAG = ir.IntType(8), ir.IntType(32), ir.IntType(64), ir.IntType(1)

# numba's stubs count the typing context as an argument of the call
intrinsic = cast("Callable[[Callable[..., Any]], Callable[..., Any]]", numba.extending.intrinsic)
_make_array = cast("Callable[[Any], Callable[..., Any]]", arrayobj.make_array)
_insert_function = cast("Callable[..., Any]", cgutils.get_or_insert_function)


def data_of(context: Any, builder: Builder, kind: Any, value: Value) -> Value:
    """Pointer to the first byte of an array argument of type ``kind``."""
    return builder.bitcast(_make_array(kind)(context, builder, value).data, BYTE.as_pointer())


def declare(builder: Builder, name: str, result: Value, arguments: Sequence[Value]) -> Value:
    """Declare a function of LLVM."""
    return _insert_function(builder.module, ir.FunctionType(result, list(arguments)), name)
