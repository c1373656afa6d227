"""Synapses are laid out for the emulator as numpy would sort, sum and reorder them."""

from __future__ import annotations

import numpy as np
import pytest

from hsnn.ir.projections import SparseProjection
from hsnn.ir.shape import size
from hsnn_targets.emulator.heap import Heap
from hsnn_targets.emulator.pack import channels_last, order_of
from hsnn_targets.emulator.rows import rows_by_source, signed_row_sums


def synapses(seed, pre, post):
    """Random ones: some twice, some rows empty."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 9, post) * (rng.random(post) < 0.7)
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    data = (rng.integers(-128, 128, indptr[-1]) * 2).astype(np.int16)
    return SparseProjection("s", "a", "b", data, rng.integers(0, pre, data.size).astype(np.int32), indptr)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(("pre", "post"), [((40,), (30,)), ((3, 4, 5), (2, 6, 3)), ((1,), (7,)), ((200,), (1,))])
def test_rows_by_source(seed, pre, post):
    projection = synapses(seed, size(pre), size(post))
    sources = order_of(pre).inner[projection.indices]
    targets = np.repeat(order_of(post).inner, np.diff(projection.indptr))
    by_source = np.argsort(sources, kind="stable")
    table, weights = rows_by_source(projection, order_of(pre).inner, order_of(post).inner)
    starts = np.concatenate([[0], np.cumsum(np.bincount(sources, minlength=size(pre)))])
    np.testing.assert_array_equal(table, np.concatenate([starts, targets[by_source]]))
    np.testing.assert_array_equal(weights, projection.data[by_source])


def test_arrays_that_are_not_writable_or_not_contiguous():
    projection = synapses(0, 9, 30)
    spread = np.repeat(projection.indices, 2)[::2]
    fixed = projection.data.copy()
    fixed.flags.writeable = False
    other = SparseProjection("s", "a", "b", fixed, spread, projection.indptr)
    numbers = np.arange(30, dtype=np.int32)
    for ours, theirs in zip(
        rows_by_source(other, numbers[:9], numbers), rows_by_source(projection, numbers[:9], numbers), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    assert projection.indices.flags.writeable


def test_sums_of_signs():
    projection = synapses(3, 20, 50)
    rows = [projection.data[a:b].astype(int) for a, b in zip(projection.indptr, projection.indptr[1:], strict=False)]
    up, down = signed_row_sums(projection)
    assert up.tolist() == [int(row[row > 0].sum()) for row in rows]
    assert down.tolist() == [-int(row[row < 0].sum()) for row in rows]


@pytest.mark.parametrize("pre", [(6,), (2, 3, 4), (5, 1, 1)])
@pytest.mark.parametrize("post", [(7,), (3, 2, 2), (1, 4, 2)])
def test_channels_last(pre, post):
    weights = np.random.default_rng(0).integers(-99, 99, (size(post), size(pre))).astype(np.int16)
    expected = weights[order_of(post).outer][:, order_of(pre).outer]
    np.testing.assert_array_equal(channels_last(weights, pre, post), expected)


@pytest.mark.parametrize("sizes", [(), (0,), (3,), (0, 2, 0, 5), (4, 1, 3)])
def test_a_heap_lays_arrays_end_to_end(sizes):
    parts = [np.arange(10 * place, 10 * place + count, dtype=np.int32) for place, count in enumerate(sizes)]
    heap = Heap(np.int32)
    starts = [heap.add(part) for part in parts]
    flat = heap.flat()
    assert flat.dtype == np.int32
    assert flat.size == sum(sizes)
    for start, part in zip(starts, parts, strict=True):
        np.testing.assert_array_equal(flat[start : start + part.size], part)
