"""``hsnn-compile run``: samples through an artifact, host and chip together."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsnn.commands import options, values
from hsnn.commands.run_report import describe, number_of_classes, render
from hsnn.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hsnn.commands.console import Console
    from hsnn.program import Json, Program
    from hsnn.runtime.result import RunResult

    Arrays = Mapping[str, NDArray[Any]]

USAGE = "run ARTIFACT --input FILE [options]"
HELP = "run an artifact on samples, with accuracy if there are labels"
DESCRIPTION = """\
Run samples through an artifact: its host parts on ONNX Runtime, its spiking parts on a target. The emulator
is the quick one and computes exactly what Lava's simulation (loihi2-sim) computes. torch is not needed.
"""
EPILOG = """\
examples:
  hsnn-compile run network.hsnn --input test.npz --label-key labels
  hsnn-compile run network.hsnn --input x.npy --labels y.npy --target loihi2-sim --samples 50
  hsnn-compile run network.hsnn --input x.npy --output outputs.npz --host cuda --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    group = parser.add_argument_group("what to run")
    options.add_artifact(group)
    options.add_input(group, required=True)
    group.add_argument(
        "--labels", metavar="FILE", help="an .npy or .npz with the class number of each sample, for the accuracy"
    )
    group.add_argument("--label-key", metavar="NAME", help="array with the labels, in --labels or else in --input")
    group.add_argument("--samples", type=values.positive, metavar="N", help="run the first N samples only")
    group.add_argument("-o", "--output", metavar="FILE", help="write the outputs to this .npz")
    group.add_argument("--trace", metavar="FILE", help="write the spikes inside, as packed bits, to this .npz")
    group.add_argument(
        "--trace-states", action="store_true", help="with --trace: currents and voltages of every timestep, too"
    )
    how = parser.add_argument_group("how to run it")
    options.add_target(how)
    options.add_host(how)
    how.add_argument(
        "--batch-size", type=values.positive, metavar="N", help="samples that go through a stage at once (default 32)"
    )
    options.add_timeout(how)
    how.add_argument(
        "--host-threads", type=values.positive, metavar="N", help="threads of a host part (default: one a processor)"
    )


def run(args: argparse.Namespace, console: Console) -> int:
    """Run and report."""
    from hsnn.artifact import load
    from hsnn.commands.files import require_file

    output, traced = _check_output(args, "output"), _check_output(args, "trace")
    if output is not None and traced is not None and output.resolve() == traced.resolve():
        raise UsageError("HSNN-U134", f"--trace {args.trace!r} is what --output names", fix="choose another name")
    if args.trace_states and traced is None:
        raise UsageError("HSNN-U052", "--trace-states is given without --trace", fix="say --trace FILE.npz")
    for name in ("input", "labels"):
        require_file(getattr(args, name), name)
    program = load(args.artifact)
    inputs, labels = load_inputs(args, program)
    done = execute(args, program, inputs, console)
    result = {
        "verb": "run",
        "artifact": args.artifact,
        "target": args.target,
        "host": args.host,
        **describe(program, done, labels),
    }
    if output is not None:
        _write_outputs(output, done)
        result["output_file"] = str(output)
    if traced is not None:
        _write_trace(traced, done)
        result["trace_file"] = str(traced)
        result["synaptic_operations"] = _operations(program, done)
    if done.clipped:
        console.warn(
            f"{done.clipped} values were beyond what calibration saw and were clipped on their way to the chip"
        )
    console.result(result, lambda: render(result))
    return 0


