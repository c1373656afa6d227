"""Load a chip description: one that a package brings, or a TOML file of the user's.

::

    name = "my-chip"
    description = "What I measured on the board in the lab"

    [limits.neurocores]
    value = 120
    unit = "neurocores"
    source = "probe of 2026-05-01"
    status = "measured"          # or "published" or "assumed"

with one table for every limit of :class:`hsnn.ir.chip.Chip`; with ``base = "loihi2"`` on top, tables for the limits
that differ from those of an installed chip. Packages offer chips through the
entry-point group ``hsnn.chips``; an entry names anything with ``read_text``, such as a file resource.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import fields
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol, cast, get_args

from hsnn.errors import UsageError
from hsnn.ir.chip import Chip, Limit, Status

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

GROUP = "hsnn.chips"
LIMITS = tuple(field.name for field in fields(Chip) if field.name not in ("name", "description"))
MAY_BE_ZERO = ("delay", "refractory", "conv_shared")
LARGEST = 1 << 62


class TextFile(Protocol):
    """What an entry of the group has to offer."""

    def read_text(self, encoding: str) -> str:
        """Return the whole text."""
        ...


def chip_names() -> tuple[str, ...]:
    """Names of all installed chip descriptions, sorted."""
    return tuple(sorted({entry.name for entry in entry_points(group=GROUP)}))


def load_chip(name_or_path: str | os.PathLike[str]) -> Chip:
    """Load a chip description.

    Args:
        name_or_path: Name of an installed one, or path of a ``.toml`` file; a text that ends in
            ``.toml`` or holds a path separator is a path.

    Raises:
        UsageError: ``HSNN-C001``, if there is no such chip; ``HSNN-C002``, if the file cannot be read
            or is not TOML; ``HSNN-C003`` to ``HSNN-C006``, if a key is unknown or missing, or a value
            has the wrong type or is out of range.
    """
    text = os.fspath(name_or_path)
    if not isinstance(name_or_path, str) or text.endswith(".toml") or os.sep in text:
        return parse_chip(_read(Path(text), text), origin=text)
    return parse_chip(_installed(text), origin=f"chip {text!r}")


def _installed(name: str) -> str:
    """Return the text of an installed description."""
    for entry in entry_points(group=GROUP):
        if entry.name == name:
            return _read(entry.load(), f"chip {name!r}")
    raise UsageError(
        "HSNN-C001",
        f"there is no chip {name!r}",
        allowed=", ".join((*chip_names(), "the path of a .toml file")),
        fix="name one of these; docs/chips.md says how to describe another",
    )


def parse_chip(text: str, *, origin: str) -> Chip:
    """Read a chip description.

    Args:
        text: TOML.
        origin: What to call the file in errors.

    Raises:
        UsageError: ``HSNN-C001`` to ``HSNN-C006``; see :func:`load_chip`.
    """
    content = _content(text, origin)
    _check_keys(content, ("name", "description", "limits"), origin)
    limits = _expect(content["limits"], dict, "limits", origin)
    _check_keys(limits, LIMITS, f"{origin}, table limits")
    return Chip(
        name=_text(content["name"], "name", origin),
        description=_text(content["description"], "description", origin),
        **{key: _limit(key, limits[key], origin) for key in LIMITS},
    )


def _content(text: str, origin: str, above: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return what a description says, with the limits of its base where it has none of its own.

    Args:
        text: TOML.
        origin: What to call it in errors.
        above: Names of the descriptions whose base it is.
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(
            "HSNN-C002",
            f"{origin} is not TOML: {error}",
            fix="mend the line; hsnn-compile targets shows a chip, docs/chips.md a whole file",
        ) from error
    if "base" not in content:
        return content
    base = _text(content.pop("base"), "base", origin)
    if base in above:
        raise UsageError("HSNN-C005", f"{origin}: base is {base!r}, whose base it is", allowed="a description without")
    below = _content(_installed(base), f"chip {base!r}", (*above, base))
    own = _expect(content.get("limits", {}), dict, "limits", origin)
    return content | {"limits": {**_expect(below.get("limits", {}), dict, "limits", f"chip {base!r}"), **own}}


def _read(file: TextFile, what: str) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UsageError(
            "HSNN-C001", f"there is no file {what}", fix="check the path of the chip description"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("HSNN-C002", f"{what} cannot be read: {error}", fix="check the path and its rights") from error


def _limit(key: str, table: object, origin: str) -> Limit:
    where = f"{origin}, table limits.{key}"
    content = _expect(table, dict, f"limits.{key}", origin)
    _check_keys(content, ("value", "unit", "source", "status"), where)
    status = _text(content["status"], "status", where)
    if status not in get_args(Status):
        raise UsageError("HSNN-C005", f"{where}: status is {status!r}", allowed=", ".join(get_args(Status)))
    return Limit(
        value=_value(key, content["value"], where),
        unit=_text(content["unit"], "unit", where),
        source=_text(content["source"], "source", where),
        status=cast("Status", status),
    )


def _value(key: str, value: object, where: str) -> int:
    if key == "conv_shared":
        return int(_expect(value, bool, "value", where))
    if isinstance(value, bool) or not isinstance(value, int):
        raise UsageError("HSNN-C005", f"{where}: value is {value!r}", allowed="a whole number")
    lowest = 0 if key in MAY_BE_ZERO else 1
    if not lowest <= value <= LARGEST:
        raise UsageError("HSNN-C006", f"{where}: value is {value}", allowed=f"{lowest} to 2**62")
    return value


def _text(value: object, key: str, where: str) -> str:
    text: str = _expect(value, str, key, where)
    if not text.strip():
        raise UsageError("HSNN-C005", f"{where}: {key} is empty", allowed="some text")
    return text


def _expect(value: object, kind: type[Any], key: str, where: str) -> Any:
    if not isinstance(value, kind):
        names = {dict: "a table", str: "a text", bool: "true or false"}
        raise UsageError("HSNN-C005", f"{where}: {key} is {value!r}", allowed=names[kind])
    return value


def _check_keys(table: Mapping[str, object], allowed: tuple[str, ...], where: str) -> None:
    unknown, missing = sorted(set(table) - set(allowed)), [key for key in allowed if key not in table]
    if unknown:
        raise UsageError(
            "HSNN-C003",
            f"{where} has unknown keys: {', '.join(unknown)}",
            allowed=", ".join(allowed),
            fix="remove them, or correct their spelling",
        )
    if missing:
        raise UsageError(
            "HSNN-C004",
            f"{where} lacks {', '.join(missing)}",
            allowed=", ".join(allowed),
            fix="add them; docs/chips.md has a whole file",
        )
