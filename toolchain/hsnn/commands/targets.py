"""``hsnn-compile targets``: where programs can run here."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from hsnn.errors import HsnnError
from hsnn.report.cells import Cell, Column, Table, visible

if TYPE_CHECKING:
    from hsnn.commands.console import Console
    from hsnn.program import Json

USAGE = "targets [options]"
HELP = "list the targets, and which of them are available here"
DESCRIPTION = """\
List every installed target for the spiking parts, whether it is available here and what it lacks, and the
execution providers of ONNX Runtime for the host parts.
"""
EPILOG = """\
examples:
  hsnn-compile targets
  hsnn-compile targets --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare no arguments: there are none."""


def run(args: argparse.Namespace, console: Console) -> int:
    """Ask every target for its status."""
    result = {"verb": "targets", "targets": target_states(), "hosts": host_states()}
    console.result(result, lambda: render(result))
    return 0


def target_states() -> list[dict[str, Json]]:
    """Every installed target: ``name``, ``available``, ``detail``, ``versions``."""
    from hsnn.target import target_names

    return [_state(name) for name in target_names()]


def host_states() -> list[dict[str, Json]]:
    """Every execution provider that hsnn has a name for: ``name``, ``available``, ``provider``."""
    from hsnn.runtime.host import PROVIDERS, host_names

    try:
        available = host_names()
    except HsnnError:
        available = ()
    return [
        {"name": name, "available": name in available, "provider": provider} for name, provider in PROVIDERS.items()
    ]


def render(result: Mapping[str, Any]) -> Iterator[object]:
    """Show them to people."""
    from hsnn.report.text import FittingTable

    columns = (Column("Target"), Column("Available"), Column("Detail"), Column("Versions", minor=1))
    rows = tuple(
        (
            Cell(visible(item["name"])),
            Cell("yes", "good") if item["available"] else Cell("no", "bad"),
            Cell(visible(item["detail"])),
            Cell("\n".join(f"{visible(name)} {visible(number)}" for name, number in item["versions"].items()) or "-"),
        )
        for item in result["targets"]
    )
    yield FittingTable(Table("Targets for spiking parts (--target)", columns, rows, empty="none is installed"))
    yield ""
    there = [item["name"] for item in result["hosts"] if item["available"]]
    others = [item["name"] for item in result["hosts"] if not item["available"]]
    yield f"host parts (--host): {', '.join(there) or 'onnxruntime is not installed'}"
    yield f"not in this build of ONNX Runtime: {', '.join(others)}"


def _state(name: str) -> dict[str, Json]:
    from hsnn.target import find_target

    try:
        status = find_target(name).status()
    except (ImportError, AttributeError, HsnnError) as error:
        # A plug-in that does not load is a target that is not there; the others still are.
        return {"name": name, "available": False, "detail": f"cannot be loaded: {error}", "versions": {}}
    return {
        "name": name,
        "available": status.available,
        "detail": status.detail,
        "versions": dict(status.versions),
    }
