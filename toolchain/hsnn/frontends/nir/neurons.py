"""NIR's differential equations under a policy, as parameters of hsnn's neurons.

With ``d`` the decay of a timestep, ``dt / tau`` by Euler's rule or ``1 - exp(-dt / tau)``::

    LIF       v = (1 - d) v + d (v_leak + r x)
    CubaLIF   i = (1 - d_syn) i + d_syn w_in x;   v = (1 - d) v + d (v_leak + r i)
    IF        v = v + dt r x

and so on for ``LI``, ``CubaLI`` and ``I``, which do not spike. hsnn's neurons start at zero and reset to zero, so
voltages are counted from the one that a sample starts with.

Source of the equations: NIR 1.0.8, ``nir/ir/neuron.py``; Pedersen et al., arXiv 2311.14641.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from hsnn.errors import UnsupportedError
from hsnn.frontends.nir.policy import NirPolicy
from hsnn.frontends.nir.read import NirNode
from hsnn.ir.arithmetic import VOLTAGE_MAX

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[np.float64]

_REPEATED = 1e-4
"""Largest difference between two single-precision ways of writing one fraction."""
SPIKING = frozenset({"IF", "LIF", "CubaLIF", "Threshold"})


@dataclass(frozen=True, slots=True, eq=False)
class NeuronMeaning:
    """A population in hsnn's terms; every array has the population's shape.

    Attributes:
        gain: Factor on the input.
        current_decay: Fraction of the current lost in a timestep.
        voltage_decay: Fraction of the voltage lost in a timestep.
        bias: Added to the voltage at every timestep.
        threshold: Above zero; None for neurons that do not spike.
        shift: Voltage that hsnn's zero stands for.
        reset: ``zero``, ``subtract``, ``subtract_late`` or ``none``.
        refractory: Timesteps.
        most: Most spikes in a timestep, of neurons that count or have a floor; None for others.
        v_min: Lowest voltage that a timestep leaves, of these; None for no floor.
        feedback: What a neuron's own spike adds to its input one timestep later; None for nothing.
    """

    gain: Array
    current_decay: Array
    voltage_decay: Array
    bias: Array
    threshold: Array | None
    shift: Array
    reset: str
    refractory: int = 0
    most: int | None = None
    v_min: Array | None = None
    feedback: Array | None = None


def meaning_of(name: str, node: NirNode, shape: tuple[int, ...], policy: NirPolicy) -> NeuronMeaning:
    """Translate a neuron.

    Args:
        name: Path of the node, for errors.
        node: ``I``, ``IF``, ``LI``, ``LIF``, ``CubaLI``, ``CubaLIF`` or ``Threshold``.
        shape: Shape of what feeds it.
        policy: How.

    Raises:
        UnsupportedError: ``HSNN-F082`` for parameters that do not have that shape; ``HSNN-F083`` for one out of range;
            ``HSNN-F086`` for dynamics that hsnn's neurons do not have.
    """
    values = {key: _shaped(name, key, value, shape) for key, value in node.fields.items()}
    if policy.reset == "spyx":
        policy = replace(policy, reset="subtract" if node.kind == "CubaLIF" else "subtract_next")
    one, zero = np.ones(shape), np.zeros(shape)
    if node.kind == "Threshold":
        threshold = values["threshold"]
        if bool((threshold > 0).all()):
            return NeuronMeaning(one, one, one, zero, threshold, zero, "none")
        return NeuronMeaning(one, one, one, 1.0 - threshold, one, zero, "none")
    leaky, cuba = node.kind in ("LI", "LIF"), node.kind in ("CubaLI", "CubaLIF")
    gain, current, voltage, leak = values["r"], one, zero, zero
    if leaky or cuba:
        voltage = _decay(name, "tau" if leaky else "tau_mem", values, policy)
        leak = values["v_leak"]
        if policy.gain == "spyx" and node.kind in SPIKING:
            gain = _as_it_is(name, gain, 1.0 - voltage)
        else:
            gain = gain * input_factor(voltage, policy, spiking=node.kind in SPIKING)
    elif policy.integrate == "dt":
        gain = gain * policy.dt
    if cuba:
        current = _decay(name, "tau_syn", values, policy)
        gain = gain * values.get("w_in", one) * synapse_factor(current, policy)
    if node.kind not in SPIKING:
        shift = leak if policy.initial == "leak" else zero
        return NeuronMeaning(gain, current, voltage, voltage * (leak - shift), None, shift, "none")
    return _spiking(name, values, policy, NeuronMeaning(gain, current, voltage, leak, None, zero, "none"))


def input_factor(decay: Array, policy: NirPolicy, *, spiking: bool) -> Array:
    """What ``r`` times the input of a leaky neuron is multiplied by under a policy.

    Args:
        decay: What the voltage loses in a timestep, 0 to 1, of any shape.
        policy: Its ``gain`` decides.
        spiking: Whether the neuron spikes; read-out neurons of such a library take another factor.

    Returns:
        Factors of the same shape.
    """
    if policy.gain in ("one", "spyx"):
        return np.ones_like(decay)
    if policy.gain == "decay":
        return decay
    ratio = -np.log1p(-decay)
    return np.asarray(ratio / (1.0 - decay) if spiking else ratio)


def synapse_factor(decay: Array, policy: NirPolicy) -> Array:
    """What ``w_in`` times a spike is multiplied by under a policy, by its ``synapse``.

    Args:
        decay: What the current loses in a timestep, 0 to 1, of any shape.
        policy: ``synapse`` is ``ode``, ``jump`` or ``kept``.

    Returns:
        Factors of the same shape.
    """
    return {"ode": decay, "jump": np.ones_like(decay), "kept": 1.0 - decay}[policy.synapse]


def _spiking(name: str, values: dict[str, Array], policy: NirPolicy, base: NeuronMeaning) -> NeuronMeaning:
    leak, threshold = base.bias, values["v_threshold"]
    to = values.get("v_reset", np.zeros_like(leak))
    start = {"zero": np.zeros_like(leak), "leak": leak, "reset": to}[policy.initial]
    if policy.reset == "value" and not np.array_equal(start, to):
        raise _no_dynamics(name, "its voltage starts elsewhere than where it resets to", "initial=reset")
    if policy.reset == "zero_next" and bool(start.any()):
        raise _no_dynamics(name, "its voltage does not start at zero, where it resets to", "initial=zero")
    if policy.reset == "subtract" and bool(start.any()):
        raise _no_dynamics(name, "hsnn subtracts the distance from the start to the threshold", "initial=zero")
    shifted = threshold - start
    if not bool((shifted > 0).all()):
        raise UnsupportedError(
            "HSNN-F083",
            f"the threshold of {name!r} is not above the voltage that it starts with",
            allowed="v_threshold above the initial voltage",
        )
    bias = base.voltage_decay * (leak - start)
    reset, refractory, feedback = {"value": "zero", "zero_next": "zero"}.get(policy.reset, policy.reset), 0, None
    if policy.reset == "zero_next":
        refractory = 1
    if policy.reset == "subtract_next" and not start.any() and bool((base.voltage_decay < 1.0).all()):
        reset = "subtract_late"
    elif policy.reset == "subtract_next":
        # hsnn subtracts what the threshold is counted from the start; the threshold itself comes back as a synapse.
        if bool((base.current_decay != 1.0).any()):
            raise _no_dynamics(name, "its reset would pass through the current", "initial=zero or reset=subtract")
        reset, feedback = "none", -threshold
    made = NeuronMeaning(
        base.gain,
        base.current_decay,
        base.voltage_decay,
        bias,
        shifted,
        start,
        reset,
        refractory,
        feedback=feedback,
    )
    return made if policy.spikes == "one" and policy.floor == "none" else _counting(name, made, policy)


def _counting(name: str, meant: NeuronMeaning, policy: NirPolicy) -> NeuronMeaning:
    """Let neurons send several spikes in a timestep, or hold their voltage above a floor."""
    if policy.comparison == ">":
        raise _no_dynamics(name, "neurons that count, or have a floor, spike at the threshold", "comparison=>=")
    if meant.reset not in ("zero", "subtract") or meant.refractory or bool(meant.shift.any()):
        raise _no_dynamics(name, "neurons that count, or have a floor, start at zero and reset at once", "spikes=one")
    floor = None if policy.floor == "none" or meant.threshold is None else -meant.threshold
    return replace(meant, most=VOLTAGE_MAX if policy.spikes == "many" else 1, v_min=floor)


def _as_it_is(name: str, resistance: Array, kept: Array) -> Array:
    """The gain of neurons that take their input as it is, whose ``r`` repeats what they keep of their voltage."""
    if np.abs(resistance - kept).max(initial=0.0) > _REPEATED:
        raise UnsupportedError(
            "HSNN-F083",
            f"r of {name!r} is not 1 - dt / tau, which gain=spyx says",
            allowed="files that spyx wrote",
            fix="say what r is: --nir-policy NAME,gain=decay or gain=one",
        )
    return np.ones_like(kept)


def _decay(name: str, key: str, values: dict[str, Array], policy: NirPolicy) -> Array:
    tau = values[key]
    if not bool((tau > 0).all()):
        raise UnsupportedError("HSNN-F083", f"{key} of {name!r} is {tau.min():g}", allowed="above 0")
    ratio = policy.dt / (tau / policy.dt if policy.tau == "times_dt" else tau)
    if policy.integrator == "exact":
        return np.asarray(-np.expm1(-ratio))
    # Decays that exporters wrote as tau = dt / (1 - beta) come back with an error of a rounding or two.
    ratio = np.where(np.abs(ratio - 1.0) < 1e-6, 1.0, ratio)
    if not bool((ratio <= 1.0).all()):
        raise UnsupportedError(
            "HSNN-F083",
            f"{key} of {name!r} is {tau.min():g}, less than the timestep of the policy: Euler's rule would overshoot",
            allowed=f"{key} of at least dt",
            fix="name the dt that the file was written with: --nir-policy NAME,dt=SECONDS",
        )
    return np.asarray(ratio)


def _shaped(name: str, key: str, value: Any, shape: tuple[int, ...]) -> Array:
    array = np.asarray(value, np.float64)
    if array.size == 1:
        return np.full(shape, array.reshape(()))
    if extents(array.shape) != extents(shape):
        raise UnsupportedError(
            "HSNN-F082",
            f"{key} of {name!r} has the shape {array.shape}, but its input {shape}",
            allowed="one value, or one for each element of the input",
        )
    # Inputs of Rockpool's files have an axis of extent 1 for time, which its parameters lack.
    return array.reshape(shape)


def extents(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without its axes of extent 1, about which libraries disagree."""
    return tuple(extent for extent in shape if extent != 1)


def _no_dynamics(name: str, why: str, other: str) -> UnsupportedError:
    return UnsupportedError(
        "HSNN-F086",
        f"{name!r} cannot be compiled under this policy: {why}",
        allowed="what hsnn.nn.Lif computes",
        fix=f"if that is what the model does, say so: --nir-policy NAME,{other}",
    )
