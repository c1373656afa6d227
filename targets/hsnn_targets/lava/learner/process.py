"""The process ``Learner``; Lava imports every module beside it in search of models, so there are only those."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Int32 = NDArray[np.int32]


class Learner(AbstractProcess):
    """The neurons of a :class:`hsnn.ir.plastic.LearnerPopulation`, which works in its window only.

    ``s_out`` sends spikes, ``s_out_y1`` and ``s_out_y2`` the third factor at every timestep, ``label_in`` takes labels.

    Args:
        name: Name of the process.
        shape: Shape of all ports and states but ``label_in``: (neurons,), column by column.
        window: ``(period, timesteps, lag)`` of :class:`hsnn_targets.lava.clock.Window`.
        column: Neurons of a column.
        reward, penalty, stability_up, stability_down, recruit_margin: As in the population.
        du, dv, threshold, bias_mant, bias_exp, stability, recruited: As in the population; arrays have the
            shape ``shape`` or (1,).
    """

    def __init__(
        self,
        *,
        name: str,
        shape: tuple[int, ...],
        window: tuple[int, int, int],
        column: int,
        reward: int,
        penalty: int,
        stability_up: int,
        stability_down: int,
        recruit_margin: int,
        du: Int32,
        dv: Int32,
        threshold: Int32,
        bias_mant: Int32,
        bias_exp: int,
        stability: Int32,
        recruited: Int32,
    ) -> None:
        super().__init__(
            name=name,
            shape=shape,
            window=window,
            column=column,
            reward=reward,
            penalty=penalty,
            stability_up=stability_up,
            stability_down=stability_down,
            recruit_margin=recruit_margin,
        )
        self.a_in = InPort(shape=shape)
        self.label_in = InPort(shape=(1,))
        self.s_out = OutPort(shape=shape)
        self.s_out_y1 = OutPort(shape=shape)
        self.s_out_y2 = OutPort(shape=shape)
        self.u = Var(shape=shape, init=0)
        self.v = Var(shape=shape, init=0)
        self.du = Var(shape=du.shape, init=du)
        self.dv = Var(shape=dv.shape, init=dv)
        self.threshold = Var(shape=threshold.shape, init=threshold)
        self.bias_mant = Var(shape=bias_mant.shape, init=bias_mant)
        self.bias_exp = Var(shape=(1,), init=bias_exp)
        self.stability = Var(shape=shape, init=stability)
        self.recruited = Var(shape=shape, init=recruited)
