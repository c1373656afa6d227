"""The target ``loihi2-sim``: whether Lava is there, and networks loaded in a worker that runs it."""

from __future__ import annotations

import os

from hsnn.errors import TargetMissingError
from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.plastic import needs_learning_engine
from hsnn.ir.projections import ConvProjection, DenseProjection
from hsnn.ir.shape import size
from hsnn.ir.validate import validate_network
from hsnn.libraries import INSTALL_LAVA
from hsnn.passes.mapping.idle import without_idle_projections
from hsnn.target import TargetStatus
from hsnn_targets.lava.executable import LavaExecutable
from hsnn_targets.lava.interpreter import VARIABLE, find_lava, worker_interpreter
from hsnn_targets.lava.lessons import LearningLava
from hsnn_targets.lava.planner import plan_processes
from hsnn_targets.lava.probe import Finding
from hsnn_targets.lava.schedule import make_schedule

TIMEOUT_SECONDS = 60.0
"""Without progress, unless the user says otherwise; large networks get more."""
OPERATIONS_PER_SECOND = 1e6
"""Synaptic operations of one timestep for which the default time limit grows by a second. Lava's slowest
process, Conv, does about 7e7 a second (measured: 4e5 operations in 5.5 ms); the rest is for busy machines."""

STATE_OPERATIONS = 200
"""Lava sends states one value at a time, each in 30 to 100 microseconds; counted as operations."""


class LavaTarget:
    """Lava's fixed-point simulation of Loihi 2, in a supervised worker process."""

    name = "loihi2-sim"

    def status(self) -> TargetStatus:
        """Look for lava-nc in the worker's interpreter without importing it."""
        try:
            finding = find_lava()
        except TargetMissingError as error:
            return TargetStatus(False, error.found)
        versions = {"python": finding["python"]} | ({"lava-nc": finding["lava"]} if finding["lava"] else {})
        problem = _problem(finding)
        return TargetStatus(
            not problem, problem or f"lava-nc {finding['lava']} on Python {finding['python']}", versions
        )

    def load(self, network: IntegerNetwork, *, timeout: float | None = None) -> LavaExecutable | LearningLava:
        """Start a worker, build the network in it and wait until it can run.

        Args:
            network: A valid network.
            timeout: Seconds without a sign of life after which the worker is given up; by default a
                minute, and more for large networks.

        Raises:
            TargetMissingError: ``HSNN-T020``, if Lava is not there; ``HSNN-T021``, if the interpreter
                named by ``HSNN_LAVA_PYTHON`` does not work.
            UnsupportedError: ``HSNN-C021``, if a loop has less delay than projections.
            CapacityError: ``HSNN-C020``, if a projection would have to wait more than 63 timesteps.
            RunError: ``HSNN-R020`` to ``HSNN-R022``, if Lava does not come up.
        """
        validate_network(network)
        require_lava(find_lava())
        if needs_learning_engine(network):
            return LearningLava(network, lambda learns: _start(network, timeout, learns=learns))
        return _start(network, timeout)


def _start(network: IntegerNetwork, timeout: float | None, *, learns: bool = False) -> LavaExecutable:
    working = without_idle_projections(network)
    schedule = make_schedule(working)
    recorded = [neuron.name for neuron in working.neurons]
    blueprint = plan_processes(working, schedule, recorded=recorded, learns=learns)
    patience = TIMEOUT_SECONDS + operations(working) / OPERATIONS_PER_SECOND if timeout is None else timeout
    return LavaExecutable(network, schedule, blueprint, timeout=patience)


def require_lava(finding: Finding) -> None:
    """Refuse where Lava cannot run.

    Raises:
        TargetMissingError: ``HSNN-T020``.
    """
    problem = _problem(finding)
    if problem:
        raise TargetMissingError(
            "HSNN-T020",
            f"Lava cannot run: {problem}",
            fix=f"install it, let {VARIABLE} name an interpreter that has it, or use --target emulator",
        )


def _problem(finding: Finding) -> str:
    if os.name != "posix":
        return "it needs Linux or macOS; the emulator computes the same"
    if finding["problem"]:
        return f"{finding['problem']} in {worker_interpreter()}; install it with: {INSTALL_LAVA}"
    return ""


def operations(network: IntegerNetwork) -> int:
    """Synaptic operations of one timestep if every neuron spikes, and what reading back states costs."""
    total = STATE_OPERATIONS * sum(size(neuron.shape) for neuron in network.neurons)
    for projection in network.projections:
        match projection:
            case DenseProjection():
                total += projection.weights.size
            case ConvProjection():
                pixels = size(network.source(projection.post).shape[1:])
                total += projection.weights.size * pixels
            case _:
                total += projection.data.size
    return total
