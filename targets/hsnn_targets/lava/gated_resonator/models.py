"""How ``GatedResonator`` runs on a CPU: the rules of Lava's RF and RF_IZ, gated."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from hsnn.ir.arithmetic import resonate
from hsnn_targets.lava.gate import Gate
from hsnn_targets.lava.gated_resonator.process import GatedResonator


@implements(proc=GatedResonator, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyGatedResonatorModel(Gate, PyLoihiProcessModel):
    """Both parts come through one port, as one projection delivers them."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)
    u: np.ndarray = LavaPyType(np.ndarray, np.int32)
    v: np.ndarray = LavaPyType(np.ndarray, np.int32)
    cos_decay: np.ndarray = LavaPyType(np.ndarray, np.int32)
    sin_decay: np.ndarray = LavaPyType(np.ndarray, np.int32)
    threshold: np.ndarray = LavaPyType(np.ndarray, np.int32)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self._shape = proc_params["shape"]
        self._apart = proc_params["apart"]
        self._firing = proc_params["firing"]

    def advance(self, arriving: np.ndarray) -> np.ndarray:
        """See :meth:`Gate.advance`; sends spikes, 0 or 1."""
        both = arriving.reshape(-1, 2, self._apart)
        spikes, self.u[:], self.v[:] = resonate(
            self.u,
            self.v,
            (both[:, 0].reshape(self._shape), both[:, 1].reshape(self._shape)),
            decays=(self.cos_decay, self.sin_decay),
            threshold=self.threshold,
            firing=self._firing,
        )
        return spikes
