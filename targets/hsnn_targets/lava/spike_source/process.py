"""The process ``SpikeSource``; Lava imports every module beside it in search of models, so there are only those."""

from __future__ import annotations

from lava.magma.core.process.ports.ports import OutPort
from lava.magma.core.process.process import AbstractProcess


class SpikeSource(AbstractProcess):
    """Send the rows of a ring file, one per timestep of a sample, and zeros between samples.

    Args:
        name: Name of the process.
        shape: Shape of ``s_out``.
        ring: File with an array of shape ``(slots, timesteps, neuron)``; sample ``n`` is in slot
            ``n % slots``.
        dtype: Numpy name of its element type.
        slots: Number of samples that the file holds.
        window: ``(period, timesteps, lag)`` of :class:`hsnn_targets.lava.clock.Window`.
    """

    def __init__(
        self,
        *,
        name: str,
        shape: tuple[int, ...],
        ring: str,
        dtype: str,
        slots: int,
        window: tuple[int, int, int],
    ) -> None:
        super().__init__(name=name, shape=shape, ring=ring, dtype=dtype, slots=slots, window=window)
        self.s_out = OutPort(shape=shape)
