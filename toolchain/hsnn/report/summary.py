"""The few numbers at the top of a report, and where a program comes from."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from hsnn.ir.shape import size
from hsnn.program import ChipStage
from hsnn.report.cells import NOTHING, Cell, Column, Level, Table, compact, count, integer, visible
from hsnn.report.facts import all_synapses, neurons
from hsnn.report.view_layers import layer_records, limits_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hsnn.program import Json, Program, ProgramStage
    from hsnn.verify.ladder import VerifyReport


FROZEN, MOVED = "freeze_rescale", "integrators"
"""Options that tables show."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A number with its name, and a remark below it."""

    label: str
    value: str
    note: str = ""
    level: Level = ""


def tiles(program: Program, verify: VerifyReport | None) -> tuple[Tile, ...]:
    """The numbers that matter most."""
    chips = program.chip_stages
    steps = tuple(dict.fromkeys(stage.network.timesteps for stage in chips))
    populations = sum(len(stage.network.neurons) for stage in chips)
    projections = sum(len(stage.network.projections) for stage in chips)
    moved = sum(size(cut.shape) * cut.timesteps for cut in program.cuts)
    return (
        Tile(
            "Stages",
            str(len(program.stages)),
            f"{len(program.host_stages)} on the host, {len(chips)} on the chip",
        ),
        Tile("Neurons", compact(sum(neurons(stage.network) for stage in chips)), count(populations, "population")),
        Tile(
            "Synapses", compact(sum(all_synapses(stage.network) for stage in chips)), count(projections, "projection")
        ),
        Tile("Timesteps", " / ".join(map(str, steps)) or NOTHING, "a sample"),
        Tile("Crossings", str(len(program.cuts)), f"{compact(moved)} values a sample"),
        _fidelity(program),
        _verified(verify),
    )


def origin(program: Program) -> Table:
    """Versions, options and hashes."""
    return Table("Provenance", (Column("What"), Column("Value", code=True)), tuple(_origin_rows(program)))


def commands(program: Program) -> tuple[str, ...]:
    """Command lines that build, check and run the program again."""
    metadata = program.metadata
    options = metadata.options
    words = ["hsnn-compile", "build", metadata.source or "MODEL", "--calibration", "samples.npz"]
    words += ["--target", metadata.target, "--seed", str(metadata.seed), "-o", "network.hsnn"]
    for name in ("chip", "payload_bits", "margin", "calibration_samples", "decode"):
        if name in options:
            words += [f"--{name.replace('_', '-')}", str(options[name])]
    words += _import_words(options.get("import"))
    pins = options.get("pins")
    if isinstance(pins, (list, tuple)):
        words += [word for pin in pins for word in ("--pin", str(pin))]
    frozen = options.get(FROZEN)
    words += ["--freeze-rescale", "--freeze-batch", str(frozen["batch"])] if isinstance(frozen, Mapping) else []
    limits = _changed_limits(program)
    words += ["--limit", limits] if limits else []
    return (
        " ".join(shlex.quote(visible(word)) for word in words),
        "hsnn-compile verify network.hsnn",
        "hsnn-compile run network.hsnn --input test.npz --label-key labels",
    )


def digest(stage: ProgramStage) -> str:
    """First 16 digits of a SHA-256 over everything that a stage computes with."""
    if not isinstance(stage, ChipStage):
        return hashlib.sha256(stage.model).hexdigest()[:16]
    found = hashlib.sha256()
    for item in (*stage.network.populations, *stage.network.projections):
        for name in item.__slots__:
            value = getattr(item, name)
            if isinstance(value, np.ndarray):
                found.update(f"{name} {value.dtype} {value.shape}".encode())
                found.update(np.ascontiguousarray(value).tobytes())
            else:
                found.update(f"{name} {value!r}".encode())
    found.update(repr((stage.network.timesteps, stage.network.inputs, stage.network.outputs)).encode())
    found.update(repr((stage.inputs, stage.outputs)).encode())
    return found.hexdigest()[:16]


def _import_words(record: Json | None) -> list[str]:
    """What the command line said of how to read the model."""
    if not isinstance(record, Mapping):
        return []
    given = {key: str(value) for key, value in record.items()}
    words = []
    for key in ("schedule", "timesteps", "nir_policy", "spike_timesteps", "spike_percentile"):
        if key in given:
            words += [f"--{key.replace('_', '-')}", given[key]]
    return words + [word for glob in json.loads(given.get("spike", "[]")) for word in ("--spike", str(glob))]


def _changed_limits(program: Program) -> str:
    """Limits that are not the defaults, as ``--limit`` takes them."""
    from hsnn.report.layers import Limits

    defaults = asdict(Limits())
    changed = {name: value for name, value in asdict(limits_of(program)).items() if value != defaults[name]}
    short = {name: name.removeprefix("min_").removeprefix("max_").removesuffix("_error") for name in changed}
    return ",".join(f"{short[name]}={value:g}" for name, value in changed.items())


def _fidelity(program: Program) -> Tile:
    limits = limits_of(program)
    records = [item for item in layer_records(program) if item.f1 is not None and item.spikes >= limits.min_spikes]
    if not records:
        return Tile("Spike agreement", NOTHING, "no layer was compared")
    worst = min(records, key=lambda item: item.f1 or 0.0)
    level: Level = "bad" if (worst.f1 or 0.0) < limits.min_f1 else ""
    return Tile("Spike agreement", f"{worst.f1:.3f}", f"lowest F1, {worst.name}", level)


def _verified(report: VerifyReport | None) -> Tile:
    if report is None:
        return Tile("Verified", "not yet", "hsnn-compile verify", "mute")
    failed = [rung.name for rung in report.rungs if rung.status == "failed"]
    passed = sum(rung.status == "passed" for rung in report.rungs)
    note = f"{passed} of {count(len(report.rungs), 'rung')} passed"
    if failed:
        return Tile("Verified", "failed", visible(failed[0]), "bad")
    return Tile("Verified", "passed", note, "good")


def _origin_rows(program: Program) -> Iterator[tuple[Cell, ...]]:
    metadata = program.metadata
    facts = {
        "model": metadata.source or NOTHING,
        "target": metadata.target,
        "hsnn": metadata.hsnn,
        "seed": str(metadata.seed),
        **{name: metadata.libraries[name] for name in sorted(metadata.libraries)},
        **{
            f"option {name}": _plain(metadata.options[name])
            for name in sorted(metadata.options)
            if name not in (FROZEN, MOVED)
        },
    }
    for name, text in facts.items():
        yield Cell(visible(name)), Cell(visible(text, most=400))
    for stage in program.stages:
        yield Cell(f"SHA-256 of {visible(stage.name)}"), Cell(digest(stage))
    if program.hybrid is not None:
        yield Cell("SHA-256 of the float model"), Cell(hashlib.sha256(program.hybrid).hexdigest()[:16])
    if program.golden is not None:
        samples = {array.shape[0] for array in program.golden.inputs.values() if array.ndim}
        yield Cell("golden samples"), Cell(", ".join(integer(item) for item in sorted(samples)))


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}={_plain(value[key])}" for key in sorted(value)) or "none"
    if isinstance(value, (list, tuple)):
        return ", ".join(_plain(item) for item in value) or "none"
    return str(value)
