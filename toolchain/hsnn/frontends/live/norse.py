"""Neurons of Norse (read at 1.1.0): LIF, LI, IAF with their cells, boxes, recurrent and refractory forms.

::

    i = i + x;   v = v + dt * tau_mem_inv * (v_leak - v + i);   fires;   i = i - dt * tau_syn_inv * i

The voltage sees the current before that decays. With ``u`` for the current then,
``u = (1 - dt * tau_syn_inv) * u + x`` and ``v = (1 - d) * v + d * (u + v_leak)`` with ``d = dt * tau_mem_inv``: a
``Lif`` with ``decay_input``. State starts at ``v_leak``; if that is also the reset, ``v - v_leak`` starts at 0 and is
reset to 0.

LIFRefrac counts ``rho`` down from ``rho_reset`` by 1 (not by ``dt``) and holds the voltage where it is above 0: that is
``ceil(rho_reset)`` timesteps. The current goes on, as in ``Lif``.
"""

from __future__ import annotations

import math
import sys
from collections import namedtuple
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from hsnn.frontends.live.spec import Emit, LiveNeuron, Protocol, comparison_of, inexpressible, is_zero, tensor
from hsnn.nn import LeakyIntegrator, Lif, RecurrentLif
from hsnn.nn.symbolic import OpLayer

_PACKAGE = "norse.torch.module"
_BASES = tuple(f"{_PACKAGE}.snn.{name}" for name in ("SNNCell", "SNNRecurrentCell", "SNN", "SNNRecurrent"))
_THRESHOLDS = "norse.torch.functional.threshold"
_ALSO = tuple(
    f"{_PACKAGE}.{name}"
    for name in ("leaky_integrator.LILinearCell", "coba_lif.CobaLIFCell", "lif_correlation.LIFCorrelation")
)
_STATES = {1: namedtuple("State", "v"), 2: namedtuple("State", "v i"), 3: namedtuple("State", "z v i")}
_RefractoryState = namedtuple("_RefractoryState", "lif rho")
LONGEST_WAIT = 64
"""Most refractory timesteps of ``Lif``."""


def is_neuron(_: nn.Module, names: tuple[str, ...]) -> bool:
    """Tell whether classes of these names make a neuron of Norse."""
    return any(name in _BASES or name in _ALSO for name in names)


def reset(_: nn.Module) -> None:
    """Norse keeps no state between calls."""


def _leaky(module: Any) -> LiveNeuron:
    return _feed_forward(module, _spiking(module, _fraction(module, "tau_syn_inv"), _fraction(module, "tau_mem_inv")))


def _box(module: Any) -> LiveNeuron:
    return _feed_forward(module, _spiking(module, torch.ones(()), _fraction(module, "tau_mem_inv")))


def _integrate(module: Any) -> LiveNeuron:
    return _feed_forward(module, _spiking(module, torch.ones(()), torch.zeros(()), leaks=False))


def _recurrent(module: Any) -> LiveNeuron:
    weight = tensor(module.recurrent_weights)
    layer = _spiking(module, _fraction(module, "tau_syn_inv"), _fraction(module, "tau_mem_inv"), recurrent=weight)
    return _lifted(module, (layer, None, None), (0, 1, 2), weights=True)


def _refractory(module: Any) -> LiveNeuron:
    layer = _spiking(module, _fraction(module, "tau_syn_inv"), _fraction(module, "tau_mem_inv"), wait=_wait(module))
    return _lifted(module, (layer, None, None, None), (1, 2, 3), refractory=True)


def _refractory_recurrent(module: Any) -> LiveNeuron:
    decays = _fraction(module, "tau_syn_inv"), _fraction(module, "tau_mem_inv")
    layer = _spiking(module, *decays, recurrent=tensor(module.recurrent_weights), wait=_wait(module))
    return _lifted(module, (layer, None, None, None), (0, 1, 2, 3), weights=True, refractory=True)


def _readout(module: Any) -> LiveNeuron:
    layer = _integrator(module, _fraction(module, "tau_syn_inv"))
    return _lifted(module, (layer, None), (0, 1), out_shift=_rest(module))


def _box_readout(module: Any) -> LiveNeuron:
    return _lifted(module, (_integrator(module, torch.ones(())),), (0,), out_shift=_rest(module))


def _linear_readout(module: Any) -> LiveNeuron:
    layer = _integrator(module, _fraction(module, "tau_syn_inv"))
    return _lifted(module, (layer, None), (0, 1), weights=True, out_shift=_rest(module))


CONVERTERS: dict[str, Callable[[Any], LiveNeuron]] = {
    f"{_PACKAGE}.lif.LIF": _leaky,
    f"{_PACKAGE}.lif.LIFCell": _leaky,
    f"{_PACKAGE}.lif.LIFRecurrent": _recurrent,
    f"{_PACKAGE}.lif.LIFRecurrentCell": _recurrent,
    f"{_PACKAGE}.lif_refrac.LIFRefracCell": _refractory,
    f"{_PACKAGE}.lif_refrac.LIFRefracRecurrent": _refractory_recurrent,
    f"{_PACKAGE}.lif_refrac.LIFRefracRecurrentCell": _refractory_recurrent,
    f"{_PACKAGE}.lif_box.LIFBoxCell": _box,
    f"{_PACKAGE}.iaf.IAF": _integrate,
    f"{_PACKAGE}.iaf.IAFCell": _integrate,
    f"{_PACKAGE}.leaky_integrator.LI": _readout,
    f"{_PACKAGE}.leaky_integrator.LICell": _readout,
    f"{_PACKAGE}.leaky_integrator.LILinearCell": _linear_readout,
    f"{_PACKAGE}.leaky_integrator_box.LIBoxCell": _box_readout,
}


