"""How ``GatedAdaptive`` runs on a CPU: Lava's own integration, gated, then the rules of adaptation."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.ports import PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.lif.models import AbstractPyLifModelFixed

from hsnn.ir.arithmetic import adapt
from hsnn_targets.lava.gate import Gate
from hsnn_targets.lava.gated_adaptive.process import GatedAdaptive


@implements(proc=GatedAdaptive, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyGatedAdaptiveModel(Gate, AbstractPyLifModelFixed):
    """``subthr_dynamics`` and ``scale_bias`` are those of Lava's LIF, which its ATRLIF copies."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)
    du: np.ndarray = LavaPyType(np.ndarray, np.int32)
    dv: np.ndarray = LavaPyType(np.ndarray, np.int32)
    threshold: np.ndarray = LavaPyType(np.ndarray, np.int32)
    threshold_decay: np.ndarray = LavaPyType(np.ndarray, np.int32)
    refractory_decay: np.ndarray = LavaPyType(np.ndarray, np.int32)
    threshold_step: np.ndarray = LavaPyType(np.ndarray, np.int32)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self._raised = self._refractory = self._silence

    def rest(self) -> None:
        """Set the state to that before a sample."""
        super().rest()
        self._raised = self._refractory = self._silence

    def advance(self, arriving: np.ndarray) -> np.ndarray:
        """See :meth:`Gate.advance`; sends spikes, 0 or 1."""
        self.scale_bias()
        self.subthr_dynamics(activation_in=arriving)
        spikes, self._raised, self._refractory = adapt(
            self.v,
            self._raised,
            self._refractory,
            threshold=self.threshold,
            step=self.threshold_step,
            decays=(self.threshold_decay, self.refractory_decay),
        )
        return spikes
