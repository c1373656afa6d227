"""The process ``GatedResonator``; Lava imports every module beside it in search of models, so there are only those."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Int32 = NDArray[np.int32]


class GatedResonator(AbstractProcess):
    """Resonate-and-fire neurons that work in their window only; ``u`` is the real part of their state, ``v`` the other.

    Args:
        name: Name of the process.
        shape: Shape of states and of ``s_out``.
        received: Shape of ``a_in``, which has both parts.
        apart: How far the imaginary part of a neuron's input lies behind the real one.
        window: ``(period, timesteps, lag)`` of :class:`hsnn_targets.lava.clock.Window`.
        firing: ``phase`` or ``izhikevich``.
        cos_decay, sin_decay, threshold: As in :class:`hsnn.ir.populations.ResonatorPopulation`; arrays have the shape
            ``shape`` or ``(1,) * axes``.
    """

    def __init__(
        self,
        *,
        name: str,
        shape: tuple[int, ...],
        received: tuple[int, ...],
        apart: int,
        window: tuple[int, int, int],
        firing: str,
        cos_decay: Int32,
        sin_decay: Int32,
        threshold: Int32,
    ) -> None:
        super().__init__(name=name, shape=shape, apart=apart, window=window, firing=firing)
        self.a_in = InPort(shape=received)
        self.s_out = OutPort(shape=shape)
        self.u = Var(shape=shape, init=0)
        self.v = Var(shape=shape, init=0)
        self.cos_decay = Var(shape=cos_decay.shape, init=cos_decay)
        self.sin_decay = Var(shape=sin_decay.shape, init=sin_decay)
        self.threshold = Var(shape=threshold.shape, init=threshold)
