"""What a run gives back: outputs, and for each chip stage what it sent, cost and, if asked, recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from hsnn.errors import UsageError
from hsnn.packed_spikes import PackedSpikes
from hsnn.target import SegmentResult

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Int32 = NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class ChipTrace:
    """What a chip stage got and did.

    Attributes:
        payloads: For each port: int32, shape ``(timestep, batch, *feature)``. With a recording, ports
            without payloads are among ``result.packed`` instead.
        result: What the target gave back, with spikes and states as they were asked for.
    """

    payloads: Mapping[str, Int32]
    result: SegmentResult


@dataclass(frozen=True, slots=True, eq=False)
class StageRun:
    """What a stage did in a run.

    Attributes:
        name: Name of the stage.
        seconds: Time that each batch took, without waiting.
        spike_counts: Spikes sent by each LIF population, over all samples; empty for a host stage.
        messages: Payloads other than 0 of every value that entered or left a chip stage.
        clipped: For each port: payloads that were beyond its limits.
    """

    name: str
    seconds: tuple[float, ...]
    spike_counts: Mapping[str, int] = field(default_factory=dict)
    messages: Mapping[str, int] = field(default_factory=dict)
    clipped: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class RunResult:
    """What a run gave.

    Attributes:
        outputs: Every model output, all samples in order.
        samples: Number of samples.
        seconds: Time from start to end.
        stages: Every stage, in order.
        traces: With ``trace``: every chip stage; else empty.
    """

    outputs: Mapping[str, Array]
    samples: int
    seconds: float
    stages: tuple[StageRun, ...]
    traces: Mapping[str, ChipTrace] = field(default_factory=dict)

    @property
    def output(self) -> Array:
        """The output of a model that has one.

        Raises:
            UsageError: ``HSNN-R101``, if it has more.
        """
        if len(self.outputs) != 1:
            raise UsageError(
                "HSNN-R101",
                f"the model has {len(self.outputs)} outputs",
                allowed=f"one of outputs[{', '.join(self.outputs)}]",
                fix="take one by its name from outputs",
            )
        return next(iter(self.outputs.values()))

    @property
    def clipped(self) -> int:
        """Payloads that were beyond the limits of their port."""
        return sum(sum(stage.clipped.values()) for stage in self.stages)


def merge_stages(batches: Sequence[StageRun]) -> StageRun:
    """Add up what one stage did with successive batches."""
    if len(batches) == 1:
        return batches[0]
    return StageRun(
        batches[0].name,
        tuple(seconds for batch in batches for seconds in batch.seconds),
        _sums([batch.spike_counts for batch in batches]),
        _sums([batch.messages for batch in batches]),
        _sums([batch.clipped for batch in batches]),
    )


def merge_traces(batches: Sequence[ChipTrace]) -> ChipTrace:
    """Join the traces of successive batches.

    Final states of a target that cannot see them for every sample are those of the last batch.
    """
    if len(batches) == 1:
        return batches[0]
    results = [batch.result for batch in batches]
    whole = all(_sees_every_state(batch) for batch in batches)
    states = results if whole else results[-1:]
    return ChipTrace(
        _joined([batch.payloads for batch in batches], axis=1),
        SegmentResult(
            outputs=_joined([result.outputs for result in results], axis=1),
            spikes=_joined([result.spikes for result in results], axis=1),
            current=_joined([result.current for result in states], axis=0),
            voltage=_joined([result.voltage for result in states], axis=0),
            spike_counts=_sums([result.spike_counts for result in results]),
            packed={name: PackedSpikes.joined([r.packed[name] for r in results]) for name in results[0].packed},
            currents=_joined([result.currents for result in results], axis=1),
            voltages=_joined([result.voltages for result in results], axis=1),
        ),
    )


def _sees_every_state(trace: ChipTrace) -> bool:
    samples = next((array.shape[1] for array in trace.result.outputs.values()), 0)
    states = (*trace.result.current.values(), *trace.result.voltage.values())
    return all(state.shape[0] == samples for state in states)


def _joined(batches: Sequence[Mapping[str, Int32]], *, axis: int) -> dict[str, Int32]:
    return {name: np.concatenate([batch[name] for batch in batches], axis=axis) for name in batches[0]}


def _sums(batches: Sequence[Mapping[str, int]]) -> dict[str, int]:
    return {name: sum(batch[name] for batch in batches) for name in batches[0]}
