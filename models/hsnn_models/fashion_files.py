"""The files of Fashion-MNIST: where they are, what they must hold, and how they are read.

Fashion-MNIST is by Zalando SE under the MIT licence (``fashion_license.txt``). Debian has it whole as the package
``dataset-fashion-mnist``; the first 100 calibration and 500 test images are packed here for tests.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from pathlib import Path
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import safetensors
from safetensors.numpy import load as load_safetensors

from hsnn.errors import UsageError

Bytes = npt.NDArray[np.uint8]
Pair = tuple[Bytes, Bytes]

# SHA-256 of the uncompressed contents: the same set is packed by gzip in more than one way.
CONTENTS: Final = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
SUBSET: Final = Path(__file__).with_name("fashion_subset.safetensors")
SUBSET_SHA256: Final = "f11d194319d7e7df86a55f0a02e9b63ed48c201f2cd550e1a8a61f3668a7f362"

_SIDE: Final = 28
_IMAGES_HEADER: Final = 16  # IDX: zero, zero, type, number of axes, then each axis as a big-endian uint32
_LABELS_HEADER: Final = 8
_LOCAL: Final = Path(".data/fashion-mnist")
_DEBIAN: Final = Path("/usr/share/datasets/fashion-mnist")


def find(root: Path | str | None) -> Path:
    """Return the folder that has the four files of Fashion-MNIST.

    Args:
        root: That folder; None looks under ``$HSNN_DATA``, in ``.data/fashion-mnist``, then where Debian puts them.

    Returns:
        The first folder with all four files, whose contents are not read yet.

    Raises:
        UsageError: HSNN-U203 where a file is missing.
    """
    folders = [Path(root)] if root is not None else _default_folders()
    for folder in folders:
        if all(_packed(folder, name).is_file() for name in CONTENTS):
            return folder
    names = ", ".join(f"{name}.gz" for name in CONTENTS)
    raise UsageError(
        "HSNN-U203",
        f"Fashion-MNIST is not in {' nor in '.join(map(str, folders))}",
        allowed=f"a folder with {names}",
        fix="run `make data`, or name a folder that has the four files",
    )


def load(folder: Path, part: Literal["train", "t10k"]) -> Pair:
    """Read one of the two parts of Fashion-MNIST as it was published.

    Args:
        folder: Where the files are.
        part: ``"train"`` (60,000 images) or ``"t10k"`` (10,000).

    Returns:
        Pixels, uint8, shape ``(image, 28, 28)``, and labels, uint8, shape ``(image,)``.

    Raises:
        UsageError: HSNN-U203 if a file cannot be read, HSNN-U204 if its content is another.
    """
    pixels = _content(folder, f"{part}-images-idx3-ubyte")[_IMAGES_HEADER:]
    labels = _content(folder, f"{part}-labels-idx1-ubyte")[_LABELS_HEADER:]
    return pixels.reshape(-1, _SIDE, _SIDE), labels


def load_subset(split: Literal["calibration", "test"], *, path: Path = SUBSET) -> Pair:
    """Read one split of the packed subset.

    Args:
        split: Which of the two.
        path: The packed file.

    Returns:
        Pixels, uint8, shape ``(image, 28, 28)``, and labels, uint8, shape ``(image,)``.

    Raises:
        UsageError: HSNN-U203 if the file cannot be read, HSNN-U204 if its content is another.
    """
    content = _read(path)
    _check(content, SUBSET_SHA256, path)
    try:
        arrays = load_safetensors(content)
    except safetensors.SafetensorError as error:
        raise _damaged(path) from error
    return arrays[f"{split}.pixels"], arrays[f"{split}.labels"]


def _default_folders() -> list[Path]:
    named = os.environ.get("HSNN_DATA")
    return [*([Path(named) / "fashion-mnist"] if named else []), _LOCAL, _DEBIAN]


def _packed(folder: Path, name: str) -> Path:
    return folder / f"{name}.gz"


def _content(folder: Path, name: str) -> Bytes:
    path = _packed(folder, name)
    try:
        content = gzip.decompress(_read(path))
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(path) from error
    _check(content, CONTENTS[name], path)
    return np.frombuffer(content, np.uint8)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError("HSNN-U203", f"cannot read {path}: {error.strerror}", fix="run `make data`") from error


def _check(content: bytes, expected: str, path: Path) -> None:
    if hashlib.sha256(content).hexdigest() != expected:
        raise _damaged(path)


def _damaged(path: Path) -> UsageError:
    return UsageError(
        "HSNN-U204",
        f"{path} is damaged or is another file",
        allowed="the file as published, proven by its SHA-256",
        fix="fetch it again: remove it and run `make data`, or reinstall hsnn if it came with it",
    )
