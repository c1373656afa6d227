"""Which numbers calibration samples may be."""

from __future__ import annotations

import numpy as np
import pytest

from hsnn.errors import UsageError
from hsnn.samples import examples_of


def test_float64_samples_are_traced_as_float32() -> None:
    (example,) = examples_of(np.ones((3, 4)))
    assert example.dtype == np.float32


def test_whole_numbers_keep_their_type() -> None:
    (example,) = examples_of(np.ones((3, 4), np.int64))
    assert example.dtype == np.int64


@pytest.mark.parametrize("samples", [np.array(["a", "b"]), np.ones((2, 3), np.complex64)])
def test_samples_that_are_no_numbers_are_refused(samples: np.ndarray) -> None:
    with pytest.raises(UsageError) as caught:
        examples_of(samples)
    assert caught.value.code == "HSNN-R102"
