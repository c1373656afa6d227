"""What a ``.net`` file says, as frozen data: integers as they are in the file, shapes as torch has them.

Source of the format: lava-nc/lava-dl 0.6.0 (``slayer/block/base.py`` writes, ``netx/hdf5.py`` reads) and the files of
its older slayer. Everything is a chain: layer ``i`` reads what layer ``i - 1`` sends. Shapes are ``(C, H, W)`` or
``(N,)``; weights are those of a correlation; all weights, biases and thresholds are integers with 6 fractional bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

Pair: TypeAlias = "tuple[int, int]"
Shape: TypeAlias = "tuple[int, ...]"


@dataclass(frozen=True, slots=True, eq=False)
class Cuba:
    """Current-based leaky integrate-and-fire neurons, ``CUBA`` or, in older files, ``LOIHI``.

    Attributes:
        current_decay, voltage_decay: Lost per timestep, in 1/4096, 0 to 4096; shape () or one per channel.
        threshold: Mantissa; the effective threshold is ``threshold << 6``.
        weight_exp: Logarithm of the standard deviation that ``WgtScaleBatchNorm`` divides by; None without that norm.
    """

    current_decay: Ints
    voltage_decay: Ints
    threshold: int
    weight_exp: int | None = None


@dataclass(frozen=True, slots=True)
class SigmaDelta:
    """Sigma-delta neurons.

    Attributes:
        threshold: Mantissa; None for output neurons, which have none.
        activation: Name of the activation function.
        sends_sum: Whether the neurons send their sum itself, as the block ``Output`` does.
    """

    threshold: int | None
    activation: str
    sends_sum: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Resonator:
    """Resonate-and-fire neurons; ``izhikevich`` ones reset, the others fire by phase.

    Attributes:
        izhikevich: Which of the two.
        sin_decay, cos_decay: In 1/4096, shape () or one per channel.
        threshold: Mantissa.
    """

    izhikevich: bool
    sin_decay: Ints
    cos_decay: Ints
    threshold: int


@dataclass(frozen=True, slots=True, eq=False)
class Adaptive:
    """Adaptive leaky integrate-and-fire neurons, or adaptive resonators where ``resonator`` is there.

    Attributes:
        base: The neurons without adaptation.
        threshold_decay, refractory_decay: In 1/4096, shape () or one per channel.
        threshold_step: Mantissa of what a spike adds to the threshold; shape () or one per channel.
    """

    base: Cuba | Resonator
    threshold_decay: Ints
    refractory_decay: Ints
    threshold_step: Ints


Neuron: TypeAlias = "Cuba | SigmaDelta | Resonator | Adaptive"


@dataclass(frozen=True, slots=True, eq=False)
class InputLayer:
    """What enters: spikes, or values that an affine transform and neurons turn into spikes.

    Attributes:
        index: Position in the file.
        shape: Feature shape.
        weight, bias: Of the transform, in 1/64; None where there is none.
        neuron: None where spikes enter.
    """

    index: int
    shape: Shape
    weight: int | None = None
    bias: int | None = None
    neuron: Neuron | None = None


@dataclass(frozen=True, slots=True)
class FlattenLayer:
    """``(C, H, W)`` in C order becomes one axis; ``size`` is its length."""

    index: int
    size: int


@dataclass(frozen=True, slots=True)
class AverageLayer:
    """Mean over equal groups of neighbouring neurons."""

    index: int
    groups: int


@dataclass(frozen=True, slots=True)
class ConcatLayer:
    """Joins the layers named; known from the format's description only, no program writes it."""

    index: int
    layers: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class DenseLayer:
    """All-to-all synapses and their neurons.

    Attributes:
        index: Position in the file.
        weight: int64, ``(out, in)``; the real part where ``imaginary`` is there.
        imaginary: Imaginary part, or None.
        recurrent: Synapses from the layer to itself, ``(out, out)``, post first; None if there are none.
        bias: Added to the voltage, ``(out,)``; None if there is none.
        delay: Axonal delays of what the layer sends, ``(out,)``, 0 to 62; None if there are none.
        neuron: None for a layer without dynamics.
    """

    index: int
    weight: Ints
    imaginary: Ints | None = None
    recurrent: Ints | None = None
    bias: Ints | None = None
    delay: Ints | None = None
    neuron: Neuron | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """Extents of a kernel, each ``(H, W)``."""

    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair


@dataclass(frozen=True, slots=True, eq=False)
class ConvLayer:
    """Convolution, or its transpose, and its neurons.

    Attributes:
        index: Position in the file.
        shape: Feature shape of what it sends, ``(C, H, W)``.
        window: Extents.
        weight: ``(C_out, C_in / groups, H, W)``; transposed ``(C_in, C_out / groups, H, W)``.
        imaginary: As :class:`DenseLayer`.
        groups: Channel groups.
        transposed: Whether it is the transpose.
        bias, delay: One per output channel, or None.
        neuron: Neurons.
    """

    index: int
    shape: Shape
    window: Window
    weight: Ints
    groups: int
    neuron: Neuron
    transposed: bool = False
    imaginary: Ints | None = None
    bias: Ints | None = None
    delay: Ints | None = None


@dataclass(frozen=True, slots=True, eq=False)
class PoolLayer:
    """Sum pooling of every channel with a common weight for each place, or its transpose, and its neurons.

    Attributes:
        weight: ``(H, W)``.
        index, shape, window, transposed, imaginary, delay, neuron: As :class:`ConvLayer`.
    """

    index: int
    shape: Shape
    window: Window
    weight: Ints
    neuron: Neuron
    transposed: bool = False
    imaginary: Ints | None = None
    delay: Ints | None = None


Layer: TypeAlias = "InputLayer | FlattenLayer | AverageLayer | ConcatLayer | DenseLayer | ConvLayer | PoolLayer"


@dataclass(frozen=True, slots=True, eq=False)
class NetxNetwork:
    """One ``.net`` file.

    Attributes:
        layers: In order.
        timesteps: Timesteps of a sample, which only older files say; else None.
    """

    layers: tuple[Layer, ...]
    timesteps: int | None = None
