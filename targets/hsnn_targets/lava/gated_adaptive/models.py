"""How the process runs on a CPU: Lava's own integration, gated, then the rules of adaptation."""

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
from hsnn_targets.lava.clock import Window
from hsnn_targets.lava.gated_adaptive.process import GatedAdaptive


@implements(proc=GatedAdaptive, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyGatedAdaptiveModel(AbstractPyLifModelFixed):
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
        self._window = Window(*proc_params["window"])
        self._silence = np.zeros(proc_params["shape"], np.int32)
        self._raised = self._refractory = self._silence

    def run_spk(self) -> None:
        """Advance one timestep, or hold outside the window."""
        activation = self.a_in.recv()
        moment = self._window.locate(self.time_step)
        if moment is None:
            self.s_out.send(self._silence)
            return
        if moment.timestep == 0:
            self.u[:] = 0
            self.v[:] = 0
            self._raised = self._refractory = self._silence
        self.scale_bias()
        self.subthr_dynamics(activation_in=activation)
        spikes, self._raised, self._refractory = adapt(
            self.v,
            self._raised,
            self._refractory,
            threshold=self.threshold,
            step=self.threshold_step,
            decays=(self.threshold_decay, self.refractory_decay),
        )
        self.s_out.send(spikes)
