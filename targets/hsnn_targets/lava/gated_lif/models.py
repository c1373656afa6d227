"""How ``GatedLif`` runs on a CPU: Lava's own integration, then gating, refractory time and resets."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.ports import PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.lif.models import AbstractPyLifModelFixed

from hsnn.ir.arithmetic import count_spikes
from hsnn_targets.lava.gate import Gate
from hsnn_targets.lava.gated_lif.process import GatedLif


@implements(proc=GatedLif, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyGatedLifModel(Gate, AbstractPyLifModelFixed):
    """``subthr_dynamics`` and ``scale_bias`` are Lava's, so its arithmetic is not written down twice."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)
    du: np.ndarray = LavaPyType(np.ndarray, np.int32)
    dv: np.ndarray = LavaPyType(np.ndarray, np.int32)
    threshold: np.ndarray = LavaPyType(np.ndarray, np.int32)
    reset_amount: np.ndarray = LavaPyType(np.ndarray, np.int32)
    v_min: np.ndarray = LavaPyType(np.ndarray, np.int32)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self._reset = proc_params["reset"]
        self._refractory = proc_params["refractory"]
        self._max_spikes = proc_params["max_spikes"]
        self._held = np.zeros(proc_params["shape"], np.int32)

    def rest(self) -> None:
        """Set the state to that before a sample."""
        super().rest()
        self._held[:] = 0

    def advance(self, arriving: np.ndarray) -> np.ndarray:
        """See :meth:`Gate.advance`; sends counts, 0 to ``max_spikes``."""
        before = self.v.copy()
        self.scale_bias()
        self.subthr_dynamics(activation_in=arriving)
        held = self._held > 0
        self.v[held] = before[held]
        counts = count_spikes(self.v, self.threshold, self._max_spikes)
        counts[held] = 0
        self._held = np.where(counts > 0, self._refractory, np.maximum(self._held - 1, 0))
        self.reset_voltage(counts)
        return counts

    def reset_voltage(self, spike_vector: np.ndarray) -> None:
        """Do to the voltage what spikes, any number of them, do, and raise it to the floor.

        Args:
            spike_vector: Number of spikes of each neuron in this timestep, at least 0, shape of the population.
        """
        if self._reset == "zero":
            self.v[spike_vector > 0] = 0
        elif self._reset == "subtract":
            self.v -= spike_vector * self.reset_amount
        np.maximum(self.v, self.v_min, out=self.v)
