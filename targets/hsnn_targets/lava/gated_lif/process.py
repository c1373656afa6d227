"""The process ``GatedLif``; Lava imports every module beside it in search of models, so there are only those."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Int32 = NDArray[np.int32]


class GatedLif(AbstractProcess):
    """LIF neurons with parameters of their own that work in their window only.

    At the first timestep of a window ``u`` and ``v`` are zero; outside windows they hold and nothing is sent.

    Args:
        name: Name of the process.
        shape: Shape of all ports and states.
        window: ``(period, timesteps, lag)`` of :class:`hsnn_targets.lava.clock.Window`.
        reset: ``zero``, ``subtract`` or ``none``.
        refractory: Timesteps after a spike in which the voltage holds.
        max_spikes: Most spikes of a neuron in a timestep; the count is the payload.
        v_min: Lowest voltage that a timestep leaves.
        du, dv, threshold, reset_amount, bias_mant, bias_exp: As in
            :class:`hsnn.ir.populations.LifPopulation`; arrays have the shape ``shape`` or ``(1,) * axes``.
    """

    def __init__(
        self,
        *,
        name: str,
        shape: tuple[int, ...],
        window: tuple[int, int, int],
        reset: str,
        refractory: int,
        max_spikes: int,
        v_min: Int32,
        du: Int32,
        dv: Int32,
        threshold: Int32,
        reset_amount: Int32,
        bias_mant: Int32,
        bias_exp: int,
    ) -> None:
        super().__init__(
            name=name, shape=shape, window=window, reset=reset, refractory=refractory, max_spikes=max_spikes
        )
        self.a_in = InPort(shape=shape)
        self.s_out = OutPort(shape=shape)
        self.u = Var(shape=shape, init=0)
        self.v = Var(shape=shape, init=0)
        self.du = Var(shape=du.shape, init=du)
        self.dv = Var(shape=dv.shape, init=dv)
        self.threshold = Var(shape=threshold.shape, init=threshold)
        self.reset_amount = Var(shape=reset_amount.shape, init=reset_amount)
        self.v_min = Var(shape=v_min.shape, init=v_min)
        self.bias_mant = Var(shape=bias_mant.shape, init=bias_mant)
        self.bias_exp = Var(shape=(1,), init=bias_exp)
