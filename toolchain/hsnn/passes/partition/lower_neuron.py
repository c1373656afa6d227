"""Lower one neuron: its float population, and a projection of everything that drives it.

``decay_input`` scales weights and current bias by the voltage decay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from hsnn.ir.shape import size
from hsnn.ir.spiking import FloatDense, FloatNeuron, FloatProjection
from hsnn.passes.partition.chip_neuron import CONSTANT, ChipNeuron, Parameters
from hsnn.passes.partition.lower_population import WITH_CURRENT, WITHOUT_CURRENT
from hsnn.passes.partition.synapse import feedback, synapse
from hsnn.passes.trains.affine import Affine

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float = NDArray[np.float64]


def lower_neuron(neuron: ChipNeuron, source_of: Callable[[str], str]) -> tuple[FloatNeuron, list[FloatProjection]]:
    """Lower one neuron and everything that drives it.

    Args:
        neuron: The neuron.
        source_of: Gives the name of the port or population that sends a value.

    Raises:
        UnsupportedError: ``HSNN-L001`` to ``HSNN-L004``, if a parameter is computed, or its shape or value is wrong.
    """
    parameter = Parameters(neuron)
    kind, attributes = neuron.node.op_type.removeprefix("Fixed"), neuron.node.attributes
    if kind in WITHOUT_CURRENT:
        drive = neuron.drive
        return WITHOUT_CURRENT[kind](neuron, parameter), _synapses(neuron, drive, drive.biases, source_of)
    current_decay, voltage_decay = parameter("current_decay"), parameter("voltage_decay")
    decays_input = "decay_input" in attributes and attributes["decay_input"].as_int() == 1
    gain = voltage_decay if decays_input else np.ones(())
    drive = neuron.drive.scaled(gain)
    bias = parameter("bias")
    biases = dict(drive.biases)
    if np.all(current_decay == 1.0) and 0 in biases:
        bias = _compact(bias + biases.pop(0))
    projections = _synapses(neuron, drive, biases, source_of)
    if kind.startswith("Recurrent"):
        recurrent = parameter.matrix("recurrent_weight", size(drive.shape))
        weights = recurrent * np.broadcast_to(gain, drive.shape).reshape(-1, 1)
        projections.append(feedback(weights, f"{neuron.name}.recurrent", neuron.name))
    return WITH_CURRENT[kind.removeprefix("Recurrent")](neuron, parameter, bias), projections


def _synapses(
    neuron: ChipNeuron, drive: Affine, biases: Mapping[int, Float], source_of: Callable[[str], str]
) -> list[FloatProjection]:
    """Make a projection of every term of a neuron's input, and of every bias in its current."""
    projections: list[FloatProjection] = []
    for index, term in enumerate(drive.terms):
        label = f"{neuron.name}.synapses.{index}"
        source = source_of(term.source)
        projections.append(synapse(term, name=label, pre=source, post=neuron.name, shape=drive.shape))
    for delay, values in biases.items():
        if np.any(values):
            weights = np.ascontiguousarray(values.reshape(-1, 1))
            label = f"{neuron.name}.bias.{delay}" if delay else f"{neuron.name}.bias"
            projections.append(FloatDense(label, CONSTANT, neuron.name, weights, delay))
    return projections


def _compact(array: Float) -> Float:
    """Reduce an array of equal values to shape ()."""
    first = array.reshape(-1)[0]
    return np.asarray(first, np.float64) if np.all(array == first) else array
