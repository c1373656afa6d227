"""A program as the files of an artifact, in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict

from hsnn.artifact import layout
from hsnn.artifact.codec import dump_json
from hsnn.artifact.golden import encode_golden
from hsnn.artifact.models import check_host_model, check_hybrid_model
from hsnn.artifact.networks import encode_network
from hsnn.errors import ArtifactError
from hsnn.program import ChipStage, Program
from hsnn.validate import validate_program


def encode(program: Program) -> dict[str, bytes]:
    """Write a program as files.

    Whatever cannot be read back is refused here already.

    Returns:
        Content of each file, by its name in the artifact, the manifest first.

    Raises:
        HsnnError: If the program contradicts itself or holds something that cannot be stored.
    """
    validate_program(program)
    files = {
        layout.BRIDGE: dump_json(_bridge(program), layout.BRIDGE),
        layout.PLACEMENTS: dump_json({"placements": [asdict(item) for item in program.placements]}, layout.PLACEMENTS),
        layout.CUTS: dump_json(
            {"cuts": [asdict(item) for item in program.cuts], "spikes": program.cut_spikes}, layout.CUTS
        ),
        layout.LAYERS: dump_json({"layers": program.layers}, layout.LAYERS),
        layout.MAPPING: dump_json({"mapping": program.mapping}, layout.MAPPING),
    }
    for index, stage in enumerate(program.stages):
        names = layout.stage_files(index, layout.kind_of(stage), stage.name)
        if isinstance(stage, ChipStage):
            files.update(zip(names, encode_network(stage.network, names[0]), strict=True))
        else:
            check_host_model(stage.model, names[0], inputs=stage.inputs, outputs=stage.outputs)
            files[names[0]] = stage.model
    if program.hybrid is not None:
        check_hybrid_model(program.hybrid, layout.HYBRID)
        files[layout.HYBRID] = program.hybrid
    if program.golden is not None:
        files[layout.GOLDEN] = encode_golden(program, program.golden, layout.GOLDEN)
    if program.report is not None:
        files[layout.REPORT] = program.report.encode("utf-8")
    _check_sizes(files)
    return {layout.MANIFEST: _manifest(program, files), **files}


def fingerprint(manifest: Mapping[str, object]) -> str:
    """SHA-256 of a manifest without its own ``sha256``, in hexadecimal."""
    rest = {key: value for key, value in manifest.items() if key != "sha256"}
    return hashlib.sha256(dump_json(rest, layout.MANIFEST)).hexdigest()


def time_policy(program: Program) -> dict[str, object]:
    """How timesteps are meant: aligned, every sample from a zero state, so many a sample."""
    timesteps = {stage.name: stage.network.timesteps for stage in program.chip_stages}
    return {"alignment": "aligned", "reset": "sample", "timesteps": timesteps}


def _bridge(program: Program) -> dict[str, object]:
    return {
        "inputs": [asdict(value) for value in program.inputs],
        "outputs": [asdict(value) for value in program.outputs],
        "stages": [
            {
                "kind": layout.kind_of(stage),
                "name": stage.name,
                "inputs": [asdict(item) if not isinstance(item, str) else item for item in stage.inputs],
                "outputs": [asdict(item) if not isinstance(item, str) else item for item in stage.outputs],
            }
            for stage in program.stages
        ],
    }


def _manifest(program: Program, files: Mapping[str, bytes]) -> bytes:
    about = program.metadata
    manifest: dict[str, object] = {
        "format": layout.FORMAT,
        "version": layout.VERSION,
        "hsnn": about.hsnn,
        "libraries": about.libraries,
        "seed": about.seed,
        "source": about.source,
        "target": about.target,
        "options": about.options,
        "time": time_policy(program),
        "files": {
            name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()
        },
    }
    return dump_json({**manifest, "sha256": fingerprint(manifest)}, layout.MANIFEST)


def _check_sizes(files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        if len(data) > layout.FILE_LIMIT:
            raise ArtifactError("HSNN-A011", f"{name} has {len(data)} bytes", allowed=f"up to {layout.FILE_LIMIT}")
    total = sum(map(len, files.values()))
    if total > layout.TOTAL_LIMIT or len(files) > layout.COUNT_LIMIT:
        raise ArtifactError(
            "HSNN-A011",
            f"the artifact has {len(files)} files of {total} bytes together",
            allowed=f"up to {layout.COUNT_LIMIT} files of {layout.TOTAL_LIMIT} bytes together",
        )
