"""What a head learns and what it is judged on: features with labels, in parts that share no sample."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from hsnn.errors import UsageError
from hsnn_models import data
from hsnn_models.colanet.features import Encoder, default_cache, extract, finite_features

TRAIN: Final = 10_000
TEST: Final = 2_000
VALIDATION: Final = 0.2
"""Share of the training samples that choices are made on, and that nothing is learned from until they are made."""


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Features with labels.

    Attributes:
        features: float32, shape ``(sample, feature)``.
        labels: int64, shape ``(sample,)``.
    """

    features: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def part(self, index: npt.NDArray[np.int64] | npt.NDArray[np.bool_] | slice) -> Samples:
        """Return the samples of some rows: their numbers, a mask of shape ``(sample,)``, or a slice, for views."""
        return Samples(self.features[index], self.labels[index])


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """Training and test samples.

    Attributes:
        name: What they are of.
        train: Samples to learn from.
        test: Samples that are seen once, for the figures that are reported.
    """

    name: str
    train: Samples
    test: Samples

    def validation(self) -> tuple[Samples, Samples]:
        """Return the training samples in two parts: to learn from, and to make choices on."""
        stop = len(self.train) - int(len(self.train) * VALIDATION)
        return self.train.part(slice(0, stop)), self.train.part(slice(stop, None))


def load(
    name: str, *, train: int = TRAIN, test: int = TEST, root: Path | None = None, console: Console, threads: int = 2
) -> Task:
    """Load a task.

    Args:
        name: ``fashion``: Fashion-MNIST through EfficientNet-Lite0, features kept on disk; ``digits``: pixels of
            scikit-learn's digits, for tests; or the path of an ``.npz`` file with ``train_features``,
            ``train_labels``, ``test_features`` and ``test_labels``.
        train: At most so many training samples.
        test: At most so many test samples.
        root: Folder of Fashion-MNIST.
        console: Where progress is shown.
        threads: Threads of ONNX Runtime.

    Raises:
        UsageError: ``HSNN-U224`` for a file that is no such task, and those of :mod:`hsnn_models.data` and
            :mod:`hsnn_models.colanet.features`.
    """
    if name == "fashion":
        return _fashion(train, test, root, console, threads)
    if name == "digits":
        parts = data.digits("train").first(train), data.digits("test").first(test)
        return Task(name, *(Samples(part.images.reshape(len(part), -1), part.labels) for part in parts))
    return _file(Path(name), train, test)


def bar(console: Console) -> Progress:
    """Return a progress bar that vanishes, and is not there where no terminal is."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def features_of(
    encoder: Encoder, images: npt.NDArray[np.float32], title: str, *, console: Console, cache: Path | None, threads: int
) -> npt.NDArray[np.float32]:
    """Return the features of images, with a progress bar; see `hsnn_models.colanet.features.extract`."""
    with bar(console) as progress:
        line = progress.add_task(title, total=len(images))
        return extract(
            encoder,
            images,
            cache=cache,
            threads=threads,
            progress=lambda done, total: progress.update(line, completed=done, total=total),
        )


def _fashion(train: int, test: int, root: Path | None, console: Console, threads: int) -> Task:
    from hsnn_models.colanet.efficientnet import efficientnet_features

    parts = data.fashion("train", root=root).first(train), data.fashion("test", root=root).first(test)
    cache = default_cache()
    encoder = Encoder.from_torch(efficientnet_features(), parts[0].images[:2], cache=cache)
    samples = []
    for title, part in zip(("features of training images", "features of test images"), parts, strict=True):
        found = features_of(encoder, part.images, title, console=console, cache=cache, threads=threads)
        samples.append(Samples(found, part.labels))
    return Task("Fashion-MNIST through EfficientNet-Lite0", *samples)


def _file(path: Path, train: int, test: int) -> Task:
    names = ("train_features", "train_labels", "test_features", "test_labels")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = [file[name] for name in names]
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(
            "HSNN-U224",
            f"{path} is no file of features: {error}",
            allowed=f".npz with {', '.join(names)}",
            fix="write it with numpy.savez, with train_features, train_labels, test_features and test_labels",
        ) from error
    for features in arrays[::2]:
        finite_features(features)
    parts = [
        Samples(features[:count].astype(np.float32), labels[:count].astype(np.int64))
        for features, labels, count in ((*arrays[:2], train), (*arrays[2:], test))
    ]
    return Task(path.name, *parts)
