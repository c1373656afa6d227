"""What the JSON files of an artifact may hold, field by field: the format's own contract.

The classes mirror the dataclasses of ``hsnn.ir.plan`` and ``hsnn.program`` without their arrays, as those of
:mod:`hsnn.artifact.schema_network` do for networks. They are written out, so that a change of a dataclass cannot change
the format unseen; a test compares the two.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from hsnn.artifact.schema_types import Count, Extent, Features, Name, Scale, Strict


class FileEntry(Strict):
    """One file of the artifact."""

    size: Count
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class TimePolicy(Strict):
    """How timesteps are meant; ``timesteps`` has one entry a chip stage."""

    alignment: Literal["aligned"]
    reset: Literal["sample"]
    timesteps: dict[str, Extent]


class Manifest(Strict):
    """``manifest.json``. ``sha256`` is that of the rest of the manifest, as it is written."""

    format: Literal["hsnn-artifact"]
    version: Literal[1]
    hsnn: str
    libraries: dict[str, str]
    seed: int
    source: str
    target: str
    options: dict[str, JsonValue]
    time: TimePolicy
    files: dict[str, FileEntry]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Value(Strict):
    """A :class:`hsnn.ir.plan.ModelValue`."""

    name: Name
    shape: Annotated[tuple[Extent | None, ...], Field(max_length=16)]
    dtype: Name


class BridgeInput(Strict):
    """A :class:`hsnn.program.ChipInput`."""

    value: Name
    port: Name
    scale: Scale


class BridgeOutput(Strict):
    """A :class:`hsnn.program.ChipOutput`."""

    value: Name
    population: Name
    scale: Scale
    last: bool


class Host(Strict):
    """A :class:`hsnn.program.HostStage` without its model."""

    kind: Literal["host"]
    name: Name
    inputs: tuple[Name, ...]
    outputs: tuple[Name, ...]


class Chip(Strict):
    """A :class:`hsnn.program.ChipStage` without its network."""

    kind: Literal["chip"]
    name: Name
    inputs: tuple[BridgeInput, ...]
    outputs: tuple[BridgeOutput, ...]


class Bridge(Strict):
    """``bridge.json``: the stages in order, and what flows between them."""

    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    stages: tuple[Annotated[Host | Chip, Field(discriminator="kind")], ...]


class PlacementEntry(Strict):
    """A :class:`hsnn.ir.plan.Placement`."""

    node: str
    op: str
    module: str
    place: str
    code: str
    reason: str
    fix: str


class Placements(Strict):
    """``placements.json``."""

    placements: tuple[PlacementEntry, ...]


class CutEntry(Strict):
    """A :class:`hsnn.ir.plan.Cut`."""

    value: Name
    source: str
    target: str
    shape: Features
    timesteps: Extent


class Cuts(Strict):
    """``cuts.json``."""

    cuts: tuple[CutEntry, ...]
    spikes: dict[str, Annotated[float, Field(ge=0)]]


class Layers(Strict):
    """``layers.json``."""

    layers: tuple[dict[str, JsonValue], ...]


class MappingSummary(Strict):
    """``mapping.json``."""

    mapping: dict[str, JsonValue]
