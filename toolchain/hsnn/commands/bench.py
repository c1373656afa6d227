"""``hsnn-compile bench``: how fast an artifact runs here, and what its spiking parts do."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from hsnn.commands import options, values
from hsnn.report.cells import Cell, Column, Table, compact, decimal, visible

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hsnn.commands.console import Console
    from hsnn.ir.integer import IntegerNetwork
    from hsnn.program import ChipStage, Json, Program
    from hsnn.runtime.result import RunResult
    from hsnn.target import Target

    Arrays = Mapping[str, NDArray[Any]]

USAGE = "bench ARTIFACT [options]"
HELP = "measure how fast an artifact runs here"
DESCRIPTION = """\
Measure the latency of single samples and the throughput of batches, stage by stage, and count the spikes and
synaptic operations of every spiking part. On the emulator, time every projection and population alone, too, fed
with what it got in the whole network; a projection brings the neurons that it leads to, so these times add up to
more than the segment's. Times are medians of several runs. Without --input the calibration samples that the
artifact keeps take turns, or random numbers of 0 to 1 if it keeps none; those may cause quite another activity.
"""
EPILOG = """\
examples:
  hsnn-compile bench network.hsnn --input test.npz
  hsnn-compile bench network.hsnn --samples 256 --batch-size 64 --json
  hsnn-compile bench network.hsnn --input test.npz --synapses events --threads 1
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
    options.add_artifact(group)
    options.add_input(group, what="samples: ")
    group.add_argument(
        "--samples", type=values.positive, default=64, metavar="N", help="measure on the first N samples (default 64)"
    )
    how = parser.add_argument_group("how to measure")
    options.add_target(how)
    options.add_host(how)
    how.add_argument(
        "--batch-size", type=values.positive, default=32, metavar="N", help="samples of a batch (default 32)"
    )
    how.add_argument(
        "--repeats", type=values.positive, default=5, metavar="N", help="runs whose median is told (default 5)"
    )
    options.add_kernels(how)
    options.add_timeout(how)


def run(args: argparse.Namespace, console: Console) -> int:
    """Measure and tell."""
    from hsnn.artifact import load
    from hsnn.runtime.inputs import sample_count, take_samples
    from hsnn.runtime.session import Session

    chosen = options.find_device_target(args.target, args.device)
    target = options.tune(chosen, synapses=args.synapses, tier=args.tier, threads=args.threads)
    program = load(args.artifact)
    inputs = _samples(args, program)
    first = take_samples(inputs, program.inputs, start=0, stop=1)
    traced = take_samples(inputs, program.inputs, start=0, stop=TRACED)
    common = {"target": target, "host": args.host, "timeout": args.timeout}
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
        "device": args.device,
        "host": args.host,
        "input": args.input or ("random" if program.golden is None else "calibration"),
        "samples": sample_count(inputs, program.inputs) or 1,
        "batch_size": args.batch_size,
        "repeats": args.repeats,
        **_whole(singles, batches),
        "stages": _stages(singles, batches),
        "synapses": args.synapses,
        "segments": [_segment(target, stage, activity, args) for stage in program.chip_stages],
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
    for segment in result["segments"]:
        yield ""
        yield FittingTable(_projections(segment))
        yield FittingTable(_neurons(segment))
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
        return _own(program, args.samples)
    require_file(args.input, "input")
    names = [value.name for value in program.inputs]
    arrays = load_arrays(args.input, "input")
    inputs = check_inputs(select_inputs(arrays, names, path=args.input, what="input"), program.inputs)
    count = sample_count(inputs, program.inputs) or 1
    return take_samples(inputs, program.inputs, start=0, stop=min(count, args.samples))


def _own(program: Program, samples: int) -> Arrays:
    """The samples that a program keeps, over and over; random ones if it keeps none."""
    import numpy as np

    from hsnn.runtime.inputs import batch_axis, check_inputs

    rng = np.random.default_rng(0)
    made = {}
    for value in program.inputs:
        if program.golden is None:
            shape = [samples if extent is None else extent for extent in value.shape]
            made[value.name] = rng.random(shape).astype(value.dtype)
        else:
            kept, axis = program.golden.inputs[value.name], batch_axis(value)
            made[value.name] = kept if axis is None else np.take(kept, np.arange(samples) % kept.shape[axis], axis)
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


