"""The rules of ``hsnn.ir.arithmetic`` on torch tensors, in 64-bit integers.

Elementwise arithmetic of int64 tensors is exact on every device, and its shifts keep the sign. All tensors are int64
of one shape, here ``(sample, neuron)``, or broadcast to it, as parameters do; so are results, but those that
tell which neurons fire, which are bool. Each function gives, bit for bit, what its namesake in ``hsnn.ir.arithmetic``
does, which says whence the rule is; decays come as what is kept, and some states and inputs decayed or shifted already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hsnn.ir.arithmetic import STATE_LIMIT, VOLTAGE_MAX

if TYPE_CHECKING:
    from torch import Tensor

    from hsnn.ir.arithmetic import Firing

HALF_INT32 = 1 << 31


def wrap_int32(x: Tensor) -> Tensor:
    """Keep the low 32 bits as a signed number, -2**31 to 2**31 - 1."""
    return ((x + HALF_INT32) & (2 * HALF_INT32 - 1)) - HALF_INT32


def wrap_int24(x: Tensor) -> Tensor:
    """Keep the low 24 bits as a signed number, -2**23 to 2**23 - 1."""
    return ((x + STATE_LIMIT) & (2 * STATE_LIMIT - 1)) - STATE_LIMIT


def shrink(x: Tensor, keep: Tensor) -> Tensor:
    """Return ``x * keep / 4096`` rounded toward zero; ``keep`` is 4096 less a decay.

    A shift rounds down, so 4095 is added to negative products first.
    """
    product = x * keep
    return (product + ((product >> 63) & 4095)) >> 12


def advance_current(u: Tensor, shifted: Tensor, keep: Tensor) -> Tensor:
    """Advance a current by one timestep and wrap it once at 24 bits.

    Args:
        u: Current, above ``-2**23`` and at most ``2**23``.
        shifted: What arrived, ``wrap_int32(a << 6)``.
        keep: 4096 less the decay, 0 to 4096.
    """
    total = wrap_int32(shrink(u, keep) + shifted)
    down = total - 2 * STATE_LIMIT * (total > STATE_LIMIT)
    return down + 2 * STATE_LIMIT * (down <= -STATE_LIMIT)


def advance_voltage(v: Tensor, u: Tensor, bias: Tensor, keep: Tensor) -> Tensor:
    """Advance a voltage by one timestep; it saturates at ``-(2**23 - 1)`` and ``2**23 - 1``.

    Args:
        v: Voltage before.
        u: Current of this timestep.
        bias: Bias, its exponent applied.
        keep: 4096 less the decay, 0 to 4096.
    """
    return wrap_int32(shrink(v, keep) + u + bias).clamp(-VOLTAGE_MAX, VOLTAGE_MAX)


def count_spikes(v: Tensor, threshold: Tensor, most: int) -> Tensor:
    """Count the spikes of voltages: how often each holds ``threshold + 1``, 0 to ``most`` (at least 1)."""
    return v.clamp(min=0).div(threshold + 1, rounding_mode="floor").clamp(max=most)


def adapt(
    v: Tensor, raised: Tensor, refractory: Tensor, *, threshold: Tensor, step: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Tell which adaptive neurons fire, and return their next states.

    Args:
        v: Voltage of this timestep; a spike does not reset it.
        raised: What spikes added to the threshold, decayed to this timestep.
        refractory: What they set against the voltage, decayed likewise.
        threshold: Threshold at rest.
        step: What a spike adds to the threshold.

    Returns:
        Whether each neuron fires (bool), next ``raised``, next ``refractory``.
    """
    level = wrap_int32(raised + threshold)
    fires = wrap_int32(v - refractory) >= level
    return fires, wrap_int32(raised + step * fires), wrap_int32(refractory + 2 * level * fires)


def resonate(
    real: Tensor,
    imag: Tensor,
    shifted: tuple[Tensor, Tensor],
    *,
    keeps: tuple[Tensor, Tensor],
    threshold: Tensor,
    firing: Firing,
) -> tuple[Tensor, Tensor, Tensor]:
    """Turn the state of resonators by one timestep, and tell which fire.

    Args:
        real: Real part of the state, within ``2**23 - 1`` of 0.
        imag: Imaginary part, likewise.
        shifted: What arrived for each part, as for :func:`advance_current`.
        keeps: Decay times cosine, and times sine, of the angle of a timestep; -4096 to 4096, unit 1/4096.
        threshold: Threshold.
        firing: ``phase``: a neuron fires where the imaginary part reaches 0 from below while the real one is at the
            threshold. ``izhikevich``: it fires where the imaginary part is at the threshold, which resets it.

    Returns:
        Whether each neuron fires (bool), next real part, next imaginary part.
    """
    cos, sin = keeps
    new_real = (shrink(real, cos) - shrink(imag, sin) + shifted[0]).clamp(-VOLTAGE_MAX, VOLTAGE_MAX)
    new_imag = (shrink(real, sin) + shrink(imag, cos) + shifted[1]).clamp(-VOLTAGE_MAX, VOLTAGE_MAX)
    if firing == "phase":
        return (new_real >= threshold) & (new_imag >= 0) & (imag < 0), new_real, new_imag
    fires = new_imag >= threshold
    return fires, new_real * ~fires, new_imag + (threshold - 1 - new_imag) * fires


def encode_delta(
    activation: Tensor, sent: Tensor, threshold: Tensor, *, shift: int, keep_rest: bool
) -> tuple[Tensor, Tensor]:
    """Return the messages of sigma-delta neurons, and what has been sent after them.

    Args:
        activation: What should have been sent by now.
        sent: What was.
        threshold: The least difference that is sent.
        shift: How many low bits a message leaves out.
        keep_rest: Whether what these held is due again; else it is forgotten.
    """
    due = wrap_int32(activation - sent)
    due = due * (due.abs() >= threshold) * (due > -HALF_INT32)
    message = due >> shift
    return message, wrap_int32(sent + (message << shift if keep_rest else due))
