"""How good outputs are: the share of samples whose class is right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hsnn.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def accuracy(logits: ArrayLike, labels: ArrayLike) -> float:
    """Fraction of samples whose largest logit is that of their label; of equal ones the first counts.

    Args:
        logits: Real, shape ``(batch, class)``.
        labels: Integer, shape ``(batch,)``, 0 to classes - 1.

    Raises:
        UsageError: ``HSNN-R110``, if shapes, dtypes or labels do not fit, or a logit is NaN.

    >>> accuracy([[0.1, 0.9], [0.8, 0.2]], [1, 1])
    0.5
    """
    scores, truth = np.asarray(logits), np.asarray(labels)
    if scores.ndim != 2 or scores.size == 0 or scores.dtype.kind not in "fiu":
        raise UsageError(
            "HSNN-R110",
            f"logits are {scores.dtype} of shape {scores.shape}",
            allowed="numbers of shape (batch, class)",
            fix="give the output of a classifier, before or after its softmax",
        )
    if truth.shape != scores.shape[:1] or truth.dtype.kind not in "iu":
        raise UsageError(
            "HSNN-R110",
            f"labels are {truth.dtype} of shape {truth.shape}",
            allowed=f"integers of shape ({len(scores)},)",
            fix="give one class number a sample, in the order of the samples",
        )
    if int(truth.min()) < 0 or int(truth.max()) >= scores.shape[1]:
        raise UsageError(
            "HSNN-R110",
            f"labels are {truth.min()} to {truth.max()}",
            allowed=f"0 to {scores.shape[1] - 1}",
            fix="number the classes as the model was trained with them",
        )
    if np.isnan(scores).any():
        raise UsageError(
            "HSNN-R110",
            "a logit is NaN",
            allowed="numbers",
            fix="look at the input of that sample, and at divisions in the host part",
        )
    return float(np.mean(scores.argmax(axis=1) == truth))
