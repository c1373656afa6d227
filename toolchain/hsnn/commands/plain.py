"""Results as plain values: what ``--json`` prints."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING

from hsnn.errors import HsnnError, UnsupportedError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from hsnn.program import Json


def plain(value: object) -> Json:
    """Turn a value into what JSON can hold.

    Dataclasses become objects, arrays and other iterables become lists, paths become strings. NaN and
    infinities become null: JSON has none.

    >>> plain({"rate": float("nan"), "shape": (1, 28)})
    {'rate': None, 'shape': [1, 28]}
    """
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    if is_dataclass(value) and not isinstance(value, type):
        return plain_fields(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if hasattr(value, "tolist"):  # numpy scalars and arrays, without importing numpy
        return plain(value.tolist())
    if isinstance(value, Iterable):
        return [plain(item) for item in value]
    return str(value)


def plain_fields(value: DataclassInstance) -> dict[str, Json]:
    """Turn a dataclass into an object; see :func:`plain`."""
    return {field.name: plain(getattr(value, field.name)) for field in fields(value)}


def error_fields(error: HsnnError) -> dict[str, Json]:
    """The ``error`` object of a result: code, what was found, what is allowed, the fix, the exit status.

    An error with several reasons lists each of them under ``reasons``.
    """
    described: dict[str, Json] = {
        "code": error.code,
        "found": error.found,
        "allowed": error.allowed,
        "fix": error.fix,
        "exit_status": error.exit_status,
    }
    reasons = reasons_of(error)
    return {**described, "reasons": [error_fields(reason) for reason in reasons]} if reasons else described


def reasons_of(error: HsnnError) -> tuple[HsnnError, ...]:
    """The reasons that an error joins; empty if it is one itself."""
    return error.reasons if isinstance(error, UnsupportedError) else ()
