"""Neurons of a hybrid model as NIR nodes: :mod:`hsnn.frontends.nir.neurons` the other way round.

A policy says how a reader turns NIR's equations into timesteps; the fields are chosen so that this reader computes what
hsnn's neuron computes. What differs from neuron to neuron and NIR has no field for, reset and comparison, becomes a
change of the policy that goes with the node.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from hsnn.errors import UnsupportedError
from hsnn.frontends.nir.neurons import input_factor, synapse_factor
from hsnn.ir.arithmetic import VOLTAGE_MAX
from hsnn.ops import OPS
from hsnn.ops.counting import NO_FLOOR
from hsnn.passes.trains.nodes import constant

if TYPE_CHECKING:
    import onnx_ir as ir
    from numpy.typing import NDArray

    from hsnn.frontends.nir.policy import NirPolicy

    Array: TypeAlias = NDArray[np.float64]

WRITTEN = ("Lif", "RecurrentLif", "CountingLif", "RecurrentCountingLif", "LeakyIntegrator")
"""Neurons that NIR has."""
_RESETS: Mapping[tuple[str, int], str] = {
    ("zero", 0): "value",
    ("zero", 1): "zero_next",
    ("subtract", 0): "subtract",
    ("subtract_late", 0): "subtract_next",
}
"""Reset of a policy, by the reset and the refractory timesteps of hsnn's neuron."""


@dataclass(frozen=True, slots=True, eq=False)
class WrittenNeuron:
    """A neuron in NIR's terms.

    Attributes:
        kind: Type of the node.
        fields: Its fields, float64 of the feature shape.
        drive_bias: Constant that has to be added to its input, since this type of node has no leak voltage; or None.
        changes: Choices of the policy that this neuron needs: ``reset``, ``comparison``, ``spikes``, ``floor``.
    """

    kind: str
    fields: Mapping[str, Array]
    drive_bias: Array | None = None
    changes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class _Neuron:
    """Parameters of hsnn's neuron, float64 of the feature shape.

    ``gain`` is the factor on its input.
    """

    name: str
    current_decay: Array
    voltage_decay: Array
    bias: Array
    gain: Array


def written_neuron(
    name: str, node: ir.Node, shape: tuple[int, ...], policy: NirPolicy, *, free: bool = True
) -> WrittenNeuron:
    """Write a neuron.

    Args:
        name: Name of the node that is written, for errors.
        node: One of ``WRITTEN`` of the hsnn domain.
        shape: Feature shape.
        policy: How the reader integrates; its ``reset`` and ``comparison`` are not asked.
        free: Whether the node may bring a reset of its own.

    Raises:
        UnsupportedError: ``HSNN-F087`` for a neuron that NIR, or this policy, has no equation for.
    """
    if node.op_type not in WRITTEN:
        raise refused(f"{name!r} is a {node.op_type} neuron", "LIF neurons and leaky integrators")
    if policy.sends != "now" or "spyx" in (policy.gain, policy.reset):
        raise refused(f"{name!r} sends its spikes at once, not as spyx does", "policies with sends=now, no gain=spyx")
    current, voltage, bias = (_parameter(node, key, shape) for key in ("current_decay", "voltage_decay", "bias"))
    decays = node.attributes["decay_input"].as_int() == 1
    neuron = _Neuron(name, current, voltage, bias, voltage if decays else np.ones(shape))
    if node.op_type == "LeakyIntegrator":
        return _dynamics(neuron, policy, spiking=False)
    threshold = _parameter(node, "threshold", shape)
    if node.op_type.endswith("CountingLif"):
        return _counting(neuron, node, threshold, policy)
    reset, refractory = node.attributes["reset"].as_string(), node.attributes["refractory"].as_int()
    comparison = {"comparison": node.attributes["comparison"].as_string()}
    if bool((current == 1.0).all() and (voltage == 1.0).all()) and not refractory and reset != "subtract_late":
        # Without memory there is nothing to reset. A bias stays one where it can, so that the integers stay the same.
        if not bias.any() or policy.integrator == "exact" or not free:
            return WrittenNeuron("Threshold", {"threshold": threshold - bias}, changes=comparison)
        reset = "zero"
    if (reset, refractory) not in _RESETS:
        raise refused(
            f"{name!r} resets by {reset!r} and has a refractory time of {refractory}",
            "a reset to zero with 0 or 1 refractory timesteps, or subtraction without any",
        )
    made = _dynamics(neuron, policy, spiking=True)
    fields = {**made.fields, "v_threshold": threshold, "v_reset": np.zeros(shape)}
    changes = {"reset": _RESETS[reset, refractory], **comparison, "spikes": "one", "floor": "none"}
    return WrittenNeuron(made.kind, fields, made.drive_bias, changes)


