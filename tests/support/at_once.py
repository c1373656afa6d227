"""The same work on several threads at a time."""

from __future__ import annotations

from threading import Thread


def at_once(work, threads):
    """Call ``work`` with 0, 1, ..., each on a thread of its own; returns when all are done."""
    workers = [Thread(target=work, args=(index,)) for index in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
