"""What all gated models share: they work in their window, start every sample from rest, and are silent otherwise.

It is here and not beside a process, because Lava imports every module beside a process and takes its classes for
models.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from hsnn_targets.lava.clock import Window


class Gate(ABC):
    """The frame of a model; a process model names it before the Lava model that it extends.

    The process has ports ``a_in`` and ``s_out``, states ``u`` and ``v``, and parameters ``shape`` and ``window``.
    """

    a_in: Any
    s_out: Any
    u: np.ndarray
    v: np.ndarray
    time_step: int

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)  # type: ignore[call-arg]
        self._window = Window(*proc_params["window"])
        self._silence = np.zeros(proc_params["shape"], np.int32)

    def run_spk(self) -> None:
        """Advance one timestep, or hold outside the window."""
        arriving = self.a_in.recv()
        moment = self._window.locate(self.time_step)
        if moment is None:
            self.s_out.send(self._silence)
            return
        if moment.timestep == 0:
            self.rest()
        self.s_out.send(self.advance(arriving))

    def rest(self) -> None:
        """Set the state to that before a sample."""
        self.u[:] = 0
        self.v[:] = 0

    @abstractmethod
    def advance(self, arriving: np.ndarray) -> np.ndarray:
        """Advance the state by one timestep.

        Args:
            arriving: What ``a_in`` received, int32, shape of the port: that of the population, but for resonators,
                which get a real and an imaginary part for every neuron.

        Returns:
            What ``s_out`` sends, shape of the population: spikes, counts, messages or voltages.
        """
