"""``hsnn-compile bench``: how fast an artifact runs here, and what its spiking parts do."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from hsnn.commands import options
from hsnn.report.cells import Cell, Column, Table, compact, decimal, visible

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hsnn.commands.console import Console
    from hsnn.program import ChipStage, Json, Program
    from hsnn.runtime.result import RunResult

    Arrays = Mapping[str, NDArray[Any]]

USAGE = "bench ARTIFACT [options]"
HELP = "measure how fast an artifact runs here"
DESCRIPTION = """\
Measure the latency of single samples and the throughput of batches, stage by stage, and count the spikes and
synaptic operations of every spiking part. Times are medians of several runs. Without --input the samples are
random numbers of 0 to 1; the activity of real ones may be quite another.
"""
EPILOG = """\
examples:
  hsnn-compile bench network.hsnn --input test.npz
  hsnn-compile bench network.hsnn --samples 256 --batch-size 64 --json
"""
TRACED = 8
"""Most samples whose spikes are counted; all of them are kept in memory."""


@runtime_checkable
class Explains(Protocol):
    """An executable that tells how it runs synapses."""

    def usage(self) -> Mapping[str, object]:
        """How each projection has been run so far."""
        ...


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    group = parser.add_argument_group("what to measure")
    group.add_argument("artifact", metavar="ARTIFACT", help="a folder or .zip that hsnn-compile wrote")
    group.add_argument(
        "-i", "--input", metavar="FILE", help="samples: an .npz with an array for each input, or an .npy"
    )
    group.add_argument("--samples", type=options.positive, default=64, metavar="N", help="samples (default 64)")
    how = parser.add_argument_group("how to measure")
    how.add_argument("--target", default="emulator", help="where spiking parts run (default emulator); see: targets")
    how.add_argument("--host", default="cpu", help="where host parts run: cpu (default), cuda, ...; see: targets")
    how.add_argument(
        "--batch-size", type=options.positive, default=32, metavar="N", help="samples of a batch (default 32)"
    )
    how.add_argument(
        "--repeats", type=options.positive, default=5, metavar="N", help="runs whose median is told (default 5)"
    )
    options.add_timeout(how)


def run(args: argparse.Namespace, console: Console) -> int:
    """Measure and tell."""
    from hsnn.artifact import load
    from hsnn.runtime.inputs import sample_count, take_samples
    from hsnn.runtime.session import Session

    program = load(args.artifact)
    inputs = _samples(args, program)
    first = take_samples(inputs, program.inputs, start=0, stop=1)
    traced = take_samples(inputs, program.inputs, start=0, stop=TRACED)
    common = {"target": args.target, "host": args.host, "timeout": args.timeout}
    with Session(program, batch_size=args.batch_size, **common) as session:
        activity = session.run(traced, trace=True)
        batches = [session.run(inputs) for _ in range(args.repeats)]
    with Session(program, batch_size=1, **common) as session:
        session.run(first)
        singles = [session.run(first) for _ in range(args.repeats)]
    result = {
        "verb": "bench",
        "artifact": args.artifact,
        "target": args.target,
        "host": args.host,
        "input": args.input if args.input is not None else "random",
        "samples": sample_count(inputs, program.inputs) or 1,
        "batch_size": args.batch_size,
        "repeats": args.repeats,
        **_whole(singles, batches),
        "stages": _stages(singles, batches),
        "segments": [_segment(args.target, stage, activity, args.timeout) for stage in program.chip_stages],
        "peak_memory_bytes": peak_memory(),
    }
    console.result(result, lambda: render(result))
    return 0


def render(result: Mapping[str, Any]) -> Iterator[object]:
    """Show what was measured to people."""
    from hsnn.report.text import FittingTable

    columns = (Column("Stage"), Column("One sample, ms", number=True), Column("In batches, ms a sample", number=True))
    rows = [
        (Cell(visible(item["name"])), Cell(f"{item['latency_ms']:.3f}"), Cell(f"{item['batched_ms']:.3f}"))
        for item in result["stages"]
    ]
    yield FittingTable(Table("Stages", columns, tuple(rows)))
    wide = (
        Column("Projection", code=True),
        Column("Synaptic operations a sample", number=True),
        Column("Ran as products", number=True),
        Column("as events", number=True),
    )
    for segment in result["segments"]:
        ways = tuple(_projection_row(segment, name) for name in segment["operations_per_sample"])
        yield ""
        yield FittingTable(Table(visible(segment["name"]), wide, ways))
        yield f"{segment['spikes_per_sample']:.0f} spikes a sample" + _tier(segment)
    yield ""
    memory = result["peak_memory_bytes"]
    yield (
        f"{result['latency_ms']:.3f} ms for one sample, {result['samples_per_second']:.1f} samples a second in batches"
        f" of {result['batch_size']}" + (f", {memory >> 20} MiB at most" if memory else "")
    )


def peak_memory() -> int | None:
    """Most memory that this process ever held, in bytes; None where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _samples(args: argparse.Namespace, program: Program) -> Arrays:
    from hsnn.commands.arrays import load_arrays, select_inputs
    from hsnn.commands.files import require_file
    from hsnn.runtime.inputs import check_inputs, sample_count, take_samples

    if args.input is None:
        return _random(program, args.samples)
    require_file(args.input, "input")
    names = [value.name for value in program.inputs]
    arrays = load_arrays(args.input, "input")
    chosen = {name: arrays[name] for name in names} if set(names) <= set(arrays) else arrays  # labels may lie beside
    inputs = check_inputs(select_inputs(chosen, names, path=args.input, what="input", ignore=()), program.inputs)
    count = sample_count(inputs, program.inputs) or 1
    return take_samples(inputs, program.inputs, start=0, stop=min(count, args.samples))


