"""``hsnn-compile report``: everything about an artifact on one HTML page."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from hsnn.commands import options

if TYPE_CHECKING:
    from hsnn.commands.console import Console
    from hsnn.program import Program

USAGE = "report ARTIFACT [options]"
HELP = "write a self-contained HTML page about an artifact"
DESCRIPTION = """\
Write one HTML page that needs nothing else: the graph with the cuts between host and chip, why each operator
runs where it does, error and spike rate of every layer, rasters of one sample, and what the chip is used for.
The page is written beside the artifact, and its path is printed.
"""
EPILOG = """\
examples:
  hsnn-compile report network.hsnn --open
  hsnn-compile report network.hsnn -o /tmp/network.html
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    group = parser.add_argument_group("report")
    options.add_artifact(group)
    group.add_argument("-o", "--output", metavar="FILE", help="page to write (default: ARTIFACT.report.html)")
    group.add_argument("--open", action="store_true", help="show it in the browser")


def run(args: argparse.Namespace, console: Console) -> int:
    """Write the page."""
    from hsnn.artifact import load
    from hsnn.commands.files import check_free, write_whole

    path = Path(args.output) if args.output is not None else default_path(args.artifact)
    check_free(path, force=True)
    page = page_of(load(args.artifact)).encode("utf-8")
    write_whole(path, lambda file: file.write(page))
    opened = args.open and _show(path, console)
    console.result(
        {"verb": "report", "artifact": args.artifact, "report": str(path), "bytes": len(page), "opened": opened},
        lambda: [str(path)],
    )
    return 0


def default_path(artifact: str) -> Path:
    """Where the page goes: beside the artifact, whose own files are all listed and hashed.

    >>> default_path("out/net.hsnn/").as_posix(), default_path("net.hsnn.zip").as_posix()
    ('out/net.hsnn.report.html', 'net.hsnn.report.html')
    """
    path = Path(artifact)
    if path.name in ("", ".", ".."):
        path = path.resolve()
    return path.with_name(f"{path.name.removesuffix('.zip')}.report.html")


def page_of(program: Program) -> str:
    """The page that the build kept, or a new one."""
    if program.report is not None:
        return program.report
    from hsnn.report.html import render

    return render(program)


def _show(path: Path, console: Console) -> bool:
    import webbrowser

    shown = webbrowser.open(path.resolve().as_uri())
    if not shown:
        console.warn(f"no browser could be opened; the report is {path}")
    return shown
