"""How ``GatedIntegrator`` runs on a CPU: Lava's own integration, gated."""

from __future__ import annotations

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.ports import PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.lif.models import AbstractPyLifModelFixed

from hsnn_targets.lava.gate import Gate
from hsnn_targets.lava.gated_integrator.process import GatedIntegrator


@implements(proc=GatedIntegrator, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyGatedIntegratorModel(Gate, AbstractPyLifModelFixed):
    """``subthr_dynamics`` and ``scale_bias`` are Lava's, so its arithmetic is not written down twice."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)
    du: np.ndarray = LavaPyType(np.ndarray, np.int32)
    dv: np.ndarray = LavaPyType(np.ndarray, np.int32)

    def advance(self, arriving: np.ndarray) -> np.ndarray:
        """See :meth:`Gate.advance`; sends voltages."""
        self.scale_bias()
        self.subthr_dynamics(activation_in=arriving)
        return self.v
