"""Labelled images for the example models, in fixed splits that never share an image.

=============  ======================  =======  ===============  ==================================
function       source                  train    calibration      test
=============  ======================  =======  ===============  ==================================
digits         scikit-learn's digits   1,200    100              497
fashion        Fashion-MNIST, all      58,000   2,000            10,000, its own test set
fashion_subset Fashion-MNIST, packed   none     first 100 of     first 500 of the test set
               with hsnn_models                 the 2,000
=============  ======================  =======  ===============  ==================================

Training sees the train split only. Calibration images choose ranges when a model is quantized (and tell how far a
training is); test images are for the figures that are reported. Images are float32 in [0, 1] of shape ``(image, 1,
height, width)``, labels int64 of shape ``(image,)``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from hsnn.errors import UsageError
from hsnn_models import fashion_files

Split = Literal["train", "calibration", "test"]

CLASSES: Final = 10
DIGITS_TRAIN: Final = 1200
DIGITS_CALIBRATION: Final = 100
FASHION_CALIBRATION: Final = 2000
FASHION_SUBSET_CALIBRATION: Final = 100
FASHION_SUBSET_TEST: Final = 500


@dataclass(frozen=True, slots=True, eq=False)
class Images:
    """Labelled images.

    Attributes:
        images: float32 in [0, 1], shape ``(image, 1, height, width)``.
        labels: int64 in 0 to 9, shape ``(image,)``.
    """

    images: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, count: int) -> Images:
        """Return the first ``count`` images, or all where there are fewer."""
        return Images(self.images[:count], self.labels[:count])


def digits(split: Split) -> Images:
    """Return one split of scikit-learn's digits: 1,797 images of 8 by 8 pixels.

    The set is the test part of UCI's "Optical Recognition of Handwritten Digits" (BSD-3 in scikit-learn). Its
    thirteen writers are in every split, as is usual with this set.

    Args:
        split: Which of the three.

    Returns:
        The images of that split, pixels divided by 16.

    Raises:
        UsageError: HSNN-U201 for an unknown split, HSNN-U202 if scikit-learn is not installed.
    """
    _known(split)
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise UsageError(
            "HSNN-U202",
            "the digits come with scikit-learn, which is not installed",
            fix="pip install scikit-learn",
        ) from error
    bunch = load_digits()
    images = (np.asarray(bunch.images, np.float32) / np.float32(16.0))[:, None]
    labels = np.asarray(bunch.target, np.int64)
    order = _shuffled(len(labels), salt="digits")
    stop = DIGITS_TRAIN + DIGITS_CALIBRATION
    chosen = {"train": order[:DIGITS_TRAIN], "calibration": order[DIGITS_TRAIN:stop], "test": order[stop:]}[split]
    return Images(images[chosen], labels[chosen])


def fashion(split: Split, *, root: Path | str | None = None) -> Images:
    """Return one split of the full Fashion-MNIST: 70,000 images of 28 by 28 pixels.

    Args:
        split: Which of the three. Calibration images are taken out of the set's own training part.
        root: Folder with the four ``*-ubyte.gz`` files. By default the first that has them of: ``fashion-mnist``
            under the folder that the environment variable ``HSNN_DATA`` names, ``.data/fashion-mnist`` here, and
            where Debian's package ``dataset-fashion-mnist`` puts them.

    Returns:
        The images of that split, pixels divided by 255.

    Raises:
        UsageError: HSNN-U201 for an unknown split, HSNN-U203 if a file is missing, HSNN-U204 if one is not what it
            should be.
    """
    _known(split)
    folder = fashion_files.find(root)
    if split == "test":
        return _scaled(*fashion_files.load(folder, "t10k"))
    pixels, labels = fashion_files.load(folder, "train")
    order = _shuffled(len(labels), salt="fashion")
    chosen = order[:FASHION_CALIBRATION] if split == "calibration" else order[FASHION_CALIBRATION:]
    return _scaled(pixels[chosen], labels[chosen])


def fashion_subset(split: Literal["calibration", "test"]) -> Images:
    """Return the part of Fashion-MNIST that is packed with ``hsnn_models``: enough for tests, not for training.

    Args:
        split: ``"calibration"`` (100 images) or ``"test"`` (500 images), the first of the same split of `fashion`.

    Returns:
        The images of that split, pixels divided by 255.

    Raises:
        UsageError: HSNN-U201 for another split, HSNN-U204 if the packed file is damaged.
    """
    if split not in ("calibration", "test"):
        raise UsageError(
            "HSNN-U201",
            f"the packed subset of Fashion-MNIST has no split {split!r}",
            allowed="calibration, test",
            fix="load the full set with hsnn_models.data.fashion; `make data` fetches it",
        )
    return _scaled(*fashion_files.load_subset(split))


def _known(split: str) -> None:
    if split not in get_args(Split):
        raise UsageError(
            "HSNN-U201", f"there is no split {split!r}", allowed=", ".join(get_args(Split)), fix="choose one of them"
        )


def _shuffled(count: int, *, salt: str) -> npt.NDArray[np.int64]:
    # Ordered by a hash of the index, not by a random generator: those may change between releases, and with them
    # which images a committed set of weights has seen.
    keys = [hashlib.sha256(f"{salt}/{index}".encode()).digest() for index in range(count)]
    return np.array(sorted(range(count), key=keys.__getitem__), np.int64)


def _scaled(pixels: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8]) -> Images:
    return Images((pixels.astype(np.float32) / np.float32(255.0))[:, None], labels.astype(np.int64))
