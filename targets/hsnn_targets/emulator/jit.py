"""Mark functions for numba, which compiles them when :mod:`hsnn_targets.emulator.kernel_compiler` asks for it.

Kernels release the GIL where they are called, and they allocate nothing, so numba's reference counts are off: on
slices they cost more than the loops. The functions that a kernel calls are inlined, so that its loops vectorize; only
large ones that are called from several places stand alone, or machine code would grow by them every time.
No code is made for calls from Python or C where there are none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """Compile a function that :class:`hsnn_targets.emulator.kernel.Kernel` calls."""
    return _compile(function)


def inner(function: Function) -> Function:
    """Compile a function that only kernels call."""
    return _compile(function, forceinline=True)


def routine(function: Function) -> Function:
    """Compile a function that only kernels call and that is too large to be copied into each caller."""
    return _compile(function)


def thin(function: Function) -> Function:
    """Put a function into the one that calls it before anything is compiled.

    What :func:`inner` marks is typed and translated by itself first: for functions that do little but call others
    that is work for nothing. They have to be called from one place.
    """
    return _compile(function, inline="always")


def _compile(function: Function, **options: bool | str) -> Function:
    decorator = cast("Callable[..., Callable[[Function], Function]]", numba.njit)  # its stubs lack _nrt
    wrappers = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return decorator(nogil=True, error_model="numpy", _nrt=False, **wrappers, **options)(function)
