"""How ``SpikeSink`` runs on a CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from hsnn_targets.lava.clock import Window
from hsnn_targets.lava.spike_sink.process import SpikeSink


@implements(proc=SpikeSink, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PySpikeSinkModel(PyLoihiProcessModel):
    """Writes the ring files through shared memory maps."""

    in_0: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    in_1: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    in_2: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    in_3: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    in_4: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    in_5: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    in_6: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    in_7: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    chain_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    chain_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        period, timesteps, slots = (proc_params[key] for key in ("period", "timesteps", "slots"))
        channels = proc_params["channels"]
        self._windows = [Window(period, timesteps, channel["lag"]) for channel in channels]
        self._rings = [
            np.memmap(channel["ring"], channel["dtype"], "r+", shape=(slots, timesteps, *channel["shape"]))
            for channel in channels
        ]

    def run_spk(self) -> None:
        """Record this timestep."""
        for index, (window, ring) in enumerate(zip(self._windows, self._rings, strict=True)):
            sent = getattr(self, f"in_{index}").recv()
            moment = window.locate(self.time_step)
            if moment is not None:
                ring[moment.sample % ring.shape[0], moment.timestep] = sent
