"""The border to targets: what a back end offers, and how hsnn finds it.

A target is a plug-in of the entry-point group ``hsnn.targets``; the entry names a module-level object
that satisfies :class:`Target`. Nothing is imported until it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

from hsnn.errors import TargetMissingError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hsnn.ir.integer import IntegerNetwork
    from hsnn.ir.validate_batch import Inputs
    from hsnn.packed_spikes import PackedSpikes

    Int32 = NDArray[np.int32]

Progress: TypeAlias = "Callable[[int], None]"
"""Called with the number of samples that have just been finished."""


@dataclass(frozen=True, slots=True)
class TargetStatus:
    """Whether a target can run here.

    Attributes:
        available: Whether :meth:`Target.load` would work.
        detail: One sentence: what was found, or what is missing and how to get it.
        versions: Versions of the libraries behind it.
    """

    available: bool
    detail: str
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class SegmentResult:
    """What a segment did with a batch.

    Attributes:
        outputs: For each name in ``network.outputs``: int32, shape ``(timestep, batch, *feature)``;
            spikes (0 or 1) of LIF populations, messages of sigma-delta ones, voltages of integrators,
            payloads of ports.
        spikes: With ``trace``: the same arrays for every population but integrators; else empty.
        current: With ``trace``: final current of every neuron population, int32, shape
            ``(batch, *feature)``. A target that cannot see it for every sample gives the last ones
            only; the batch axis is then shorter and aligned to the end.
        voltage: With ``trace``: final voltage, likewise. Sigma-delta populations show their running sum
            as the current and what they have sent as the voltage.
        spike_counts: Number of spikes, or of messages other than 0, that each population but integrators
            sent, summed over batch and time.
        packed: With a :class:`hsnn.recording.Recording`: the spikes of every LIF population, eight to a byte.
        currents: With one that asks for states: the current of every neuron population after every
            timestep, int32, shape ``(timestep, batch, *feature)``.
        voltages: The voltage, likewise, after any reset.
    """

    outputs: Mapping[str, Int32]
    spikes: Mapping[str, Int32] = field(default_factory=dict)
    current: Mapping[str, Int32] = field(default_factory=dict)
    voltage: Mapping[str, Int32] = field(default_factory=dict)
    spike_counts: Mapping[str, int] = field(default_factory=dict)
    packed: Mapping[str, PackedSpikes] = field(default_factory=dict)
    currents: Mapping[str, Int32] = field(default_factory=dict)
    voltages: Mapping[str, Int32] = field(default_factory=dict)


@runtime_checkable
class Executable(Protocol):
    """A network loaded on a target. It holds resources until closed."""

    def run(self, inputs: Inputs, *, trace: bool = False, progress: Progress | None = None) -> SegmentResult:
        """Run one batch, every sample from a zero state.

        Args:
            inputs: For each input port: int32, or bytes (uint8, int8, bool), shape ``(timestep, batch, *feature)``.
            trace: Whether to record all spikes and the final states.
            progress: Told of finished samples.

        Raises:
            RunError: If the run fails; the executable is closed then.
        """
        ...

    def close(self) -> None:
        """Release everything.

        It may be called twice, and by another thread while a run is under way; that run then ends soon,
        with a RunError.
        """
        ...


@runtime_checkable
class Target(Protocol):
    """A back end that runs an :class:`IntegerNetwork`."""

    @property
    def name(self) -> str:
        """Name for ``--target``."""
        ...

    def status(self) -> TargetStatus:
        """Tell whether the target can run here; cheap and without side effects."""
        ...

    def load(self, network: IntegerNetwork, *, timeout: float | None = None) -> Executable:
        """Prepare a network for running.

        Args:
            network: A valid network.
            timeout: Seconds without progress after which a run is given up, or the target's default.

        Raises:
            TargetMissingError: If the target is not available.
            UnsupportedError: If the target cannot run this network.
        """
        ...


def target_names() -> tuple[str, ...]:
    """Names of all installed targets, sorted."""
    return tuple(sorted(entry.name for entry in entry_points(group="hsnn.targets")))


def find_target(name: str) -> Target:
    """Load a target by name.

    Raises:
        TargetMissingError: If no installed package offers that target.
    """
    for entry in entry_points(group="hsnn.targets"):
        if entry.name == name:
            target: Target = entry.load()
            return target
    raise TargetMissingError(
        "HSNN-T001",
        f"there is no target {name!r}",
        allowed=", ".join(target_names()) or "none is installed",
        fix="choose one with --target; hsnn-compile targets lists them",
    )