def load_inputs(args: argparse.Namespace, program: Program) -> tuple[Arrays, NDArray[Any] | None]:
    """Read samples and labels, and check them before anything is run.

    Returns:
        An array for each model input, and the labels if there are any.

    Raises:
        UsageError: HSNN-U143 for labels of a model without class scores; see also :mod:`hsnn.commands.arrays` and
            :func:`hsnn.runtime.inputs.check_inputs`.
    """
    from hsnn.commands.arrays import load_arrays, select_inputs, select_labels
    from hsnn.runtime.inputs import check_inputs, sample_count, take_samples

    arrays = load_arrays(args.input, "input")
    inside = args.label_key if args.labels is None else None
    names = [value.name for value in program.inputs]
    ignore = () if inside is None else (inside,)
    chosen = select_inputs(arrays, names, path=args.input, what="input", ignore=ignore)
    inputs = check_inputs(chosen, program.inputs)
    count = sample_count(inputs, program.inputs) or 1
    labels = None
    if args.labels is not None or inside is not None:
        source = args.input if args.labels is None else args.labels
        held = arrays if args.labels is None else load_arrays(args.labels, "label")
        classes = number_of_classes(program)
        labels = select_labels(held, args.label_key, path=source, samples=count, classes=classes)[: args.samples]
    return take_samples(inputs, program.inputs, start=0, stop=min(count, args.samples or count)), labels


def execute(args: argparse.Namespace, program: Program, inputs: Arrays, console: Console) -> RunResult:
    """Run the samples, showing how far it is.

    Args:
        args: Target, device, batch size and what is recorded.
        program: What to run.
        inputs: Checked arrays, as :func:`load_inputs` returns them.
        console: Where progress is shown.
    """
    from hsnn.commands.reporting import ReportingTarget
    from hsnn.recording import Recording
    from hsnn.runtime.inputs import sample_count
    from hsnn.runtime.session import Session

    total = sample_count(inputs, program.inputs) or 1
    chosen = {"batch_size": args.batch_size} if args.batch_size is not None else {}
    finished: Counter[str] = Counter()
    with console.progress() as progress:

        def advance(what: str, samples: int) -> None:
            finished[what] += samples
            progress(what, finished[what], total)

        for stage in program.chip_stages:
            advance(f"{stage.network.name} on {args.target}", 0)
        target = ReportingTarget(
            options.find_device_target(args.target, args.device),
            lambda network, samples: advance(f"{network} on {args.target}", samples),
        )
        with Session(
            program, target=target, host=args.host, timeout=args.timeout, threads=args.host_threads, **chosen
        ) as session:
            recording = Recording(states=args.trace_states) if args.trace is not None else False
            return session.run(inputs, trace=recording, progress=lambda samples: advance("all stages", samples))


def _check_output(args: argparse.Namespace, option: str) -> Path | None:
    """Check that the file of an option can be written before anything is run."""
    from hsnn.commands.files import check_free, same_file

    name = getattr(args, option)
    if name is None:
        return None
    path = Path(name)
    if path.suffix != ".npz":
        raise UsageError(
            "HSNN-U144", f"--{option} is {name!r}", allowed="a name that ends in .npz", fix="end the name in .npz"
        )
    for read in (args.input, args.labels):
        if read is not None and same_file(path, Path(read)):
            raise UsageError("HSNN-U134", f"--{option} {name!r} is a file that is read", fix="choose another name")
    check_free(path, force=True)
    return path


def _write_outputs(path: Path, done: RunResult) -> None:
    from hsnn.commands.arrays import write_arrays
    from hsnn.commands.files import write_whole

    write_whole(path, lambda file: write_arrays(file, done.outputs))


def _operations(program: Program, done: RunResult) -> dict[str, Json]:
    """Synaptic operations of every projection of every spiking stage."""
    from hsnn.runtime.operations import synaptic_operations

    return {stage.name: synaptic_operations(stage.network, done.traces[stage.name]) for stage in program.chip_stages}


def _write_trace(path: Path, done: RunResult) -> None:
    from hsnn.commands.arrays import write_arrays
    from hsnn.commands.files import write_whole
    from hsnn.runtime.trace_file import trace_arrays

    write_whole(path, lambda file: write_arrays(file, trace_arrays(done)))
