"""How ``Learner`` runs on a CPU: Lava's own integration, then the contest and what the label teaches."""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.lif.models import AbstractPyLifModelFixed

from hsnn.ir.learning_arithmetic import STABILITY_MAX, third_factor
from hsnn_targets.lava.clock import Window
from hsnn_targets.lava.learner.process import Learner


@implements(proc=Learner, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyLearnerModel(AbstractPyLifModelFixed):
    """``subthr_dynamics`` and ``scale_bias`` are Lava's, so its arithmetic is not written down twice."""

    label_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)
    s_out_y1: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)
    s_out_y2: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)
    du: np.ndarray = LavaPyType(np.ndarray, np.int32)
    dv: np.ndarray = LavaPyType(np.ndarray, np.int32)
    threshold: np.ndarray = LavaPyType(np.ndarray, np.int32)
    stability: np.ndarray = LavaPyType(np.ndarray, np.int32)
    recruited: np.ndarray = LavaPyType(np.ndarray, np.int32)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self._window = Window(*proc_params["window"])
        self._column = proc_params["column"]
        self._amounts = proc_params["reward"], proc_params["penalty"]
        self._changes = proc_params["stability_up"], proc_params["stability_down"]
        self._margin = proc_params["recruit_margin"]
        self._forget()

    def _forget(self) -> None:
        """Start a sample: nobody has won, nothing is taught."""
        self._won: int | None = None
        self._taught = False
        self._y1 = np.zeros(self.proc_params["shape"], np.int32)
        self._y2 = np.zeros(self.proc_params["shape"], np.int32)

    def run_spk(self) -> None:
        """Advance one timestep; outside the window hold, and go on sending until the next sample's period."""
        activation = self.a_in.recv()
        label = int(self.label_in.recv()[0])
        spikes = np.zeros(self.proc_params["shape"], np.int32)
        moment = self._window.locate(self.time_step)
        if moment is not None:
            if moment.timestep == 0:
                self._forget()
                self.u[:] = 0
                self.v[:] = 0
            self.scale_bias()
            self.subthr_dynamics(activation_in=activation)
            self._compete(spikes, label)
        elif (self.time_step - 1) % self._window.period < self._window.lag:
            self._forget()
        self.s_out.send(spikes)
        self.s_out_y1.send(self._y1)
        self.s_out_y2.send(self._y2)

    def _compete(self, spikes: np.ndarray, label: int) -> None:
        above = np.flatnonzero(self.v > self.threshold)
        if above.size and self._won is None and not self._taught:
            self._won = int(above[np.argmax(self.v[above])])
            spikes[self._won] = 1
        if label > 0 and not self._taught:
            self._taught = True
            self._teach(label - 1)

    def _teach(self, wanted: int) -> None:
        """Say what synapses learn, each neuron with its stability before this lesson."""
        (reward, penalty), (up, down) = self._amounts, self._changes
        before = [int(s) for s in self.stability]
        chosen = -1
        if self._won is not None:
            right = self._won // self._column == wanted
            self._y2[self._won] = third_factor(penalty, before[self._won])
            self._shift(self._won, up if right else -down)
            chosen = self._won if right else -1
        if chosen < 0:
            first = wanted * self._column
            part = slice(first, first + self._column)
            chosen = first + int(np.argmax(self.v[part] - self._margin * self.recruited[part]))
            self._shift(chosen, -down)
        self._y1[chosen] = third_factor(reward, before[chosen])
        self.recruited[chosen] = 1

    def _shift(self, neuron: int, change: int) -> None:
        self.stability[neuron] = min(max(int(self.stability[neuron]) + change, 0), STABILITY_MAX)
