"""Golden traces as one safetensors file.

Integers are stored in the smallest dtype that holds them: spikes take one byte. Keys are
``input/VALUE``, ``output/VALUE``, ``payload/STAGE/PORT`` and ``sent/STAGE/POPULATION``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hsnn.artifact.codec import dump_tensors, parse_tensors, require_tensors
from hsnn.errors import ArtifactError
from hsnn.ir.plan import ModelValue
from hsnn.ir.populations import sends
from hsnn.ir.shape import Shape
from hsnn.program import ChipStage, Golden, Program

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Tensors = Mapping[str, NDArray[Any]]
    Int32 = NDArray[np.int32]

_SMALL = (np.uint8, np.int8, np.int16)


def encode_golden(program: Program, golden: Golden, name: str) -> bytes:
    """Write golden traces.

    Raises:
        ArtifactError: ``HSNN-A016``, if they do not fit the program.
    """
    tensors: dict[str, NDArray[Any]] = {}
    for group, values in (("input", golden.inputs), ("output", golden.outputs)):
        tensors.update({f"{group}/{key}": np.asarray(array) for key, array in values.items()})
    for group, stages in (("payload", golden.payloads), ("sent", golden.sent)):
        tensors.update(
            {f"{group}/{stage}/{key}": array for stage, sent in stages.items() for key, array in sent.items()}
        )
    require_tensors(tensors, _keys(program), name)
    _check(program, tensors, name)
    for key in tensors:
        if key.startswith(("payload/", "sent/")):
            tensors[key] = _smallest(tensors[key])
    return dump_tensors(tensors)


def decode_golden(program: Program, data: bytes, name: str) -> Golden:
    """Read golden traces.

    Raises:
        ArtifactError: ``HSNN-A013`` or ``HSNN-A016``, if the file is wrong or does not fit the program.
    """
    tensors = parse_tensors(data, name)
    require_tensors(tensors, _keys(program), name)
    for key in tensors:
        if key.startswith(("payload/", "sent/")) and tensors[key].dtype in _SMALL:
            tensors[key] = tensors[key].astype(np.int32)
    _check(program, tensors, name)
    return Golden(
        {value.name: tensors[f"input/{value.name}"] for value in program.inputs},
        {value.name: tensors[f"output/{value.name}"] for value in program.outputs},
        {
            stage.name: {port.name: tensors[f"payload/{stage.name}/{port.name}"] for port in stage.network.inputs}
            for stage in program.chip_stages
        },
        {
            stage.name: {key: tensors[f"sent/{stage.name}/{key}"] for key in sent_names(stage)}
            for stage in program.chip_stages
        },
    )


def sent_names(stage: ChipStage) -> tuple[str, ...]:
    """Names of what a golden trace keeps of a stage: populations that send spikes or messages, then other outputs."""
    spiking = [item.name for item in stage.network.neurons if sends(item)]
    return tuple(dict.fromkeys((*spiking, *stage.network.outputs)))


def _keys(program: Program) -> set[str]:
    return {key for key, *_ in _trains(program)} | {key for key, _ in _values(program)}


def _values(program: Program) -> Iterator[tuple[str, ModelValue]]:
    for group, values in (("input", program.inputs), ("output", program.outputs)):
        for value in values:
            yield f"{group}/{value.name}", value


def _trains(program: Program) -> Iterator[tuple[str, int, Shape]]:
    """Key, timesteps and feature shape of every spike train that a golden trace has."""
    for stage in program.chip_stages:
        for port in stage.network.inputs:
            yield f"payload/{stage.name}/{port.name}", stage.network.timesteps, port.shape
        for name in sent_names(stage):
            yield f"sent/{stage.name}/{name}", stage.network.timesteps, stage.network.source(name).shape


def _check(program: Program, tensors: Tensors, name: str) -> None:
    """Check dtypes and shapes, and that every array holds the same number of samples."""
    batches: set[int] = set()
    for key, value in _values(program):
        array = tensors[key]
        fits = array.ndim == len(value.shape) and all(
            extent in (None, found) for extent, found in zip(value.shape, array.shape, strict=True)
        )
        _require(fits and array.dtype == value.dtype, array, name, key, f"{value.dtype} of shape {value.shape}")
        batches.update(found for extent, found in zip(value.shape, array.shape, strict=True) if extent is None)
    for key, timesteps, shape in _trains(program):
        array = tensors[key]
        fits = array.ndim == 2 + len(shape) and array.shape[0] == timesteps and array.shape[2:] == shape
        allowed = f"int32 of shape ({', '.join(map(str, (timesteps, 'batch', *shape)))})"
        _require(fits and array.dtype == np.int32, array, name, key, allowed)
        batches.add(array.shape[1])
    if len(batches) > 1 or 0 in batches:
        raise ArtifactError(
            "HSNN-A016",
            f"{name} has arrays of {sorted(batches)} samples",
            allowed="one number",
            fix="build the artifact again",
        )


def _require(holds: bool, array: NDArray[Any], name: str, key: str, allowed: str) -> None:
    if not holds:
        raise ArtifactError(
            "HSNN-A016",
            f"{name}: {key!r} is {array.dtype} of shape {array.shape}",
            allowed=allowed,
            fix="record the golden traces again",
        )


def _smallest(array: Int32) -> NDArray[Any]:
    low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
    for dtype in _SMALL:
        limits = np.iinfo(dtype)
        if limits.min <= low and high <= limits.max:
            return array.astype(dtype)
    return array
