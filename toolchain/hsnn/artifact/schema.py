"""What the JSON files of an artifact may hold, field by field: the format's own contract.

The classes mirror the dataclasses of ``hsnn.ir`` and ``hsnn.program`` without their arrays. They are
written out, so that a change of a dataclass cannot change the format unseen; a test compares the two.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, JsonValue

Name = Annotated[str, Field(min_length=1, max_length=1000)]
Extent = Annotated[int, Field(ge=1, le=2**31 - 1)]
Count = Annotated[int, Field(ge=0, le=2**62)]
Small = Annotated[int, Field(ge=-(2**31), le=2**31 - 1)]
Positive = Annotated[int, Field(ge=1, le=2**16)]
Padding = Annotated[int, Field(ge=0, le=2**16)]
Scale = Annotated[float, Field(gt=0)]
RuleText = Annotated[str, Field(max_length=10_000)]
Features = Annotated[tuple[Extent, ...], Field(max_length=16)]


class Strict(BaseModel):
    """No unknown fields, no conversions, no NaN."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


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


class Port(Strict):
    """A :class:`hsnn.ir.populations.InputPort`."""

    name: Name
    shape: Features
    max_payload: Small
    signed: bool


class Constant(Strict):
    """A :class:`hsnn.ir.populations.ConstantSource`."""

    kind: Literal["constant"]
    name: Name
    shape: Features


class Lif(Strict):
    """A :class:`hsnn.ir.populations.LifPopulation` without its arrays."""

    kind: Literal["lif"]
    name: Name
    shape: Features
    bias_exp: Small
    reset: Literal["zero", "subtract", "none"]
    refractory: Small


class Learner(Strict):
    """A :class:`hsnn.ir.plastic.LearnerPopulation` without its arrays."""

    kind: Literal["learner"]
    name: Name
    shape: Features
    bias_exp: Small
    reset: Literal["zero", "subtract", "none"]
    refractory: Small
    label: Name
    reward: Small
    penalty: Small
    stability_up: Small
    stability_down: Small
    recruit_margin: Small


class AdaptiveLif(Strict):
    """A :class:`hsnn.ir.populations.AdaptiveLifPopulation` without its arrays."""

    kind: Literal["adaptive_lif"]
    name: Name
    shape: Features
    bias_exp: Small
    reset: Literal["none"]
    refractory: Small


class Integrator(Strict):
    """A :class:`hsnn.ir.populations.IntegratorPopulation` without its arrays."""

    kind: Literal["integrator"]
    name: Name
    shape: Features
    bias_exp: Small


class SigmaDelta(Strict):
    """A :class:`hsnn.ir.populations.SigmaDeltaPopulation` without its arrays."""

    kind: Literal["sigma_delta"]
    name: Name
    shape: Features
    message_shift: Small
    accumulate: bool
    rectify: bool
    keep_rest: bool


class Resonator(Strict):
    """A :class:`hsnn.ir.populations.ResonatorPopulation` without its arrays."""

    kind: Literal["resonator"]
    name: Name
    shape: Features
    firing: Literal["phase", "izhikevich"]


class Dense(Strict):
    """A :class:`hsnn.ir.projections.DenseProjection` without its weights."""

    kind: Literal["dense"]
    name: Name
    pre: Name
    post: Name
    weight_exp: Small
    delay: Small
    sign_mode: Literal["mixed", "excitatory", "inhibitory"]
    num_weight_bits: Small


class Trace(Strict):
    """A :class:`hsnn.ir.learning.Trace`."""

    impulse: float
    tau: float


class Rule(Strict):
    """A :class:`hsnn.ir.learning.LearningRule`: its sums as text, ``decimate`` among them."""

    version: Literal[1]
    dw: RuleText
    dt: RuleText
    dd: RuleText
    x1: Trace
    x2: Trace
    y1: Trace
    y2: Trace
    y3: Trace
    epoch: Small
    seed: Small


class Plastic(Strict):
    """A :class:`hsnn.ir.plastic.PlasticProjection` without its arrays."""

    kind: Literal["plastic"]
    name: Name
    pre: Name
    post: Name
    weight_exp: Small
    delay: Small
    sign_mode: Literal["mixed", "excitatory", "inhibitory"]
    num_weight_bits: Small
    rule: Rule
    epochs: Count


class Conv(Strict):
    """A :class:`hsnn.ir.projections.ConvProjection` without its weights."""

    kind: Literal["conv"]
    name: Name
    pre: Name
    post: Name
    stride: tuple[Positive, Positive]
    padding: tuple[Padding, Padding]
    dilation: tuple[Positive, Positive]
    groups: Positive
    weight_exp: Small
    delay: Small


class Sparse(Strict):
    """A :class:`hsnn.ir.projections.SparseProjection` without its arrays."""

    kind: Literal["sparse"]
    name: Name
    pre: Name
    post: Name
    weight_exp: Small
    delay: Small


Population: TypeAlias = Constant | Lif | AdaptiveLif | Integrator | SigmaDelta | Resonator | Learner
Projection: TypeAlias = Dense | Conv | Sparse | Plastic


class Network(Strict):
    """``chip/NN_name.json``: an :class:`hsnn.ir.integer.IntegerNetwork` without its arrays."""

    name: str
    timesteps: Extent
    inputs: tuple[Port, ...]
    populations: tuple[Annotated[Population, Field(discriminator="kind")], ...]
    projections: tuple[Annotated[Projection, Field(discriminator="kind")], ...]
    outputs: tuple[Name, ...]
