"""Sparse synapses of any number: sort them by source, and sum them up, in one pass and without copies.

numpy would sort indices and keep several arrays of the size of the synapses; a network of 10**8 takes minutes so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

from hsnn.ir.projections import SparseProjection
from hsnn_targets.emulator.kernel import Kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hsnn_targets.emulator.tables import Int16, Int32, Int64

Element = TypeVar("Element", np.int16, np.int32)
ROW_KERNELS = "hsnn_targets.emulator.row_kernels"
_sort, _sum = Kernel(ROW_KERNELS, "sort_synapses"), Kernel(ROW_KERNELS, "sum_rows")


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
    _sort(*_plain_rows(projection), _plain(pre), _plain(post), starts, targets, weights)
    return table, weights


def signed_row_sums(projection: SparseProjection) -> tuple[Int64, Int64]:
    """Sums of the positive weights of each postsynaptic neuron, and of the negative ones without their sign, int64."""
    up, down = (np.zeros(projection.indptr.size - 1, np.int64) for _ in range(2))
    indptr, _, data = _plain_rows(projection)
    _sum(indptr, data, up, down)
    return up, down


def _plain_rows(projection: SparseProjection) -> tuple[Int32, Int32, Int16]:
    return _plain(projection.indptr), _plain(projection.indices), _plain(projection.data)


def _plain(array: NDArray[Element]) -> NDArray[Element]:
    """One kind of array whatever the caller's is, so that there is one kernel."""
    return np.require(array, requirements=("C", "A"))
