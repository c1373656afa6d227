"""How ``DelayLine`` runs on a CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from hsnn_targets.lava.delay_line.process import DelayLine


@implements(proc=DelayLine, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyDelayLineModel(PyLoihiProcessModel):
    """A ring of what came; it sends before it receives, so loops through it do not deadlock."""

    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self._waiting = np.zeros((proc_params["delay"], *proc_params["shape"]), np.int32)

    def run_spk(self) -> None:
        """Send the oldest and keep what comes in its place."""
        oldest = self.time_step % self._waiting.shape[0]
        self.s_out.send(self._waiting[oldest])
        self._waiting[oldest] = self.s_in.recv()
