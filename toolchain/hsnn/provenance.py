"""What a program remembers of how it was built: options, versions, what it was made from."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from hsnn.program import Metadata

if TYPE_CHECKING:
    from hsnn.compiler import Options
    from hsnn.passes.rewrite.freeze_cost import FreezeReport
    from hsnn.program import Json

_LIBRARIES = ("numpy", "onnx", "onnxruntime", "onnxscript", "onnx-ir", "torch", "numba")


def metadata_of(
    options: Options,
    source: str,
    *,
    frozen: FreezeReport | None,
    integrators: tuple[str, ...],
    record: Mapping[str, str],
) -> Metadata:
    """Write down a build.

    Args:
        options: Its options.
        source: How the user named the model.
        frozen: What freezing scales cost, if any were frozen.
        integrators: Populations that stand in for decoders.
        record: What the front end wrote down.
    """
    recorded: dict[str, Json] = {
        "chip": options.chip,
        "pins": [f"{glob}={side}" for glob, side in options.pins],
        "limits": options.limits.to_json(),
        "payload_bits": options.payload_bits,
        "margin": options.margin,
        "calibration_samples": options.calibration_samples,
        "golden_samples": options.golden_samples,
        "decode": options.decode,
        "integrators": list(integrators),
        "freeze_rescale": None if frozen is None else frozen.to_json(),
    }
    if record:
        recorded["import"] = dict(record)
    libraries = {name: _version(name) for name in _LIBRARIES}
    return Metadata(
        hsnn=_version("hsnn"),
        target=options.target,
        source=source,
        seed=options.seed,
        libraries={name: found for name, found in libraries.items() if found},
        options=recorded,
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
