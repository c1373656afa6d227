"""The target ``emulator``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from hsnn.errors import TargetMissingError, UsageError
from hsnn.ir.plastic import needs_learning_engine
from hsnn.ir.validate import validate_network
from hsnn.target import TargetStatus
from hsnn_targets.emulator.tiers import choose_tier

if TYPE_CHECKING:
    from hsnn.ir.integer import IntegerNetwork
    from hsnn_targets.emulator.lessons import LearningEmulator
    from hsnn_targets.emulator.machine import EmulatorExecutable
    from hsnn_targets.emulator.vector_plan import Synapses

THREADS_VARIABLE = "HSNN_THREADS"
DEFAULT_THREADS = 4
"""Most threads unless told otherwise: the host stages of a pipeline want some, too."""


@dataclass(frozen=True, slots=True)
class EmulatorTarget:
    """The fast emulator, equal to ``reference`` in every bit.

    Attributes:
        threads: Most threads of one run; by default what ``HSNN_THREADS`` says, or else the number of
            usable processors up to 4.
        tier: Kernels to use, of :data:`hsnn_targets.emulator.tiers.TIERS`; by default what
            ``HSNN_EMULATOR_TIER`` says, or else the fastest that this processor has.
        synapses: How synapses run that can be either matrix products or events: ``auto`` chooses by
            the activity of each layer, ``products`` and ``events`` always run them one way.
    """

    threads: int | None = None
    tier: str | None = None
    synapses: Synapses = "auto"

    @property
    def name(self) -> str:
        """Name for ``--target``."""
        return "emulator"

    def status(self) -> TargetStatus:
        """Tell whether llvmlite is installed; does not import it."""
        try:
            found = _llvmlite()
        except PackageNotFoundError:
            return TargetStatus(False, "llvmlite is not installed; pip install llvmlite")
        return TargetStatus(True, "compiled kernels on this processor", {"llvmlite": found})

    def load(self, network: IntegerNetwork, *, timeout: float | None = None) -> EmulatorExecutable | LearningEmulator:
        """Plan a network and compile the kernel, or fetch it from disk.

        Args:
            network: A valid network.
            timeout: Not used: a run cannot stall.

        Raises:
            HsnnError: ``HSNN-I001``, if the network breaks its contract.
            TargetMissingError: ``HSNN-T040``, if llvmlite is missing.
            RunError: ``HSNN-R040``, if there is no memory for the network.
            UsageError: ``HSNN-U040``, if the number of threads is not a positive integer; ``HSNN-U041``,
                if this processor cannot run the tier.
        """
        threads = count_threads(self.threads)
        status = self.status()
        if not status.available:
            raise TargetMissingError("HSNN-T040", "target 'emulator' needs llvmlite", fix=status.detail)
        validate_network(network)
        if needs_learning_engine(network):
            from hsnn_targets.emulator.lessons import LearningEmulator

            return LearningEmulator(network)
        from hsnn_targets.emulator.machine import EmulatorExecutable

        return EmulatorExecutable(network, threads, choose_tier(self.tier), self.synapses)


@cache
def _llvmlite() -> str:
    """Its version; looking for it takes milliseconds."""
    return version("llvmlite")


def count_threads(wanted: int | None) -> int:
    """Resolve the number of threads.

    Args:
        wanted: What the caller asked for, or None for the environment and the default.

    Raises:
        UsageError: ``HSNN-U040``, if it is not a positive integer.
    """
    if wanted is not None:
        return _positive(wanted, "option threads")
    text = os.environ.get(THREADS_VARIABLE, "")
    if text:
        return _positive(
            int(text) if text.isascii() and text.isdigit() else text, f"environment variable {THREADS_VARIABLE}"
        )
    return min(_processors(), DEFAULT_THREADS)


def _positive(value: int | str, what: str) -> int:
    if isinstance(value, str) or value < 1:
        raise UsageError(
            "HSNN-U040",
            f"{what} is {value!r}",
            allowed="a whole number of threads, 1 or more",
            fix="leave it out for all processors",
        )
    return value


def _processors() -> int:
    """Processors that this process may use, where the system tells."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
