"""Mark the functions that kernels are made of; they stay what they are, functions of Python.

:mod:`hsnn_targets.emulator.language` says what may be in them, and what becomes of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])
MARK = "part_of_kernels"


def kernel(function: Function) -> Function:
    """Compile a function that :class:`hsnn_targets.emulator.kernel.Kernel` calls."""
    return _mark(function, inlined=True)


def inner(function: Function) -> Function:
    """Compile a function that only kernels call; it is put into each caller, so that loops vectorize."""
    return _mark(function, inlined=True)


def routine(function: Function) -> Function:
    """Compile a function that only kernels call and that is too large to be copied into each caller."""
    return _mark(function, inlined=False)


def _mark(function: Function, *, inlined: bool) -> Function:
    setattr(function, MARK, inlined)
    return function
