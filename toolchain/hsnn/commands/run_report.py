"""What ``hsnn-compile run`` tells of a run: as plain values, and for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from hsnn.errors import UsageError
from hsnn.report.cells import Cell, Column, Table, compact, decimal, visible

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hsnn.ir.plan import ModelValue
    from hsnn.program import Json, Program
    from hsnn.runtime.result import RunResult, StageRun


def describe(program: Program, done: RunResult, labels: NDArray[Any] | None) -> dict[str, Json]:
    """Everything that a run tells, as plain values.

    Args:
        program: What was run.
        done: What came of it.
        labels: Class of each sample, integers of shape ``(sample,)``, if known; they count only where
            :func:`class_output` finds an output.
    """
    import numpy as np

    from hsnn.runtime.metrics import accuracy

    outputs: dict[str, Json] = {
        name: {"shape": [int(extent) for extent in array.shape], "dtype": str(array.dtype)}
        for name, array in done.outputs.items()
    }
    result: dict[str, Json] = {
        "samples": done.samples,
        "seconds": done.seconds,
        "samples_per_second": done.samples / done.seconds if done.seconds > 0 else None,
        "outputs": outputs,
        "clipped": done.clipped,
        "stages": [_describe_stage(stage, done.samples) for stage in done.stages],
    }
    scored = class_output(program)
    if scored is None:
        return result
    scores = done.outputs[scored.name]
    result["predictions"] = [int(number) for number in np.argmax(scores, axis=1)]
    if labels is not None:
        result["accuracy"] = accuracy(scores, labels)
        result["correct"] = int(np.count_nonzero(np.argmax(scores, axis=1) == labels))
    return result


def class_output(program: Program) -> ModelValue | None:
    """The output with an axis of classes, ``(batch, class)``, if there is exactly one."""
    scored = [value for value in program.outputs if len(value.shape) == 2 and (value.shape[1] or 0) > 1]
    return scored[0] if len(scored) == 1 else None


def number_of_classes(program: Program) -> int:
    """Number of classes of a model that has one output of class scores.

    Raises:
        UsageError: HSNN-U143 if it has not.
    """
    scored = class_output(program)
    if scored is None:
        shapes = ", ".join(f"{value.name!r} {value.shape}" for value in program.outputs)
        raise UsageError(
            "HSNN-U143",
            f"labels are given, but the model's outputs are {shapes}",
            allowed="one output of shape (sample, class)",
            fix="leave the labels out, and judge the outputs that --output writes",
        )
    return scored.shape[1] or 0


def render(result: Mapping[str, Any]) -> Iterator[object]:
    """Show a run to people."""
    from hsnn.report.text import FittingTable

    rows = [row for stage in result["stages"] for row in _stage_rows(stage)]
    columns = (
        Column("Stage"),
        Column("Seconds", number=True),
        Column("Population", code=True),
        Column("Spikes", number=True),
        Column("A sample", number=True),
    )
    yield FittingTable(Table("Stages", columns, tuple(rows)))
    yield ""
    speed = result["samples_per_second"]
    yield (
        f"{result['samples']} samples on {result['target']} in {result['seconds']:.2f} s"
        + (f", {speed:.1f} a second" if speed else "")
    )
    if "accuracy" in result:
        yield f"accuracy {result['accuracy']:.2%} ({result['correct']} of {result['samples']})"
    if "output_file" in result:
        yield f"outputs written to {result['output_file']}"
    if "trace_file" in result:
        operations = sum(sum(stage.values()) for stage in result["synaptic_operations"].values())
        yield f"spikes written to {result['trace_file']}; {compact(operations)} synaptic operations"


def _stage_rows(stage: Mapping[str, Any]) -> Iterator[tuple[Cell, ...]]:
    """One row a population; stage and time stand in the first."""
    head = (Cell(visible(stage["name"])), Cell(f"{stage['seconds']:.2f}"))
    if not stage["spikes"]:
        yield (*head, *(Cell("-"),) * 3)
    for name, count in stage["spikes"].items():
        yield (*head, Cell(visible(name)), Cell(compact(count)), Cell(decimal(stage["spikes_per_sample"][name])))
        head = (Cell(""), Cell(""))


def _describe_stage(stage: StageRun, samples: int) -> dict[str, Json]:
    return {
        "name": stage.name,
        "seconds": sum(stage.seconds),
        "batches": len(stage.seconds),
        "spikes": dict(stage.spike_counts),
        "spikes_per_sample": {name: count / samples for name, count in stage.spike_counts.items()},
        "messages": dict(stage.messages),
        "clipped": dict(stage.clipped),
    }
