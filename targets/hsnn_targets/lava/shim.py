"""Let lava-nc 0.10.0 import on Python 3.11 and later, and reshape ports on numpy 2.4 and later.

Its ``lava.magma.compiler.var_model`` gives dataclass fields a ``ByteEncoder()`` as default. Since 3.11
dataclasses refuse defaults that cannot be hashed, and ``ByteEncoder`` compares by value without a hash.
Its instances carry no state that changes, so hashing it by its fields is safe.

Its virtual ports call ``numpy.reshape(..., newshape=...)``, a keyword that numpy 2.4 has removed.

Its convolutions import ``scipy.signal`` for one function, and every Lava process imports these. That is half of what a
process takes to start, so it is left to those that convolve.

Source: lava-nc 0.10.0 ``magma/compiler/var_model.py``, ``magma/core/process/ports/ports.py`` and
``proc/conv/utils.py``; CPython 3.11 changelog, bpo-44674; numpy 2.4 release notes, expired deprecations.
"""

from __future__ import annotations

import dataclasses
import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import ModuleType
from typing import Any

NEEDS_HASH = frozenset({"ByteEncoder"})


@contextmanager
def hashable_defaults() -> Iterator[None]:
    """Make ``dataclasses.dataclass`` give the classes in ``NEEDS_HASH`` a hash, for the time of an import."""
    genuine = dataclasses.dataclass

    def dataclass(cls: type | None = None, /, **options: Any) -> Any:
        def decorate(target: type) -> Any:
            own = {"unsafe_hash": True} if target.__name__ in NEEDS_HASH else {}
            return genuine(**{**options, **own})(target)

        return decorate if cls is None else decorate(cls)

    dataclasses.dataclass = dataclass
    try:
        yield
    finally:
        dataclasses.dataclass = genuine


def import_lava() -> None:
    """Import what needs the shims; the rest of Lava then imports and runs as it is.

    Raises:
        ImportError: If lava-nc is not installed or one of its own imports fails.
    """
    if sys.version_info < (3, 11):
        importlib.import_module("lava.magma.compiler.var_model")
    else:
        with hashable_defaults():
            importlib.import_module("lava.magma.compiler.var_model")
    _mend_reshape(importlib.import_module("lava.magma.core.process.ports.ports").ReshapePort)
    with _imported_late("scipy.signal"):
        importlib.import_module("lava.proc.conv.utils")


class _Late(ModuleType):
    """Stands for a module that is imported when something of it is wanted."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(importlib.import_module(self.__name__), name)


@contextmanager
def _imported_late(name: str) -> Iterator[None]:
    """Let what is imported now see a stand-in for a module, unless that has been imported before."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = _Late(name)
    try:
        yield
    finally:
        del sys.modules[name]


def _mend_reshape(port: Any) -> None:
    """Make a virtual port pass the new shape by position."""
    port.get_transform_func_fwd = lambda self: partial(_reshaped, shape=self.shape)
    port.get_transform_func_bwd = lambda self: partial(_reshaped, shape=self.old_shape)


def _reshaped(data: Any, shape: tuple[int, ...]) -> Any:
    return data.reshape(shape)
