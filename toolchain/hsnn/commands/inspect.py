"""``hsnn-compile inspect``: what is in an artifact."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsnn.commands import options
from hsnn.report.cells import Cell, Column, Table, count, decimal, extent, visible

if TYPE_CHECKING:
    from hsnn.artifact.schema import Manifest
    from hsnn.commands.console import Console
    from hsnn.program import Json, Program

USAGE = "inspect ARTIFACT [options]"
HELP = "show what is in an artifact"
DESCRIPTION = """\
Show what an artifact holds, after checking every file in it against its hash: its stages, its networks with
their populations, projections and weights, the scales between host and chip, versions and files.
"""
EPILOG = """\
examples:
  hsnn-compile inspect network.hsnn
  hsnn-compile inspect network.hsnn.zip --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    group = parser.add_argument_group("artifact")
    options.add_artifact(group)


def run(args: argparse.Namespace, console: Console) -> int:
    """Load and describe."""
    from hsnn.artifact import load
    from hsnn.artifact.reader import read_artifact

    program = load(args.artifact)
    manifest, _ = read_artifact(Path(args.artifact))
    result = describe(args.artifact, manifest, program)
    console.result(result, lambda: render(result))
    return 0


def describe(artifact: str, manifest: Manifest, program: Program) -> dict[str, Json]:
    """Everything in an artifact but the arrays, as plain values."""
    from hsnn.commands.describe import describe_build

    files: dict[str, Json] = {
        name: {"bytes": entry.size, "sha256": entry.sha256} for name, entry in sorted(manifest.files.items())
    }
    golden = program.golden
    return {
        "verb": "inspect",
        "artifact": artifact,
        "format": manifest.version,
        "hsnn": manifest.hsnn,
        "libraries": dict(manifest.libraries),
        "options": dict(manifest.options),
        "sha256": manifest.sha256,
        **describe_build(program),
        "float_reference": program.hybrid is not None,
        "golden_samples": None if golden is None else min((len(item) for item in golden.inputs.values()), default=0),
        "files": files,
    }


def render(result: Mapping[str, Any]) -> Iterator[object]:
    """Show it to people."""
    from hsnn.report.text import FittingTable

    total = sum(file["bytes"] for file in result["files"].values())
    yield f"{result['artifact']}: {result['source'] or 'a model'}, compiled for {result['target']}"
    yield f"hsnn {result['hsnn']}, {count(len(result['files']), 'file')}, {total:,} bytes, sha256 {result['sha256']}"
    for kind in ("inputs", "outputs"):
        for value in result[kind]:
            yield f"{kind[:-1]:7} {value['name']}: {value['dtype']} {extent(value['shape'])}"
    reference = "with" if result["float_reference"] else "without"
    yield f"{reference} the float reference, {count(result['golden_samples'] or 0, 'golden sample')}"
    yield ""
    yield FittingTable(_stages(result))
    for stage in result["stages"]:
        if stage["kind"] == "chip":
            yield ""
            yield FittingTable(_populations(stage))
            yield ""
            yield FittingTable(_projections(stage))


def _stages(result: Mapping[str, Any]) -> Table:
    rows = tuple(
        (Cell(visible(stage["name"])), Cell(_content(stage)), _names(stage["reads"]), _names(stage["makes"]))
        for stage in result["stages"]
    )
    return Table(
        "Stages", (Column("Stage"), Column("Holds"), Column("Reads", code=True), Column("Makes", code=True)), rows
    )


def _content(stage: Mapping[str, Any]) -> str:
    if stage["kind"] == "host":
        return f"ONNX model, {stage['model_bytes']:,} bytes"
    network = stage["network"]
    return (
        f"{network['neurons']:,} neurons, {network['synapses']:,} synapses, {network['timesteps']} timesteps a sample"
    )


def _names(names: list[str]) -> Cell:
    return Cell(", ".join(visible(name) for name in names))


def _populations(stage: Mapping[str, Any]) -> Table:
    columns = (
        Column("Population", code=True),
        Column("Kind"),
        Column("Shape", number=True),
        Column("du", number=True),
        Column("dv", number=True),
        Column("Bias", number=True, minor=3),
        Column("Threshold", number=True),
        Column("Reset", minor=2),
        Column("Scale", "Value of one unit on the host", number=True, minor=1),
    )
    network, scales = stage["network"], {**stage["input_scales"], **stage["output_scales"]}
    ports = tuple(
        (
            Cell(visible(port["name"])),
            Cell(_port_kind(port)),
            Cell(extent(port["shape"])),
            *(Cell("-"),) * 5,
            Cell(decimal(scales.get(port["name"]))),
        )
        for port in network["inputs"]
    )
    neurons = tuple(
        (
            Cell(visible(item["name"])),
            Cell(item["kind"]),
            Cell(extent(item["shape"])),
            *(_range(item.get(name)) for name in ("du", "dv", "bias", "threshold")),
            Cell(item.get("reset", "-")),
            Cell(decimal(scales.get(item["name"]))),
        )
        for item in network["populations"]
    )
    return Table(f"{visible(stage['name'])}: populations", columns, ports + neurons)


def _port_kind(port: Mapping[str, Any]) -> str:
    if port["signed"] or port["max_payload"] > 1:
        return f"graded input, {-port['max_payload'] if port['signed'] else 0} to {port['max_payload']}"
    return "spike input"


def _projections(stage: Mapping[str, Any]) -> Table:
    columns = (
        Column("Projection", code=True),
        Column("From → to", code=True),
        Column("Kind"),
        Column("Synapses", number=True),
        Column("Stored", number=True, minor=2),
        Column("Weights", number=True),
        Column("Shift", number=True, minor=1),
        Column("Delay", number=True),
    )
    rows = tuple(
        (
            Cell(visible(item["name"])),
            Cell(f"{visible(item['pre'])} → {visible(item['post'])}"),
            Cell(item["kind"]),
            Cell(f"{item['synapses']:,}"),
            Cell(f"{item['stored_weights']:,}"),
            _range(item["weights"]),
            Cell(str(item["weight_exp"])),
            Cell(str(item["delay"])),
        )
        for item in stage["network"]["projections"]
    )
    return Table(f"{visible(stage['name'])}: projections", columns, rows, empty="none")


def _range(ends: list[int] | None) -> Cell:
    if ends is None:
        return Cell("-")
    low, high = ends
    return Cell(f"{low:,}" if low == high else f"{low:,} to {high:,}")
