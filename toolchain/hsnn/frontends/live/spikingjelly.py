"""Neurons of SpikingJelly (read at 2.0.0): IFNode, LIFNode, their simple forms, ParametricLIFNode, CUBALIFNode.

::

    IF      v = v + x
    LIF     v = v + (x - (v - v_reset)) / tau        decay_input
            v = v - (v - v_reset) / tau + x          else
    CUBALIF c = c_decay * c + x;  v = v_decay * v + c
    fires where v >= v_threshold; v_reset or, if that is None, v - v_threshold

State starts at ``v_reset``. So ``v - v_reset`` starts at 0, decays to 0 and is reset to 0: a ``Lif`` with the
threshold ``v_threshold - v_reset``. SimpleIFNode and SimpleLIFNode start at 0, and CUBALIFNode decays to 0, whatever
``v_reset`` is, so there it has to be 0 or None.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from hsnn.frontends.live.spec import LiveNeuron, comparison_of, inexpressible, tensor
from hsnn.nn import LeakyIntegrator, Lif

_PACKAGE = "spikingjelly.activation_based"
_BASES = (f"{_PACKAGE}.base.MemoryModule", f"{_PACKAGE}.neuron.base_node.NonSpikingBaseNode")
_NEURONS = f"{_PACKAGE}.neuron."
_STATELESS_IN_EVAL = f"{_PACKAGE}.layer.dropout.Dropout"


def is_neuron(_: nn.Module, names: tuple[str, ...]) -> bool:
    """Tell whether classes of these names make a module of SpikingJelly that keeps state."""
    keeps_state = any(name in _BASES or name.startswith(_NEURONS) for name in names)
    return keeps_state and _STATELESS_IN_EVAL not in names


def reset(module: Any) -> None:
    """Forget the state that earlier calls left."""
    if hasattr(module, "reset"):
        module.reset()


def _integrate(module: Any) -> LiveNeuron:
    return _spiking(module, torch.zeros(()), decay_input=False)


def _leaky(module: Any) -> LiveNeuron:
    return _spiking(module, 1 / tensor(module.tau), decay_input=module.decay_input)


def _parametric(module: Any) -> LiveNeuron:
    return _spiking(module, tensor(module.w).sigmoid(), decay_input=module.decay_input)


def _with_current(module: Any) -> LiveNeuron:
    if module.v_reset:
        raise inexpressible(f"it is reset to {module.v_reset!r} and decays to 0", allowed="v_reset=0.0 or v_reset=None")
    kept = {name: 1 - tensor(getattr(module, name)) for name in ("c_decay", "v_decay")}
    return _spiking(module, kept["v_decay"], decay_input=False, current_decay=kept["c_decay"], states=("v", "c"))


def _leaky_readout(module: Any) -> LiveNeuron:
    return _readout(module, 1 / tensor(module.tau), decay_input=True)


def _integrating_readout(module: Any) -> LiveNeuron:
    return _readout(module, torch.zeros(()), decay_input=False)


CONVERTERS: dict[str, Callable[[Any], LiveNeuron]] = {
    f"{_PACKAGE}.neuron.integrate_and_fire.IFNode": _integrate,
    f"{_PACKAGE}.neuron.lif.LIFNode": _leaky,
    f"{_PACKAGE}.neuron.plif.ParametricLIFNode": _parametric,
    f"{_PACKAGE}.neuron.lif_variants.CUBALIFNode": _with_current,
    f"{_PACKAGE}.neuron.integrate_and_fire.SimpleIFNode": _integrate,
    f"{_PACKAGE}.neuron.lif.SimpleLIFNode": _leaky,
    f"{_PACKAGE}.neuron.lif.NonSpikingLIFNode": _leaky_readout,
    f"{_PACKAGE}.neuron.integrate_and_fire.NonSpikingIFNode": _integrating_readout,
}


def _spiking(
    module: Any,
    decay: Tensor,
    *,
    decay_input: bool,
    current_decay: Tensor | float = 1.0,
    states: tuple[str, ...] = ("v",),
) -> LiveNeuron:
    _check(module, states)
    rest = 0.0 if module.v_reset is None else float(module.v_reset)
    threshold = tensor(module.v_threshold) - rest
    layer = Lif(
        threshold=threshold,
        current_decay=current_decay,
        voltage_decay=decay,
        comparison=comparison_of(module.surrogate_function, threshold),
        reset="subtract" if module.v_reset is None else "zero",
        decay_input=decay_input,
    )
    return LiveNeuron((layer,), layout="time_first" if module.step_mode == "m" else "step")


def _readout(module: Any, decay: Tensor, *, decay_input: bool) -> LiveNeuron:
    """Map a neuron that does not spike: it takes and, undecoded, returns a list over time."""
    reads = {"max-mem": "max", "mean-mem": "mean", "last_mem": "last"}
    if module.decode not in reads:
        raise inexpressible(f"its decode is {module.decode!r}", allowed=", ".join(map(repr, reads)))
    layer = LeakyIntegrator(voltage_decay=decay, decay_input=decay_input)

    def protocol(_: nn.Module, emit: Any) -> Callable[[Tensor], Tensor]:
        def forward(x: Tensor) -> Tensor:
            voltage: Tensor = emit(x, ())[0]
            if module.decode == "last_mem":
                return voltage[-1]
            return voltage.amax(0) if module.decode == "max-mem" else voltage.mean(0)

        return forward

    return LiveNeuron((layer,), layout="time_first", keeps_state=False, protocol=protocol)


def _check(module: Any, states: tuple[str, ...]) -> None:
    if tuple(module._memories) != states:
        raise inexpressible(f"it keeps {', '.join(module._memories)}", allowed=", ".join(states))
    for name in states:
        expected = 0.0 if name != "v" or module.v_reset is None else module.v_reset
        start = module._memories_rv.get(name, expected)
        if not bool((tensor(start) == expected).all()):
            raise inexpressible(
                f"its {name} starts at {start!r} and is reset to {expected!r}", allowed=f"{name} starts at {expected}"
            )
    if getattr(module, "_neuron_precision", None) is not None:
        raise inexpressible("it computes in another precision", allowed="float32")
