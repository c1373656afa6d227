"""Files of a verb: checked before the work starts, written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import IO

from hsnn.artifact.layout import BRIDGE, MANIFEST
from hsnn.errors import HsnnError, UsageError


def require_file(path: str | None, what: str) -> None:
    """Check early that a file that will be needed is there; None is no file.

    Raises:
        UsageError: HSNN-U120.
    """
    if path is None or Path(path).is_file():
        return
    kind = "is a folder" if Path(path).is_dir() else "does not exist"
    raise UsageError("HSNN-U120", f"the {what} file {path!r} {kind}", fix="check the path")


def check_free(path: Path, *, force: bool) -> None:
    """Check, before any work is done, that a result can be written.

    Raises:
        UsageError: HSNN-U134 if something is there and ``force`` is not set, HSNN-U135 if the folder that it
            belongs in is missing or may not be written, HSNN-U137 if it lies inside an artifact.
    """
    folder = path.parent
    for above in Path(os.path.abspath(path)).parents:
        if (above / MANIFEST).is_file() and (above / BRIDGE).is_file():
            # Every file of an artifact is listed and hashed; one more would make it unreadable.
            raise UsageError(
                "HSNN-U137",
                f"{os.fspath(path)!r} is inside the artifact {os.fspath(above)!r}",
                fix="write it beside the artifact",
            )
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        there = folder.exists()
        found = "cannot be written to" if there else "does not exist"
        fix = f"{'change its rights' if there else 'make it'}, or choose another name for the output"
        raise UsageError(
            "HSNN-U135",
            f"{os.fspath(path)!r}: the folder {os.fspath(folder)!r} {found}",
            fix=fix,
        )
    if not force and (path.exists() or path.is_symlink()):
        raise UsageError(
            "HSNN-U134", f"{os.fspath(path)!r} is there already", fix="choose another --output, or add --force"
        )


def write_whole(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file under a temporary name and move it into place when it is complete.

    Args:
        path: The file; one that is there is replaced.
        write: Writes the content into the open file.

    Raises:
        HsnnError: HSNN-U136 if the system refuses, such as on a full disk; nothing is left behind then.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        try:
            with open(part, "xb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise HsnnError(
            "HSNN-U136",
            f"{os.fspath(path)!r} cannot be written: {error.strerror or error}",
            fix="make room, or choose another place with --output",
        ) from error


def same_file(left: Path, right: Path) -> bool:
    """Whether two paths lead to one file that is there."""
    return left.exists() and right.exists() and left.samefile(right)
