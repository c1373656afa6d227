"""Neurons of lava-dl's slayer (read at 0.6.0): CUBA, ALIF, resonators, sigma-delta and the recurrent blocks.

Time is the last axis: ``(batch, *feature, timestep)``. States are integers in steps of ``1 / s_scale``, decays in
1/4096, and every state is rounded toward zero::

    u = cut(u * (4096 - current_decay) / 4096) + cut(x)
    v = cut(v * (4096 - voltage_decay) / 4096) + u - norm.running_mean
    fires where v > threshold, then v = 0      (v >= threshold + 0.01 / s_scale)

Sigma-delta neurons sum up, apply the activation, and send its change where that reaches the threshold, rounded down.
:mod:`hsnn.frontends.live.slayer_blocks` has what stands around neurons: synapses, delays, blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hsnn.errors import UnsupportedError
from hsnn.frontends.live.opaque import later
from hsnn.frontends.live.slayer_fields import PACKAGE, check_common, decay_of, norm_of
from hsnn.frontends.live.slayer_resonators import resonator
from hsnn.frontends.live.slayer_weights import effective_weight
from hsnn.frontends.live.spec import Emit, LiveNeuron, inexpressible, is_zero, tensor
from hsnn.nn import (
    FixedAdaptiveLif,
    FixedDelta,
    FixedLeakyIntegrator,
    FixedLif,
    FixedRecurrentAdaptiveLif,
    FixedRecurrentLif,
    FixedSigmaDelta,
    LeakyIntegrator,
)
from hsnn.nn.symbolic import OpLayer

_BASE = f"{PACKAGE}.neuron.base.Neuron"
UNITS = (f"{PACKAGE}.block.base.AbstractRecurrent", f"{PACKAGE}.block.base.AbstractKWTA")
"""Blocks that run their neurons timestep by timestep, and so are one neuron."""
_PARTS = (f"{PACKAGE}.axon.delta.Delta", f"{PACKAGE}.dendrite.sigma.Sigma")
_STATES = (
    *("current_state", "voltage_state", "refractory_state", "real_state", "imag_state"),
    *("pre_state", "residual_state", "error_state"),
)


def is_neuron(_: nn.Module, names: tuple[str, ...]) -> bool:
    """Tell whether classes of these names make a neuron of slayer, or a block that has to be taken as one."""
    return any(name in names for name in (_BASE, *UNITS, *_PARTS))


def reset(module: Any) -> None:
    """Forget the state that earlier calls left."""
    for part in module.modules():
        for name in _STATES:
            if name in part._buffers:
                setattr(part, name, torch.zeros(1))
        if "threshold_state" in part._buffers:
            part.threshold_state = torch.tensor([float(part.threshold)])
        if "spike_state" in part._buffers:
            part.spike_state = torch.zeros(1)


def _cuba(module: Any) -> LiveNeuron:
    threshold = module._threshold
    if threshold is None:  # an Affine block without dynamics never calls it
        return LiveNeuron((None,), layout="time_last")
    gain, values = _current_options(module)
    if threshold < 0:  # what an Affine block sets, so that its neurons never fire
        return LiveNeuron((FixedLeakyIntegrator(**values),), layout="time_last", gain=gain, protocol=_dynamics_alone)
    return LiveNeuron((FixedLif(**values, **_firing(module)),), layout="time_last", gain=gain)


def _recurrent(module: Any) -> LiveNeuron:
    neuron = module.neuron
    gain, values = _current_options(neuron)
    # The block calls its neurons once for each timestep, and the current that they keep is that behind the norm.
    shift = values.pop("bias")
    layer = FixedRecurrentLif(_feedback(module, gain), **values, **_firing(neuron))
    return _around(layer, gain, None if is_zero(shift) else shift)


def _adaptive(module: Any) -> LiveNeuron:
    gain, shift, values = _adaptive_options(module)
    return LiveNeuron((FixedAdaptiveLif(**values),), layout="time_last", gain=gain, shift=shift)


def _recurrent_adaptive(module: Any) -> LiveNeuron:
    gain, shift, values = _adaptive_options(module.neuron)
    return _around(FixedRecurrentAdaptiveLif(_feedback(module, gain), **values), gain, shift)


def _feedback(module: Any, gain: Tensor | None) -> Tensor:
    """Return the weights from the neurons of a block to themselves, which its norm divides too."""
    if module.bias is not None:
        raise inexpressible("it has a bias, which slayer never exports", allowed="a bias from MeanOnlyBatchNorm")
    weight = effective_weight(module.recurrent_synapse)
    weight = weight.reshape(weight.shape[:2])
    return weight if gain is None else weight * gain


def _around(layer: OpLayer, gain: Tensor | None, shift: Tensor | None) -> LiveNeuron:
    return LiveNeuron((layer,), layout="time_last", gain=gain, shift=shift, protocol=_around_recurrent, probe="neuron")


def _adaptive_options(module: Any) -> tuple[Tensor | None, Tensor | None, dict[str, Any]]:
    """Return gain and shift of the input, since the norm stands in front of the current, and all else."""
    check_common(module)
    mean, divisor = norm_of(module, module.norm)
    if not module._threshold > 0:
        raise inexpressible(f"its threshold is {module._threshold:g}", allowed=f"{1 / module.w_scale:g} or more")
    values = {
        "threshold": module._threshold,
        "resolution": 1.0 / module.s_scale,
        "threshold_step": module.threshold_step,
    }
    values |= {f"{name}_decay": _lost(module, f"{name}_decay") for name in ("current", "voltage")}
    values |= {f"{name}_decay": _lost(module, f"{name}_decay") for name in ("threshold", "refractory")}
    shift = None if is_zero(mean) else -mean / divisor
    return None if bool(divisor == 1) else 1 / divisor, shift, values


def _sigma_delta(module: Any) -> LiveNeuron:
    check_common(module, graded=False)
    mean, divisor = norm_of(module, module.norm)
    if not bool(divisor == 1):
        raise inexpressible("WgtScaleBatchNorm divides its sum", allowed="MeanOnlyBatchNorm")
    delta = module.delta
    threshold, resolution = _message_options(delta)
    bias = (tensor(module.bias) if module.bias_is_set else torch.zeros(())) - mean
    layer = FixedSigmaDelta(
        threshold,
        resolution=resolution,
        bias=bias.reshape(()) if bias.numel() == 1 else bias,
        activation=_activation(module.activation),
    )
    outputs = (layer, FixedDelta(threshold, resolution=resolution), _sum())
    return LiveNeuron(outputs, layout="time_last", protocol=_parts_alone)


def _delta(module: Any) -> LiveNeuron:
    threshold, resolution = _message_options(module)
    return LiveNeuron((FixedDelta(threshold, resolution=resolution),), layout="time_last")


def _sigma(_: Any) -> LiveNeuron:
    return LiveNeuron((_sum(),), layout="time_last")


CONVERTERS: dict[str, Callable[[Any], LiveNeuron]] = {
    f"{PACKAGE}.neuron.cuba.Neuron": _cuba,
    f"{PACKAGE}.neuron.alif.Neuron": _adaptive,
    f"{PACKAGE}.neuron.rf.Neuron": partial(resonator, firing="phase"),
    f"{PACKAGE}.neuron.rf_iz.Neuron": partial(resonator, firing="izhikevich"),
    f"{PACKAGE}.neuron.sigma_delta.Neuron": _sigma_delta,
    f"{PACKAGE}.axon.delta.Delta": _delta,
    f"{PACKAGE}.dendrite.sigma.Sigma": _sigma,
    f"{PACKAGE}.block.cuba.Recurrent": _recurrent,
    f"{PACKAGE}.block.alif.Recurrent": _recurrent_adaptive,
}
KNOWN = "slayer's CUBA, ALIF, RF, RF_IZ and sigma-delta neurons, and the blocks Recurrent of CUBA and ALIF"


def _sum() -> LeakyIntegrator:
    return LeakyIntegrator(voltage_decay=0.0, current_decay=1.0)


def _lost(module: Any, name: str) -> Tensor:
    return decay_of(module, name, f"{name}_min")


def _current_options(module: Any) -> tuple[Tensor | None, dict[str, Any]]:
    """Return the gain of the input, and what every CUBA neuron has."""
    check_common(module)
    mean, divisor = norm_of(module, module.norm)
    current = _lost(module, "current_decay")
    if not bool(divisor == 1) and not bool((current == 1).all()):
        raise inexpressible(
            f"WgtScaleBatchNorm divides its current by {float(divisor):g}, and the current has a memory that a chip "
            "would round otherwise",
            allowed="MeanOnlyBatchNorm, or a current_decay of 1",
        )
    values = {
        "resolution": 1.0 / module.s_scale,
        "current_decay": current,
        "voltage_decay": _lost(module, "voltage_decay"),
        "bias": -mean / divisor,
    }
    return None if bool(divisor == 1) else 1 / divisor, values


def _firing(module: Any) -> dict[str, Any]:
    """Return threshold and comparison.

    slayer resets where an integer exceeds the threshold, and sends where a float32 reaches a little more than it. In
    integers, to exceed 0 is to reach 1.
    """
    threshold = float(module._threshold)
    if np.float32(threshold + module.threshold_eps) == np.float32(threshold):
        raise inexpressible(
            f"its threshold is {threshold:g}, where float32 loses the small step that slayer adds to it: neurons at "
            "the threshold send a spike and are not reset",
            allowed="a threshold below 64",
            fix="scale weights and threshold down together",
        )
    if threshold == 0:
        return {"threshold": 1.0 / module.s_scale, "comparison": ">="}
    return {"threshold": threshold, "comparison": ">"}


def _message_options(delta: Any) -> tuple[Tensor, float]:
    if delta.cum_error:
        raise inexpressible("cum_error adds up what it has not sent", allowed="cum_error=False")
    scale = int(delta.scale)
    if scale < 1 or scale & (scale - 1):
        raise inexpressible(f"its scale is {scale}", allowed="a power of two")
    threshold = tensor(delta.threshold).clamp(min=1.0 / scale)
    return threshold.reshape(()) if threshold.numel() == 1 else threshold, 1.0 / scale


def _activation(function: Callable[[Tensor], Tensor]) -> str:
    """Find out what an activation is by asking it."""
    x = torch.linspace(-8.0, 8.0, 257)
    with torch.no_grad():
        y = function(x.clone())
    if torch.equal(y, x.relu()):
        return "relu"
    if torch.equal(y, x):
        return "identity"
    name = getattr(function, "__name__", type(function).__name__)
    raise inexpressible(f"its activation is {name}", allowed="relu, or the identity")


def _dynamics_alone(module: Any, emit: Emit) -> Callable[..., Any]:
    """An Affine block reads the voltage, and does not call the neuron itself."""
    module.dynamics = lambda x: (None, emit(x, ())[0])

    def forward(_: Tensor) -> Tensor:
        raise UnsupportedError("HSNN-F091", "neurons with a threshold below 0 fire all the time", allowed="above 0")

    return forward


def _parts_alone(module: Any, emit: Emit) -> Callable[..., Any]:
    """Input blocks call the delta unit alone, Output blocks the sum."""
    module.delta.forward = lambda x: emit(x, ())[1]
    module.sigma.forward = lambda x: emit(x, ())[2]
    return lambda x: emit(x, ())[0]


def _around_recurrent(block: Any, emit: Emit) -> Callable[..., Any]:
    def forward(x: Tensor) -> Tensor:
        y = emit(block.input_synapse(x), ())[0]
        if block.delay_shift is True:
            y = later(y, [1])
        if block.delay is not None:
            y = block.delay(y)
        return y

    return forward
