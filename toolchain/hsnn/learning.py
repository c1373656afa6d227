"""Learning on a target: samples in order, one after the other, and the network that comes out of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from hsnn.errors import UnsupportedError, UsageError
from hsnn.ir.plastic import learners, needs_learning_engine, plastic_projections

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hsnn.ir.integer import IntegerNetwork
    from hsnn.ir.validate_batch import Inputs
    from hsnn.target import Executable, Progress, SegmentResult

    Int32 = NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """What came of learning.

    Attributes:
        network: The network with what it has learned; it goes on from there exactly, in runs and in lessons.
        result: What the network did on the way, as from ``run``.
    """

    network: IntegerNetwork
    result: SegmentResult


@runtime_checkable
class Learner(Protocol):
    """An executable that can learn."""

    def learn(self, inputs: Inputs, *, trace: bool = False, progress: Progress | None = None) -> Learned:
        """Take samples in order and learn from each; the executable itself stays what it was.

        Args:
            inputs: As for ``run``; label ports hold what is to be learned.
            trace: As for ``run``.
            progress: Told of finished samples.
        """
        ...


def learn(executable: Executable, inputs: Inputs, *, trace: bool = False, progress: Progress | None = None) -> Learned:
    """Learn on a target that can.

    Raises:
        UnsupportedError: ``HSNN-T060``, if it cannot.
    """
    if not isinstance(executable, Learner):
        raise UnsupportedError(
            "HSNN-T060",
            "this target, or this network on it, cannot learn",
            allowed="networks with plastic projections on reference, emulator and loihi2-sim",
            fix="learn on reference, emulator or loihi2-sim",
        )
    return executable.learn(inputs, trace=trace, progress=progress)


def refuse_learning_parts(network: IntegerNetwork, target: str) -> None:
    """Refuse a network that a target without a learning engine would compute wrongly.

    Raises:
        UnsupportedError: ``HSNN-T060``.
    """
    if needs_learning_engine(network):
        names = [*(p.name for p in plastic_projections(network)), *(p.name for p in learners(network))]
        raise UnsupportedError(
            "HSNN-T060",
            f"target {target!r} has no learning engine for {', '.join(map(repr, names))}",
            allowed="reference, emulator, loihi2-sim",
            fix="learn and run it on --target emulator",
        )


def label_train(labels: NDArray[np.integer], classes: int, timesteps: int) -> Int32:
    """Say labels to a label port: class + 1 at the last timestep of each sample.

    Args:
        labels: Classes, 0 to ``classes - 1``, or -1 for a sample without a label; shape ``(sample,)``.
        classes: Number of classes.
        timesteps: Timesteps per sample.

    Returns:
        int32, shape ``(timestep, sample, 1)``.

    Raises:
        UsageError: ``HSNN-U060``, if labels are no whole numbers of that range, or not one a sample.
    """
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise UsageError(
            "HSNN-U060", f"labels are {labels.dtype} of shape {labels.shape}", allowed="whole numbers, one a sample"
        )
    if labels.size and not (labels.min() >= -1 and labels.max() < classes):
        place = int(np.argmax((labels < -1) | (labels >= classes)))
        raise UsageError(
            "HSNN-U060",
            f"label {int(labels[place])} of sample {place} is none of {classes} classes",
            allowed=f"0 to {classes - 1}, or -1 for a sample without a label",
        )
    train = np.zeros((timesteps, labels.size, 1), np.int32)
    train[-1, :, 0] = labels + 1
    return train
