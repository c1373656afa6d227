"""How ``GatedSigmaDelta`` runs on a CPU: Lava's own sigma and delta dynamics, gated."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.sdn.models import AbstractSigmaDeltaModel

from hsnn_targets.lava.gate import Gate
from hsnn_targets.lava.gated_sigma_delta.process import GatedSigmaDelta


@implements(proc=GatedSigmaDelta, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyGatedSigmaDeltaModel(Gate, AbstractSigmaDeltaModel):
    """``sigma_dynamics``, ``activation_dynamics`` and ``delta_dynamics`` are Lava's.

    Lava keeps its last activation and what of it is still due; ``v`` is their difference, what has been sent.
    """

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)
    u: np.ndarray = LavaPyType(np.ndarray, np.int32)
    v: np.ndarray = LavaPyType(np.ndarray, np.int32)
    vth: np.ndarray = LavaPyType(np.ndarray, np.int32)
    bias: np.ndarray = LavaPyType(np.ndarray, np.int32)
    state_exp: np.ndarray = LavaPyType(np.ndarray, np.int32)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self._accumulate = proc_params["accumulate"]
        self._keep_rest = proc_params["keep_rest"]
        self.cum_error = False
        self.residue = self._silence

    def advance(self, arriving: np.ndarray) -> np.ndarray:
        """See :meth:`Gate.advance`; sends messages."""
        self.sigma = self.u
        self.u[:] = self.sigma_dynamics(arriving) if self._accumulate else arriving
        self.act, self.residue = self.v, self._silence
        due = self.delta_dynamics(self.activation_dynamics(self.u))
        message: np.ndarray = np.right_shift(due, self.state_exp)
        self.v[:] = self.v + (np.left_shift(message, self.state_exp) if self._keep_rest else due)
        return message
