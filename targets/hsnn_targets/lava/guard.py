"""Leave nothing behind: the worker's side of supervision.

A thread of the worker reads commands, watches the parent and watches the processes that Lava forks. When
the parent is gone, or one of Lava's processes is, it ends the whole process group; Lava itself would wait
for ever. The forked processes ask the kernel to be killed with the worker.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import queue
import select
import shutil
import signal
import sys
import threading
from multiprocessing import shared_memory
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from hsnn_targets.lava.channel import Channel

PR_SET_PDEATHSIG = 1
TICK_SECONDS = 0.2
SHM_DIRECTORY = Path("/dev/shm")


def shm_prefix(token: str) -> str:
    """Prefix of the names of all shared memory of the worker with that token."""
    return f"hsnn_{token}_"


def unlink_shared_memory(token: str) -> None:
    """Remove shared memory that a worker has left."""
    for segment in SHM_DIRECTORY.glob(f"{shm_prefix(token)}*"):
        segment.unlink(missing_ok=True)


def name_shared_memory(token: str) -> None:
    """Let all shared memory of this process and its children carry the worker's token.

    Otherwise nobody could tell whose segments are left after a kill. The two constants have had these names
    and uses from CPython 3.8 to 3.14.
    """
    vars(shared_memory).update(_SHM_NAME_PREFIX=f"/{shm_prefix(token)}", _SHM_SAFE_NAME_LENGTH=len(token) + 16)


def die_with_parent(worker: int) -> None:
    """In a forked process: be killed when the worker ends. Elsewhere than on Linux the group kill has to do."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != worker:
        os._exit(1)


class Guard:
    """Reads commands and watches, from a thread of its own.

    Args:
        channel: The pipes to the parent.
        parent: Process id of the parent.
        token: The worker's token.
    """

    def __init__(self, channel: Channel, *, parent: int, token: str) -> None:
        self.commands: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self.names: dict[int, str] = {}
        """What the forked processes compute, by process id, for messages."""
        self._channel = channel
        self._orphaned = False
        self._parent = parent
        self._token = token
        worker = os.getpid()
        os.register_at_fork(after_in_child=lambda: die_with_parent(worker))
        os.register_at_fork(after_in_child=channel.close)
        self._thread = threading.Thread(target=self._watch, name="guard", daemon=True)

    def start(self) -> None:
        """Begin to read and watch."""
        self._thread.start()

    def wait(self) -> None:
        """Wait for the end: it comes with this process."""
        self._thread.join()

    def _watch(self) -> None:
        """Watch until there is a reason to end; a parent that no longer reads is one, too."""
        try:
            self._wait_for_the_end()
        finally:
            self._end_group()

    def _end_group(self) -> None:
        """End this process and all that Lava has forked, and remove their shared memory.

        Without a parent there is nobody else to remove the worker's directory, its current one. A closed pipe
        is enough of a sign: a dying process closes its pipes before it stops being the parent.
        """
        for child in multiprocessing.active_children():
            child.kill()
        unlink_shared_memory(self._token)
        if self._orphaned:
            shutil.rmtree(Path.cwd(), ignore_errors=True)
        os.killpg(0, signal.SIGKILL)

    def _wait_for_the_end(self) -> None:
        children: set[BaseProcess] = set()
        while True:
            readable, _, _ = select.select([self._channel.source], [], [], TICK_SECONDS)
            self._orphaned = (bool(readable) and not self._read()) or os.getppid() != self._parent
            if self._orphaned:
                return
            children.update(multiprocessing.active_children())
            ended = [child for child in children if not _alive(child)]
            if ended:
                self._channel.send({"failed": "\n".join(self._obituary(child) for child in ended)})
                return

    def _obituary(self, child: BaseProcess) -> str:
        """Say what a process of Lava was and how it ended, with the traceback that Lava keeps to itself."""
        name = self.names.get(child.pid or 0, child.name)
        caught = getattr(child, "exception", None)
        if caught is not None:
            return f"the Lava process {name!r} raised {caught[0]!r}\n{caught[1]}"
        code = child.exitcode or 0
        return f"the Lava process {name!r} " + (f"was killed by signal {-code}" if code < 0 else f"ended with {code}")

    def _read(self) -> bool:
        """Pass on the commands that have come; return False at the end of the pipe."""
        commands = self._channel.receive()
        if commands is None:
            return False
        for command in commands:
            self.commands.put(command)
        return True


def _alive(child: BaseProcess) -> bool:
    try:
        return child.is_alive()
    except ValueError:  # joined and closed by Lava
        return False
