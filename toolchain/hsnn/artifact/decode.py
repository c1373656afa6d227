"""The files of an artifact, in memory, as a program."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace

from hsnn.artifact import layout, schema
from hsnn.artifact.codec import dump_json, parse_json, parse_model
from hsnn.artifact.encode import fingerprint, time_policy
from hsnn.artifact.golden import decode_golden
from hsnn.artifact.models import check_host_model, check_hybrid_model
from hsnn.artifact.networks import decode_network
from hsnn.errors import ArtifactError
from hsnn.ir.plan import Cut, HostStage, ModelValue, Placement
from hsnn.program import (
    ChipInput,
    ChipOutput,
    ChipStage,
    Metadata,
    Program,
    ProgramStage,
)
from hsnn.validate import validate_program

_REBUILD = "the artifact is damaged or was edited; copy or build it again"


def parse_manifest(data: bytes) -> schema.Manifest:
    """Read a manifest.

    Raises:
        ArtifactError: ``HSNN-A008``, if it is of another format or a newer version; ``HSNN-A010``, if
            its own hash is wrong; ``HSNN-A007``, ``HSNN-A011`` or ``HSNN-A012``, if something in it is.
    """
    content = parse_json(data, layout.MANIFEST)
    if not isinstance(content, dict) or content.get("format") != layout.FORMAT:
        raise ArtifactError(
            "HSNN-A008",
            f"{layout.MANIFEST} is not that of an hsnn artifact",
            allowed=f'"format": "{layout.FORMAT}"',
            fix="name the folder or .zip file that hsnn-compile build wrote",
        )
    version = content.get("version")
    if isinstance(version, int) and version > layout.VERSION:
        raise ArtifactError(
            "HSNN-A008",
            f"the artifact has format version {version}",
            allowed=f"up to {layout.VERSION}",
            fix="upgrade hsnn",
        )
    manifest = parse_model(data, schema.Manifest, layout.MANIFEST)
    # Written as we would write it: otherwise two different files could have one hash.
    if manifest.sha256 != fingerprint(content) or dump_json(content, layout.MANIFEST) != data:
        raise ArtifactError("HSNN-A010", f"{layout.MANIFEST} does not have the hash that it states", fix=_REBUILD)
    for name in manifest.files:
        layout.check_name(name, layout.MANIFEST)
    _check_announced(manifest)
    return manifest


def check_file(name: str, data: bytes, entry: schema.FileEntry) -> None:
    """Compare a file with the manifest.

    Raises:
        ArtifactError: ``HSNN-A010``, if size or hash differ.
    """
    if len(data) != entry.size:
        raise ArtifactError("HSNN-A010", f"{name} has {len(data)} bytes", allowed=str(entry.size), fix=_REBUILD)
    found = hashlib.sha256(data).hexdigest()
    if found != entry.sha256:
        raise ArtifactError("HSNN-A010", f"{name} has the SHA-256 {found}", allowed=entry.sha256, fix=_REBUILD)


def decode(manifest: schema.Manifest, files: Mapping[str, bytes]) -> Program:
    """Read a program from files that agree with their manifest.

    Args:
        manifest: The manifest.
        files: Content of every file that it lists.

    Raises:
        ArtifactError: Naming the file that is wrong.
    """
    bridge = parse_model(_take(files, layout.BRIDGE), schema.Bridge, layout.BRIDGE)
    placements = parse_model(_take(files, layout.PLACEMENTS), schema.Placements, layout.PLACEMENTS)
    cuts = parse_model(_take(files, layout.CUTS), schema.Cuts, layout.CUTS)
    program = Program(
        stages=tuple(_stage(index, stage, files) for index, stage in enumerate(bridge.stages)),
        inputs=tuple(ModelValue(**value.model_dump()) for value in bridge.inputs),
        outputs=tuple(ModelValue(**value.model_dump()) for value in bridge.outputs),
        metadata=Metadata(
            hsnn=manifest.hsnn,
            target=manifest.target,
            source=manifest.source,
            seed=manifest.seed,
            libraries=manifest.libraries,
            options=manifest.options,
        ),
        placements=tuple(Placement(**item.model_dump()) for item in placements.placements),
        cuts=tuple(Cut(**item.model_dump()) for item in cuts.cuts),
        cut_spikes=cuts.spikes,
        layers=parse_model(_take(files, layout.LAYERS), schema.Layers, layout.LAYERS).layers,
        mapping=parse_model(_take(files, layout.MAPPING), schema.MappingSummary, layout.MAPPING).mapping,
        hybrid=files.get(layout.HYBRID),
        report=_text(files.get(layout.REPORT)),
    )
    validate_program(program)
    _check_extent(manifest, program)
    if program.hybrid is not None:
        check_hybrid_model(program.hybrid, layout.HYBRID)
    golden = files.get(layout.GOLDEN)
    return program if golden is None else replace(program, golden=decode_golden(program, golden, layout.GOLDEN))


def _stage(index: int, stage: schema.Host | schema.Chip, files: Mapping[str, bytes]) -> ProgramStage:
    names = layout.stage_files(index, stage.kind, stage.name)
    contents = [_take(files, name) for name in names]
    if isinstance(stage, schema.Host):
        check_host_model(contents[0], names[0], inputs=stage.inputs, outputs=stage.outputs)
        return HostStage(stage.name, contents[0], stage.inputs, stage.outputs)
    return ChipStage(
        stage.name,
        decode_network(contents[0], contents[1], names[0]),
        tuple(ChipInput(**item.model_dump()) for item in stage.inputs),
        tuple(ChipOutput(**item.model_dump()) for item in stage.outputs),
    )


def _take(files: Mapping[str, bytes], name: str) -> bytes:
    if name not in files:
        raise ArtifactError("HSNN-A009", f"{name} is missing", fix=_REBUILD)
    return files[name]


def _text(data: bytes | None) -> str | None:
    try:
        return None if data is None else data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ArtifactError("HSNN-A012", f"{layout.REPORT} is not UTF-8: {error}", fix=_REBUILD) from error


def _check_announced(manifest: schema.Manifest) -> None:
    """Refuse to read what is too large, before a byte of it is read."""
    for name, entry in manifest.files.items():
        if entry.size > layout.FILE_LIMIT:
            raise ArtifactError("HSNN-A011", f"{name} has {entry.size} bytes", allowed=f"up to {layout.FILE_LIMIT}")
    total = sum(entry.size for entry in manifest.files.values())
    if total > layout.TOTAL_LIMIT or len(manifest.files) > layout.COUNT_LIMIT:
        raise ArtifactError(
            "HSNN-A011",
            f"the artifact has {len(manifest.files)} files of {total} bytes together",
            allowed=f"up to {layout.COUNT_LIMIT} files of {layout.TOTAL_LIMIT} bytes together",
        )


def _check_extent(manifest: schema.Manifest, program: Program) -> None:
    """Check that the manifest lists no file that the program lacks, and states its time policy."""
    unknown = sorted(set(manifest.files) - layout.required_files(program) - set(layout.OPTIONAL))
    if unknown:
        raise ArtifactError("HSNN-A009", f"{unknown[0]} belongs to no part of the program", fix=_REBUILD)
    if manifest.time.model_dump() != time_policy(program):
        raise ArtifactError("HSNN-A012", f"{layout.MANIFEST}: time: does not agree with the networks", fix=_REBUILD)
