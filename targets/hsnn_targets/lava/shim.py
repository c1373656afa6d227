"""Let lava-nc 0.10.0 import on Python 3.11 and later, and reshape ports on numpy 2.4 and later.

Its ``lava.magma.compiler.var_model`` gives dataclass fields a ``ByteEncoder()`` as default. Since 3.11
dataclasses refuse defaults that cannot be hashed, and ``ByteEncoder`` compares by value without a hash.
Its instances carry no state that changes, so hashing it by its fields is safe.

Its virtual ports call ``numpy.reshape(..., newshape=...)``, a keyword that numpy 2.4 has removed.

Source: lava-nc 0.10.0 ``magma/compiler/var_model.py`` and ``magma/core/process/ports/ports.py``; CPython
3.11 changelog, bpo-44674; numpy 2.4 release notes, expired deprecations.
"""

from __future__ import annotations

import dataclasses
import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
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


def _mend_reshape(port: Any) -> None:
    """Make a virtual port pass the new shape by position."""
    port.get_transform_func_fwd = lambda self: partial(_reshaped, shape=self.shape)
    port.get_transform_func_bwd = lambda self: partial(_reshaped, shape=self.old_shape)


def _reshaped(data: Any, shape: tuple[int, ...]) -> Any:
    return data.reshape(shape)
