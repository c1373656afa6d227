"""Resonators of lava-dl's slayer, ``neuron.rf`` and ``neuron.rf_iz``, and the complex synapses in front of them.

slayer hands the real and the imaginary part on as two tensors; hsnn's resonators take one whose channels take turns. A
complex synapse becomes one synapse with both sets of weights, which the two tensors remember.

Source: lava-dl 0.6.0, ``slayer/neuron/rf.py``, ``rf_iz.py``, ``neuron/dynamics/resonator.py``, ``synapse/complex.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from hsnn.frontends.live.slayer_fields import check_common, decay_of, norm_of
from hsnn.frontends.live.spec import Emit, LiveNeuron, inexpressible, is_zero
from hsnn.nn import FixedResonateFire

_BOTH = "hsnn_both_parts"


def resonator(module: Any, *, firing: str) -> LiveNeuron:
    """Return what resonators compute.

    Raises:
        UnsupportedError: ``HSNN-F091``, if an option has no equation.
    """
    check_common(module)
    if not module._threshold > 0:
        raise inexpressible(f"its threshold is {module._threshold:g}", allowed=f"{1 / module.w_scale:g} or more")
    if module.requires_grad:
        module.clamp()  # as its forward does
    (real_mean, real_divisor), (imag_mean, imag_divisor) = (
        norm_of(module, norm) for norm in (module.real_norm, module.imag_norm)
    )
    layer = FixedResonateFire(
        module._threshold,
        resolution=1.0 / module.s_scale,
        cos_decay=decay_of(module, "cos_decay", "period_min"),
        sin_decay=decay_of(module, "sin_decay", "period_min"),
        firing=firing,
    )
    shift = None
    if not is_zero(real_mean) or not is_zero(imag_mean):
        shift = _in_turn(module, -real_mean / real_divisor, -imag_mean / imag_divisor)
    gain = None
    if not bool(real_divisor == 1) or not bool(imag_divisor == 1):
        gain = _in_turn(module, 1 / real_divisor, 1 / imag_divisor)
    return LiveNeuron((layer,), layout="time_last", gain=gain, shift=shift, protocol=_two_parts, pairs=True)


def joint_weight(real: Tensor, imag: Tensor, *, axis: int) -> Tensor:
    """Return weights whose channels along ``axis`` take turns: ``2 c`` is real, ``2 c + 1`` imaginary."""
    return torch.stack((real, imag), axis + 1).flatten(axis, axis + 1)


def parts_of(both: Tensor) -> tuple[Tensor, Tensor]:
    """Return real and imaginary part of ``(batch, 2 * channel, ...)``, which remember what they are parts of."""
    real, imag = both[:, 0::2], both[:, 1::2]
    for part in (real, imag):
        setattr(part, _BOTH, both)
    return real, imag


def _in_turn(module: Any, real: Tensor, imag: Tensor) -> Tensor:
    """Return a value for each channel of both parts, which broadcasts to the features."""
    if module.shape is None:
        channels, rest = 1, 0
    else:
        channels, rest = int(module.shape[0]), len(module.shape) - 1
    each = [part.reshape(-1).expand(channels) for part in (real, imag)]
    return torch.stack(each, 1).reshape(-1, *(1,) * rest)


def _two_parts(_: Any, emit: Emit) -> Callable[..., Any]:
    def forward(parts: tuple[Tensor, Tensor]) -> Tensor:
        real, imag = parts
        of_real, of_imag = getattr(real, _BOTH, None), getattr(imag, _BOTH, None)
        if of_real is of_imag and isinstance(of_real, Tensor):
            return emit(of_real, ())[0]
        both = torch.cat((real.unsqueeze(2), imag.unsqueeze(2)), 2).flatten(1, 2)
        return emit(both, ())[0]

    return forward
