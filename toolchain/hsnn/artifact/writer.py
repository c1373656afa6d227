"""Write an artifact so that it is either whole or not there."""

from __future__ import annotations

import os
import secrets
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path

from hsnn.artifact import layout
from hsnn.errors import ArtifactError, UsageError

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""Time of every zip member: the earliest that the format knows."""
_MODE = 0o100644 << 16


def write_artifact(files: Mapping[str, bytes], path: Path, *, overwrite: bool) -> None:
    """Write files to a temporary sibling, flush them to disk, and rename it.

    Whatever interrupts it, the artifact that was there stays, and nothing else is left behind.

    Args:
        files: Content of each file by its name.
        path: A name that ends in ``.zip``, or that of a folder.
        overwrite: Whether to replace an artifact that is there.

    Raises:
        UsageError: ``HSNN-A002``, if the path is taken by something that may not be replaced.
        ArtifactError: ``HSNN-A003``, if the disk is full or refuses.
    """
    path = Path(os.path.realpath(path))
    zipped = path.suffix.lower() == ".zip"
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        _check_free(path, zipped=zipped, overwrite=overwrite)
        try:
            if zipped:
                _write_zip(files, temporary)
                os.replace(temporary, path)
            else:
                _write_folder(files, temporary)
                _replace_folder(temporary, path)
        finally:
            _remove(temporary)
        _sync_folder(path.parent)
    except OSError as error:
        raise ArtifactError(
            "HSNN-A003",
            f"the artifact {path} cannot be written: {error.strerror or error}",
            fix="choose another folder, or free space on the disk",
        ) from error


def _check_free(path: Path, *, zipped: bool, overwrite: bool) -> None:
    if not os.path.lexists(path):
        return
    if not overwrite:
        raise UsageError("HSNN-A002", f"{path} exists", fix="choose another name, or allow it to be overwritten")
    if zipped and not path.is_file():
        raise UsageError("HSNN-A002", f"{path} is not a file", fix="remove it, or choose another name")
    # A slip of the hand must not delete somebody's folder.
    if not zipped and not _is_artifact(path):
        raise UsageError("HSNN-A002", f"{path} is not an artifact", fix="remove it, or choose another name")


def _is_artifact(path: Path) -> bool:
    """Tell an artifact, maybe a damaged one, or an empty folder from anything else."""
    if not path.is_dir():
        return False
    manifest = path / layout.MANIFEST
    if not manifest.is_file():
        return not any(path.iterdir())
    with open(manifest, "rb") as file:
        return layout.FORMAT.encode() in file.read(layout.MANIFEST_LIMIT)


def _write_zip(files: Mapping[str, bytes], path: Path) -> None:
    """Write a zip file without compression: what deflate gives depends on the version of zlib."""
    with open(path, "xb") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for name, data in files.items():
                info = zipfile.ZipInfo(name, _EPOCH)
                info.create_system = 3
                info.external_attr = _MODE
                archive.writestr(info, data)
        file.flush()
        os.fsync(file.fileno())


def _write_folder(files: Mapping[str, bytes], path: Path) -> None:
    path.mkdir()
    for name, data in files.items():
        target = path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(target, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    for folder in {path / name for name in files}:
        _sync_folder(folder.parent)


def _replace_folder(temporary: Path, path: Path) -> None:
    """Rename a folder over another; the old one comes back if that fails."""
    if not path.exists():
        os.rename(temporary, path)
        return
    old = temporary.with_suffix(".old")
    try:
        os.rename(path, old)
        os.rename(temporary, path)
    finally:
        if path.exists():
            shutil.rmtree(old, ignore_errors=True)
        elif old.exists():
            os.rename(old, path)


def _remove(temporary: Path) -> None:
    """Remove what is left of a write that failed."""
    if temporary.is_dir():
        shutil.rmtree(temporary, ignore_errors=True)
    else:
        temporary.unlink(missing_ok=True)


def _sync_folder(path: Path) -> None:
    """Flush the names in a folder to disk, where the system can."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
