"""Choose the integer payloads of every input.

A payload unit costs range: what a synapse adds is payload times weight, in units of 64 of a 24-bit
state. Finer payloads therefore leave fewer bits for the weights, and the finest is not always the best.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hsnn.errors import QuantizationError
from hsnn.ir.arithmetic import STATE_LIMIT
from hsnn.ir.populations import ConstantSource, InputPort
from hsnn.ir.shape import size
from hsnn.ir.spiking import FloatNeuron, FloatSigmaDelta, SpikeInput, SpikingGraph, counts_spikes
from hsnn.passes.quantization.choose_scale import choose_scale, relative_noise
from hsnn.passes.quantization.sigma_delta import Messages, choose_messages
from hsnn.passes.quantization.state_range import MANTISSA_UNIT, Incoming, measure_range
from hsnn.passes.simulation.port_range import PortRange

if TYPE_CHECKING:
    from hsnn.passes.simulation.calibrate import Calibration

_TINY = 1e-90
_WORTH_EXACTNESS = 4.0
"""Noise power that exact payloads may cost: a bit of the weights is 6 dB."""


@dataclass(frozen=True, slots=True)
class PortChoice:
    """An integer port and what its payloads mean.

    Attributes:
        port: The port.
        scale: Value of one unit of payload.
        noise: Mean square error of a value.
    """

    port: InputPort
    scale: float
    noise: float


def choose_ports(graph: SpikingGraph, calibration: Calibration, *, bits: int, margin: float) -> dict[str, PortChoice]:
    """Choose payloads for every input.

    Binary spikes and integers that fit have scale 1. Values on a grid, such as pixels in steps of
    1/255, are represented exactly if the grid fits. Other values are rounded, and so are those where
    exact payloads would leave too little for the weights: among all widths up to ``bits`` the one with
    the least noise from payloads and weights together wins. Payloads may exceed calibration by the
    margin as far as the width allows; values beyond are clipped.

    Args:
        graph: A segment.
        calibration: Its ranges.
        bits: Largest width of a payload, with the sign if there is one.
        margin: Factor on what calibration saw.

    Raises:
        QuantizationError: ``HSNN-Q012`` if values are too small for any scale, or as ``choose_scale``.
    """
    options = {p.name: _options(p, calibration.inputs[p.name], bits=bits, margin=margin) for p in graph.inputs}
    chosen = {name: choices[-1] for name, choices in options.items()}
    for name, choices in options.items():
        if len(choices) == 1:
            continue
        noise = [_noise(graph, name, chosen | {name: choice}, calibration, margin=margin) for choice in choices]
        chosen[name] = _best(choices, noise)
    return chosen


def messages_of(
    graph: SpikingGraph, ports: Mapping[str, PortChoice], calibration: Calibration, *, margin: float
) -> dict[str, Messages]:
    """Scale every sigma-delta population.

    Args:
        graph: A segment.
        ports: What each input's payloads are.
        calibration: What the populations did with real samples.
        margin: Factor on what calibration saw.

    Returns:
        Scale and messages of each, by name.
    """
    units = {name: choice.scale for name, choice in ports.items()}
    return choose_messages(graph, calibration, units, margin=margin)


def incoming_of(
    graph: SpikingGraph,
    neuron: FloatNeuron,
    ports: Mapping[str, PortChoice],
    messages: Mapping[str, Messages],
    calibration: Calibration,
    *,
    margin: float,
) -> list[Incoming]:
    """Describe the projections into a population together with what their sources send.

    Args:
        graph: A segment.
        neuron: The population.
        ports: What each input's payloads are.
        messages: What sigma-delta populations send, by name.
        calibration: What the sources did with real samples.
        margin: Factor on what calibration saw.

    Returns:
        One record a projection, in the order of the graph.
    """
    found = []
    for projection in graph.into(neuron.name):
        source = graph.source(projection.pre)
        scale, payload, signed, mean_square, noise = 1.0, 1, False, 1.0, 0.0
        if isinstance(source, SpikeInput):
            choice = ports[source.name]
            scale, payload, signed, noise = choice.scale, choice.port.max_payload, choice.port.signed, choice.noise
            mean_square = calibration.inputs[source.name].mean_square
        elif isinstance(source, FloatSigmaDelta):
            sent, stats = messages[source.name], calibration.populations[source.name]
            noise = 0.0 if sent.exact else sent.unit * sent.unit / 12.0
            scale, payload, signed = sent.unit, sent.largest, True
            mean_square = stats.power / (stats.updates * size(source.shape))
        elif counts_spikes(source):
            stats = calibration.populations[source.name]
            payload = min(source.max_spikes, max(math.ceil(margin * stats.message), 1))
            mean_square = stats.power / (stats.updates * size(source.shape))
        elif not isinstance(source, ConstantSource):
            # A spike is its own square.
            mean_square = float(np.mean(calibration.populations[source.name].rate))
        delivery = calibration.deliveries[projection.name]
        found.append(Incoming(projection, scale, payload, signed, mean_square, noise, delivery))
    return found


def _options(port: SpikeInput, measured: PortRange, *, bits: int, margin: float) -> list[PortChoice]:
    """List the distinct ways to represent an input, coarse to fine."""
    if port.binary:
        return [PortChoice(InputPort(port.name, port.shape), 1.0, 0.0)]
    if 0.0 < measured.magnitude < _TINY:
        raise QuantizationError(
            "HSNN-Q012",
            f"input {port.name!r} has values up to {measured.magnitude:g} only",
            allowed=f"values of {_TINY:g} or more, or only zeros",
            fix="check the scale of the input",
        )
    if port.scale is not None:
        units = math.ceil(margin * measured.magnitude * port.scale)
        if units >= STATE_LIMIT:
            raise QuantizationError(
                "HSNN-Q012",
                f"input {port.name!r} fixes its scale at {port.scale:g} and has values up to {measured.magnitude:g}",
                allowed=f"values up to {STATE_LIMIT / port.scale / margin:g}",
                fix="check the scale of the input",
            )
        return [PortChoice(InputPort(port.name, port.shape, max(1, units), measured.signed), 1.0 / port.scale, 0.0)]
    found: dict[float, PortChoice] = {}
    widest = _limit(bits, signed=measured.signed)
    for width in range(1, bits + 1):
        scale, noise = _scale(measured, _limit(width, signed=measured.signed))
        most = math.ceil(min(margin * measured.magnitude / scale, widest)) or widest
        found[scale] = PortChoice(InputPort(port.name, port.shape, most, measured.signed), scale, noise)
    return list(found.values())


def _best(choices: Sequence[PortChoice], noise: Sequence[float]) -> PortChoice:
    """Choose the least noise, but prefer exact values as long as they cost the weights a bit at most."""
    exact = [value for choice, value in zip(choices, noise, strict=True) if choice.noise == 0.0]
    prefer_exact = bool(exact) and min(exact) <= _WORTH_EXACTNESS * min(noise)
    wanted = min(exact) if prefer_exact else min(noise)
    # Of equally good widths the finest is most robust to values that calibration did not show.
    equal = [
        choice
        for choice, value in zip(choices, noise, strict=True)
        if value <= wanted * (1.0 + 1e-9) and (choice.noise == 0.0 or not prefer_exact)
    ]
    return equal[-1]


def _limit(bits: int, *, signed: bool) -> int:
    """Largest payload of a width; a signed payload of one bit still has a magnitude, and 24 bits are a state's."""
    return min(max(1, (1 << (bits - signed)) - 1), STATE_LIMIT - 1)


