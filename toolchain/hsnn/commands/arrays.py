"""Samples and labels from ``.npz`` and ``.npy`` files: no pickles, and an error that says what is wrong."""

from __future__ import annotations

import lzma
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from hsnn.commands.files import require_file
from hsnn.errors import UsageError

if TYPE_CHECKING:
    from numpy.lib.npyio import NpzFile
    from numpy.typing import NDArray

    Array = NDArray[Any]

UNNAMED = ""
"""Key of the one array of a ``.npy`` file."""

_DAMAGED = (
    ValueError,
    OSError,
    EOFError,
    KeyError,
    RuntimeError,  # an encrypted member, an unknown compression
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    tokenize.TokenError,
)
"""What numpy and zipfile raise for files that are not what their name says."""


def load_arrays(path: str, what: str) -> dict[str, Array]:
    """Read all arrays of a file.

    Args:
        path: A ``.npz`` file, or a ``.npy`` file with one array.
        what: What the file is for, such as ``calibration``, for errors.

    Returns:
        The arrays by name; that of a ``.npy`` file has the name ``""``.

    Raises:
        UsageError: HSNN-U120 if there is no such file, HSNN-U121 if it is not a ``.npz`` or ``.npy`` file or is
            damaged, HSNN-U122 if it holds Python objects, HSNN-U123 if it holds no array.
    """
    require_file(path, what)
    with _readable(path, what), open(path, "rb") as file:
        # Seen by content, not by name: numpy would take anything else for a pickle.
        start = file.read(6)
        if not start.startswith((b"PK\x03\x04", b"PK\x05\x06", b"\x93NUMPY")):
            raise ValueError("it starts like neither")
        file.seek(0)
        opened = np.load(file, allow_pickle=False)
        arrays = dict(_members(opened)) if start.startswith(b"PK") else {UNNAMED: opened}
    if not arrays:
        raise UsageError("HSNN-U123", f"the {what} file {path!r} holds no array", fix=_how_to_save("x"))
    return arrays


def select_inputs(
    arrays: Mapping[str, Array], names: Sequence[str], *, path: str, what: str, ignore: Iterable[str] = ()
) -> dict[str, Array]:
    """Choose the array of each model input.

    A model with one input takes the only array there is, whatever its name.

    Args:
        arrays: Arrays of one file.
        names: Inputs of the model.
        path: The file, for errors.
        what: What the file is for, for errors.
        ignore: Names of arrays that are no inputs, such as labels.

    Returns:
        One array for each input.

    Raises:
        UsageError: HSNN-U124 if an input has no array.
    """
    left = [name for name in arrays if name not in set(ignore)]
    if all(name in left for name in names):
        chosen = {name: arrays[name] for name in names}
    elif len(names) == 1 and len(left) == 1:
        chosen = {names[0]: arrays[left[0]]}
    else:
        raise UsageError(
            "HSNN-U124",
            f"the {what} file {path!r} has the arrays {_listed(left)}, the model has the inputs {_listed(names)}",
            allowed="one array for each input, of the same name" + (", or a single array" if len(names) == 1 else ""),
            fix=_how_to_save(*names),
        )
    return chosen


def select_labels(arrays: Mapping[str, Array], key: str | None, *, path: str, samples: int, classes: int) -> Array:
    """Choose the labels of a file.

    Args:
        arrays: Arrays of the file.
        key: Name of the labels, or None for the only array.
        path: The file, for errors.
        samples: Number of samples that they label.
        classes: Number of classes of the model.

    Returns:
        Integers, shape ``(sample,)``.

    Raises:
        UsageError: HSNN-U126 if there is no such array, HSNN-U127 if it does not hold class numbers, HSNN-U125 if
            it has another length.
    """
    if key is None and len(arrays) > 1:
        found = f"the label file {path!r} has several arrays: {_listed(arrays)}"
        raise UsageError("HSNN-U126", found, fix="name the one to use with --label-key")
    if key is not None and key not in arrays:
        raise UsageError(
            "HSNN-U126",
            f"{path!r} has no array {key!r}",
            allowed=_listed(arrays),
            fix="name one of them with --label-key",
        )
    labels = arrays[key] if key is not None else next(iter(arrays.values()))
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise UsageError(
            "HSNN-U127",
            f"the labels in {path!r} are {labels.dtype} of shape {labels.shape}",
            allowed="class numbers: integers of shape (sample,)",
            fix="save class numbers; of one-hot labels, labels.argmax(1)",
        )
    if len(labels) != samples:
        found = f"{path!r} has {len(labels)} labels for {samples} samples"
        raise UsageError(
            "HSNN-U125",
            found,
            allowed="one label a sample",
            fix="save samples and labels together, from the same split",
        )
    if labels.size and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise UsageError(
            "HSNN-U127",
            f"the labels in {path!r} are {labels.min()} to {labels.max()}",
            allowed=f"0 to {classes - 1}, the classes of the model",
            fix="number the classes as the model was trained with them",
        )
    return labels


def write_arrays(file: IO[bytes], arrays: Mapping[str, Array]) -> None:
    """Write arrays as an ``.npz``; unlike ``numpy.savez`` under any name, ``file`` included.

    Args:
        file: Where to; open for bytes.
        arrays: Arrays of any shape, by name; not of objects.
    """
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)


def _members(opened: NpzFile) -> Iterator[tuple[str, Array]]:
    for name in opened.files:
        array = opened[name]
        if not isinstance(array, np.ndarray):
            raise ValueError(f"its member {name!r} is not an array")
        yield name, array


@contextmanager
def _readable(path: str, what: str) -> Iterator[None]:
    """Turn what goes wrong inside into coded errors."""
    try:
        yield
    except _DAMAGED as error:
        if "Object arrays" in str(error):
            raise UsageError(
                "HSNN-U122",
                f"the {what} file {path!r} holds Python objects",
                allowed="arrays of numbers; objects could run code when they are read",
                fix="save numbers: numpy.savez(path, x=numpy.asarray(samples, numpy.float32))",
            ) from error
        raise UsageError(
            "HSNN-U121",
            f"the {what} file {path!r} is not a readable .npz or .npy file: {error}",
            fix="check its rights" if isinstance(error, PermissionError) else _how_to_save("x"),
        ) from error


def _how_to_save(*names: str) -> str:
    return f"make it with numpy.savez(path, {', '.join(f'{name}=...' for name in names)}), one row a sample"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(name or "(unnamed)" for name in names) or "none"
