"""Run parts on threads that meet after every round, and that can be interrupted between parts."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, BrokenBarrierError
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from hsnn_targets.emulator.kernel import Bound

Part: TypeAlias = "tuple[int, ...]"
"""The first words of a kernel's last argument."""
Tasks: TypeAlias = "deque[tuple[Part, ...]]"
"""What threads take from until nothing is left: parts that one thread runs, in this order."""


def share(kernels: Sequence[Bound], rounds: Sequence[Tasks], words: tuple[int, ...]) -> None:
    """Run all parts on as many threads as there are kernels; no round begins before all parts of the last are done.

    An exception, ``KeyboardInterrupt`` among them, drops the parts that have not begun and surfaces as soon as those
    that have are done. No thread is left then.

    Args:
        kernels: The same kernel, bound for each thread.
        rounds: What to do, round by round; nothing is left in them.
        words: What follows the words of a part.
    """
    meeting = Barrier(len(kernels))

    def work(kernel: Bound) -> None:
        try:
            for tasks in rounds:
                _take(kernel, tasks, words, meeting)
                meeting.wait()
        except BrokenBarrierError:
            return  # another thread has failed, and says why
        except BaseException:
            meeting.abort()
            raise

    pool = ThreadPoolExecutor(max(len(kernels) - 1, 1), thread_name_prefix="hsnn-emulator")
    try:
        others = [pool.submit(work, kernel) for kernel in kernels[1:]]
        work(kernels[0])
    except BaseException:
        meeting.abort()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    for other in others:
        other.result()


def _take(kernel: Bound, tasks: Tasks, words: tuple[int, ...], meeting: Barrier) -> None:
    """Take tasks until none is left, or a thread has failed."""
    while tasks:
        try:
            parts = tasks.popleft()
        except IndexError:  # another thread was faster
            return
        for part in parts:
            if meeting.broken:
                return
            kernel(part, words)