def _scale(measured: PortRange, limit: int) -> tuple[float, float]:
    """Return the value of one unit for payloads up to ``limit``, and the mean square rounding error."""
    if measured.magnitude == 0.0 or (measured.integral and measured.magnitude <= limit):
        return 1.0, 0.0
    steps = round(measured.magnitude / measured.grid) if measured.grid else 0
    if 0 < steps <= limit:
        # Units that divide the grid are exact. Powers of two keep dyadic weights exact too, for a shift is
        # all that the projections of a population may differ in.
        return measured.grid / 2.0 ** math.floor(math.log2(limit // steps)), 0.0
    scale = measured.magnitude / limit
    return scale, scale * scale / 12.0


def _noise(
    graph: SpikingGraph, name: str, ports: Mapping[str, PortChoice], calibration: Calibration, *, margin: float
) -> float:
    """Sum, over the populations that an input reaches, of noise relative to signal."""
    total = 0.0
    messages = messages_of(graph, ports, calibration, margin=margin)
    for neuron in graph.neurons:
        incoming = incoming_of(graph, neuron, ports, messages, calibration, margin=margin)
        if name not in {item.projection.pre for item in incoming}:
            continue
        if isinstance(neuron, FloatSigmaDelta):
            total += relative_noise(incoming, messages[neuron.name].scale * MANTISSA_UNIT)
            continue
        stats = calibration.populations[neuron.name]
        needed = measure_range(neuron, incoming, stats=stats, timesteps=graph.timesteps, margin=margin)
        scale = choose_scale(neuron, incoming, needed, timesteps=graph.timesteps, margin=margin)
        total += relative_noise(incoming, scale)
    return total
