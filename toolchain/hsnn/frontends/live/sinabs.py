"""Neurons of sinabs (read at 3.1.3): IAF, LIF, ExpLeak, their squeezed and their recurrent forms.

::

    i = alpha_syn * (i + x)   or   x without tau_syn
    v = alpha_mem * v + (1 - alpha_mem) * i   with norm_input, else alpha_mem * v + i
    sends v // spike_threshold spikes where v > 0, as many as spike_fn lets it: one (SingleSpike), some (MaxSpike), or
    all of them (MultiSpike, the default); then reset_fn, then v is held above min_v_mem

In the recurrent forms x is the input and what the spikes of the timestep before send through ``rec_connect``.
Time is the second axis, or merged with the batch in the squeezed forms.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from hsnn.frontends.live.spec import Layout, LiveNeuron, comparison_of, inexpressible, is_zero, tensor
from hsnn.nn import CountingLif, LeakyIntegrator, Lif, RecurrentCountingLif, RecurrentLif

_PACKAGE = "sinabs.layers"
_BASE = f"{_PACKAGE}.stateful_layer.StatefulLayer"


def is_neuron(_: nn.Module, names: tuple[str, ...]) -> bool:
    """Tell whether classes of these names make a neuron of sinabs."""
    return _BASE in names


def reset(module: Any) -> None:
    """Forget the state that earlier calls left."""
    for name in ("v_mem", "i_syn"):
        if name in module._buffers:
            setattr(module, name, torch.zeros(0))


def _feed_forward(module: Any) -> LiveNeuron:
    options, gain = _options(module)
    return _in_time(module, CountingLif(**options) if "max_spikes" in options else Lif(**options), gain)


def _recurrent(module: Any) -> LiveNeuron:
    options, gain = _options(module)
    weight = _feedback(module.rec_connect)
    if gain is not None:  # Feedback is part of the input.
        weight = weight * gain.expand(weight.shape[0]).unsqueeze(1)
    kind = RecurrentCountingLif if "max_spikes" in options else RecurrentLif
    return _in_time(module, kind(weight.shape[0], recurrent_weight=weight, **options), gain)


def _readout(module: Any) -> LiveNeuron:
    if module.min_v_mem is not None:
        raise inexpressible(
            f"min_v_mem holds the voltage that it reads out above {tensor(module.min_v_mem).min():g}",
            allowed="min_v_mem=None for neurons that do not spike",
        )
    dynamics, gain = _dynamics(module)
    return _in_time(module, LeakyIntegrator(**dynamics), gain)


CONVERTERS: dict[str, Callable[[Any], LiveNeuron]] = {
    f"{_PACKAGE}.iaf.IAF": _feed_forward,
    f"{_PACKAGE}.iaf.IAFSqueeze": _feed_forward,
    f"{_PACKAGE}.lif.LIF": _feed_forward,
    f"{_PACKAGE}.lif.LIFSqueeze": _feed_forward,
    f"{_PACKAGE}.iaf.IAFRecurrent": _recurrent,
    f"{_PACKAGE}.lif.LIFRecurrent": _recurrent,
    f"{_PACKAGE}.exp_leak.ExpLeak": _readout,
    f"{_PACKAGE}.exp_leak.ExpLeakSqueeze": _readout,
}


def _options(module: Any) -> tuple[dict[str, Any], Tensor | None]:
    dynamics, gain = _dynamics(module)
    threshold = tensor(module.spike_threshold)
    options = {"threshold": threshold, "reset": _reset(module, threshold), **dynamics}
    if _counts(module):
        return options | {"max_spikes": _most_spikes(module, threshold), "v_min": _floor(module)}, gain
    fires = module.spike_fn
    found = comparison_of(lambda x: fires.apply(x, torch.zeros(()), module.surrogate_grad_fn), threshold)
    if module.min_v_mem is None:
        return options | {"comparison": found}, gain
    if found == ">":
        raise inexpressible("its spike_fn asks for more than the threshold, and min_v_mem is given", allowed=">=")
    return options | {"max_spikes": 1, "v_min": _floor(module)}, gain


def _counts(module: Any) -> bool:
    """Whether its spike function is one of sinabs that may send several spikes."""
    kind = module.spike_fn if isinstance(module.spike_fn, type) else type(module.spike_fn)
    return kind.__module__.startswith("sinabs.activation") and kind.__name__ in ("MultiSpike", "MaxSpike")


def _most_spikes(module: Any, threshold: Tensor) -> int | None:
    """Return how many spikes a neuron sends in a timestep at most; None for any number."""
    if not bool((threshold > 0).all()):
        raise inexpressible(f"its threshold is {threshold.min():g}", allowed="above 0")
    most = getattr(module.spike_fn, "max_num_spikes_per_bin", None)
    if most is not None and (most < 1 or int(most) != most):
        raise inexpressible(f"its spike_fn sends up to {most} spikes", allowed="max_num_spikes_per_bin of 1 or more")
    return None if most is None else int(most)


def _floor(module: Any) -> Tensor | None:
    if module.min_v_mem is None:
        return None
    floor = tensor(module.min_v_mem)
    if bool((floor > 0).any()):
        raise inexpressible(f"min_v_mem holds the voltage above {floor.max():g}", allowed="a min_v_mem of 0 or below")
    return floor


def _dynamics(module: Any) -> tuple[dict[str, Any], Tensor | None]:
    """Return the decays, and the factor of the input."""
    kept = tensor(module.alpha_mem_calculated)
    synapse = module.alpha_syn_calculated
    # The input of a timestep decays with the current: i = alpha * i + alpha * x.
    gain = None if synapse is None else tensor(synapse)
    current_decay = torch.ones(()) if synapse is None else 1 - tensor(synapse)
    dynamics = {"current_decay": current_decay, "voltage_decay": 1 - kept, "decay_input": bool(module.norm_input)}
    return dynamics, gain


def _reset(module: Any, threshold: Tensor) -> str:
    function = module.reset_fn
    name = type(function).__name__
    if name == "MembraneReset" and is_zero(function.reset_value):
        return "zero"
    if name == "MembraneSubtract":
        amount = function.subtract_value
        if amount is None or bool((tensor(amount) == threshold).all()):
            return "subtract"
    raise inexpressible(f"its reset_fn is {function!r}", allowed="MembraneReset(0) or MembraneSubtract()")


def _feedback(connect: nn.Module) -> Tensor:
    """Return the weights of a recurrent layer: ``(neuron, neuron)``."""
    parts = [part for part in connect.modules() if not isinstance(part, nn.Sequential | nn.Flatten | nn.Identity)]
    if len(parts) != 1 or type(parts[0]) is not nn.Linear or parts[0].in_features != parts[0].out_features:
        raise inexpressible(
            f"it feeds back through {', '.join(type(part).__name__ for part in parts) or 'nothing'}",
            allowed="one Linear for neurons of one feature axis, after Flatten or not",
        )
    linear = parts[0]
    if linear.bias is not None and not is_zero(linear.bias):
        raise inexpressible(
            "the bias of its feedback acts from the second timestep on",
            allowed="rec_connect without bias",
            fix="put the bias into the layer in front",
        )
    return tensor(linear.weight)


def _in_time(module: Any, layer: Any, gain: Tensor | None) -> LiveNeuron:
    squeezed = type(module).__name__.endswith("Squeeze")
    steps = int(module.num_timesteps) if squeezed else None
    if squeezed and (module.batch_size != -1 or steps is None or steps < 1):
        raise inexpressible(
            f"it has batch_size={module.batch_size} and num_timesteps={steps}",
            allowed="num_timesteps alone, so that the batch is free",
            fix="--time merged=16 with the timesteps of a sample, hsnn.nn.MergedTime(model, timesteps=16) in Python; "
            "or give num_timesteps instead of batch_size",
        )
    layout: Layout = "merged_batch_first" if squeezed else "batch_first"
    return LiveNeuron((layer,), layout=layout, gain=gain, timesteps=steps)
