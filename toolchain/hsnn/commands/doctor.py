"""``hsnn-compile doctor``: is everything here that is needed?"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hsnn.commands.console import Console
    from hsnn.doctor import Finding

USAGE = "doctor [options]"
HELP = "check this installation and say what to install"
DESCRIPTION = """\
Check Python, the libraries, the targets and the machine, and run a tiny network on the emulator to see that
it computes what the reference computes. Everything that is missing comes with what it is for and how to get
it. Exit status: 0 compiled programs can run here, 1 they cannot.
"""
EPILOG = """\
examples:
  hsnn-compile doctor
  hsnn-compile doctor --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare no arguments: there are none."""


def run(args: argparse.Namespace, console: Console) -> int:
    """Examine and report."""
    from hsnn.commands.plain import error_fields, plain
    from hsnn.doctor import examine, verdict

    findings = examine()
    error = verdict(findings)
    result = {"verb": "doctor", "healthy": error is None, "findings": plain(findings)}
    if error is not None:
        result["error"] = error_fields(error)
    console.result(result, lambda: _render(findings))
    if error is None:
        return 0
    console.error(error)
    return error.exit_status


def _render(findings: tuple[Finding, ...]) -> Iterator[object]:
    if any(item.group == "library" and item.state == "failed" for item in findings):
        # What draws tables may be what is missing.
        yield from (f"{item.name:12}  {item.state:8}  {item.detail}" for item in findings)
    else:
        from hsnn.report.text import doctor_table

        marks = {"ok": True, "optional": None, "failed": False}
        yield doctor_table((item.name, marks[item.state], item.detail) for item in findings)
    fixes = [item for item in findings if item.fix]
    if fixes:
        yield ""
        yield "what is missing, and how to get it:"
        yield from (f"  {item.name}: {item.fix}" for item in fixes)
