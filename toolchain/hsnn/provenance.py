"""What a program remembers of how it was built: options, versions, what it was made from."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from hsnn.program import Metadata

if TYPE_CHECKING:
    from hsnn.program import Json

_LIBRARIES = ("numpy", "onnx", "onnxruntime", "onnxscript", "onnx-ir", "torch", "llvmlite")


def metadata_of(source: str, *, target: str, seed: int, options: Mapping[str, Json]) -> Metadata:
    """Write down a build, with the versions of hsnn and of the libraries that took part.

    Args:
        source: How the user named the model.
        target: Target that it was built for.
        seed: Seed that was asked for.
        options: All other options, and what came of them.
    """
    libraries = {name: _version(name) for name in _LIBRARIES}
    return Metadata(
        hsnn=_version("hsnn"),
        target=target,
        source=source,
        seed=seed,
        libraries={name: found for name, found in libraries.items() if found},
        options=options,
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
