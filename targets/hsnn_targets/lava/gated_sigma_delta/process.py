"""The process ``GatedSigmaDelta``; Lava imports every module beside it in search of models, so there are only those."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from lava.proc.sdn.process import ActivationMode

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Int32 = NDArray[np.int32]


class GatedSigmaDelta(AbstractProcess):
    """Sigma-delta neurons that work in their window only.

    Lava's own Delta and SigmaDelta have no reset: they would carry their sums from one sample into the next.

    Args:
        name: Name of the process.
        shape: Shape of all ports and states.
        window: ``(period, timesteps, lag)`` of :class:`hsnn_targets.lava.clock.Window`.
        accumulate, rectify, keep_rest, message_shift, threshold, bias: As in
            :class:`hsnn.ir.populations.SigmaDeltaPopulation`; arrays have the shape ``shape`` or ``(1,) * axes``.
    """

    def __init__(
        self,
        *,
        name: str,
        shape: tuple[int, ...],
        window: tuple[int, int, int],
        accumulate: bool,
        rectify: bool,
        keep_rest: bool,
        message_shift: int,
        threshold: Int32,
        bias: Int32,
    ) -> None:
        super().__init__(
            name=name,
            shape=shape,
            window=window,
            accumulate=accumulate,
            keep_rest=keep_rest,
            act_mode=ActivationMode.RELU if rectify else ActivationMode.UNIT,
        )
        self.a_in = InPort(shape=shape)
        self.s_out = OutPort(shape=shape)
        self.u = Var(shape=shape, init=0)
        self.v = Var(shape=shape, init=0)
        self.vth = Var(shape=threshold.shape, init=threshold)
        self.bias = Var(shape=bias.shape, init=bias)
        self.state_exp = Var(shape=(1,), init=message_shift)
