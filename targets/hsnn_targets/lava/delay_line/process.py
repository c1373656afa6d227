"""The process ``DelayLine``; Lava imports every module beside it in search of models, so there are only those."""

from __future__ import annotations

from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess


class DelayLine(AbstractProcess):
    """Send at timestep ``t`` what came at ``t - delay``.

    Lava's Conv has no delays, its DelaySparse builds new matrices at every timestep, and its DelayDense
    does ``delay + 1`` times the work of Dense.

    Args:
        name: Name of the process.
        shape: Shape of both ports.
        delay: Timesteps, at least 1.
    """

    def __init__(self, *, name: str, shape: tuple[int, ...], delay: int) -> None:
        super().__init__(name=name, shape=shape, delay=delay)
        self.s_in = InPort(shape=shape)
        self.s_out = OutPort(shape=shape)
