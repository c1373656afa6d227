"""Run items through stages in threads of their own, joined by bounded queues.

Items leave in the order in which they came. The first error stops every stage and is raised in the
caller's thread; so does an interrupt there.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")

_POLL = 0.2
"""Seconds between looks for Ctrl-C: on Windows a wait without a limit cannot be interrupted."""


def run_pipeline(
    items: Iterable[T],
    steps: Sequence[Callable[[T], T]],
    *,
    done: Callable[[T], None],
    cancel: Callable[[], None],
    capacity: int = 1,
    grace: float = 10.0,
) -> None:
    """Pass every item through every step.

    Args:
        items: Read in the thread of the first step, as it gets room.
        steps: One thread each.
        done: Called in the caller's thread with each finished item, in order.
        cancel: Called once if anything fails, to make steps return early.
        capacity: Items that may wait before each step.
        grace: Seconds to wait for a step that does not return after ``cancel``; its thread is then
            left behind, and does not keep the process alive.

    Raises:
        BaseException: Whatever a step, ``items`` or ``done`` raised first.
    """
    line: _Line[T] = _Line(len(steps) + 1, capacity)
    threads = [
        threading.Thread(target=_work, args=(line, index, step, items), name=f"hsnn stage {index}", daemon=True)
        for index, step in enumerate(steps)
    ]
    started: list[threading.Thread] = []
    finished = False
    try:
        for thread in threads:
            thread.start()
            started.append(thread)
        for item in line.take(len(steps)):
            done(item)
        if line.failure is not None:
            raise line.failure
        finished = True
    finally:
        line.stop(None)
        try:
            if not finished:
                cancel()
        finally:
            for thread in started:
                thread.join(grace)


def _work(line: _Line[T], index: int, step: Callable[[T], T], items: Iterable[T]) -> None:
    with _Carried(line):
        for item in items if index == 0 else line.take(index):
            if not line.put(index + 1, step(item)):
                return
        line.end(index + 1)


class _Line(Generic[T]):
    """Queues before the stages, and one after the last, under one lock."""

    def __init__(self, queues: int, capacity: int) -> None:
        self.failure: BaseException | None = None
        self._changed = threading.Condition()
        self._queues: list[deque[T]] = [deque() for _ in range(queues)]
        self._ended = [False] * queues
        self._capacity = capacity
        self._stopped = False

    def put(self, index: int, item: T) -> bool:
        """Add an item as soon as there is room; tell whether the line still runs."""
        with self._changed:
            while len(self._queues[index]) >= self._capacity and not self._stopped:
                self._changed.wait(_POLL)
            self._queues[index].append(item)
            self._changed.notify_all()
            return not self._stopped

    def end(self, index: int) -> None:
        """Tell that no item follows."""
        with self._changed:
            self._ended[index] = True
            self._changed.notify_all()

    def take(self, index: int) -> Iterator[T]:
        """Yield items until the last one, or until the line is stopped."""
        queue = self._queues[index]
        while True:
            with self._changed:
                while not queue and not self._ended[index] and not self._stopped:
                    self._changed.wait(_POLL)
                if self._stopped or not queue:
                    return
                item = queue.popleft()
                self._changed.notify_all()
            yield item

    def stop(self, failure: BaseException | None) -> None:
        """Stop every stage; the first call tells why."""
        with self._changed:
            if not self._stopped:
                self._stopped, self.failure = True, failure
            self._changed.notify_all()


class _Carried(Generic[T]):
    """Carries whatever ends a thread to the caller."""

    def __init__(self, line: _Line[T]) -> None:
        self._line = line

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is not None:
            self._line.stop(error)
        return True
