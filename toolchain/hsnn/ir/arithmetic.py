"""The integer rules of a Loihi timestep: the one place where they are written down.

Every back end must compute exactly these functions. They copy the behaviour of Lava's fixed-point
models (lava-nc 0.10.0), including what its comments say differently, and work on whole arrays.

Source: lava ``proc/lif/models.py``, ``proc/conv/utils.py`` and ``utils/weightutils.py`` at b6822fb.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Int32 = NDArray[np.int32]
    Int64 = NDArray[np.int64]
    IntArray = NDArray[np.integer]

SignMode = Literal["mixed", "excitatory", "inhibitory"]
Firing = Literal["phase", "izhikevich"]

STATE_LIMIT = 1 << 23
"""Half of the 24-bit range of current and voltage."""
VOLTAGE_MAX = STATE_LIMIT - 1
DECAY_ONE = 1 << 12
"""A decay of 1.0: decays are fractions of 4096 lost per timestep."""
STATE_SHIFT = 6
"""Synaptic input and stock thresholds enter the state shifted left by this many bits."""
STOCK_VTH_MAX = (1 << 17) - 1
"""Largest threshold mantissa of Lava's LIF (17 bits); it means ``mantissa << 6`` of voltage."""
BIAS_MANT_MIN, BIAS_MANT_MAX = -(1 << 12), (1 << 12) - 1
BIAS_EXP_MAX = 7
DELAY_MAX = 63
"""Largest synaptic delay that Lava's DelayDense and DelaySparse accept, in timesteps."""


def wrap_int32(x: IntArray) -> Int32:
    """Keep the low 32 bits, as a Lava channel does.

    Args:
        x: Integers within 64 bits, any shape.

    Returns:
        Int32, same shape.

    >>> wrap_int32(np.array([2**31, -(2**31) - 1]))
    array([-2147483648,  2147483647], dtype=int32)
    """
    return x.astype(np.int64).astype(np.int32)


def wrap_int24(x: IntArray) -> Int32:
    """Wrap to 24-bit two's complement, as Lava's Conv does to its sums (``signed_clamp`` of ``proc/conv/utils.py``).

    Args:
        x: Integers within 63 bits, any shape.

    Returns:
        Int32, ``-2**23`` to ``2**23 - 1``, same shape.

    >>> wrap_int24(np.array([2**23, -(2**23), -(2**23) - 1]))
    array([-8388608, -8388608,  8388607], dtype=int32)
    """
    wide = x.astype(np.int64) + STATE_LIMIT
    return ((wide & (2 * STATE_LIMIT - 1)) - STATE_LIMIT).astype(np.int32)


def shrink(x: IntArray, decay: IntArray | int) -> Int32:
    """Let ``decay / 4096`` of a state leak away, rounding toward zero: ``x * (4096 - decay) / 4096``.

    Args:
        x: State, int32, any shape.
        decay: 0 to 4096, or to 8192 where what is kept is negative; broadcasts to ``x``.

    Returns:
        Int32, same shape.

    >>> shrink(np.array([4097, -4097, 1, -1]), 1)
    array([ 4095, -4095,     0,     0], dtype=int32)
    """
    product = x.astype(np.int64) * (DECAY_ONE - np.asarray(decay, np.int64))
    shrunk: Int32 = (np.sign(product) * (np.abs(product) >> 12)).astype(np.int32)
    return shrunk


def wrap_current(x: Int32) -> Int32:
    """Wrap a current once at 24 bits, as Lava's LIF does.

    Exactly ``2**23`` stays, exactly ``-2**23`` becomes ``2**23``, and a value beyond twice the range
    stays out of range: copied from Lava on purpose.

    >>> wrap_current(np.array([2**23, 2**23 + 1, -(2**23), 2**24], np.int32))
    array([ 8388608, -8388607,  8388608,        0], dtype=int32)
    """
    wide = x.astype(np.int64)
    down = np.where(wide > STATE_LIMIT, wide - 2 * STATE_LIMIT, wide)
    return wrap_int32(np.where(down <= -STATE_LIMIT, wide + 2 * STATE_LIMIT, down))


def advance_current(u: Int32, activation: Int32, du: IntArray | int) -> Int32:
    """Advance the synaptic current by one timestep.

    Args:
        u: Current, int32, any shape.
        activation: Sum of all synaptic input of this timestep; one unit is 64 of ``u``.
        du: Decay, -1 to 4095, in 1/4096 per timestep less the one that Lava adds.

    Returns:
        The next current, same shape.
    """
    shifted = wrap_int32(activation.astype(np.int64) << STATE_SHIFT)
    total = wrap_int32(shrink(u, np.asarray(du, np.int64) + 1).astype(np.int64) + shifted)
    return wrap_current(total)


