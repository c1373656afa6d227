"""Folders of labelled pictures: one sub-folder a class, PNG or JPEG files in it."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from rich.console import Console

from hsnn.errors import HsnnError, UsageError

SUFFIXES: Final = (".png", ".jpg", ".jpeg")
CROP: Final = 224 / 256
"""Share of the shorter side that is kept, as EfficientNet was trained."""
MODES: Final = {1: "L", 3: "RGB"}


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """Labelled pictures.

    Attributes:
        images: float32 in [0, 1], shape ``(picture, channel, side, side)``.
        labels: Number of each picture's class in ``classes``, int64, shape ``(picture,)``.
        classes: Names of the sub-folders, sorted.
        paths: Where each picture is.
    """

    images: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    paths: tuple[Path, ...]


def load_folder(
    folder: Path | str, *, side: int = 224, channels: int = 3, classes: tuple[str, ...] | None = None
) -> Pictures:
    """Load all pictures of a folder, in the order of their names.

    Pictures that are not square, or larger than ``side``, are scaled and cropped around their centre as for
    EfficientNet; those of that very size are taken as they are.

    Args:
        folder: Has a sub-folder for each class.
        side: Height and width that pictures get.
        channels: 1 or 3.
        classes: Names of the classes in their order; all sub-folders, sorted, if None.

    Raises:
        UsageError: ``HSNN-U228``, if the folder has no classes, a class has no picture, a picture lies outside of all
            classes, or one cannot be read; ``HSNN-U227``, if Pillow is not installed.
    """
    root = Path(folder)
    names = tuple(sorted(path.name for path in root.iterdir() if path.is_dir())) if root.is_dir() else ()
    names = names if classes is None else classes
    if not names:
        raise _wrong(f"{root} has no sub-folders", "one sub-folder with pictures for each class")
    stray = sorted(path for path in root.iterdir() if path.suffix.lower() in SUFFIXES) if root.is_dir() else []
    if stray:
        raise _wrong(f"{stray[0]} has no label, nor have {len(stray) - 1} others", "pictures in the folders of classes")
    images, labels, paths = [], [], []
    for label, name in enumerate(names):
        found = sorted(path for path in (root / name).glob("*") if path.suffix.lower() in SUFFIXES)
        if not found:
            raise _wrong(f"class {name} has no pictures in {root / name}", f"files {', '.join(SUFFIXES)}")
        images += [load_picture(path, side=side, channels=channels) for path in found]
        labels += [label] * len(found)
        paths += found
    return Pictures(np.stack(images), np.asarray(labels, np.int64), names, tuple(paths))


def load_picture(path: Path | str, *, side: int = 224, channels: int = 3) -> npt.NDArray[np.float32]:
    """Load one picture; see `load_folder`.

    Returns:
        float32 in [0, 1], shape ``(channel, side, side)``.

    Raises:
        UsageError: ``HSNN-U228``, if it cannot be read; ``HSNN-U227``, if Pillow is not installed.
    """
    pillow = _pillow()
    try:
        with pillow.open(path) as opened:
            picture = opened.convert(MODES[channels])
    except (OSError, ValueError, SyntaxError, pillow.DecompressionBombError) as error:
        raise _wrong(f"{path} cannot be read: {error}", "a whole PNG or JPEG file") from error
    if picture.size != (side, side):
        picture = _fitted(picture, side, pillow)
    pixels = np.asarray(picture, np.float32) / np.float32(255.0)
    return pixels[None] if channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _fitted(picture: Any, side: int, pillow: ModuleType) -> Any:
    """Crop the centre and scale it."""
    width, height = picture.size
    kept = min(width, height) * CROP
    left, top = (width - kept) / 2, (height - kept) / 2
    box = (left, top, left + kept, top + kept)
    return picture.resize((side, side), pillow.Resampling.BICUBIC, box=box)


def _wrong(found: str, allowed: str) -> UsageError:
    return UsageError("HSNN-U228", found, allowed=allowed, fix="nothing was learned; mend or remove it and try again")


def _pillow() -> ModuleType:
    try:
        from PIL import Image
    except ImportError as error:
        raise UsageError(
            "HSNN-U227", "reading pictures needs Pillow, which is not installed", fix="pip install 'hsnn[images]'"
        ) from error
    module: ModuleType = Image
    return module


def main(arguments: list[str] | None = None) -> int:
    """Pack a folder of pictures for ``hsnn-compile``; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m hsnn_models.colanet.images",
        description="Pack a folder of labelled pictures into the .npz file that hsnn-compile takes.",
    )
    parser.add_argument("folder", type=Path, help="has one sub-folder of PNG or JPEG files for each class")
    parser.add_argument("output", type=Path, help=".npz file with 'images' and 'labels'")
    parser.add_argument("--side", type=int, default=224, help="height and width in pixels (default: 224)")
    parser.add_argument("--channels", type=int, default=3, choices=tuple(MODES), help="1 for grey (default: 3)")
    options = parser.parse_args(arguments)
    console = Console(stderr=True)
    try:
        found = load_folder(options.folder, side=options.side, channels=options.channels)
    except HsnnError as error:
        console.print(str(error), markup=False, highlight=False, soft_wrap=True)
        return error.exit_status
    with options.output.open("wb") as file:
        np.savez(file, images=found.images, labels=found.labels)
    numbered = ", ".join(f"{label} {name}" for label, name in enumerate(found.classes))
    console.print(f"{len(found.paths)} pictures of the classes {numbered}", markup=False, soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
