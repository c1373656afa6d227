"""Lower one neuron: its float population, and a projection of everything that drives it.

``decay_input`` scales weights and current bias by the voltage decay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, cast

import numpy as np

from hsnn.errors import UnsupportedError
from hsnn.ir.populations import Reset
from hsnn.ir.shape import size
from hsnn.ir.spiking import (
    Comparison,
    FloatAdaptiveLif,
    FloatCountingLif,
    FloatDense,
    FloatIntegrator,
    FloatLif,
    FloatNeuron,
    FloatProjection,
    FloatResonator,
    FloatSigmaDelta,
)
from hsnn.ops.resonators import RESONATE_FIRE
from hsnn.passes.partition.chip_neuron import CONSTANT, ChipNeuron, Parameters, fixed_scale
from hsnn.passes.partition.synapse import feedback, synapse
from hsnn.passes.trains.affine import Affine

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hsnn.ir.arithmetic import Firing

    Float = NDArray[np.float64]

RADIUS_ROUNDING = 1e-6
"""How much single precision may make of a radius of 1."""


def lower_neuron(neuron: ChipNeuron, source_of: Callable[[str], str]) -> tuple[FloatNeuron, list[FloatProjection]]:
    """Lower one neuron and everything that drives it."""
    parameter = Parameters(neuron)
    kind, attributes = neuron.node.op_type.removeprefix("Fixed"), neuron.node.attributes
    resolution = attributes["resolution"].as_float() if "resolution" in attributes else 0.0
    if kind in ("Delta", "SigmaDelta", RESONATE_FIRE.name):
        lowered = _lower_resonator if kind == RESONATE_FIRE.name else _lower_sigma_delta
        drive = neuron.drive
        return lowered(neuron, parameter, resolution), _synapses(neuron, drive, drive.biases, source_of)
    current_decay, voltage_decay = parameter("current_decay"), parameter("voltage_decay")
    decays_input = "decay_input" in attributes and attributes["decay_input"].as_int() == 1
    gain = voltage_decay if decays_input else np.ones(())
    drive = neuron.drive.scaled(gain)
    bias = parameter("bias")
    biases = dict(drive.biases)
    if np.all(current_decay == 1.0) and 0 in biases:
        bias = _compact(bias + biases.pop(0))
    projections = _synapses(neuron, drive, biases, source_of)
    if kind in ("RecurrentLif", "RecurrentCountingLif"):
        recurrent = parameter.matrix("recurrent_weight", size(drive.shape))
        weights = recurrent * np.broadcast_to(gain, drive.shape).reshape(-1, 1)
        projections.append(feedback(weights, f"{neuron.name}.recurrent", neuron.name))
    if kind == "LeakyIntegrator":
        reader = FloatIntegrator(
            neuron.name,
            drive.shape,
            neuron.value,
            current_decay,
            voltage_decay,
            bias,
            fixed_scale(neuron.node, neuron.name),
            resolution,
        )
        return reader, projections
    if kind == "AdaptiveLif":
        adaptive = FloatAdaptiveLif(
            neuron.name,
            drive.shape,
            neuron.value,
            current_decay,
            voltage_decay,
            parameter("threshold"),
            bias,
            reset="none",
            comparison=">=",
            scale=fixed_scale(neuron.node, neuron.name),
            resolution=resolution,
            threshold_decay=parameter("threshold_decay"),
            refractory_decay=parameter("refractory_decay"),
            threshold_step=parameter("threshold_step"),
        )
        return adaptive, projections
    if kind in ("CountingLif", "RecurrentCountingLif"):
        floor = parameter("v_min")
        counting = FloatCountingLif(
            neuron.name,
            drive.shape,
            neuron.value,
            current_decay,
            voltage_decay,
            parameter("threshold"),
            bias,
            reset=cast("Reset", attributes["reset"].as_string()),
            comparison=">=",
            scale=fixed_scale(neuron.node, neuron.name),
            max_spikes=attributes["max_spikes"].as_int(),
            v_min=np.where(floor <= np.finfo(np.float32).min, -np.inf, floor),
        )
        return counting, projections
    threshold, reset = parameter("threshold"), attributes["reset"].as_string() if "reset" in attributes else "zero"
    late = reset == "subtract_late"
    spiking = FloatLif(
        neuron.name,
        drive.shape,
        neuron.value,
        current_decay,
        voltage_decay,
        threshold,
        bias,
        reset=cast("Reset", "subtract" if late else reset),
        reset_amount=threshold / (1.0 - voltage_decay) if late else None,
        comparison=cast("Comparison", attributes["comparison"].as_string()),
        refractory=attributes["refractory"].as_int() if "refractory" in attributes else 0,
        scale=fixed_scale(neuron.node, neuron.name),
        resolution=resolution,
    )
    return spiking, projections


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


def _lower_sigma_delta(neuron: ChipNeuron, parameter: Parameters, resolution: float) -> FloatSigmaDelta:
    attributes = neuron.node.attributes
    accumulate = neuron.node.op_type.removeprefix("Fixed") == "SigmaDelta"
    return FloatSigmaDelta(
        neuron.name,
        neuron.drive.shape,
        neuron.value,
        parameter("threshold"),
        parameter("bias") if accumulate else np.zeros(()),
        accumulate=accumulate,
        rectify=accumulate and attributes["activation"].as_string() == "relu",
        resolution=resolution,
        scale=fixed_scale(neuron.node, neuron.name),
    )


def _lower_resonator(neuron: ChipNeuron, parameter: Parameters, resolution: float) -> FloatResonator:
    cos, sin = parameter("cos_decay"), parameter("sin_decay")
    radius = np.hypot(cos, sin)
    if bool(np.any(radius > 1.0 + RADIUS_ROUNDING)):
        raise UnsupportedError(
            "HSNN-L004",
            f"cos_decay and sin_decay of neuron {neuron.name!r} have a radius of up to {radius.max():g}",
            allowed="a radius of 1 at most",
        )
    return FloatResonator(
        neuron.name,
        neuron.shape,
        neuron.value,
        np.ones(()),
        np.maximum(1.0 - radius, 0.0),
        parameter("threshold"),
        np.zeros(()),
        reset="none",
        comparison=">=",
        scale=fixed_scale(neuron.node, neuron.name),
        resolution=resolution,
        cos_decay=cos,
        sin_decay=sin,
        firing=cast("Firing", neuron.node.attributes["firing"].as_string()),
    )


def _compact(array: Float) -> Float:
    """Reduce an array of equal values to shape ()."""
    first = array.reshape(-1)[0]
    return np.asarray(first, np.float64) if np.all(array == first) else array