def advance_voltage(v: Int32, u: Int32, bias: IntArray, dv: IntArray | int) -> Int32:
    """Advance the voltage by one timestep; it saturates at 24 bits.

    Args:
        v: Voltage, int32, any shape.
        u: Current of this timestep, same shape.
        bias: Effective bias, ``bias_mant << bias_exp``.
        dv: Decay, 0 to 4096, in 1/4096 per timestep.

    Returns:
        The next voltage before any spike resets it, same shape, within +-(2**23 - 1).
    """
    total = wrap_int32(shrink(v, dv).astype(np.int64) + u + bias)
    return np.clip(total, -VOLTAGE_MAX, VOLTAGE_MAX).astype(np.int32, copy=False)


def count_spikes(v: Int32, threshold: IntArray, most: int) -> Int32:
    """Count how often a voltage holds what makes a neuron fire: ``v // (threshold + 1)``, at most ``most`` times.

    With ``most`` 1 that is ``v > threshold``. Counts need no limit of their own: a voltage has 23 bits and a sign,
    a payload of Loihi 2 at least as many. Source: ``MultiSpike`` and ``MaxSpikeInner`` of sinabs 3.1.3.

    Args:
        v: Voltage of this timestep, any shape; none below 0 fires.
        threshold: A neuron fires where ``v > threshold``; 0 or more.
        most: Largest count, 1 or more.

    Returns:
        Counts, 0 or more, same shape.

    >>> count_spikes(np.array([-9, 3, 4, 11, 12, 99]), 3, 5)
    array([0, 0, 1, 2, 3, 5], dtype=int32)
    """
    counts = np.maximum(v.astype(np.int64), 0) // (np.asarray(threshold, np.int64) + 1)
    return np.minimum(counts, most).astype(np.int32)


def adapt(
    v: Int32,
    raised: Int32,
    refractory: Int32,
    *,
    threshold: IntArray,
    step: IntArray,
    decays: tuple[IntArray, IntArray],
) -> tuple[NDArray[np.bool_], Int32, Int32]:
    """Let an adaptive neuron's threshold and refractory state decay, and tell whether it fires.

    Every sum wraps at 32 bits; Lava clips none. Source: ``PyATRLIFModelFixed`` of lava ``proc/atrlif/models.py``.

    Args:
        v: Voltage of this timestep; a spike does not change it.
        raised: By how much the threshold is above its rest.
        refractory: What is taken off the voltage before it is compared.
        threshold: Threshold at rest.
        step: What a spike adds to the threshold.
        decays: Decay of ``raised`` and of ``refractory``, 0 to 4096.

    Returns:
        Spikes (bool), and the next ``raised`` and ``refractory``.
    """
    raised, refractory = shrink(raised, decays[0]), shrink(refractory, decays[1])
    level = wrap_int32(raised.astype(np.int64) + threshold)
    spikes = wrap_int32(v.astype(np.int64) - refractory) >= level
    after = wrap_int32(refractory.astype(np.int64) + np.where(spikes, 2 * level.astype(np.int64), 0))
    return spikes, wrap_int32(raised.astype(np.int64) + np.where(spikes, step, 0)), after


def resonate(
    real: Int32,
    imag: Int32,
    parts: tuple[Int32, Int32],
    *,
    decays: tuple[IntArray, IntArray],
    threshold: IntArray,
    firing: Firing,
) -> tuple[NDArray[np.bool_], Int32, Int32]:
    """Turn and shrink the state of resonators, add their input, and tell which fire.

    Source: ``PyRFModelFixed`` and ``PyRF_IZModelFixed`` of lava ``proc/rf`` and ``proc/rf_iz``, with ``decay_bits`` 12
    and ``state_exp`` 6. Lava rounds each product toward zero, clips both parts, and lets only ``izhikevich`` reset.

    Args:
        real: Real part of the state, int32 of any shape.
        imag: Imaginary part of it.
        parts: Synaptic input of the real and of the imaginary part; one unit is 64 of the state.
        decays: Cosine and sine of a timestep's turn times what is kept of the radius, -4096 to 4096.
        threshold: 0 to 2**23 - 1.
        firing: ``phase``: a neuron fires where the imaginary part reaches 0 from below while the real one is at the
            threshold. ``izhikevich``: it fires where the imaginary part is at the threshold, which resets it.

    Returns:
        Spikes (bool), and the next real and imaginary part.
    """
    turn, cross = (DECAY_ONE - np.asarray(decay, np.int64) for decay in decays)
    arriving = [wrap_int32(part.astype(np.int64) << STATE_SHIFT) for part in parts]
    moved_real = shrink(real, turn).astype(np.int64) - shrink(imag, cross) + arriving[0]
    moved_imag = shrink(real, cross).astype(np.int64) + shrink(imag, turn) + arriving[1]
    new_real = np.clip(moved_real, -VOLTAGE_MAX, VOLTAGE_MAX).astype(np.int32)
    new_imag = np.clip(moved_imag, -VOLTAGE_MAX, VOLTAGE_MAX).astype(np.int32)
    if firing == "phase":
        return (new_real >= threshold) & (new_imag >= 0) & (imag < 0), new_real, new_imag
    spikes = new_imag >= threshold
    below = np.asarray(threshold, np.int32) - 1
    return spikes, np.where(spikes, 0, new_real).astype(np.int32), np.where(spikes, below, new_imag).astype(np.int32)


