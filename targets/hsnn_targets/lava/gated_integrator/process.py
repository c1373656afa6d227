"""The process ``GatedIntegrator``; Lava imports every module beside it in search of models, so there are only those."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Int32 = NDArray[np.int32]


class GatedIntegrator(AbstractProcess):
    """Neurons that integrate, never spike and send their voltage, in their window only.

    Args:
        name: Name of the process.
        shape: Shape of all ports and states.
        window: ``(period, timesteps, lag)`` of :class:`hsnn_targets.lava.clock.Window`.
        du, dv, bias_mant, bias_exp: As in :class:`hsnn.ir.populations.IntegratorPopulation`; arrays have
            the shape ``shape`` or ``(1,) * axes``.
    """

    def __init__(
        self,
        *,
        name: str,
        shape: tuple[int, ...],
        window: tuple[int, int, int],
        du: Int32,
        dv: Int32,
        bias_mant: Int32,
        bias_exp: int,
    ) -> None:
        super().__init__(name=name, shape=shape, window=window)
        self.a_in = InPort(shape=shape)
        self.s_out = OutPort(shape=shape)
        self.u = Var(shape=shape, init=0)
        self.v = Var(shape=shape, init=0)
        self.du = Var(shape=du.shape, init=du)
        self.dv = Var(shape=dv.shape, init=dv)
        self.bias_mant = Var(shape=bias_mant.shape, init=bias_mant)
        self.bias_exp = Var(shape=(1,), init=bias_exp)
