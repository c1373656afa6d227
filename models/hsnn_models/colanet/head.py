"""A CoLaNET classifier: learns features one by one, answers, takes new classes at any time, keeps itself on disk."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from hsnn.errors import UsageError
from hsnn.libraries import named_if_missing
from hsnn_models.colanet.features import Tell
from hsnn_models.colanet.files import write_whole
from hsnn_models.colanet.parameters import Parameters
from hsnn_models.colanet.scaling import Scaling, checked_features
from hsnn_models.colanet.spikes import encode
from hsnn_models.colanet.state import Floats, Integers, State

with named_if_missing():
    import safetensors
    from safetensors import numpy as tensors

Engine = Literal["fast", "reference"]

CHUNK: Final = 250
"""Samples whose spikes are in memory at once."""
_FORMAT: Final = "hsnn colanet 1"


class ColanetHead:
    """A CoLaNET classifier.

    Attributes:
        parameters: All choices.
        scaling: How features become rates.
        seed: Seed of the noise.
        classes: Label of each column, in the order in which they came.
        counts: Number of samples learned of each class, in that order.
        state: What was learned.

    Args:
        parameters: All choices.
        scaling: How features become rates.
        seed: 0 to ``2**32 - 1``.
        classes: Labels to begin with; others are added when they come.
    """

    def __init__(self, parameters: Parameters, scaling: Scaling, *, seed: int = 0, classes: Sequence[int] = ()) -> None:
        self.parameters = parameters
        self.scaling = scaling
        self.seed = seed
        self.classes: tuple[int, ...] = ()
        self.counts: tuple[int, ...] = ()
        self.state = State.new(len(scaling.scale), 0, parameters)
        self.add_classes(classes)

    @property
    def features(self) -> int:
        """Number of features of a sample."""
        return len(self.scaling.scale)

    def add_classes(self, labels: Sequence[int]) -> None:
        """Add a column for each label that is new; all others stay exactly as they are."""
        fresh = [int(label) for label in dict.fromkeys(labels) if int(label) not in self.classes]
        if fresh:
            self.state = self.state.with_columns(len(fresh), self.parameters)
            self.classes += tuple(fresh)
            self.counts += (0,) * len(fresh)

    def learn(
        self,
        features: Floats,
        labels: npt.NDArray[Any],
        *,
        engine: Engine = "fast",
        threads: int = 1,
        progress: Tell | None = None,
    ) -> None:
        """Learn samples in the order given, each once; labels that are new become new classes.

        What is wrong is found before anything is learned.

        Args:
            features: float32, shape ``(sample, feature)``.
            labels: Class numbers, integers of at least 0, shape ``(sample,)``.
            engine: ``"fast"``, or ``"reference"``, which is slow; both do the same to the last bit.
            threads: Copies that learn at the same time; what is learned does not depend on it.
            progress: Told how many samples are done.

        Raises:
            UsageError: ``HSNN-U222``, if a feature is NaN or infinite, ``HSNN-U224``, if a shape or a label is wrong.
        """
        values = checked_features(features, self.features)
        known = _labels(labels, len(values))
        self.add_classes(np.unique(known).tolist())
        columns = self._columns(known)
        for part in _chunks(len(values), progress):
            events = encode(self.scaling(values[part]), self.parameters)
            if engine == "fast":
                _fast().learn(self.state, events, columns[part], self.parameters, self.seed, threads=threads)
            else:
                from hsnn_models.colanet import reference

                reference.learn(self.state, events, columns[part], self.parameters, self.seed)
            came = np.bincount(columns[part], minlength=len(self.classes))
            self.counts = tuple(int(old + new) for old, new in zip(self.counts, came, strict=True))

    def votes(
        self, features: Floats, *, engine: Engine = "fast", threads: int = 1, progress: Tell | None = None
    ) -> Floats:
        """Return what the copies say; nothing is learned.

        A copy has one vote. It goes to the column whose neuron spikes first, or in equal parts to all neurons that do.

        Args:
            features: float32, shape ``(sample, feature)``.
            engine: As in `learn`.
            threads: As in `learn`.
            progress: As in `learn`.

        Returns:
            float32, shape ``(sample, class)``, in the order of ``classes``.

        Raises:
            UsageError: ``HSNN-U222`` or ``HSNN-U224``, as `learn`; ``HSNN-U226``, if there are no classes yet.
        """
        values = checked_features(features, self.features)
        if not self.classes:
            raise UsageError("HSNN-U226", "the head has no classes", fix="let it learn samples first")
        made = [np.zeros((0, len(self.classes)), np.float32)]
        for part in _chunks(len(values), progress):
            events = encode(self.scaling(values[part]), self.parameters)
            if engine == "fast":
                first = _fast().first_spikes(self.state, events, self.parameters, threads=threads)
            else:
                from hsnn_models.colanet import reference

                first = reference.first_spikes(self.state, events, self.parameters)
            won = (first < self.parameters.timesteps).reshape(*first.shape[:2], len(self.classes), -1)
            counts = won.sum(axis=3, dtype=np.float32)
            made.append((counts / np.maximum(counts.sum(axis=2, keepdims=True), np.float32(1))).sum(axis=1))
        return np.concatenate(made)

    def predict(self, features: Floats, *, threads: int = 1, progress: Tell | None = None) -> Integers:
        """Return the label with most votes for each sample, the one that came first among equals.

        Args:
            features: float32, shape ``(sample, feature)``.
            threads: As in `learn`.
            progress: As in `learn`.

        Returns:
            Labels, int64, shape ``(sample,)``.

        Raises:
            UsageError: As `votes`.
        """
        columns = self.votes(features, threads=threads, progress=progress).argmax(axis=1)
        labels: Integers = np.array(self.classes, np.int64)[columns]
        return labels

    def accuracy(self, features: Floats, labels: npt.NDArray[Any], *, threads: int = 1) -> float:
        """Return the share of samples that are classified right, 0 to 1.

        Args:
            features: float32, shape ``(sample, feature)``.
            labels: Integers, shape ``(sample,)``.
            threads: As in `learn`.

        Raises:
            UsageError: As `learn` and `votes`.
        """
        known = _labels(labels, len(features))
        return float((self.predict(features, threads=threads) == known).mean())

    def require_samples(self) -> None:
        """Refuse a head with a class of which it has seen nothing.

        Raises:
            UsageError: ``HSNN-U226``.
        """
        empty = [str(label) for label, count in zip(self.classes, self.counts, strict=True) if not count]
        if empty or not self.classes:
            raise UsageError(
                "HSNN-U226",
                f"no sample of class {', '.join(empty)} was learned" if empty else "the head has no classes",
                allowed="at least one sample of each class",
                fix="let it learn some, or leave the class out",
            )

    def save(self, path: Path | str) -> None:
        """Write a checkpoint, whole or not at all; learning goes on from it exactly as if it had not stopped."""
        about = {
            "format": _FORMAT,
            "parameters": self.parameters.to_json(),
            "seed": self.seed,
            "classes": self.classes,
            "counts": self.counts,
            "seen": self.state.seen,
        }
        arrays = {
            "resources": self.state.resources,
            "stability": self.state.stability,
            "offset": self.scaling.offset,
            "scale": self.scaling.scale,
        }
        write_whole(Path(path), tensors.save(arrays, metadata={"colanet": json.dumps(about)}))

    @classmethod
    def load(cls, path: Path | str) -> ColanetHead:
        """Read a checkpoint.

        Raises:
            UsageError: ``HSNN-U225``, if it is missing, damaged or something else.
        """
        try:
            with safetensors.safe_open(str(path), framework="numpy") as file:
                about = json.loads((file.metadata() or {})["colanet"])
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - the file is no mapping
            return cls._from(about, arrays)
        except (OSError, safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
            raise UsageError(
                "HSNN-U225",
                f"{path} is no checkpoint of a CoLaNET head: {error}",
                allowed=f"what ColanetHead.save wrote, {_FORMAT}",
            ) from error

    @classmethod
    def _from(cls, about: dict[str, Any], arrays: dict[str, Floats]) -> ColanetHead:
        if about["format"] != _FORMAT:
            raise ValueError(f"its format is {about['format']!r}")
        parameters = Parameters.from_json(about["parameters"])
        head = cls(parameters, Scaling(arrays["offset"], arrays["scale"]), seed=int(about["seed"]))
        head.classes = tuple(int(label) for label in about["classes"])
        head.counts = tuple(int(count) for count in about["counts"])
        neurons = len(head.classes) * parameters.microcolumns
        shapes = {"resources": (parameters.copies, neurons, head.features), "stability": (parameters.copies, neurons)}
        for name, shape in shapes.items():
            if arrays[name].shape != shape or arrays[name].dtype != np.float32:
                raise ValueError(f"{name} have shape {arrays[name].shape}, not {shape}")
        head.state = State.of(arrays["resources"], arrays["stability"], int(about["seen"]), parameters)
        return head

    def _columns(self, labels: Integers) -> Integers:
        place = {label: column for column, label in enumerate(self.classes)}
        return np.array([place[label] for label in labels.tolist()], np.int64)


def _labels(labels: npt.NDArray[Any], count: int) -> Integers:
    known = np.asarray(labels)
    whole = known.shape == (count,) and known.dtype.kind in "iu"
    if not whole or (known < 0).any():
        smallest = f", the smallest {known.min()}" if whole else ""
        raise UsageError(
            "HSNN-U224",
            f"labels are {known.dtype} of shape {known.shape}{smallest}",
            allowed=f"one integer of at least 0 for each of {count} samples",
            fix="leave unlabelled samples out, or label them",
        )
    return known.astype(np.int64)


def _chunks(count: int, progress: Tell | None) -> Iterator[slice]:
    for start in range(0, count, CHUNK):
        stop = min(start + CHUNK, count)
        yield slice(start, stop)
        if progress is not None:
            progress(stop, count)


def _fast() -> ModuleType:
    # Numba is loaded when the first sample is learned, not when a head is looked at.
    from hsnn_models.colanet import fast

    return fast
