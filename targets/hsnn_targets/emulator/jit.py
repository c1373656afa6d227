"""Compile kernels with numba, and keep the machine code on disk where that is possible."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """Compile a function that Python calls; the machine code is kept beside it or in the user's cache."""
    try:
        return _compile(function, cache=True)
    except RuntimeError:  # no directory is writable: numba can compile, but has nowhere to keep it
        return _compile(function, cache=False)


def inner(function: Function) -> Function:
    """Compile a function that only kernels call."""
    return _compile(function, cache=False)


def _compile(function: Function, *, cache: bool) -> Function:
    decorate = cast("Callable[[Function], Function]", numba.njit(nogil=True, cache=cache, error_model="numpy"))
    return decorate(function)
