"""Sparse synapses of any number: sort them by source, and sum them up, in one pass and without copies.

numpy would sort indices and keep several arrays of the size of the synapses; a network of 10**8 takes minutes so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

from hsnn.ir.integer import SparseProjection
from hsnn_targets.emulator.jit import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hsnn_targets.emulator.tables import Int16, Int32, Int64

Element = TypeVar("Element", np.int16, np.int32)


def rows_by_source(projection: SparseProjection, pre: Int32, post: Int32) -> tuple[Int32, Int16]:
    """Sort synapses by their presynaptic neuron; those of one neuron keep their order.

    Args:
        projection: Valid synapses.
        pre: Number that each presynaptic neuron gets, int32.
        post: Number that each postsynaptic neuron gets, int32.

    Returns:
        A table, int32: where each presynaptic neuron's synapses start, one more for their end, then the
        postsynaptic neuron of each synapse; and the weights, int16.
    """
    table = np.zeros(pre.size + 1 + projection.data.size, np.int32)
    weights = np.empty(projection.data.size, np.int16)
    starts, targets = table[: pre.size + 1], table[pre.size + 1 :]
    _sort(*_frozen_rows(projection), _frozen(pre), _frozen(post), starts, targets, weights)
    return table, weights


def signed_row_sums(projection: SparseProjection) -> tuple[Int64, Int64]:
    """Sums of the positive weights of each postsynaptic neuron, and of the negative ones without their sign, int64."""
    up, down = (np.zeros(projection.indptr.size - 1, np.int64) for _ in range(2))
    indptr, _, data = _frozen_rows(projection)
    _sum(indptr, data, up, down)
    return up, down


def _frozen_rows(projection: SparseProjection) -> tuple[Int32, Int32, Int16]:
    return _frozen(projection.indptr), _frozen(projection.indices), _frozen(projection.data)


def _frozen(array: NDArray[Element]) -> NDArray[Element]:
    """One kind of array whatever the caller's is, so that numba compiles one kernel."""
    view = np.require(array, requirements=("C", "A")).view()
    view.flags.writeable = False
    return view


@kernel
def _sort(
    indptr: Int32, indices: Int32, data: Int16, pre: Int32, post: Int32, starts: Int32, targets: Int32, weights: Int16
) -> None:
    """Sort by counting; ``starts`` is 0 at first, and counts one place further on until the end."""
    for s in range(indices.size):
        starts[pre[indices[s]] + 1] += 1
    for source in range(pre.size):
        starts[source + 1] += starts[source]
    for row in range(post.size):
        target = post[row]
        for s in range(indptr[row], indptr[row + 1]):
            source = pre[indices[s]]
            place = starts[source]
            starts[source] = place + 1
            targets[place] = target
            weights[place] = data[s]
    for source in range(pre.size, 0, -1):
        starts[source] = starts[source - 1]
    starts[0] = 0


@kernel
def _sum(indptr: Int32, data: Int16, up: Int64, down: Int64) -> None:
    """Sum the weights of each row by their sign."""
    for row in range(up.size):
        for s in range(indptr[row], indptr[row + 1]):
            weight = np.int64(data[s])
            up[row] += max(weight, np.int64(0))
            down[row] += max(-weight, np.int64(0))