def _segment(target: Target, stage: ChipStage, activity: RunResult, args: argparse.Namespace) -> dict[str, Json]:
    """What one network did with the traced samples, how its target ran it, and what its parts take alone."""
    from hsnn.commands.plain import plain
    from hsnn.ir.shape import size
    from hsnn.runtime.operations import synaptic_operations

    network, trace = stage.network, activity.traces[stage.name]
    samples, counts = activity.samples, trace.result.spike_counts
    operations = synaptic_operations(network, trace)
    executable = target.load(network, timeout=args.timeout)
    try:
        executable.run(trace.payloads)
        usage = plain(executable.usage()) if isinstance(executable, Explains) else {}
    finally:
        executable.close()
    times = _alone(target, stage, activity, args.repeats) if isinstance(executable, Explains) else {}
    return {
        "name": stage.name,
        "timesteps": network.timesteps,
        "neurons": sum(size(neuron.shape) for neuron in network.neurons),
        "traced_samples": samples,
        "spikes_per_sample": sum(counts.values()) / samples,
        "spikes_of_neurons": {neuron.name: counts.get(neuron.name, 0) / samples for neuron in network.neurons},
        "operations_per_sample": {name: count / samples for name, count in operations.items()},
        "alone_ms": times,
        "tier": getattr(executable, "tier", None),
        "usage": usage,
    }


def _alone(target: Target, stage: ChipStage, activity: RunResult, repeats: int) -> dict[str, float]:
    """Milliseconds of a sample of every projection and population by itself, the traced samples in one batch."""
    from statistics import median
    from time import perf_counter

    from hsnn.runtime.alone import neurons_alone, projection_alone, sent_to

    network, trace = stage.network, activity.traces[stage.name]
    parts: list[tuple[str, str | None, IntegerNetwork]] = [
        *((p.name, p.pre, projection_alone(network, p)) for p in network.projections),
        *((neuron.name, None, neurons_alone(network, neuron)) for neuron in network.neurons),
    ]
    times: dict[str, float] = {}
    for name, source, part in parts:
        executable, inputs = target.load(part), sent_to(part, source, trace)
        try:
            executable.run(inputs)
            seconds = []
            for _ in range(repeats):
                start = perf_counter()
                executable.run(inputs)
                seconds.append(perf_counter() - start)
        finally:
            executable.close()
        times[name] = 1000 * median(seconds) / activity.samples
    return times


def _projections(segment: Mapping[str, Any]) -> Table:
    """What every projection did, and how it ran."""
    columns = (
        Column("Projection", code=True),
        Column("Synaptic operations a sample", number=True),
        Column("Ran as products", number=True),
        Column("as events", number=True),
        Column("Alone, ms a sample", number=True),
    )
    rows = []
    for name, operations in segment["operations_per_sample"].items():
        used = segment["usage"].get(name)
        texts = (decimal(operations), *_ways(used), _milliseconds(segment, name))
        rows.append((Cell(visible(name)), *map(Cell, texts)))
    return Table(visible(segment["name"]), columns, tuple(rows))


def _neurons(segment: Mapping[str, Any]) -> Table:
    """What every population did."""
    columns = (
        Column("Neurons", code=True),
        Column("Spikes a sample", number=True),
        Column("Alone, ms a sample", number=True),
    )
    rows = tuple(
        (Cell(visible(name)), Cell(decimal(spikes)), Cell(_milliseconds(segment, name)))
        for name, spikes in segment["spikes_of_neurons"].items()
    )
    return Table("", columns, rows)


def _ways(used: Mapping[str, Any] | None) -> tuple[str, str]:
    """How often synapses ran as products and as events."""
    if used is None:
        return "-", "-"
    return ("-", "always") if used["limit"] is None else (compact(used["products"]), compact(used["events"]))


def _milliseconds(segment: Mapping[str, Any], name: str) -> str:
    return f"{segment['alone_ms'][name]:.4f}" if name in segment["alone_ms"] else "-"


def _tier(segment: Mapping[str, Any]) -> str:
    return f", kernels: {segment['tier']}" if segment["tier"] else ""
