"""Kernels that go through sparse synapses; see ``rows.py``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hsnn_targets.emulator.jit import kernel

if TYPE_CHECKING:
    from hsnn_targets.emulator.tables import Int16, Int32, Int64


@kernel
def sort_synapses(
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
def sum_rows(indptr: Int32, data: Int16, up: Int64, down: Int64) -> None:
    """Sum the weights of each row by their sign."""
    for row in range(up.size):
        for s in range(indptr[row], indptr[row + 1]):
            weight = np.int64(data[s])
            up[row] += max(weight, np.int64(0))
            down[row] += max(-weight, np.int64(0))
