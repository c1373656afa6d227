"""What is said about inputs of a wrong shape: a batch axis only where that is what is missing."""

from __future__ import annotations

import numpy as np
import pytest

from hsnn.errors import UsageError
from hsnn.ir.plan import ModelValue
from hsnn.runtime.inputs import check_inputs


def advice(found, wanted):
    with pytest.raises(UsageError) as caught:
        check_inputs(np.zeros(found, np.float32), (ModelValue("x", wanted, "float32"),))
    assert caught.value.code == "HSNN-R103"
    assert str(found) in caught.value.found
    return caught.value.fix


@pytest.mark.parametrize(
    ("found", "wanted", "axis"),
    [((3, 8, 9), (None, 3, 8, 9), 0), ((4,), (None, 4), 0), ((), (None,), 0), ((5, 4), (5, None, 4), 1)],
)
def test_a_missing_batch_axis_is_named(found, wanted, axis):
    fix = advice(found, wanted)
    assert f"numpy.expand_dims(x, {axis})" in fix
    value = ModelValue("x", wanted, "float32")
    assert check_inputs(np.expand_dims(np.zeros(found, np.float32), axis), (value,))["x"].shape[axis] == 1


@pytest.mark.parametrize(
    ("found", "order"), [((7, 8, 9, 3), (0, 3, 1, 2)), ((3, 8, 9, 7), (3, 0, 1, 2)), ((3, 9, 8, 7), (3, 0, 2, 1))]
)
def test_axes_in_another_order_are_named(found, order):
    assert str(order) in advice(found, (None, 3, 8, 9))
    assert np.transpose(np.zeros(found), order).shape == (7, 3, 8, 9)


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        ((2, 5), (None, 4)),
        ((28, 28), (None, 1, 28, 28)),
        ((2, 4, 1), (None, 4)),
        ((0, 4), (None, 4)),
        ((1, 3, 8, 8), (None, 3, 9, 9)),
        ((3,), (4,)),
    ],
)
def test_no_batch_axis_is_advised_where_none_is_missing(found, wanted):
    assert "batch axis" not in advice(found, wanted)
