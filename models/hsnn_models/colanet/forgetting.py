"""What a head forgets of old classes when new ones come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hsnn_models.colanet.head import ColanetHead
from hsnn_models.colanet.tasks import Samples


@dataclass(frozen=True, slots=True)
class Forgetting:
    """How a head did before and after it learned new classes.

    Attributes:
        before: Share of old classes' samples that was right before.
        after: The same after.
        new: Share of new classes' samples that is right after.
    """

    before: float
    after: float
    new: float

    @property
    def lost(self) -> float:
        """Share of old classes' samples that is right no more, on balance."""
        return self.before - self.after


def add_classes(
    head: ColanetHead, learn: Samples, judge: Samples, new: Sequence[int], *, rehearse: int = 0, threads: int = 1
) -> Forgetting:
    """Let a head learn new classes online, and measure what that does to the old ones.

    Args:
        head: Knows the old classes; it learns.
        learn: Samples of all classes, in the order in which they are learned; old ones are used for rehearsal only.
        judge: Samples of all classes to measure on.
        new: Labels of the new classes.
        rehearse: Samples of each old class that are learned once more among the new ones, evenly spread.
        threads: Copies that learn at the same time.

    Raises:
        UsageError: ``HSNN-U226``, if there is no sample of a new class; others as `ColanetHead.learn`.
    """
    is_new = np.isin(judge.labels, list(new))
    before = head.accuracy(judge.features[~is_new], judge.labels[~is_new], threads=threads)
    chosen = _order(learn.labels, new, rehearse)
    head.add_classes(new)
    head.learn(learn.features[chosen], learn.labels[chosen], threads=threads)
    head.require_samples()
    return Forgetting(
        before,
        head.accuracy(judge.features[~is_new], judge.labels[~is_new], threads=threads),
        head.accuracy(judge.features[is_new], judge.labels[is_new], threads=threads),
    )


def by_class(samples: Samples) -> Samples:
    """Return the samples class after class: the hardest order for whoever learns in a single pass."""
    return samples.part(np.argsort(samples.labels, kind="stable"))


def shuffled(samples: Samples, seed: int) -> Samples:
    """Return the samples in a random order."""
    return samples.part(np.random.default_rng(seed).permutation(len(samples)))


def _order(labels: npt.NDArray[np.int64], new: Sequence[int], rehearse: int) -> npt.NDArray[np.int64]:
    """Return new samples in their order with old ones spread evenly among them."""
    fresh = np.flatnonzero(np.isin(labels, list(new)))
    old = [np.flatnonzero(labels == label)[:rehearse] for label in np.unique(labels) if label not in new]
    # Turn by turn through the old classes.
    again = np.array([index for turn in range(rehearse) for of in old for index in of[turn : turn + 1]], np.int64)
    places = np.concatenate((np.arange(len(fresh)) / max(len(fresh), 1), np.arange(len(again)) / max(len(again), 1)))
    order: npt.NDArray[np.int64] = np.concatenate((fresh, again))[np.argsort(places, kind="stable")]
    return order
