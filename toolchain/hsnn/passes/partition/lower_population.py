"""Make the float population of a neuron, by its kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, cast

import numpy as np

from hsnn.errors import UnsupportedError
from hsnn.ir.populations import Reset
from hsnn.ir.spiking import (
    Comparison,
    CurrentNeuron,
    FloatAdaptiveLif,
    FloatCountingLif,
    FloatIntegrator,
    FloatLif,
    FloatNeuron,
    FloatResonator,
    FloatSigmaDelta,
)
from hsnn.ops.counting import NO_FLOOR
from hsnn.ops.resonators import RESONATE_FIRE
from hsnn.passes.partition.chip_neuron import ChipNeuron, Parameters, fixed_scale

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hsnn.ir.arithmetic import Firing

    Float = NDArray[np.float64]

RADIUS_ROUNDING = 1e-6
"""How much single precision may make of a radius of 1."""


def _resolution(neuron: ChipNeuron) -> float:
    """Step of the grid on which states lie; 0 for none."""
    attributes = neuron.node.attributes
    return attributes["resolution"].as_float() if "resolution" in attributes else 0.0


def _lower_lif(neuron: ChipNeuron, parameter: Parameters, bias: Float) -> FloatLif:
    attributes = neuron.node.attributes
    voltage_decay, threshold = parameter("voltage_decay"), parameter("threshold")
    reset = attributes["reset"].as_string() if "reset" in attributes else "zero"
    late = reset == "subtract_late"
    return FloatLif(
        neuron.name,
        neuron.shape,
        neuron.value,
        parameter("current_decay"),
        voltage_decay,
        threshold,
        bias,
        reset=cast("Reset", "subtract" if late else reset),
        # Subtracted after a decay in the model, before it on the chip.
        reset_amount=threshold / (1.0 - voltage_decay) if late else None,
        comparison=cast("Comparison", attributes["comparison"].as_string()),
        refractory=attributes["refractory"].as_int() if "refractory" in attributes else 0,
        scale=fixed_scale(neuron.node, neuron.name),
        resolution=_resolution(neuron),
    )


def _lower_integrator(neuron: ChipNeuron, parameter: Parameters, bias: Float) -> FloatIntegrator:
    return FloatIntegrator(
        neuron.name,
        neuron.shape,
        neuron.value,
        parameter("current_decay"),
        parameter("voltage_decay"),
        bias,
        fixed_scale(neuron.node, neuron.name),
        _resolution(neuron),
    )


def _lower_adaptive(neuron: ChipNeuron, parameter: Parameters, bias: Float) -> FloatAdaptiveLif:
    return FloatAdaptiveLif(
        neuron.name,
        neuron.shape,
        neuron.value,
        parameter("current_decay"),
        parameter("voltage_decay"),
        parameter("threshold"),
        bias,
        reset="none",
        comparison=">=",
        scale=fixed_scale(neuron.node, neuron.name),
        resolution=_resolution(neuron),
        threshold_decay=parameter("threshold_decay"),
        refractory_decay=parameter("refractory_decay"),
        threshold_step=parameter("threshold_step"),
    )


def _lower_counting(neuron: ChipNeuron, parameter: Parameters, bias: Float) -> FloatCountingLif:
    attributes, floor = neuron.node.attributes, parameter("v_min")
    return FloatCountingLif(
        neuron.name,
        neuron.shape,
        neuron.value,
        parameter("current_decay"),
        parameter("voltage_decay"),
        parameter("threshold"),
        bias,
        reset=cast("Reset", attributes["reset"].as_string()),
        comparison=">=",
        scale=fixed_scale(neuron.node, neuron.name),
        max_spikes=attributes["max_spikes"].as_int(),
        v_min=np.where(floor <= NO_FLOOR, -np.inf, floor),
    )


def _lower_sigma_delta(neuron: ChipNeuron, parameter: Parameters) -> FloatSigmaDelta:
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
        resolution=_resolution(neuron),
        scale=fixed_scale(neuron.node, neuron.name),
    )


def _lower_resonator(neuron: ChipNeuron, parameter: Parameters) -> FloatResonator:
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
        resolution=_resolution(neuron),
        cos_decay=cos,
        sin_decay=sin,
        firing=cast("Firing", neuron.node.attributes["firing"].as_string()),
    )


WITH_CURRENT: Mapping[str, Callable[[ChipNeuron, Parameters, Float], CurrentNeuron]] = {
    "AdaptiveLif": _lower_adaptive,
    "CountingLif": _lower_counting,
    "LeakyIntegrator": _lower_integrator,
    "Lif": _lower_lif,
}
"""By operator, neurons on a grid and recurrent ones like the others: neurons with a synaptic current and a bias."""
WITHOUT_CURRENT: Mapping[str, Callable[[ChipNeuron, Parameters], FloatNeuron]] = {
    "Delta": _lower_sigma_delta,
    RESONATE_FIRE.name: _lower_resonator,
    "SigmaDelta": _lower_sigma_delta,
}
"""By operator: neurons that take synaptic input as it is."""