def _counting(neuron: _Neuron, node: ir.Node, threshold: Array, policy: NirPolicy) -> WrittenNeuron:
    """Write neurons that count or have a floor; NIR has a word for neither, so policies say it."""
    most, floor = node.attributes["max_spikes"].as_int(), _parameter(node, "v_min", threshold.shape)
    if most not in (1, VOLTAGE_MAX):
        raise refused(f"{neuron.name!r} sends up to {most} spikes in a timestep", "one, or any number")
    if bool((floor > NO_FLOOR).any()) and not np.array_equal(floor, -threshold):
        raise refused(f"{neuron.name!r} has a floor of {floor.min():g}", "no floor, or one of minus the threshold")
    made = _dynamics(neuron, policy, spiking=True)
    changes = {
        "reset": _RESETS[node.attributes["reset"].as_string(), 0],
        "comparison": ">=",
        "spikes": "one" if most == 1 else "many",
        "floor": "threshold" if bool((floor > NO_FLOOR).any()) else "none",
    }
    fields = {**made.fields, "v_threshold": threshold, "v_reset": np.zeros(threshold.shape)}
    return WrittenNeuron(made.kind, fields, made.drive_bias, changes)


def _dynamics(neuron: _Neuron, policy: NirPolicy, *, spiking: bool) -> WrittenNeuron:
    """Type and fields of what happens between two spikes."""
    current, voltage, name = neuron.current_decay, neuron.voltage_decay, neuron.name
    suffix = "F" if spiking else ""
    instant = bool((current == 1.0).all())
    if instant and not voltage.any():
        gain = neuron.gain / (policy.dt if policy.integrate == "dt" else 1.0)
        if neuron.bias.any() and not neuron.gain.all():
            raise refused(f"{name!r} has a bias and no input", "inputs that are not multiplied by a decay of 0")
        bias = neuron.bias / neuron.gain if neuron.bias.any() else None
        return WrittenNeuron(f"I{suffix}", {"r": gain}, bias)
    if not bool((voltage > 0).all() and (current > 0).all()):
        raise refused(
            f"{name!r} has decays of {min(voltage.min(), current.min()):g} beside others",
            "decays above 0, or a voltage without decay in neurons without a current: NIR's time constants are finite",
        )
    if neuron.bias.any() and policy.initial == "leak":
        raise refused(f"{name!r} has a bias, and this policy starts at the leak voltage", "initial=zero")
    tau = _tau(name, voltage, policy)
    leak = {"r": neuron.gain / input_factor(voltage, policy, spiking=spiking), "v_leak": neuron.bias / voltage}
    if instant:
        return WrittenNeuron(f"LI{suffix}", {"tau": tau, **leak})
    taus = {"tau_mem": tau, "tau_syn": _tau(name, current, policy)}
    if policy.synapse == "kept" and bool((current == 1.0).any()):
        raise refused(f"{name!r} keeps nothing of some currents", "synapse=ode or synapse=jump")
    w_in = 1.0 / synapse_factor(current, policy)
    return WrittenNeuron(f"CubaLI{suffix}", {**taus, **leak, "w_in": w_in})


def _tau(name: str, decay: Array, policy: NirPolicy) -> Array:
    ratio = decay
    if policy.integrator == "exact":
        if bool((decay >= 1.0).any()):
            raise refused(f"{name!r} forgets all in a timestep, which exp(-dt / tau) never does", "integrator=euler")
        ratio = -np.log1p(-decay)
    tau: Array = policy.dt / ratio
    return tau * policy.dt if policy.tau == "times_dt" else tau


def _parameter(node: ir.Node, key: str, shape: tuple[int, ...]) -> Array:
    array = constant(node.inputs[OPS[node.op_type].inputs.index(key)])
    return np.array(np.broadcast_to(np.asarray(array, np.float64), shape))


def refused(found: str, allowed: str) -> UnsupportedError:
    """Make the error of what NIR does not have."""
    return UnsupportedError("HSNN-F087", found, allowed=allowed, fix="run the model with hsnn-compile instead")
