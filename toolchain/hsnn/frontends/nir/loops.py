"""What a neuron gets back from its own spikes, one timestep later, as one matrix and a bias."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from hsnn.errors import UnsupportedError
from hsnn.frontends.nir import values
from hsnn.frontends.nir.flatten import FlatNet
from hsnn.frontends.nir.neurons import NeuronMeaning

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[Any]
    Shape: TypeAlias = tuple[int, ...]


def feedback_of(net: FlatNet, name: str, shape: Shape, meant: NeuronMeaning) -> tuple[Array, Array] | None:
    """Return weight and bias of what comes back to a neuron from its own spikes, in front of the current.

    Args:
        net: The graph.
        name: The neuron.
        shape: Its shape.
        meant: What it computes.

    Returns:
        Weight of shape ``(neurons, neurons)`` and bias of shape ``(neurons,)``; None where nothing comes back.

    Raises:
        UnsupportedError: ``HSNN-F082`` for shapes that do not fit, ``HSNN-F086`` for loops that hsnn does not have.
    """
    looped = name in net.loops
    if not looped and meant.feedback is None:
        return None
    if len(shape) != 1:
        raise UnsupportedError(
            "HSNN-F086",
            f"{name!r} feeds itself and has features of shape {shape}",
            allowed="one feature axis",
            fix="for snnTorch's reset by subtraction: train with reset_mechanism='zero'" if not looped else "",
        )
    size = shape[0]
    if size > 1 << 13:
        raise UnsupportedError("HSNN-F086", f"{name!r} feeds itself and has {size} neurons", allowed="8192")
    weight, bias = np.zeros((size, size)), np.zeros(size)
    if looped:
        weight, bias = _loop(net, name, size)
        weight, bias = meant.gain[:, None] * weight, meant.gain * bias
    if meant.feedback is not None:
        weight = weight + np.diag(meant.feedback)
    return weight, bias


def _loop(net: FlatNet, neuron: str, size: int) -> tuple[Array, Array]:
    maps: dict[str, tuple[Array, Array]] = {neuron: (np.eye(size), np.zeros(size))}

    def total(name: str) -> tuple[Array, Array]:
        parts = [maps[source] for source in net.inside[name]]
        if len({part[1].shape for part in parts}) != 1:
            raise UnsupportedError("HSNN-F082", f"{name!r} is fed by different shapes", allowed="one shape")
        return sum(part[0] for part in parts), sum(part[1] for part in parts)  # type: ignore[return-value]  # arrays

    for name in net.loops[neuron]:
        node = net.all_nodes[name]
        weight, bias = total(name)
        if node.kind == "Scale":
            scale = values.parameter(name, "scale", node.fields["scale"], bias.shape)
            maps[name] = (scale[:, None] * weight, scale * bias)
            continue
        matrix = values.matrix(name, node, bias.shape)
        maps[name] = (
            matrix @ weight,
            matrix @ bias + (values.bias(name, node, matrix) if node.kind == "Affine" else 0),
        )
    weight, bias = total(neuron)
    if weight.shape != (size, size):
        raise UnsupportedError(
            "HSNN-F082",
            f"what comes back to {neuron!r} has {weight.shape[0]} elements, not {size}",
            fix="give the synapses of the loop as many rows as the neuron has elements",
        )
    return weight, bias
