"""Cut a batch into blocks of samples, and run them on threads that can be interrupted between blocks."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.populations import received_shape
from hsnn.ir.projections import ConvProjection, Projection, SparseProjection
from hsnn.ir.shape import size

if TYPE_CHECKING:
    from hsnn.target import Progress

BLOCK_SECONDS = 0.05
"""About how long a block takes: short enough for Ctrl-C and progress, long enough to hide its overhead."""
BLOCK_INPUT_BYTES = 16 << 20
"""Input that may be copied for one block, where ports have to be packed together."""
ASSUMED_RATE = 0.1
"""Share of neurons that spike in a timestep, for the estimate of time only."""
NEURON_SECONDS, SYNAPSE_SECONDS, SPARSE_SECONDS = 0.5e-9, 0.03e-9, 1e-9
"""About what updating one neuron, one synaptic event, and one of sparse synapses, take."""
THREAD_PART = 0.02
"""Part of a block that makes another thread worth starting."""


class Block(NamedTuple):
    """Samples ``first .. last - 1`` of a batch."""

    first: int
    last: int


Task: TypeAlias = "Callable[[Block], list[int]]"


def most_samples(network: IntegerNetwork) -> int:
    """Choose how many samples a block has at most."""
    by_time = BLOCK_SECONDS / sample_seconds(network)
    input_bytes = 4 * network.timesteps * sum(size(port.shape) for port in network.inputs)
    return max(1, min(int(by_time), BLOCK_INPUT_BYTES // max(input_bytes, 1)))


def sample_seconds(network: IntegerNetwork) -> float:
    """Predict about how long a sample takes."""
    neurons = sum(size(item.shape) for item in (*network.inputs, *network.populations))
    synapses = sum(projection_seconds(network, projection) for projection in network.projections)
    return network.timesteps * (neurons * NEURON_SECONDS + synapses)


def projection_seconds(network: IntegerNetwork, projection: Projection) -> float:
    """Predict about how long a timestep of synapses takes."""
    if isinstance(projection, SparseProjection):
        return projection.data.size * ASSUMED_RATE * SPARSE_SECONDS
    synapses = projection.weights.size
    if isinstance(projection, ConvProjection):
        synapses = size(received_shape(network.source(projection.post))) * int(projection.weights[0].size)
    return synapses * ASSUMED_RATE * SYNAPSE_SECONDS


def worthwhile_threads(seconds: float, threads: int) -> int:
    """Choose how many threads a run of about so many seconds is worth, of those that it may have."""
    return max(1, min(threads, int(seconds / (THREAD_PART * BLOCK_SECONDS))))


def block_size(most: int, batch: int, threads: int) -> int:
    """Choose how many samples to run at a time: at least 1, and no fewer blocks than threads if possible."""
    return max(1, min(most, -(-batch // threads)))


def cut_batch(batch: int, length: int) -> tuple[Block, ...]:
    """Cut a batch into blocks of ``length`` samples; the last may be shorter.

    >>> cut_batch(5, 2)
    (Block(first=0, last=2), Block(first=2, last=4), Block(first=4, last=5))
    """
    return tuple(Block(first, min(first + length, batch)) for first in range(0, batch, length))


def run_blocks(
    task: Task, blocks: Sequence[Block], *, threads: int, progress: Progress | None
) -> Generator[list[int], None, None]:
    """Run a task on every block and yield what it returns, in the order of completion.

    An exception, ``KeyboardInterrupt`` among them, drops the blocks that have not begun and surfaces as
    soon as those that have are done.
    """
    if threads == 1 or len(blocks) < 2:
        for block in blocks:
            yield task(block)
            if progress is not None:
                progress(block.last - block.first)
        return
    pool = ThreadPoolExecutor(threads, thread_name_prefix="hsnn-emulator")
    try:
        running = {pool.submit(task, block): block for block in blocks}
        for done in as_completed(running):
            yield done.result()
            if progress is not None:
                progress(running[done].last - running[done].first)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
