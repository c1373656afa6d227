"""What an IntegerNetwork is made of besides synapses: ports, constant sources and neurons.

What each computes at a timestep is said in :mod:`hsnn.ir.integer`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Literal, TypeAlias, TypedDict, TypeGuard

import numpy as np

from hsnn.ir.arithmetic import VOLTAGE_MAX
from hsnn.ir.shape import Shape, both_parts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hsnn.ir.arithmetic import Firing

Reset: TypeAlias = Literal["zero", "subtract", "none"]


@dataclass(frozen=True, slots=True)
class InputPort:
    """Spikes that come from the host.

    Attributes:
        name: Unique among ports and populations.
        shape: Feature shape, without time and batch.
        max_payload: Largest magnitude of a payload; 1 for binary spikes.
        signed: Whether payloads may be negative. Binary ports are unsigned.
    """

    name: str
    shape: Shape
    max_payload: int = 1
    signed: bool = False

    @property
    def graded(self) -> bool:
        """Whether spikes carry a payload."""
        return self.max_payload > 1 or self.signed


@dataclass(frozen=True, slots=True)
class ConstantSource:
    """One neuron that sends a spike at every timestep; it carries biases into the current."""

    name: str
    shape: Shape = (1,)


@dataclass(frozen=True, slots=True, eq=False)
class LifPopulation:
    """Current-based leaky integrate-and-fire neurons.

    Attributes:
        name: Unique among ports and populations.
        shape: Feature shape.
        du: Current decay, int32, shape () or ``shape``, -1 to 4095; Lava adds 1 to it, so -1 is no
            decay and 4095 is no memory.
        dv: Voltage decay, int32, shape () or ``shape``, 0 to 4096.
        threshold: A neuron fires where ``v > threshold``; int32, shape () or ``shape``, 0 to 2**23 - 1.
            A multiple of 64 up to 131071 * 64 is what Lava's own LIF can hold.
        bias_mant: Bias mantissa, int32, shape () or ``shape``, -4096 to 4095.
        bias_exp: Bias exponent, 0 to 7.
        reset: What a spike does to the voltage.
        reset_amount: Amount that ``subtract`` takes off, int32, shape () or ``shape``; 0 otherwise.
        refractory: Timesteps after a spike in which the voltage is held and no spike is sent.
    """

    name: str
    shape: Shape
    du: NDArray[np.int32]
    dv: NDArray[np.int32]
    threshold: NDArray[np.int32]
    bias_mant: NDArray[np.int32]
    bias_exp: int = 0
    reset: Reset = "zero"
    reset_amount: NDArray[np.int32] = field(default_factory=lambda: np.zeros((), np.int32))
    refractory: int = 0

    @property
    def bias(self) -> NDArray[np.int32]:
        """Effective bias, shape () or ``shape``, in units of voltage."""
        return (self.bias_mant.astype(np.int32) << self.bias_exp).astype(np.int32)


@dataclass(frozen=True, slots=True, eq=False)
class AdaptiveLifPopulation(LifPopulation):
    """LIF neurons whose threshold rises with every spike, and whose voltage is never reset.

    ::

        raised = shrink(raised, threshold_decay);  refractory = shrink(refractory, refractory_decay)
        s = v - refractory >= threshold + raised
        refractory = refractory + 2 * (threshold + raised);  raised = raised + threshold_step     where s

    Attributes are those of :class:`LifPopulation`, with ``reset`` ``none`` and no ``refractory`` timesteps, and these,
    int32 of shape () or ``shape``:

    Attributes:
        threshold_decay: Decay of what spikes have added to the threshold, 0 to 4096.
        refractory_decay: Decay of what spikes have set against the voltage, 0 to 4096.
        threshold_step: What a spike adds to the threshold, 0 to 2**23 - 1.
    """

    threshold_decay: NDArray[np.int32] = field(default_factory=lambda: np.zeros((), np.int32))
    refractory_decay: NDArray[np.int32] = field(default_factory=lambda: np.zeros((), np.int32))
    threshold_step: NDArray[np.int32] = field(default_factory=lambda: np.zeros((), np.int32))


@dataclass(frozen=True, slots=True, eq=False)
class CountingLifPopulation(LifPopulation):
    """LIF neurons that may send several spikes in one timestep, and whose voltage does not fall below a floor.

    :func:`hsnn.ir.arithmetic.count_spikes` has the rule. Attributes are those of :class:`LifPopulation`, with ``reset``
    ``zero`` or ``subtract``, which takes ``reset_amount`` off for every spike, and these:

    Attributes:
        max_spikes: Most spikes of a neuron in a timestep, 1 to 2**23 - 1. Above 1 the count is the payload of one
            graded spike, and ``reset_amount`` is at most ``threshold + 1``, so that no voltage ends below 0.
        v_min: Lowest voltage that a timestep leaves, int32, shape () or ``shape``, -(2**23 - 1) for none, to 0.
    """

    max_spikes: int = VOLTAGE_MAX
    v_min: NDArray[np.int32] = field(default_factory=lambda: np.full((), -VOLTAGE_MAX, np.int32))

    @property
    def largest_count(self) -> int:
        """Most spikes that any of the neurons can send in a timestep: no voltage is above 2**23 - 1."""
        return max(min(self.max_spikes, VOLTAGE_MAX // (int(self.threshold.min()) + 1)), 1)


@dataclass(frozen=True, slots=True, eq=False)
class IntegratorPopulation:
    """Read-out neurons: they integrate like LIF neurons, never spike, and send their voltage.

    Attributes are those of :class:`LifPopulation`.
    """

    name: str
    shape: Shape
    du: NDArray[np.int32]
    dv: NDArray[np.int32]
    bias_mant: NDArray[np.int32]
    bias_exp: int = 0

    @property
    def bias(self) -> NDArray[np.int32]:
        """Effective bias, shape () or ``shape``, in units of voltage."""
        return (self.bias_mant.astype(np.int32) << self.bias_exp).astype(np.int32)


@dataclass(frozen=True, slots=True, eq=False)
class SigmaDeltaPopulation:
    """Neurons that send how their activation changes, as Lava's Delta and SigmaDelta.

    Synaptic input is not shifted: one unit of it is one unit of the state. In traces and final states the
    running sum stands for the current, and what has been sent for the voltage.

    Attributes:
        name: Unique among ports and populations.
        shape: Feature shape.
        threshold: Smallest change that is sent, int32, shape () or ``shape``, 0 to 2**31 - 1. Lava's
            ``vth << (spike_exp + state_exp)``.
        bias: Added to the sum, int32, shape () or ``shape``; 0 without ``accumulate``. Lava's
            ``bias << (spike_exp + state_exp)``.
        message_shift: Bits of the state below one unit of a message, 0 to 16. Lava's ``state_exp``.
        accumulate: Whether input is summed over time (SigmaDelta); else input is the activation itself (Delta).
        rectify: Whether the activation is a ReLU of the sum, or the sum.
        keep_rest: Whether what ``message_shift`` cuts off a message stays due; Lava 0.10.0 loses it for ever.
    """

    name: str
    shape: Shape
    threshold: NDArray[np.int32]
    bias: NDArray[np.int32]
    message_shift: int = 0
    accumulate: bool = True
    rectify: bool = True
    keep_rest: bool = True

    @property
    def max_message(self) -> int:
        """Largest magnitude of a message."""
        return (1 << 31) >> self.message_shift


@dataclass(frozen=True, slots=True, eq=False)
class ResonatorPopulation:
    """Resonate-and-fire neurons, as Lava's RF and RF_IZ.

    In traces and final states the real part of the state stands for the current, the imaginary one for the voltage.
    Projections that end here have the shape :func:`received_shape`.

    Attributes:
        name: Unique among ports and populations.
        shape: Feature shape, one axis or more.
        cos_decay, sin_decay: Cosine and sine of the angle of a timestep, times what is kept of the radius; int32, shape
            () or ``shape``, -4096 to 4096.
        threshold: Int32, shape () or ``shape``, 0 to 2**23 - 1.
        firing: When a neuron fires, see the module: ``phase`` is RF, ``izhikevich`` is RF_IZ.
    """

    name: str
    shape: Shape
    cos_decay: NDArray[np.int32]
    sin_decay: NDArray[np.int32]
    threshold: NDArray[np.int32]
    firing: Firing = "phase"


Neuron: TypeAlias = "LifPopulation | IntegratorPopulation | SigmaDeltaPopulation | ResonatorPopulation"
SpikingPopulation: TypeAlias = "LifPopulation | ResonatorPopulation"
"""What sends spikes of one bit, or how many of them (:class:`CountingLifPopulation`)."""
Population: TypeAlias = "ConstantSource | Neuron"
Sender: TypeAlias = "InputPort | ConstantSource | SpikingPopulation | SigmaDeltaPopulation"
"""What projections may start at."""


class Adaptation(TypedDict):
    """What :func:`hsnn.ir.arithmetic.adapt` needs to know of a population."""

    threshold: NDArray[np.int32]
    step: NDArray[np.int32]
    decays: tuple[NDArray[np.int32], NDArray[np.int32]]


def adaptation(neuron: AdaptiveLifPopulation) -> Adaptation:
    """Parameters of a population's adaptation."""
    return Adaptation(
        threshold=neuron.threshold,
        step=neuron.threshold_step,
        decays=(neuron.threshold_decay, neuron.refractory_decay),
    )


