"""Neurons of sinabs (read at 3.1.3): IAF, LIF, ExpLeak and their squeezed forms.

::

    i = alpha_syn * (i + x)   or   x without tau_syn
    v = alpha_mem * v + (1 - alpha_mem) * i   with norm_input, else alpha_mem * v + i
    fires where v >= spike_threshold, then reset_fn, then v is held above min_v_mem

Time is the second axis, or merged with the batch in the squeezed forms.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from hsnn.frontends.live.spec import Layout, LiveNeuron, comparison_of, inexpressible, is_zero, tensor
from hsnn.nn import LeakyIntegrator, Lif

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
    return _in_time(module, Lif(**options), gain)


def _readout(module: Any) -> LiveNeuron:
    dynamics, gain = _dynamics(module)
    return _in_time(module, LeakyIntegrator(**dynamics), gain)


CONVERTERS: dict[str, Callable[[Any], LiveNeuron]] = {
    f"{_PACKAGE}.iaf.IAF": _feed_forward,
    f"{_PACKAGE}.iaf.IAFSqueeze": _feed_forward,
    f"{_PACKAGE}.lif.LIF": _feed_forward,
    f"{_PACKAGE}.lif.LIFSqueeze": _feed_forward,
    f"{_PACKAGE}.exp_leak.ExpLeak": _readout,
    f"{_PACKAGE}.exp_leak.ExpLeakSqueeze": _readout,
}


def _options(module: Any) -> tuple[dict[str, Any], Tensor | None]:
    dynamics, gain = _dynamics(module)
    threshold = tensor(module.spike_threshold)
    name = getattr(module.spike_fn, "__name__", type(module.spike_fn).__name__)
    if name in ("MultiSpike", "MaxSpike"):
        raise inexpressible(
            f"spike_fn={name} sends several spikes in one timestep",
            allowed="spike_fn=SingleSpike",
            fix="train with that",
        )
    fires = module.spike_fn
    options = {
        "threshold": threshold,
        "comparison": comparison_of(lambda x: fires.apply(x, torch.zeros(()), module.surrogate_grad_fn), threshold),
        "reset": _reset(module, threshold),
        **dynamics,
    }
    return options, gain


def _dynamics(module: Any) -> tuple[dict[str, Any], Tensor | None]:
    """Return the decays, and the factor of the input."""
    if module.min_v_mem is not None:
        raise inexpressible(f"min_v_mem holds the voltage above {tensor(module.min_v_mem):g}", allowed="min_v_mem=None")
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


def _in_time(module: Any, layer: Any, gain: Tensor | None) -> LiveNeuron:
    squeezed = type(module).__name__.endswith("Squeeze")
    steps = int(module.num_timesteps) if squeezed else None
    if squeezed and (module.batch_size != -1 or steps is None or steps < 1):
        raise inexpressible(
            f"it has batch_size={module.batch_size} and num_timesteps={steps}",
            allowed="num_timesteps alone, so that the batch is free",
            fix="give num_timesteps instead of batch_size",
        )
    layout: Layout = "merged_batch_first" if squeezed else "batch_first"
    return LiveNeuron((layer,), layout=layout, gain=gain, timesteps=steps)
