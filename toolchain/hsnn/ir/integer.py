"""IntegerNetwork: what a chip computes, in integers only, with one exact meaning.

Time is *aligned*: at timestep ``t`` of a sample every neuron sees the spikes that its inputs sent at
``t - delay`` of the same sample, however many steps the hardware needs to carry them there. A target
hides that skew. State is zero when a sample starts, and nothing crosses from one sample to the next.

One timestep ``t`` in ``0 .. timesteps - 1``::

    a = sum over projections of  (W . s_pre[t - delay]) << weight_exp     0 where t < delay
        each projection wraps its own result: Conv at 24 bits, Dense and Sparse at 32
    u = wrap_current(shrink(u, du + 1) + (a << 6))
    v = clip(shrink(v, dv) + u + (bias_mant << bias_exp))                 held while refractory
    s = v > threshold                                                     never while refractory
    v = 0 | v - reset_amount | v   where s                                reset: zero | subtract | none

Sigma-delta neurons send graded messages instead of spikes, positive and negative ones, to any neurons::

    total = accumulate(total, a)                                          a itself without accumulate
    due = rectify_sum(total, bias) - sent                                 wraps at 32 bits
    message = due >> message_shift                                        where |due| >= threshold, else 0

Resonators have a complex state, which turns and shrinks; channel ``2 c`` of their input is the real part of what
neurons of channel ``c`` get, channel ``2 c + 1`` the imaginary one (:func:`received_shape`)::

    real = clip(shrink(real, 4096 - cos) - shrink(imag, 4096 - sin) + (a_real << 6))
    imag = clip(shrink(real, 4096 - sin) + shrink(imag, 4096 - cos) + (a_imag << 6))    both from the state before
    s = real >= threshold and imag >= 0 and imag before < 0               firing: phase
    s = imag >= threshold;  real = 0, imag = threshold - 1   where s      firing: izhikevich

The functions named here are in ``hsnn.ir.arithmetic``; ``hsnn_targets.reference`` runs them in this
order and is the judge of every other back end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias, TypedDict, TypeGuard

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hsnn.ir.arithmetic import Firing, SignMode

Reset: TypeAlias = Literal["zero", "subtract", "none"]
Shape: TypeAlias = "tuple[int, ...]"


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


@dataclass(frozen=True, slots=True, eq=False)
class DenseProjection:
    """All-to-all synapses between flattened populations (C order).

    Attributes:
        name: Unique among projections.
        pre, post: Names of the source and of the population that receives.
        weights: Effective weights, int16, shape ``(post neurons, pre neurons)``: already clipped and
            truncated for ``sign_mode`` and ``num_weight_bits``.
        weight_exp: Left shift of each sum, 0 to 15.
        delay: Extra timesteps, 0 to 62; at least 1 on one projection of every cycle.
        sign_mode: Sign mode that Lava is told.
        num_weight_bits: 1 to 8.
    """

    name: str
    pre: str
    post: str
    weights: NDArray[np.int16]
    weight_exp: int = 0
    delay: int = 0
    sign_mode: SignMode = "mixed"
    num_weight_bits: int = 8


@dataclass(frozen=True, slots=True, eq=False)
class ConvProjection:
    """Two-dimensional correlation, in torch's convention.

    Attributes:
        weights: Effective weights, int16, shape ``(C_out, C_in / groups, kernel H, kernel W)``.
        stride, padding, dilation: ``(H, W)``; padding is symmetric.
        groups: Channel groups.
        name, pre, post, weight_exp, delay: As in :class:`DenseProjection`; both populations have
            shape ``(C, H, W)``.
    """

    name: str
    pre: str
    post: str
    weights: NDArray[np.int16]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    weight_exp: int = 0
    delay: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class SparseProjection:
    """Synapses as a compressed sparse row matrix between flattened populations.

    Attributes:
        data: Effective weights, int16, shape ``(synapse,)``; mixed signs, 8 bits, so even.
        indices: Presynaptic neuron of each synapse, int32, shape ``(synapse,)``.
        indptr: Where each postsynaptic neuron's synapses start, int32, shape ``(post neurons + 1,)``.
        name, pre, post, weight_exp, delay: As in :class:`DenseProjection`.
    """

    name: str
    pre: str
    post: str
    data: NDArray[np.int16]
    indices: NDArray[np.int32]
    indptr: NDArray[np.int32]
    weight_exp: int = 0
    delay: int = 0


Neuron: TypeAlias = "LifPopulation | IntegratorPopulation | SigmaDeltaPopulation | ResonatorPopulation"
SpikingPopulation: TypeAlias = "LifPopulation | ResonatorPopulation"
"""What sends spikes of one bit."""
Population: TypeAlias = "ConstantSource | Neuron"
Sender: TypeAlias = "InputPort | ConstantSource | SpikingPopulation | SigmaDeltaPopulation"
"""What projections may start at."""
Projection: TypeAlias = "DenseProjection | ConvProjection | SparseProjection"


@dataclass(frozen=True, slots=True, eq=False)
class IntegerNetwork:
    """One spiking segment, ready for a chip.

    Attributes:
        name: Name of the segment.
        timesteps: Timesteps per sample.
        inputs: Ports that the host feeds.
        populations: Constant sources and neurons; every projection whose delay is 0 leads forward
            in this order.
        projections: Synapses.
        outputs: Names of populations (or ports) whose output goes back to the host: spikes of LIF
            populations, messages of sigma-delta ones, voltages of integrators.
    """

    name: str
    timesteps: int
    inputs: tuple[InputPort, ...]
    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]
    outputs: tuple[str, ...]

    def source(self, name: str) -> InputPort | Population:
        """Return the port or population of that name.

        Raises:
            KeyError: If there is none.
        """
        for item in (*self.inputs, *self.populations):
            if item.name == name:
                return item
        raise KeyError(name)

    def into(self, name: str) -> tuple[Projection, ...]:
        """Return the projections into a population, in order."""
        return tuple(p for p in self.projections if p.post == name)

    @property
    def neurons(self) -> tuple[Neuron, ...]:
        """Populations that have a state."""
        return tuple(p for p in self.populations if not isinstance(p, ConstantSource))


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


def received_shape(item: InputPort | Population) -> Shape:
    """Shape of what projections deliver to a population: its own, or for resonators that of both parts.

    >>> zero = np.zeros((), np.int32)
    >>> received_shape(ResonatorPopulation("rf", (3, 8, 8), zero, zero, zero))
    (6, 8, 8)
    """
    return both_parts(item.shape) if isinstance(item, ResonatorPopulation) else item.shape


def both_parts(shape: Shape) -> Shape:
    """Shape of the real and imaginary parts of complex values, which take turns along the first axis."""
    return (2 * shape[0], *shape[1:])


def part_indices(shape: Shape) -> NDArray[np.int64]:
    """Where the parts of complex values of this shape lie among the flat parts: ``(2, *shape)``, real parts first.

    >>> part_indices((2, 2)).tolist()
    [[[0, 1], [4, 5]], [[2, 3], [6, 7]]]
    """
    numbers = np.arange(2 * size(shape), dtype=np.int64).reshape(shape[0], 2, *shape[1:])
    return np.ascontiguousarray(np.moveaxis(numbers, 1, 0))


def sends_spikes(item: InputPort | Population) -> TypeGuard[SpikingPopulation]:
    """Whether a population sends binary spikes: those are counted, packed and compared as such."""
    return isinstance(item, LifPopulation | ResonatorPopulation)


def sends(item: InputPort | Population) -> TypeGuard[Sender]:
    """Whether projections may start at an item: at all but read-out neurons."""
    return not isinstance(item, IntegratorPopulation)


def largest_payload(item: InputPort | Population) -> tuple[int, bool]:
    """Largest magnitude that a sender sends, and whether it may be negative."""
    if isinstance(item, InputPort):
        return item.max_payload, item.signed
    return (item.max_message, True) if isinstance(item, SigmaDeltaPopulation) else (1, False)


def count_synapses(network: IntegerNetwork, projection: Projection) -> int:
    """Number of synapses; a kernel counts once for every place that it is applied to, borders included."""
    match projection:
        case DenseProjection():
            return projection.weights.size
        case SparseProjection():
            return projection.data.size
        case ConvProjection():
            return projection.weights.size * size(network.source(projection.post).shape[1:])


def size(shape: Shape) -> int:
    """Number of neurons in a population of this feature shape."""
    return math.prod(shape)
