"""What a run may record besides its outputs: spikes as packed bits, and states of every timestep."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from hsnn.errors import UsageError
from hsnn.packed_spikes import PackedSpikes

if TYPE_CHECKING:
    from hsnn.ir.validate_batch import Inputs
    from hsnn.target import Executable, Progress, SegmentResult


@dataclass(frozen=True, slots=True)
class Recording:
    """What to record: the spikes of every LIF population, as packed bits, and more if asked for.

    Attributes:
        states: Whether to record currents and voltages of every neuron after every timestep: 8 bytes
            each, and many more than the spikes.
    """

    states: bool = False


@runtime_checkable
class Recorder(Protocol):
    """An executable that can record more than ``run`` traces."""

    def record(self, inputs: Inputs, what: Recording, *, progress: Progress | None = None) -> SegmentResult:
        """Run one batch like ``run`` and fill ``packed``, and the states over time if they are wanted."""
        ...


def record(
    executable: Executable, inputs: Inputs, what: Recording, *, progress: Progress | None = None
) -> SegmentResult:
    """Run one batch and record; a target that cannot pack spikes itself traces them, and they are packed here.

    Raises:
        UsageError: ``HSNN-R052``, if the target does not see the states of every timestep.
    """
    if isinstance(executable, Recorder):
        return executable.record(inputs, what, progress=progress)
    if what.states:
        raise UsageError(
            "HSNN-R052",
            "this target does not tell currents and voltages of every timestep",
            fix="record them on --target emulator, which computes the same",
        )
    result = executable.run(inputs, trace=True, progress=progress)
    packed = {name: PackedSpikes.pack(spikes) for name, spikes in result.spikes.items()}
    return replace(result, spikes={}, current={}, voltage={}, packed=packed)
