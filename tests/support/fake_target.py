"""A target that does what a test tells it."""

from __future__ import annotations

import threading

from hsnn.target import TargetStatus
from hsnn_targets.reference import TARGET as REFERENCE


class FakeTarget:
    """A target around the reference, whose runs call a function first."""

    name = "fake"

    def __init__(self, before=None, after=None, load=None):
        self.before, self.after, self.on_load = before, after, load
        self.closed = []

    def status(self):
        return TargetStatus(True, "")

    def load(self, network, *, timeout=None):
        if self.on_load:
            self.on_load(network, timeout)
        return FakeExecutable(self, network)


class FakeExecutable:
    def __init__(self, target, network):
        self.target, self.network = target, network
        self.inner = REFERENCE.load(network)
        self.gone = threading.Event()

    def run(self, inputs, *, trace=False, progress=None):
        if self.target.before:
            self.target.before(self, inputs)
        result = self.inner.run(inputs, trace=trace, progress=progress)
        return self.target.after(result) if self.target.after else result

    def close(self):
        self.target.closed.append(self.network.name)
        self.gone.set()