def _random(program: Program, samples: int) -> Arrays:
    import numpy as np

    from hsnn.runtime.inputs import check_inputs

    rng = np.random.default_rng(0)
    made = {
        value.name: rng.random([samples if extent is None else extent for extent in value.shape]).astype(value.dtype)
        for value in program.inputs
    }
    return check_inputs(made, program.inputs)


def _whole(singles: list[RunResult], batches: list[RunResult]) -> dict[str, Json]:
    from statistics import median

    seconds = median(done.seconds / done.samples for done in batches)
    return {"latency_ms": 1000 * median(done.seconds for done in singles), "samples_per_second": 1 / seconds}


def _stages(singles: list[RunResult], batches: list[RunResult]) -> list[Json]:
    from statistics import median

    def time_of(runs: list[RunResult], place: int) -> float:
        return 1000 * median(sum(done.stages[place].seconds) / done.samples for done in runs)

    return [
        {"name": stage.name, "latency_ms": time_of(singles, place), "batched_ms": time_of(batches, place)}
        for place, stage in enumerate(batches[0].stages)
    ]


def _segment(target: str, stage: ChipStage, activity: RunResult, timeout: float | None) -> dict[str, Json]:
    """What one network did with the traced samples, and how its target ran it."""
    from hsnn.commands.plain import plain
    from hsnn.ir.integer import size
    from hsnn.runtime.operations import synaptic_operations
    from hsnn.target import find_target

    network, trace = stage.network, activity.traces[stage.name]
    samples = activity.samples
    operations = synaptic_operations(network, trace)
    executable = find_target(target).load(network, timeout=timeout)
    try:
        executable.run(trace.payloads)
        usage = plain(executable.usage()) if isinstance(executable, Explains) else {}
    finally:
        executable.close()
    neurons = sum(size(neuron.shape) for neuron in network.neurons)
    return {
        "name": stage.name,
        "timesteps": network.timesteps,
        "neurons": neurons,
        "traced_samples": samples,
        "spikes_per_sample": sum(trace.result.spike_counts.values()) / samples,
        "operations_per_sample": {name: count / samples for name, count in operations.items()},
        "tier": getattr(executable, "tier", None),
        "usage": usage,
    }


def _projection_row(segment: Mapping[str, Any], name: str) -> tuple[Cell, ...]:
    used = segment["usage"].get(name)
    ways = (Cell("-"), Cell("-")) if used is None else (Cell(compact(used["products"])), Cell(compact(used["events"])))
    return (Cell(visible(name)), Cell(decimal(segment["operations_per_sample"][name])), *ways)


def _tier(segment: Mapping[str, Any]) -> str:
    return f", kernels: {segment['tier']}" if segment["tier"] else ""
