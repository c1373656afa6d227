"""Compile kernels with numba, and keep the machine code on disk where that is possible.

Kernels release the GIL, and they allocate nothing, so numba's reference counts are off: on slices they
cost more than the loops. The functions that a kernel calls are inlined, so that its loops vectorize; only
large ones that are called from several places stand alone, or machine code would grow by them every time.
No code is made for calls from Python or C where there are none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """Compile a function that Python calls; the machine code is kept beside it or in the user's cache."""
    try:
        return _compile(function, cache=True, no_cfunc_wrapper=True)
    except RuntimeError:  # no directory is writable: numba can compile, but has nowhere to keep it
        return _compile(function, no_cfunc_wrapper=True)


def entry_of(function: Callable[..., Any], arguments: tuple[object, ...]) -> Callable[..., None]:
    """Find the machine code of a kernel that was called with arguments of the same types.

    Calling it leaves out what numba does in every call: to look at all arguments for their types, which takes
    longer than many a run. Nothing checks the types any more.
    """
    compiled, type_of = cast("Any", function), cast("Callable[[object], object]", numba.typeof)
    signature = tuple(type_of(argument) for argument in arguments)
    return cast("Callable[..., None]", compiled.overloads[signature].entry_point)


def inner(function: Function) -> Function:
    """Compile a function that only kernels call."""
    return _compile(function, forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)


def routine(function: Function) -> Function:
    """Compile a function that only kernels call and that is too large to be copied into each caller."""
    return _compile(function, no_cpython_wrapper=True, no_cfunc_wrapper=True)


def thin(function: Function) -> Function:
    """Put a function into the one that calls it before anything is compiled.

    What :func:`inner` marks is also compiled by itself, with everything that it calls: for functions that do little
    but call others, all of that once more. They have to be called from one place.
    """
    return _compile(function, inline="always")


def _compile(function: Function, **options: bool | str) -> Function:
    decorator = cast("Callable[..., Callable[[Function], Function]]", numba.njit)  # its stubs lack _nrt
    return decorator(nogil=True, error_model="numpy", _nrt=False, **options)(function)
