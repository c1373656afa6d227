"""``hsnn-compile verify``: every stage of the compilation against the one before."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hsnn.commands import options
from hsnn.commands.calling import add_calling, called
from hsnn.errors import UsageError, VerificationError

if TYPE_CHECKING:
    from hsnn.commands.console import Console, StageProgress
    from hsnn.program import Json, Program
    from hsnn.verify.ladder import VerifyReport

USAGE = "verify ARTIFACT [options]"
HELP = "prove that an artifact does what its model does, rung by rung"
DESCRIPTION = """\
Compare each stage of the compilation with the one before: the torch model with its ONNX form (with --model),
host parts with that form, integers with floats, the emulator with the reference, Lava with the emulator, and
the whole with the traces that the build kept. The first difference is named by segment, layer, timestep,
sample and neuron. Exit status: 0 all passed, 5 a rung failed.
"""
EPILOG = """\
Without --input the few samples that the build kept in the artifact are used.

examples:
  hsnn-compile verify network.hsnn
  hsnn-compile verify network.hsnn --target emulator --input test.npz
  hsnn-compile verify network.hsnn --target gpu --device cuda:1
  hsnn-compile verify network.hsnn --report network.html
  hsnn-compile verify network.hsnn --model my_model:network --weights weights.safetensors
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    group = parser.add_argument_group("what to verify")
    options.add_artifact(group)
    options.add_input(group, what="samples to compare on: ")
    options.add_target(
        group,
        default="loihi2-sim",
        what="how far up to go: the emulator (quick), Lava (loihi2-sim, the default), gpu, or a board (loihi2)",
    )
    options.add_limits(group)
    options.add_timeout(group)
    group.add_argument(
        "--report", metavar="FILE", help="also write the HTML page of the artifact, with the outcome on it"
    )
    torch = parser.add_argument_group("the torch model, to start from it")
    torch.add_argument("--model", metavar="MODULE:FUNCTION", help="the function that the artifact was built from")
    options.add_weights(torch)
    add_calling(torch)


def run(args: argparse.Namespace, console: Console) -> int:
    """Verify and report."""
    from hsnn.artifact import load
    from hsnn.commands.arrays import load_arrays, select_inputs
    from hsnn.commands.files import check_free, require_file
    from hsnn.commands.models import is_file, load_torch, require_model
    from hsnn.verify.ladder import verify

    if args.model is None and args.weights is not None:
        raise UsageError("HSNN-U142", "--weights is given without --model", fix="name the model that they belong to")
    if args.model is not None and is_file(args.model):
        raise UsageError(
            "HSNN-U142",
            "--model names a file",
            allowed="package.module:function of a torch module",
            fix="leave it out: an artifact that was built from a file is verified from its ONNX form on",
        )
    if args.model is not None:
        require_model(args.model)
    for name in ("input", "weights"):
        require_file(getattr(args, name), name)
    if args.report is not None:
        check_free(Path(args.report), force=True)
    target = options.find_device_target(args.target, args.device)
    program = load(args.artifact)
    limits = options.limits(args) if args.limit else None
    samples = None
    if args.input is not None:
        names = [value.name for value in program.inputs]
        samples = select_inputs(load_arrays(args.input, "input"), names, path=args.input, what="input")
    model = None if args.model is None else called(load_torch(args.model, args.weights), args)
    with console.progress() as progress:
        report = verify(
            program,
            model=model,
            samples=samples,
            target=target,
            limits=limits,
            timeout=args.timeout,
            progress=one_at_a_time(progress),
        )
    result = {"verb": "verify", "artifact": args.artifact, **describe(report)}
    if args.report is not None:
        _write_page(program, report, Path(args.report))
        result["report"] = args.report
    return finish(report, result, console, tuple)


def _write_page(program: Program, report: VerifyReport, path: Path) -> None:
    """Write the page of an artifact with the rungs on it."""
    from hsnn.commands.files import write_whole
    from hsnn.report.html import render

    page = render(program, verify=report).encode("utf-8")
    write_whole(path, lambda file: file.write(page))


def one_at_a_time(progress: StageProgress) -> StageProgress:
    """Show each rung as work of its own, done when the next one starts."""
    current = ""

    def advance(rung: str, done: int, total: int) -> None:
        nonlocal current
        if current:
            progress(current, 1, 1)
        current = rung if done < total else ""
        if current:
            progress(current, 0, 1)

    return advance


def describe(report: VerifyReport) -> dict[str, Json]:
    """The rungs, and where the first difference is."""
    from hsnn.commands.plain import plain

    return {"passed": report.passed, "rungs": plain(report.rungs)}


def finish(
    report: VerifyReport,
    result: Mapping[str, object],
    console: Console,
    before: Callable[[], Iterable[object]],
) -> int:
    """Show a result and the rungs, and tell the exit status.

    Args:
        report: The rungs.
        result: Result of the verb, the rungs included.
        console: Where to show it.
        before: Makes what is shown before the rungs.
    """
    from hsnn.commands.plain import error_fields

    error = failure(report)

    def render() -> Iterable[object]:
        from hsnn.report import text

        yield from before()
        yield text.verify_table(report)

    console.result(result if error is None else {**result, "error": error_fields(error)}, render)
    if error is None:
        return 0
    console.error(error)
    return error.exit_status


def failure(report: VerifyReport) -> VerificationError | None:
    """The error of a report that did not pass."""
    try:
        report.raise_for_status()
    except VerificationError as error:
        return error
    return None
