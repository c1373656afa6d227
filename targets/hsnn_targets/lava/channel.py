"""Messages over a pair of pipes: one JSON object a line. Arrays travel in files."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from typing import Any

CHUNK = 1 << 16


class Channel:
    """One end of the pipes.

    Args:
        source: File descriptor to read from.
        sink: File descriptor to write to.
    """

    def __init__(self, source: int, sink: int) -> None:
        self.source = source
        self._sink = sink
        self._rest = b""
        self._lock = threading.Lock()

    def send(self, message: Mapping[str, Any]) -> None:
        """Write a message; any thread may.

        Raises:
            BrokenPipeError: If nobody reads any more.
        """
        line = json.dumps(message).encode() + b"\n"
        with self._lock:
            while line:
                line = line[os.write(self._sink, line) :]

    def receive(self) -> list[dict[str, Any]] | None:
        """Read what there is, waiting for something; None at the end of the pipe."""
        data = os.read(self.source, CHUNK)
        if not data:
            return None
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def close(self) -> None:
        """Close both descriptors; only once."""
        os.close(self.source)
        os.close(self._sink)
