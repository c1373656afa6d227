"""How ``SpikeSource`` runs on a CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from hsnn_targets.lava.clock import Window
from hsnn_targets.lava.spike_source.process import SpikeSource


@implements(proc=SpikeSource, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PySpikeSourceModel(PyLoihiProcessModel):
    """Reads the ring file through a shared memory map."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self._window = Window(*proc_params["window"])
        shape = proc_params["shape"]
        rows = (proc_params["slots"], self._window.timesteps, *shape)
        self._ring = np.memmap(proc_params["ring"], proc_params["dtype"], "r", shape=rows)
        self._silence = np.zeros(shape, np.int32)

    def run_spk(self) -> None:
        """Send what belongs to this timestep."""
        moment = self._window.locate(self.time_step)
        if moment is None:
            self.s_out.send(self._silence)
            return
        self.s_out.send(self._ring[moment.sample % self._ring.shape[0], moment.timestep])