def counting(
    neuron: LifPopulation, *, max_spikes: int, v_min: NDArray[np.int32] | None = None
) -> CountingLifPopulation:
    """Let neurons count.

    Args:
        neuron: Neurons that send at most one spike in a timestep.
        max_spikes: Most spikes in a timestep.
        v_min: Lowest voltage that a timestep leaves, int32, shape () or that of the neurons; None for no floor.
    """
    own = {item.name: getattr(neuron, item.name) for item in fields(LifPopulation)}
    floor = np.full((), -VOLTAGE_MAX, np.int32) if v_min is None else v_min
    return CountingLifPopulation(**own, max_spikes=max_spikes, v_min=floor)


def spike_limits(neuron: LifPopulation) -> tuple[int, NDArray[np.int32]]:
    """Most spikes in a timestep, and the lowest voltage that one leaves; for neurons that do not count 1 and none."""
    if isinstance(neuron, CountingLifPopulation):
        return neuron.max_spikes, neuron.v_min
    return 1, np.array(-VOLTAGE_MAX, np.int32)


def received_shape(item: InputPort | Population) -> Shape:
    """Shape of what projections deliver to a population: its own, or for resonators that of both parts.

    >>> zero = np.zeros((), np.int32)
    >>> received_shape(ResonatorPopulation("rf", (3, 8, 8), zero, zero, zero))
    (6, 8, 8)
    """
    return both_parts(item.shape) if isinstance(item, ResonatorPopulation) else item.shape


def sends_spikes(item: InputPort | Population) -> TypeGuard[SpikingPopulation]:
    """Whether a population sends binary spikes: those are counted, packed and compared as such."""
    return isinstance(item, LifPopulation | ResonatorPopulation) and largest_payload(item) == (1, False)


def sends(item: InputPort | Population) -> TypeGuard[Sender]:
    """Whether projections may start at an item: at all but read-out neurons."""
    return not isinstance(item, IntegratorPopulation)


def largest_payload(item: InputPort | Population) -> tuple[int, bool]:
    """Largest magnitude that a sender sends, and whether it may be negative."""
    if isinstance(item, InputPort):
        return item.max_payload, item.signed
    if isinstance(item, SigmaDeltaPopulation):
        return item.max_message, True
    return (item.largest_count, False) if isinstance(item, CountingLifPopulation) else (1, False)