def accumulate(total: Int32, activation: Int32) -> Int32:
    """Add synaptic input to the running sum of a sigma-delta neuron; it wraps at 32 bits, as Lava's Sigma does.

    Both are int32 of one shape, one unit of input is one unit of the sum.
    """
    return wrap_int32(total.astype(np.int64) + activation)


def rectify_sum(total: Int32, bias: IntArray, *, rectify: bool) -> Int32:
    """Activation of a sigma-delta neuron: its sum and bias, wrapped at 32 bits, then a ReLU if wanted.

    All are int32 in units of the sum; ``bias`` broadcasts to the shape of ``total``, which is that of the result.
    """
    biased = wrap_int32(total.astype(np.int64) + bias)
    return np.maximum(biased, 0) if rectify else biased


def encode_delta(
    activation: Int32, sent: Int32, threshold: IntArray, *, shift: int, keep_rest: bool
) -> tuple[Int32, Int32]:
    """Send what an activation is away from what has been sent, where that reaches a threshold.

    Lava's Delta and SigmaDelta take the whole difference for sent and lose its lowest bits (lava-nc 0.10.0);
    with ``keep_rest`` they stay for the next message, as in ``PySigmaDeltaModelFixedCorrected`` of b6822fb.
    A difference of exactly ``-2**31`` is never sent: its magnitude wraps.

    Args:
        activation: Activation of this timestep, int32, any shape.
        sent: What has been sent so far, in units of the activation.
        threshold: Smallest magnitude that is sent, 0 or more.
        shift: Bits of the activation below one unit of a message.
        keep_rest: Whether what the shift cuts off stays due.

    Returns:
        Messages (0 where nothing is sent), and what has been sent now.

    >>> sent = np.zeros(3, np.int32)
    >>> encode_delta(np.array([7, -7, 3], np.int32), sent, 4, shift=2, keep_rest=True)
    (array([ 1, -2,  0], dtype=int32), array([ 4, -8,  0], dtype=int32))
    """
    difference = wrap_int32(activation.astype(np.int64) - sent)
    due = np.where(np.abs(difference) >= threshold, difference, 0)
    message = wrap_int32(due >> shift)
    taken = message.astype(np.int64) << shift if keep_rest else due
    return message, wrap_int32(sent.astype(np.int64) + taken)


def truncate_weights(weights: IntArray, sign_mode: SignMode, num_weight_bits: int = 8) -> Int32:
    """Clip and truncate raw weights as Lava's Dense and Sparse do on their first timestep.

    Args:
        weights: Raw integer weights, any shape.
        sign_mode: ``mixed`` weights lose one bit to the sign, so at 8 bits they come out even.
        num_weight_bits: 1 to 8.

    Returns:
        Effective weights: -256 to 254 (mixed), 0 to 255 (excitatory), -255 to 0 (inhibitory).

    >>> truncate_weights(np.array([127, -128, 3, -3, 400]), "mixed")
    array([ 126, -128,    2,   -4,  254], dtype=int32)
    """
    low, high = {"mixed": (-256, 255), "excitatory": (0, 255), "inhibitory": (-255, 0)}[sign_mode]
    clipped = np.clip(weights, low, high).astype(np.int32)
    bits = 8 - num_weight_bits + (sign_mode == "mixed")
    if sign_mode == "inhibitory":
        return -((-clipped >> bits) << bits)
    return (clipped >> bits) << bits
