"""Run a worker under supervision: Lava hangs on errors, forks, and leaves shared memory when it is killed.

The worker lives in a session of its own with a private directory. Whatever happens here (a time limit, an
exception, Ctrl-C, the end of the program) its whole process group is killed and its directory and shared
memory are removed.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import selectors
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hsnn.errors import RunError, UnsupportedError
from hsnn_targets.lava.channel import Channel
from hsnn_targets.lava.guard import unlink_shared_memory
from hsnn_targets.lava.interpreter import worker_environment, worker_interpreter

TICK_SECONDS = 0.25
ROOT_LENGTH = 50
"""Python's multiprocessing puts sockets into the worker's directory; their names have 104 bytes on macOS."""
LOG_FILE = "worker.log"
LOG_TAIL = 4000
"""Characters of the worker's log that an error carries."""


@dataclass(frozen=True, slots=True)
class _Remains:
    """All that a worker would leave behind."""

    process: subprocess.Popen[bytes]
    directory: Path
    token: str
    owner: int


class Worker:
    """A worker process and its directory.

    Args:
        timeout: Seconds without a sign of life after which the worker is given up.

    Attributes:
        directory: The worker's current directory, for files that both sides use.
    """

    def __init__(self, *, timeout: float) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="hsnn-lava-", dir=_temporary_root()))
        self._timeout = timeout
        token = secrets.token_hex(6)
        try:
            process = _start(self.directory, token)
        except OSError as error:
            shutil.rmtree(self.directory, ignore_errors=True)
            raise RunError(
                "HSNN-R020",
                f"the Lava worker does not start: {error}",
                fix="check HSNN_LAVA_PYTHON, memory and rights; the emulator computes the same",
            ) from error
        self._process = process
        self._channel = Channel(*(stream.fileno() for stream in (process.stdout, process.stdin) if stream is not None))
        self._messages: list[dict[str, Any]] = []
        self._lock = threading.RLock()
        self._closing = False
        self._finalizer = weakref.finalize(self, _sweep, _Remains(process, self.directory, token, os.getpid()))

    def request(self, op: str, **fields: object) -> dict[str, Any]:
        """Give a command and wait for its end.

        Returns:
            The worker's last message.

        Raises:
            RunError: ``HSNN-R020`` if the worker has died, ``HSNN-R021`` if it gives no sign of life for
                too long, ``HSNN-R022`` if Lava fails, ``HSNN-R023`` if it was closed before.
            UnsupportedError: What the worker refuses, with its own code.
        """
        with self._lock:
            if not self._finalizer.alive:
                raise self._closed()
            try:
                return self._converse({"op": op, **fields})
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """Kill the worker and remove what is left of it.

        May be called twice, and from any thread: a request that is under way in another one then fails.
        """
        self._closing = True
        if self._finalizer.alive:
            _kill(self._process)
        with self._lock:
            self._finalizer()

    def _converse(self, command: dict[str, object]) -> dict[str, Any]:
        try:
            self._channel.send(command)
        except BrokenPipeError as error:
            raise self._died() from error
        while True:
            message = self._next_message()
            if "failed" in message:
                first, _, rest = str(message["failed"]).partition("\n")
                raise RunError(
                    "HSNN-R022",
                    f"Lava failed: {first}{_indented(rest)}{self._log()}",
                    fix="run on the emulator, which computes the same, and report what Lava said",
                )
            if "refused" in message:
                code, found, allowed, fix = message["refused"]
                raise UnsupportedError(code, found, allowed=allowed, fix=fix)
            if "done" in message:
                return message

    def _next_message(self) -> dict[str, Any]:
        """Wait for a message, at most for the time limit."""
        deadline = time.monotonic() + self._timeout
        with selectors.DefaultSelector() as selector:
            selector.register(self._channel.source, selectors.EVENT_READ)
            while not self._messages:
                if selector.select(TICK_SECONDS):
                    received = self._channel.receive()
                    if received is None:
                        raise self._died()
                    self._messages += received
                elif _ended(self._process.pid):
                    raise self._died()
                elif time.monotonic() > deadline:
                    raise RunError(
                        "HSNN-R021",
                        f"the Lava worker has given no sign of life for {self._timeout:g} s{self._log()}",
                        fix="give it more time (timeout), or run on the emulator, which computes the same",
                    )
        return self._messages.pop(0)

    def _closed(self) -> RunError:
        return RunError("HSNN-R023", "this network is closed", fix="load it again")

    def _died(self) -> RunError:
        if self._closing:
            return self._closed()
        return RunError(
            "HSNN-R020",
            f"the Lava worker (process {self._process.pid}) has died{self._log()}",
            fix="run smaller batches if memory was short; the emulator computes the same",
        )

    def _log(self) -> str:
        """What the worker has said last, indented, or nothing."""
        try:
            text = (self.directory / LOG_FILE).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""
        return _indented(text[-LOG_TAIL:])


def _temporary_root() -> str:
    """Where temporary directories go, unless sockets in them would have names that are too long."""
    root = tempfile.gettempdir()
    return root if len(root) <= ROOT_LENGTH else "/tmp"


def _start(directory: Path, token: str) -> subprocess.Popen[bytes]:
    options = json.dumps({"token": token, "parent": os.getpid()})
    with (directory / LOG_FILE).open("wb") as log:
        return subprocess.Popen(
            [worker_interpreter(), "-W", "ignore", "-m", "hsnn_targets.lava.worker", options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=directory,
            env=worker_environment(directory),
            start_new_session=True,
            bufsize=0,
        )


def _ended(pid: int) -> bool:
    """Whether a child has ended; it is not reaped yet, so that nobody else gets its number."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:  # somebody else has reaped it
        return True


def _sweep(remains: _Remains) -> None:
    """Kill a worker's group and remove its files. A fork of this process must not: it is not the owner."""
    if os.getpid() != remains.owner:
        return
    _kill(remains.process)
    remains.process.wait()
    for stream in (remains.process.stdin, remains.process.stdout):
        if stream is not None:
            stream.close()
    unlink_shared_memory(remains.token)
    shutil.rmtree(remains.directory, ignore_errors=True)


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # the latter from macOS for zombies
        os.killpg(process.pid, signal.SIGKILL)


def _indented(text: str) -> str:
    return "".join(f"\n    {line}" for line in text.splitlines())
