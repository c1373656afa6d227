"""Neurons of snnTorch (read at 1.0.0): Leaky, Synaptic, RLeaky, RSynaptic, Lapicque.

snnTorch resets one timestep late: the spike of ``t`` acts on the voltage of ``t + 1``. What that means differs::

    Leaky     zero       mem' = beta * 0 + x              a reset at t
    Leaky     subtract   mem' = beta * mem + x - thr      taken off behind the decay: Lif's subtract_late
    others    zero       mem' = 0                         the input of t + 1 is dropped: one refractory timestep

With ``reset_delay=False`` a reset to zero acts at ``t``. One by subtraction does too, but what it leaves above the
threshold is first lowered by it and raised again, so ``beta * mem + x`` is compared with twice the threshold there,
which no layer of hsnn does. RSynaptic has that option and does not heed it (``rsynaptic.py``: it computes the new
voltage and drops it).

Spikes come back through a module (dense, a convolution, one weight for each neuron): :func:`feedback_of` asks it for
its matrix, once the shape of the features is known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from hsnn.errors import UnsupportedError
from hsnn.frontends.live.feedback import feedback_of
from hsnn.frontends.live.spec import (
    Emit,
    LiveNeuron,
    Protocol,
    StateReadout,
    comparison_of,
    inexpressible,
    is_zero,
    tensor,
)
from hsnn.nn import LeakyIntegrator, Lif, RecurrentLif

_NEURONS = "snntorch._neurons."
_FEEDBACK = "RecurrentOneToOne"


def is_neuron(_: nn.Module, names: tuple[str, ...]) -> bool:
    """Tell whether classes of these names make a neuron of snnTorch."""
    return any(name.startswith(_NEURONS) and not name.endswith(_FEEDBACK) for name in names)


def reset(module: Any) -> None:
    """Forget the state that earlier calls left."""
    for name in ("spk", "syn", "mem"):
        if name in module._buffers:
            setattr(module, name, torch.zeros(0))


def _leaky(module: Any) -> LiveNeuron:
    return _neuron(module, ("mem",), 1.0, 1 - _kept(module.beta), late_zero=False)


def _synaptic(module: Any) -> LiveNeuron:
    return _neuron(module, ("syn", "mem"), 1 - _kept(module.alpha), 1 - _kept(module.beta), late_zero=True)


def _recurrent_leaky(module: Any) -> LiveNeuron:
    return _neuron(module, ("spk", "mem"), 1.0, 1 - _kept(module.beta), late_zero=True)


def _recurrent_synaptic(module: Any) -> LiveNeuron:
    return _neuron(module, ("spk", "syn", "mem"), 1 - _kept(module.alpha), 1 - _kept(module.beta), late_zero=True)


def _lapicque(module: Any) -> LiveNeuron:
    step, resistance, capacity = tensor(module.time_step), tensor(module.R), tensor(module.C)
    gain = resistance * (1 / (resistance * capacity)) * step
    lost = step / (resistance * capacity)
    if bool(((lost < 0) | (lost > 1)).any()):
        raise inexpressible(
            f"it keeps {1 - lost.max():g} of its voltage: 1 - time_step / (R * C)",
            allowed="0 to 1: with beta, from exp(-1) = 0.368 on",
        )
    return _neuron(module, ("mem",), 1.0, lost, late_zero=True, gain=gain)


CONVERTERS: dict[str, Callable[[Any], LiveNeuron]] = {
    "snntorch._neurons.leaky.Leaky": _leaky,
    "snntorch._neurons.synaptic.Synaptic": _synaptic,
    "snntorch._neurons.rleaky.RLeaky": _recurrent_leaky,
    "snntorch._neurons.rsynaptic.RSynaptic": _recurrent_synaptic,
    "snntorch._neurons.lapicque.Lapicque": _lapicque,
}


def _neuron(
    module: Any,
    states: tuple[str, ...],
    current_decay: Tensor | float,
    voltage_decay: Tensor,
    *,
    late_zero: bool,
    gain: Tensor | None = None,
) -> LiveNeuron:
    """Map a neuron.

    Args:
        module: The neuron.
        states: Names of the states that a call takes and returns.
        current_decay: Fraction of the current lost per timestep.
        voltage_decay: Fraction of the voltage lost per timestep.
        late_zero: Whether a late reset to zero also drops the input of the next timestep.
        gain: Factor of the input.
    """
    _check_options(module)
    reset, refractory = _reset(module, late_zero=late_zero)
    values: dict[str, Any] = {"current_decay": current_decay, "voltage_decay": voltage_decay}
    if reset == "subtract_late" and bool((voltage_decay == 0).all()):
        reset = "subtract"  # Without decay there is no difference.
    if reset == "subtract_late" and bool((voltage_decay >= 1).any()):
        raise inexpressible(
            "it keeps nothing of its voltage (beta is 0) and is lowered by the threshold at the next timestep",
            allowed="beta above 0, or reset_mechanism='zero' or 'none'",
        )
    options: dict[str, Any] = {
        "threshold": tensor(module.threshold),
        "comparison": comparison_of(module.spike_grad, module.threshold),
        "reset": reset,
        "refractory": refractory,
        **values,
    }
    factor = None if is_zero(module.graded_spikes_factor - 1) else tensor(module.graded_spikes_factor)
    if "spk" in states:
        feedback = _feedback(module)

        def sized(shape: tuple[int, ...]) -> LiveNeuron:
            return replace(neuron, sized=None, **_recurrent(module, feedback, shape, states=states, options=options))

        neuron = LiveNeuron(
            outputs=(None,) * len(states),
            states=tuple(range(len(states))),
            out_gain=factor,
            protocol=_protocol(module, states, states),
            flat=True,
            sized=sized,
        )
        return neuron
    names = ("spk", *states)
    readouts = _readouts(options)
    return LiveNeuron(
        outputs=(Lif(**options), *(readouts.get(name) for name in states)),
        states=tuple(names.index(name) for name in states),
        gain=gain,
        out_gain=factor,
        protocol=_protocol(module, states, names),
    )


def _readouts(options: dict[str, Any], weight: Tensor | None = None) -> dict[str, StateReadout]:
    """Return what computes the states that can be read out, by name.

    A reset by subtraction is one timestep late, so it is something that spikes add to the voltage. It goes in with the
    current, which keeps a share of it; that share is taken out again at the next timestep. What a reset to zero takes
    away is the voltage itself, which no synapse carries.

    Args:
        options: Those of the layer.
        weight: Feedback, shape ``(neuron, spiking neuron)``.
    """
    reset, lost, threshold = options["reset"], options["current_decay"], options["threshold"]
    moves = {} if weight is None else {1: weight}
    found = {"syn": StateReadout(LeakyIntegrator(current_decay=lost, voltage_decay=1.0), dict(moves))}
    if reset == "zero":
        return found
    if reset != "none":
        kept = 1 - tensor(lost)
        taken = {1: -threshold} if is_zero(kept) else {1: -threshold, 2: threshold * kept}
        for late, move in taken.items():
            moves[late] = moves.get(late, 0) + (move if weight is None else torch.diag(move.expand(weight.shape[0])))
    voltage = LeakyIntegrator(current_decay=lost, voltage_decay=options["voltage_decay"])
    return {**found, "mem": StateReadout(voltage, moves)}


def _reset(module: Any, *, late_zero: bool) -> tuple[str, int]:
    """Return hsnn's reset and refractory time."""
    kind, late = module.reset_mechanism, getattr(module, "reset_delay", True)
    if hasattr(module, "syn") and hasattr(module, "spk"):
        late = True  # RSynaptic computes what reset_delay=False asks for, and drops it.
    # The state function was chosen when the module was made; reset_mechanism may have been set since.
    chosen = {"_base_sub": "subtract", "_base_zero": "zero", "_base_int": "none"}.get(module.state_function.__name__)
    if chosen != kind:
        raise inexpressible(f"its reset_mechanism is {kind!r}, but it was built with {chosen!r} and computes that")
    if kind == "none":
        return "none", 0
    if kind == "zero":
        return "zero", int(late and late_zero)
    if not late:
        raise inexpressible(
            "it subtracts with reset_delay=False: a voltage that stays above the threshold is compared with twice that",
            allowed="reset_delay=True, or reset_mechanism='zero' or 'none'",
        )
    return "subtract_late", 0


