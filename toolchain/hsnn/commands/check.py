"""``hsnn-compile check``: can this model be compiled, and does it fit?"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from hsnn.commands import options
from hsnn.commands.verdict import verdict

if TYPE_CHECKING:
    from hsnn.commands.console import Console

USAGE = "check MODEL|FOLDER [options]"
HELP = "tell whether a model can be compiled, and what to change if not"
DESCRIPTION = """\
Say where every operator of a model would run, what would cross between host and chip, and whether the
spiking parts fit. Nothing is calibrated and nothing is written. Every problem is listed, with its code and
a fix. Exit status: 0 it can be compiled, 3 something is unsupported, 4 it does not fit the chip.

Of a folder every .onnx, .nir and .net file below it is checked, one line each; the exit status is that of the
first file that cannot be compiled.
"""
EPILOG = """\
examples:
  hsnn-compile check my_model:network --input-shape 1x28x28
  hsnn-compile check my_model:network --example samples.npz --json
  hsnn-compile check network.onnx --chip my_chip.toml
  hsnn-compile check network.net --timesteps 32
  hsnn-compile check models/ --nir-policy norse --timesteps 32 --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    options.add_model(parser)
    options.add_netx_and_nir(parser)
    options.add_placement(parser)


def run(args: argparse.Namespace, console: Console) -> int:
    """Check and report."""
    from hsnn.commands.files import require_file
    from hsnn.commands.models import example_inputs, is_file, named_model, require_example, require_model
    from hsnn.commands.plain import error_fields, plain_fields

    if Path(args.model).is_dir() and not (Path(args.model) / "manifest.json").is_file():
        from hsnn.commands import check_folder

        return check_folder.run(args, console)
    require_model(args.model)
    if not is_file(args.model):
        require_example(args)
    for name in ("weights", "example"):
        require_file(getattr(args, name), name)
    chosen = options.compile_options(args)
    model = named_model(args)
    from hsnn.feasibility import check

    report = check(model, example_inputs=example_inputs(args, model), options=chosen)
    error = verdict(report)
    result = {"verb": "check", "source": args.model, **plain_fields(report)}
    if error is not None:
        result["error"] = error_fields(error)

    def render() -> list[object]:
        from hsnn.report import text

        return [text.check_tables(report)]

    console.result(result, render)
    if error is None:
        return 0
    console.error(error)
    return error.exit_status
