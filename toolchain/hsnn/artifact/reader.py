"""Open an artifact, folder or zip, and read its files without trusting a word of it."""

from __future__ import annotations

import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from hsnn.artifact import layout
from hsnn.artifact.decode import check_file, parse_manifest
from hsnn.artifact.schema import Manifest
from hsnn.errors import ArtifactError

_UNSAFE = "do not use this artifact; get it from where it was built"
_DAMAGED = "the artifact is damaged or was edited; copy or build it again"
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OverflowError,
    struct.error,
)
"""What zipfile raises on a damaged file; RuntimeError is for encrypted members."""

_RATIO_LIMIT = 200
_RATIO_FLOOR = 256 << 20
"""A zip file may unpack to this many bytes whatever its own size."""


class Container(Protocol):
    """Files with names and sizes."""

    @property
    def sizes(self) -> Mapping[str, int]:
        """Size of every file, in bytes, by its name."""
        ...

    def read(self, name: str) -> bytes:
        """Return a file; never more than its size and one byte."""
        ...


def read_artifact(path: Path) -> tuple[Manifest, dict[str, bytes]]:
    """Read an artifact whole and compare every file with the manifest.

    Args:
        path: A folder or a zip file.

    Returns:
        The manifest, and the content of every file that it lists.

    Raises:
        ArtifactError: Naming the file that is missing, unknown, unsafe, too large or wrong.
    """
    with _opened(path) as container:
        sizes = container.sizes
        if layout.MANIFEST not in sizes:
            raise ArtifactError(
                "HSNN-A005",
                f"there is no {layout.MANIFEST}",
                allowed="an artifact of hsnn-compile",
                fix="name the folder or .zip file that hsnn-compile build wrote",
            )
        if sizes[layout.MANIFEST] > layout.MANIFEST_LIMIT:
            raise ArtifactError(
                "HSNN-A011",
                f"{layout.MANIFEST} has {sizes[layout.MANIFEST]} bytes",
                allowed=f"up to {layout.MANIFEST_LIMIT}",
            )
        manifest = parse_manifest(container.read(layout.MANIFEST))
        _compare(manifest, sizes)
        files = {}
        for name, entry in manifest.files.items():
            files[name] = container.read(name)
            check_file(name, files[name], entry)
        return manifest, files


def _compare(manifest: Manifest, sizes: Mapping[str, int]) -> None:
    """Compare names and sizes, before any file is read."""
    missing = sorted(set(manifest.files).difference(sizes))
    if missing:
        raise ArtifactError("HSNN-A009", f"{missing[0]} is missing", fix=_DAMAGED)
    unknown = sorted(set(sizes).difference(manifest.files, {layout.MANIFEST}))
    if unknown:
        raise ArtifactError(
            "HSNN-A009", f"{unknown[0]} is not listed in {layout.MANIFEST}", fix=f"remove it, if {unknown[0]} is yours"
        )
    for name, entry in manifest.files.items():
        if sizes[name] != entry.size:
            raise ArtifactError("HSNN-A010", f"{name} has {sizes[name]} bytes", allowed=str(entry.size), fix=_DAMAGED)


@contextmanager
def _opened(path: Path) -> Iterator[Container]:
    try:
        if path.is_dir():
            yield _Folder(path)
            return
        with open(path, "rb") as file:
            yield _Zip(file)
    except OSError as error:
        raise ArtifactError(
            "HSNN-A005", f"it cannot be read: {error.strerror or error}", fix="check the path and its rights"
        ) from error


@contextmanager
def _zip_errors() -> Iterator[None]:
    try:
        yield
    except _ZIP_ERRORS as error:
        raise ArtifactError(
            "HSNN-A006", f"it is neither a folder nor a sound zip file: {error}", fix=_DAMAGED
        ) from error


class _Folder:
    """An artifact in a folder."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.sizes: dict[str, int] = {}
        self._walk(path, "")

    def _walk(self, folder: Path, prefix: str) -> None:
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda item: item.name):
                name = prefix + entry.name
                layout.check_name(name, "the folder")
                mode = entry.stat(follow_symlinks=False).st_mode
                if stat.S_ISDIR(mode):
                    self._walk(Path(entry.path), f"{name}/")
                elif stat.S_ISREG(mode):
                    self.sizes[name] = entry.stat(follow_symlinks=False).st_size
                else:
                    raise ArtifactError(
                        "HSNN-A007", f"{name} is a link or device", allowed="files and folders", fix=_UNSAFE
                    )
                _check_count(len(self.sizes))

    def read(self, name: str) -> bytes:
        with open(self._path / name, "rb") as file:
            return file.read(self.sizes[name] + 1)


class _Zip:
    """An artifact in a zip file."""

    def __init__(self, file: BinaryIO) -> None:
        self.sizes: dict[str, int] = {}
        with _zip_errors():
            self._archive = zipfile.ZipFile(file)
            for info in self._archive.infolist():
                self._add(info)
        packed, total = os.fstat(file.fileno()).st_size, sum(self.sizes.values())
        if total > max(_RATIO_LIMIT * packed, _RATIO_FLOOR):
            raise ArtifactError(
                "HSNN-A011",
                f"the zip file unpacks from {packed} to {total} bytes",
                allowed=f"up to {_RATIO_LIMIT} times as many",
                fix=_UNSAFE,
            )

    def _add(self, info: zipfile.ZipInfo) -> None:
        name = info.orig_filename
        layout.check_name(name.rstrip("/") if info.is_dir() else name, "the zip file")
        if info.is_dir():
            return
        if name in self.sizes:
            raise ArtifactError("HSNN-A007", f"{name} is in the zip file twice", fix=_UNSAFE)
        if stat.S_ISLNK(info.external_attr >> 16) or info.flag_bits & 1:
            raise ArtifactError("HSNN-A007", f"{name} is a link or encrypted", fix=_UNSAFE)
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ArtifactError(
                "HSNN-A006",
                f"{name} is compressed in another way",
                allowed="stored or deflated",
                fix="pack it again with an ordinary zip, or save it anew",
            )
        self.sizes[name] = info.file_size
        _check_count(len(self.sizes))

    def read(self, name: str) -> bytes:
        # zipfile stops at the size that the directory states, however much is packed behind it.
        with _zip_errors(), self._archive.open(name) as file:
            return file.read(self.sizes[name] + 1)


def _check_count(count: int) -> None:
    if count > layout.COUNT_LIMIT:
        raise ArtifactError("HSNN-A011", f"it has more than {count - 1} files", allowed=f"up to {layout.COUNT_LIMIT}")
