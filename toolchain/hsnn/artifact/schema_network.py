"""What the JSON file of an integer network may hold, field by field; see :mod:`hsnn.artifact.schema`."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from hsnn.artifact.schema_types import Count, Extent, Features, Name, Padding, Positive, RuleText, Small, Strict


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


class CountingLif(Strict):
    """A :class:`hsnn.ir.populations.CountingLifPopulation` without its arrays."""

    kind: Literal["counting_lif"]
    name: Name
    shape: Features
    bias_exp: Small
    reset: Literal["zero", "subtract"]
    refractory: Small
    max_spikes: Small


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


Population: TypeAlias = Constant | Lif | AdaptiveLif | CountingLif | Integrator | SigmaDelta | Resonator | Learner
Projection: TypeAlias = Dense | Conv | Sparse | Plastic


class Network(Strict):
    """``chip/NN_name.json``: an :class:`hsnn.ir.integer.IntegerNetwork` without its arrays."""

    name: str
    timesteps: Extent
    inputs: tuple[Port, ...]
    populations: tuple[Annotated[Population, Field(discriminator="kind")], ...]
    projections: tuple[Annotated[Projection, Field(discriminator="kind")], ...]
    outputs: tuple[Name, ...]
