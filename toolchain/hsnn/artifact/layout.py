"""Where things are in an artifact, and how large they may be."""

from __future__ import annotations

import re

from hsnn.errors import ArtifactError
from hsnn.program import ChipStage, Program, ProgramStage

FORMAT = "hsnn-artifact"
VERSION = 1
"""Version of the format; a reader refuses newer ones."""

MANIFEST = "manifest.json"
BRIDGE = "bridge.json"
PLACEMENTS = "placements.json"
CUTS = "cuts.json"
LAYERS = "layers.json"
MAPPING = "mapping.json"
HYBRID = "hybrid.onnx"
GOLDEN = "verify/golden.safetensors"
REPORT = "report.html"

REQUIRED = (BRIDGE, PLACEMENTS, CUTS, LAYERS, MAPPING)
OPTIONAL = (HYBRID, GOLDEN, REPORT)

MANIFEST_LIMIT = 16 << 20
"""Largest manifest, in bytes."""
FILE_LIMIT = (2 << 30) - 1
"""Largest file, in bytes: what a serialized ONNX model can be."""
TOTAL_LIMIT = 16 << 30
"""Largest artifact, in bytes."""
COUNT_LIMIT = 4096
"""Largest number of files."""

_COMPONENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


def stage_files(index: int, kind: str, name: str) -> tuple[str, ...]:
    """Names of a stage's files, relative to the artifact.

    >>> stage_files(0, "host", "host.0")
    ('host/00_host.0.onnx',)
    >>> stage_files(1, "chip", "head: spiking")
    ('chip/01_head__spiking.json', 'chip/01_head__spiking.safetensors')
    """
    stem = f"{kind}/{index:02d}_{re.sub(r'[^A-Za-z0-9_.-]', '_', name)[:80]}"
    return (f"{stem}.onnx",) if kind == "host" else (f"{stem}.json", f"{stem}.safetensors")


def kind_of(stage: ProgramStage) -> str:
    """Tell ``host`` from ``chip``."""
    return "chip" if isinstance(stage, ChipStage) else "host"


def required_files(program: Program) -> frozenset[str]:
    """Names of the files that an artifact of this program must have, besides the manifest."""
    stages = (
        name for index, stage in enumerate(program.stages) for name in stage_files(index, kind_of(stage), stage.name)
    )
    return frozenset((*REQUIRED, *stages))


def check_name(name: str, where: str) -> None:
    """Refuse a name that could lead out of the artifact or mean two files on some system.

    Args:
        name: Name inside the artifact, ``/`` between components.
        where: What the name was found in, for the message.

    Raises:
        ArtifactError: ``HSNN-A007``.
    """
    if len(name) <= 200 and all(_COMPONENT.fullmatch(part) for part in name.split("/")):
        return
    raise ArtifactError(
        "HSNN-A007",
        f"{where} has a file called {name[:200]!r}",
        allowed="relative paths of letters, digits, '_', '.', '-' with '/' between",
        fix="do not use this artifact; get it from where it was built",
    )