def _feedback(module: Any) -> nn.Module:
    """Return the module that spikes come back through."""
    feedback: nn.Module = module.recurrent
    if not isinstance(feedback, nn.Linear | nn.Conv2d) and type(feedback).__name__ != _FEEDBACK:
        raise inexpressible(
            f"it feeds back through {type(feedback).__name__}",
            allowed="linear_features, conv2d_channels with kernel_size, or all_to_all=False with V",
        )
    return feedback


def _recurrent(
    module: Any, feedback: nn.Module, shape: tuple[int, ...], *, states: tuple[str, ...], options: dict[str, Any]
) -> dict[str, Any]:
    """Return layers for a feature shape, and what the feedback adds at every timestep.

    Spikes come back as they were sent, graded by their factor.
    """
    weight, bias = feedback_of(feedback, shape)
    weight = weight * _whole(module.graded_spikes_factor, shape)
    whole: dict[str, Any] = {
        name: _whole(value, shape) if isinstance(value, Tensor) and value.ndim else value
        for name, value in options.items()
    }
    layer = RecurrentLif(weight.shape[0], recurrent_weight=weight, **whole)
    readouts = _readouts(whole, weight)
    return {"outputs": (layer, *(readouts.get(name) for name in states[1:])), "shift": bias}


def _whole(value: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return a parameter with a value for each neuron, features on one axis."""
    try:
        return tensor(value).expand(shape).reshape(-1)
    except RuntimeError as error:
        raise inexpressible(
            f"a parameter of shape {tuple(value.shape)} stands for features of shape {shape}",
            allowed="a shape that broadcasts to the features",
        ) from error


def _check_options(module: Any) -> None:
    if module.inhibition:
        raise inexpressible("inhibition=True lets one neuron of the layer spike", allowed="inhibition=False")
    if module.state_quant:
        raise inexpressible("state_quant rounds its state", allowed="state_quant=False: hsnn rounds to integers itself")


def _kept(value: Any) -> Tensor:
    return tensor(value).clamp(0, 1)


def _protocol(module: Any, states: tuple[str, ...], names: tuple[str, ...]) -> Protocol:
    """Return the calling convention: state may be passed in and is returned unless it is hidden."""
    hidden = module.init_hidden and not module.output

    def protocol(_: nn.Module, emit: Emit) -> Callable[..., Any]:
        def forward(x: Tensor, *args: Any, **kwargs: Any) -> Any:
            given = dict(zip(states, args, strict=False)) | kwargs
            passed = [given[name] for name in states if given.get(name) is not None]
            if passed and module.init_hidden:
                raise UnsupportedError(
                    "HSNN-F093",
                    f"a {type(module).__name__} with init_hidden=True is given a state, which snnTorch refuses",
                    allowed="one argument, the input",
                )
            if passed and len(passed) < len(states):
                raise UnsupportedError(
                    "HSNN-F093",
                    f"a {type(module).__name__} is called with some of its states: {', '.join(given)}",
                    allowed=f"none, or {', '.join(states)}",
                )
            outputs = emit(x, passed)
            by_name = dict(zip(names, outputs, strict=True))
            if hidden:
                return outputs[0]
            return (outputs[0], *(by_name[name] for name in states if name != "spk"))

        return forward

    return protocol
