"""The process ``SpikeSink``; Lava imports every module beside it in search of models, so there are only those."""

from __future__ import annotations

from typing import TypedDict

from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess

PORTS = 8


class Channel(TypedDict):
    """One recorded population: its ring file, element type, shape and lag."""

    ring: str
    dtype: str
    shape: tuple[int, ...]
    lag: int


class SpikeSink(AbstractProcess):
    """Write what up to eight populations send into ring files, within their windows only.

    One process for many populations, since each process costs Lava about 0.2 ms a timestep. The ports
    ``chain_in`` and ``chain_out`` carry nothing: Lava compiles what is connected, and a chain of sinks
    keeps parts of a network together that share no synapse.

    Args:
        name: Name of the process.
        channels: What ``in_0``, ``in_1`` ... record, at most eight.
        slots: Samples that each file holds; its shape is ``(slots, timesteps, *shape)``.
        period: Physical timesteps from one sample to the next.
        timesteps: Timesteps per sample.
    """

    def __init__(self, *, name: str, channels: list[Channel], slots: int, period: int, timesteps: int) -> None:
        super().__init__(name=name, channels=channels, slots=slots, period=period, timesteps=timesteps)
        shapes = [tuple(channel["shape"]) for channel in channels]
        shapes += [(1,)] * (PORTS - len(shapes))
        for index, shape in enumerate(shapes):
            setattr(self, f"in_{index}", InPort(shape=shape))
        self.chain_in = InPort(shape=(1,))
        self.chain_out = OutPort(shape=(1,))
