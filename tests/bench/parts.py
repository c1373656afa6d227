"""What a run spends its time on: the same network without some of its parts, in the same turns as the whole.

A network of one silent neuron takes what every call does, and with all timesteps what reading the ports does, too.
All neurons without synapses add what these take, their results among it. The rest is synapses: searching for spikes,
products and events, and in a cycle everything that comes of going timestep by timestep.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from networks import Inputs
from turns import Seconds, Work, repeated

from hsnn.ir.arithmetic import VOLTAGE_MAX
from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.populations import LifPopulation
from hsnn_targets.emulator import EmulatorTarget

PARTS = ("call", "inputs", "synapses", "neurons")
"""A call of Python's, reading ports, synapses, neurons and results."""


class Parts:
    """A network without some of its parts, loaded for one tier and number of threads."""

    def __init__(self, network: IntegerNetwork, tier: str, threads: int) -> None:
        none = np.zeros((), np.int32)
        silent = LifPopulation("silent", (1,), none, none, np.array(VOLTAGE_MAX, np.int32), none)
        ports = replace(network, populations=(silent,), projections=(), outputs=("silent",))
        made = {"call": replace(ports, timesteps=1), "ports": ports, "neurons": replace(network, projections=())}
        target = EmulatorTarget(tier=tier, threads=threads)
        self._loaded = {name: target.load(part) for name, part in made.items()}

    def ways(self, inputs: Inputs) -> dict[str, Work]:
        """What is to be timed."""
        first = {name: np.ascontiguousarray(array[:1]) for name, array in inputs.items()}
        return {
            name: repeated(loaded.run, first if name == "call" else inputs) for name, loaded in self._loaded.items()
        }

    @staticmethod
    def split(whole: Seconds, taken: Mapping[str, Seconds], batch: int) -> dict[str, float]:
        """Microseconds of a sample that each of :data:`PARTS` takes, medians of turns; noise may put one below 0."""
        parts = {
            "call": taken["call"],
            "inputs": taken["ports"] - taken["call"],
            "synapses": whole - taken["neurons"],
            "neurons": taken["neurons"] - taken["ports"],
        }
        return {name: 1e6 * float(np.median(parts[name])) / batch for name in PARTS}
