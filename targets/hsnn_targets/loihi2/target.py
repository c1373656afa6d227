"""The target ``loihi2``: a real board, through Intel's extension of Lava."""

from __future__ import annotations

import os

from hsnn.errors import TargetMissingError
from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.populations import ConstantSource, InputPort
from hsnn.ir.validate import validate_network
from hsnn.learning import refuse_learning_parts
from hsnn.passes.mapping.idle import without_idle_projections
from hsnn.target import TargetStatus
from hsnn_targets.lava.executable import LavaExecutable
from hsnn_targets.lava.interpreter import VARIABLE, find_lava, worker_interpreter
from hsnn_targets.lava.planner import plan_processes
from hsnn_targets.lava.probe import Finding
from hsnn_targets.lava.schedule import make_schedule
from hsnn_targets.loihi2.host import ALLOWED, way_to_board
from hsnn_targets.loihi2.rules import refuse_what_a_board_lacks

TIMEOUT_SECONDS = 600.0
"""Without progress: compiling for a board and waiting for SLURM take minutes."""


class Loihi2Target:
    """A Loihi 2 board; what it records are the outputs, their spikes and their counts."""

    name = "loihi2"
    outputs_only = True
    """Told to ``hsnn-compile verify``, which otherwise compares inner spikes and states too."""

    def status(self) -> TargetStatus:
        """Look for Intel's extension in the worker's interpreter and for a way to a board."""
        try:
            finding = find_lava()
        except TargetMissingError as error:
            return TargetStatus(False, error.found)
        versions = {"python": finding["python"]} | ({"lava-nc": finding["lava"]} if finding["lava"] else {})
        missing = _missing(finding)
        return TargetStatus(not missing, missing or way_to_board(os.environ), versions)

    def load(self, network: IntegerNetwork, *, timeout: float | None = None) -> LavaExecutable:
        """Compile a network for a board and start it there.

        Raises:
            TargetMissingError: ``HSNN-T030``, if Intel's extension or a way to a board is missing;
                ``HSNN-T021``, if the interpreter named by ``HSNN_LAVA_PYTHON`` does not work.
            UnsupportedError: ``HSNN-T032``, if the network needs what a board lacks; ``HSNN-T033``, if
                Lava would leave a part of it on the CPU; ``HSNN-C021`` for loops without enough delay.
            CapacityError: ``HSNN-C020``, if a projection would have to wait too long.
            RunError: ``HSNN-R020`` to ``HSNN-R022``, if the board does not come up.
        """
        validate_network(network)
        refuse_learning_parts(network, self.name)
        missing = _missing(find_lava())
        if missing:
            raise TargetMissingError(
                "HSNN-T030",
                f"there is no Loihi 2 board here: {missing}",
                fix="run on --target loihi2-sim or --target emulator, which compute the same",
            )
        working = without_idle_projections(network)
        schedule = make_schedule(working)
        quiet = {
            item.name
            for item in (*network.inputs, *network.populations)
            if isinstance(item, InputPort | ConstantSource)
        }
        recorded = [name for name in dict.fromkeys(network.outputs) if name not in quiet]
        blueprint = plan_processes(working, schedule, recorded=recorded, board=True)
        refuse_what_a_board_lacks(blueprint)
        patience = TIMEOUT_SECONDS if timeout is None else timeout
        return LavaExecutable(network, schedule, blueprint, timeout=patience, board=True)


def _missing(finding: Finding) -> str:
    """Say what is missing, one sentence, or return an empty string."""
    where = f"{worker_interpreter()} ({VARIABLE} can name another interpreter)"
    if finding["problem"]:
        return f"{finding['problem']} in {where}"
    if not finding["extension"]:
        return f"Intel's extension lava-loihi, which members of the INRC get, is not installed in {where}"
    if not way_to_board(os.environ):
        return f"lava-loihi is installed, but nothing says where a board is; set {ALLOWED}"
    return ""
