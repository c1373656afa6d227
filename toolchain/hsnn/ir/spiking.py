"""SpikingGraph: one spiking segment with float parameters, between partition and quantize.

It has the parts of :class:`~hsnn.ir.integer.IntegerNetwork` one for one (ports, populations,
projections, outputs, aligned time), but in the units of the trained model.

One timestep ``t``::

    a = sum over projections of  W . x_pre[t - delay]          0 where t < delay
    u = (1 - current_decay) * u + a
    v = (1 - voltage_decay) * v + u + bias                     held while refractory
    s = v > threshold   or   v >= threshold                    never while refractory
    v = 0 | v - reset_amount | v   where s                     reset: zero | subtract | none

``decay_input`` of the operator set is folded into weights, and a bias that enters the current of a
neuron with current memory comes from a :class:`~hsnn.ir.populations.ConstantSource`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeGuard

import numpy as np

from hsnn.ir.arithmetic import VOLTAGE_MAX
from hsnn.ir.populations import ConstantSource, Reset
from hsnn.ir.shape import Shape, both_parts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hsnn.ir.arithmetic import Firing

    Float = NDArray[np.float64]

Comparison: TypeAlias = Literal[">", ">="]


@dataclass(frozen=True, slots=True)
class SpikeInput:
    """Spikes, or graded values, that come from the host.

    Attributes:
        name: Unique among inputs and populations.
        shape: Feature shape, without time and batch.
        value: Name of the value in the hybrid model that carries them.
        binary: Whether every payload is 0 or 1; else payloads are real and get quantized.
        scale: Units of payload per unit of the values where the model fixes them; None to let the quantizer choose.
    """

    name: str
    shape: Shape
    value: str
    binary: bool
    scale: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class FloatLif:
    """Leaky integrate-and-fire neurons.

    Attributes:
        name: Unique; the name of the torch module or node where there is one.
        shape: Feature shape.
        value: Name of the hybrid model's value that carries the spikes.
        current_decay: Fraction of the current lost per timestep, 0 to 1, shape () or ``shape``.
        voltage_decay: Likewise for the voltage.
        threshold: Above 0, shape () or ``shape``.
        bias: Added to the voltage at every timestep, shape () or ``shape``.
        reset, comparison, refractory: See the module.
        scale: Integer voltage units per unit of the model's voltage where the model fixes them; None to let the
            quantizer choose.
        reset_amount: What ``subtract`` takes off, shape () or ``shape``; the threshold where ``None``.
        resolution: Input, and what states keep, are rounded toward zero to multiples of this; 0 for none.
    """

    name: str
    shape: Shape
    value: str
    current_decay: Float
    voltage_decay: Float
    threshold: Float
    bias: Float
    reset: Reset = "zero"
    comparison: Comparison = ">"
    refractory: int = 0
    scale: float | None = None
    reset_amount: Float | None = None
    resolution: float = 0.0

    @property
    def amount(self) -> Float:
        """What ``subtract`` takes off, shape () or ``shape``."""
        return self.threshold if self.reset_amount is None else self.reset_amount


@dataclass(frozen=True, slots=True, eq=False)
class FloatAdaptiveLif(FloatLif):
    """LIF neurons whose threshold rises with every spike, as :class:`hsnn.ir.populations.AdaptiveLifPopulation`.

    ``reset`` is ``none``, ``comparison`` ``>=``, and there are no ``refractory`` timesteps.

    Attributes:
        threshold_decay, refractory_decay: 0 to 1, shape () or ``shape``.
        threshold_step: 0 or more, shape () or ``shape``.
    """

    threshold_decay: Float = field(default_factory=lambda: np.zeros(()))
    refractory_decay: Float = field(default_factory=lambda: np.zeros(()))
    threshold_step: Float = field(default_factory=lambda: np.zeros(()))


@dataclass(frozen=True, slots=True, eq=False)
class FloatCountingLif(FloatLif):
    """LIF neurons that may send several spikes at once, as :class:`hsnn.ir.populations.CountingLifPopulation` does.

    ``reset`` is ``zero`` or ``subtract``, ``comparison`` ``>=``, and there are no ``refractory`` timesteps.

    Attributes:
        max_spikes: Most spikes of a neuron in a timestep, 1 or more.
        v_min: Lowest voltage that a timestep leaves, 0 at most, minus infinity for none; shape () or ``shape``.
    """

    max_spikes: int = VOLTAGE_MAX
    v_min: Float = field(default_factory=lambda: np.full((), -np.inf))


@dataclass(frozen=True, slots=True, eq=False)
class FloatResonator(FloatLif):
    """Resonate-and-fire neurons; :class:`hsnn.ir.populations.ResonatorPopulation` has the rules.

    Seen as neurons with a voltage: their input is not remembered (``current_decay`` 1), what they lose of their radius
    is ``voltage_decay``, ``bias`` is 0, ``reset`` ``none`` and ``comparison`` ``>=``.

    Attributes:
        cos_decay, sin_decay: Parts of the number that the state is multiplied by, shape () or ``shape``.
        firing: ``phase`` or ``izhikevich``, which resets the imaginary part to the threshold.
    """

    cos_decay: Float = field(default_factory=lambda: np.zeros(()))
    sin_decay: Float = field(default_factory=lambda: np.zeros(()))
    firing: Firing = "phase"


@dataclass(frozen=True, slots=True, eq=False)
class FloatIntegrator:
    """Read-out neurons that never spike and send their voltage; attributes as :class:`FloatLif`."""

    name: str
    shape: Shape
    value: str
    current_decay: Float
    voltage_decay: Float
    bias: Float
    scale: float | None = None
    resolution: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class FloatSigmaDelta:
    """Sigma-delta or delta neurons: they send messages that say how their activation changes.

    ::

        total = total + a                        a itself without accumulate
        due = relu(total + bias) - sent          total + bias - sent without rectify
        message = due where |due| >= threshold, else 0;   sent = sent + message

    Attributes:
        name, shape, value: As in :class:`FloatLif`.
        threshold: Smallest change that is sent, 0 or more, shape () or ``shape``.
        bias: Added to the sum, shape () or ``shape``; 0 without ``accumulate``.
        accumulate, rectify: As in :class:`hsnn.ir.populations.SigmaDeltaPopulation`.
        resolution: Messages are rounded down to multiples of this, and what that cuts off counts as sent; 0 for none.
        scale: Units of the state per unit of the model, where that demands exact integers; None where rounding will do.
    """

    name: str
    shape: Shape
    value: str
    threshold: Float
    bias: Float
    accumulate: bool = True
    rectify: bool = True
    resolution: float = 0.0
    scale: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class FloatDense:
    """All-to-all synapses, weights float64 of shape ``(post neurons, pre neurons)``."""

    name: str
    pre: str
    post: str
    weights: Float
    delay: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class FloatConv:
    """Correlation, weights float64 of shape ``(C_out, C_in / groups, kernel H, kernel W)``."""

    name: str
    pre: str
    post: str
    weights: Float
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    delay: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class FloatSparse:
    """Compressed sparse rows: ``data`` float64; ``indices`` and ``indptr`` int32."""

    name: str
    pre: str
    post: str
    data: Float
    indices: NDArray[np.int32]
    indptr: NDArray[np.int32]
    delay: int = 0


CurrentNeuron: TypeAlias = "FloatLif | FloatIntegrator"
"""Neurons with a synaptic current and a voltage."""
FloatNeuron: TypeAlias = "CurrentNeuron | FloatSigmaDelta"
FloatPopulation: TypeAlias = "ConstantSource | FloatNeuron"
FloatProjection: TypeAlias = "FloatDense | FloatConv | FloatSparse"


def counts_spikes(item: SpikeInput | FloatPopulation) -> TypeGuard[FloatCountingLif]:
    """Whether a population sends how many spikes it fires, and not only that it does."""
    return isinstance(item, FloatCountingLif) and item.max_spikes > 1


def received(item: SpikeInput | FloatPopulation) -> Shape:
    """Shape of what projections deliver to a population: its own, or for resonators that of both parts."""
    return both_parts(item.shape) if isinstance(item, FloatResonator) else item.shape


@dataclass(frozen=True, slots=True, eq=False)
class SpikingGraph:
    """One spiking segment in float.

    Attributes:
        name: Name of the segment.
        timesteps: Timesteps per sample.
        inputs: What the host feeds.
        populations: In an order in which every projection of delay 0 leads forward.
        projections: Synapses.
        outputs: Names of populations (or inputs) whose output the host needs.
    """

    name: str
    timesteps: int
    inputs: tuple[SpikeInput, ...]
    populations: tuple[FloatPopulation, ...]
    projections: tuple[FloatProjection, ...]
    outputs: tuple[str, ...]

    def source(self, name: str) -> SpikeInput | FloatPopulation:
        """Return the input or population of that name.

        Raises:
            KeyError: If there is none.
        """
        for item in (*self.inputs, *self.populations):
            if item.name == name:
                return item
        raise KeyError(name)

    def into(self, name: str) -> tuple[FloatProjection, ...]:
        """Return the projections into a population, in order."""
        return tuple(p for p in self.projections if p.post == name)

    @property
    def neurons(self) -> tuple[FloatNeuron, ...]:
        """Populations that have a state."""
        return tuple(p for p in self.populations if not isinstance(p, ConstantSource))
