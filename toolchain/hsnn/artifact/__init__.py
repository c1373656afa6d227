"""Artifacts: a compiled program on disk, one folder or one zip file.

::

    manifest.json       format and library versions, seed, target, time policy; size and SHA-256 of the rest
    bridge.json         inputs, outputs, stages in order, what flows between them and at which scale
    host/NN_name.onnx   a host stage
    chip/NN_name.json   the structure of a chip stage's network, chip/NN_name.safetensors its arrays
    placements.json     where every operator went          cuts.json      every crossing, with its spikes
    layers.json         one report a layer                 mapping.json   neurocores
    hybrid.onnx         the float reference                report.html    the report            both optional
    verify/golden.safetensors   what a few samples did                                          optional

Reading one runs no code from it: JSON, safetensors and ONNX only, every byte hashed, every name and
size checked before it is used.
"""

from __future__ import annotations

import os
from pathlib import Path

from hsnn.errors import ArtifactError
from hsnn.libraries import named_if_missing
from hsnn.program import Program

with named_if_missing():
    from hsnn.artifact.decode import decode
    from hsnn.artifact.encode import encode
    from hsnn.artifact.reader import read_artifact
    from hsnn.artifact.writer import write_artifact


@named_if_missing()
def save(program: Program, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write an artifact; see :meth:`hsnn.program.Program.save`."""
    write_artifact(encode(program), Path(path), overwrite=overwrite)


@named_if_missing()
def load(path: str | os.PathLike[str]) -> Program:
    """Read an artifact, folder or zip file.

    Raises:
        ArtifactError: Naming the artifact, the file in it and what is wrong.
    """
    try:
        manifest, files = read_artifact(Path(path))
        return decode(manifest, files)
    except ArtifactError as error:
        raise ArtifactError(
            error.code, f"artifact {os.fspath(path)}: {error.found}", allowed=error.allowed, fix=error.fix
        ) from error
