"""Accuracy."""

from __future__ import annotations

import numpy as np
import pytest

from hsnn.runtime.metrics import accuracy
from support.refusals import code_of


def test_accuracy():
    logits = np.array([[0.1, 0.9, 0.3], [2.0, 1.0, 2.0], [0.0, 0.0, 0.0], [-3.0, -2.0, -1.0]], np.float32)
    assert accuracy(logits, np.array([1, 0, 0, 0])) == 0.75
    assert accuracy(logits, np.array([1, 2, 0, 2], np.uint8)) == 0.75
    assert accuracy(logits.astype(np.int32), [2, 1, 1, 1]) == 0.0


@pytest.mark.parametrize(
    ("logits", "labels"),
    [
        (np.zeros((2, 3)), [0, 1, 2]),
        (np.zeros((2, 3)), [0]),
        (np.zeros((2, 3)), [[0], [1]]),
        (np.zeros((2, 3)), [0.0, 1.0]),
        (np.zeros((2, 3)), [True, False]),
        (np.zeros((2, 3)), ["a", "b"]),
        (np.zeros((2, 3)), [0, 3]),
        (np.zeros((2, 3)), [-1, 0]),
        (np.zeros((2,)), [0, 1]),
        (np.zeros((0, 3)), []),
        (np.zeros((2, 3), complex), [0, 1]),
        (np.array([[np.nan, 1.0]]), [0]),
    ],
)
def test_accuracy_of_what_does_not_fit(logits, labels):
    assert code_of(accuracy, logits, labels) == "HSNN-R110"
