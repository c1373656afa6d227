"""``hsnn-compile check`` of a folder: one line for each model in it."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hsnn.commands import options
from hsnn.commands.failures import coded
from hsnn.commands.verdict import verdict
from hsnn.errors import UsageError

if TYPE_CHECKING:
    from hsnn.commands.console import Console
    from hsnn.program import Json

SUFFIXES = (".onnx", ".nir", ".net")
_OPEN = ("HSNN-F074", "HSNN-F084", "HSNN-F085")
"""Codes for what a file leaves open: its timesteps, the shape of its input, the policy of NIR."""


@dataclass(frozen=True, slots=True)
class Line:
    """What was found of one file.

    Attributes:
        path: The file, below the folder.
        verdict: ``compiles``, ``unsupported``, ``too large``, ``unreadable``, ``failed`` for other reasons than
            the file, or ``incomplete`` where the command line does not say what the file leaves open.
        detail: How much goes where, or what is in the way.
        result: The same for ``--json``.
        exit_status: That of ``check`` for this file alone.
    """

    path: str
    verdict: str
    detail: str
    result: dict[str, Json]
    exit_status: int


def run(args: argparse.Namespace, console: Console) -> int:
    """Check every model file of a folder.

    Raises:
        UsageError: HSNN-U147 for a folder without any, or for options of torch models.
    """
    for name in ("weights", "input_shape", "example", "time", "outputs"):
        if getattr(args, name) is not None:
            raise UsageError("HSNN-U147", f"--{name.replace('_', '-')} is given for a folder", fix="leave it out")
    folder = Path(args.model)
    files = model_files(folder)
    if not files:
        raise UsageError(
            "HSNN-U147",
            f"{args.model!r} holds no model",
            allowed=f"files that end in {' or '.join(SUFFIXES)}",
            fix="name the folder that has them, or one model",
        )
    lines = [_line(file, folder, args, console) for file in files]
    status = next((line.exit_status for line in lines if line.exit_status), 0)
    result: dict[str, Json] = {
        "verb": "check",
        "source": args.model,
        "compiles": sum(line.exit_status == 0 for line in lines),
        "models": [line.result for line in lines],
    }

    def render() -> list[object]:
        width = max(len(line.path) for line in lines)
        rows: list[object] = [f"{line.path:<{width}}  {line.verdict:<11}  {line.detail}" for line in lines]
        return [*rows, f"{result['compiles']} of {len(lines)} models compile"]

    console.result(result, render)
    return status


def model_files(folder: Path) -> list[Path]:
    """Model files below a folder, by name; those inside of artifacts and hidden folders are left out."""
    found = []
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).parents
        skipped = any((folder / part / "manifest.json").is_file() or part.name.startswith(".") for part in inside)
        if path.suffix.lower() in SUFFIXES and path.is_file() and not skipped:
            found.append(path)
    return found


def _line(file: Path, folder: Path, args: argparse.Namespace, console: Console) -> Line:
    from hsnn.commands.models import is_netx, is_nir, named_model
    from hsnn.commands.plain import error_fields
    from hsnn.feasibility import check

    name = str(file.relative_to(folder))
    own: dict[str, object] = {"model": str(file)}
    if not is_nir(name):
        own["nir_policy"] = None
    if not is_netx(name):
        own |= {"schedule": None, "static_input": False} | ({} if is_nir(name) else {"timesteps": None})
    try:
        model = named_model(argparse.Namespace(**{**vars(args), **own}))
        report = check(model, options=options.compile_options(args))
        error = verdict(report)
    except Exception as error:  # noqa: BLE001  # what is wrong with one file does not keep the others' lines back
        raised = coded(error, console)
        word = "failed" if error is not raised else "unsupported" if raised.exit_status == 3 else "unreadable"
        detail = f"{raised.code}: {raised.found}"
        if raised.code in _OPEN:
            word, detail = "incomplete", f"{detail}; {raised.fix}"
        result: dict[str, Json] = {"path": name, "verdict": word, "error": error_fields(raised)}
        return Line(name, word, detail, result, raised.exit_status)
    result = {"path": name, "problems": [dict(problem) for problem in report.problems]}
    if error is not None:
        word = "unsupported" if error.exit_status == 3 else "too large"
        first = f"{report.problems[0]['code']}: {report.problems[0]['found']}" if report.problems else error.found
        more = f" and {len(report.problems) - 1} more" if len(report.problems) > 1 else ""
        result |= {"verdict": word, "error": error_fields(error)}
        return Line(name, word, f"{first}{more}", result, error.exit_status)
    chip = sum(item.place.startswith("chip") for item in report.placements)
    neurons = sum(int(str(segment["neurons"])) for segment in report.segments)
    placed = f"{chip} of {len(report.placements)} operators and {neurons:,} neurons on the chip"
    detail = f"{placed}, {len(report.cuts)} crossings"
    result |= {
        "verdict": "compiles",
        "operators_on_chip": chip,
        "operators": len(report.placements),
        "neurons": neurons,
        "crossings": len(report.cuts),
    }
    return Line(name, "compiles", detail, result, 0)