def _spiking(
    module: Any,
    current_decay: Tensor,
    voltage_decay: Tensor,
    *,
    leaks: bool = True,
    recurrent: Tensor | None = None,
    wait: int = 0,
) -> Lif:
    p = _parameters(module)
    rest = tensor(p.v_reset)
    reset = _reset(module)
    if leaks:
        leak = tensor(p.v_leak)
        if reset == "subtract" and not is_zero(leak):
            raise inexpressible(
                f"its state starts at v_leak = {leak:g}", allowed="v_leak = 0 for a reset by subtraction"
            )
        if reset == "zero" and not bool((leak == rest).all()):
            raise inexpressible(
                f"its state starts at v_leak = {leak.max():g} and is reset to v_reset = {rest.max():g}",
                allowed="v_leak equal to v_reset",
            )
        rest = leak
    threshold = tensor(p.v_th) - rest
    options: dict[str, Any] = {
        "threshold": threshold,
        "current_decay": current_decay,
        "voltage_decay": voltage_decay,
        "reset": reset,
        "comparison": comparison_of(_fires(module), threshold),
        "decay_input": leaks,
        "refractory": wait,
    }
    if recurrent is None:
        return Lif(**options)
    return RecurrentLif(recurrent.shape[0], recurrent_weight=recurrent, **options)


def _integrator(module: Any, current_decay: Tensor) -> LeakyIntegrator:
    decay = _fraction(module, "tau_mem_inv")
    return LeakyIntegrator(voltage_decay=decay, current_decay=current_decay, decay_input=True)


def _feed_forward(module: Any, layer: Lif) -> LiveNeuron:
    states = 1 if "Box" in type(module).__name__ or "IAF" in type(module).__name__ else 2
    return _lifted(module, (layer, *(None,) * states), tuple(range(1, states + 1)))


def _lifted(
    module: Any,
    outputs: tuple[OpLayer | None, ...],
    states: tuple[int, ...],
    *,
    weights: bool = False,
    refractory: bool = False,
    out_shift: Tensor | None = None,
) -> LiveNeuron:
    """Return the neuron with Norse's calling convention: ``(x, state)`` to ``(y, state)``."""
    cell = type(module).__name__.endswith("Cell")
    return LiveNeuron(
        outputs,
        layout="step" if cell else "time_first",
        states=states,
        keeps_state=False,
        out_shift=out_shift,
        protocol=_protocol(states, weights=weights, refractory=refractory),
    )


def _protocol(states: tuple[int, ...], *, weights: bool, refractory: bool) -> Protocol:
    kind = _STATES[len(states) - refractory]

    def protocol(module: nn.Module, emit: Emit) -> Callable[..., Any]:
        def forward(input_tensor: Tensor, state: Any = None) -> Any:
            x: Tensor = input_tensor
            if weights:
                weight: Tensor = module.input_weights  # type: ignore[assignment]  # a parameter
                x = torch.nn.functional.linear(x, weight)
            passed = () if state is None else (*state.lif, state.rho) if refractory else tuple(state)
            outputs = emit(x, passed)
            held = [outputs[index] for index in states]
            return outputs[0], _RefractoryState(kind(*held[:-1]), held[-1]) if refractory else kind(*held)

        return forward

    return protocol


def _parameters(module: Any) -> Any:
    """Return the parameters of the LIF equation, which those of refractory neurons hold inside."""
    return getattr(module.p, "lif", module.p)


def _wait(module: Any) -> int:
    """Return for how many timesteps a neuron waits."""
    start = tensor(module.p.rho_reset)
    if not bool((start == start.flatten()[0]).all()) or not 0 <= math.ceil(float(start.flatten()[0])) <= LONGEST_WAIT:
        raise inexpressible(
            f"its rho_reset is {start.min():g} to {start.max():g}", allowed=f"one value for all, 0 to {LONGEST_WAIT}"
        )
    return math.ceil(float(start.flatten()[0]))


def _fires(module: Any) -> Callable[[Tensor], Tensor]:
    p = _parameters(module)
    if p.method == "adjoint":
        raise inexpressible("its method is 'adjoint'", allowed="a method of norse.torch.functional.threshold")
    threshold: Callable[..., Tensor] = sys.modules[_THRESHOLDS].threshold
    return lambda x: threshold(x, p.method, torch.as_tensor(p.alpha))


def _reset(module: Any) -> str:
    method = getattr(_parameters(module), "reset_method", None)
    if method is None:
        return "zero"
    name = f"{getattr(method, '__module__', '')}.{getattr(method, '__name__', '')}"
    known = {
        "norse.torch.functional.reset.reset_value": "zero",
        "norse.torch.functional.reset.reset_subtract": "subtract",
    }
    if name not in known:
        raise inexpressible(f"its reset_method is {name}", allowed="reset_value or reset_subtract")
    return known[name]


def _fraction(module: Any, name: str) -> Tensor:
    """Return the fraction lost per timestep, of an inverse time constant."""
    lost: Tensor = module.dt * tensor(getattr(_parameters(module), name))
    if bool(((lost < 0) | (lost > 1)).any()):
        raise inexpressible(f"dt * {name} is {lost.max():g}", allowed="0 to 1")
    return lost


def _rest(module: Any) -> Tensor | None:
    return None if is_zero(module.p.v_leak) else tensor(module.p.v_leak)
