"""Quantize a spiking segment: floats in, the integers of a chip out, with the error of every layer.

All projections, biases and thresholds of a population share one scale S, integer voltage units per
unit of the model's voltage: the states of the integer network are those of the model times S. A weight
becomes an even mantissa of 8 bits and an exponent for its projection; synaptic input enters the state
shifted by 6 bits, so a mantissa unit is ``64 * 2**weight_exp / S``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hsnn.errors import QuantizationError, UsageError
from hsnn.ir.arithmetic import STATE_LIMIT
from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.populations import ConstantSource, IntegratorPopulation, Neuron, Population, SigmaDeltaPopulation
from hsnn.ir.projections import Projection
from hsnn.ir.spiking import FloatNeuron, FloatSigmaDelta, SpikingGraph
from hsnn.ir.validate import validate_network
from hsnn.passes.quantization.choose_payload import choose_ports, incoming_of, messages_of
from hsnn.passes.quantization.choose_scale import choose_scale
from hsnn.passes.quantization.quantize_neurons import NeuronError, quantize_neuron
from hsnn.passes.quantization.quantize_weights import ProjectionError, quantize_projection
from hsnn.passes.quantization.require_exact import require_exact, require_exact_messages
from hsnn.passes.quantization.sigma_delta import Messages, quantize_sigma_delta
from hsnn.passes.quantization.state_range import MANTISSA_UNIT, Incoming, lasting_voltage, measure_range
from hsnn.passes.quantization.worst_case import WorstCase, worst_case
from hsnn.passes.simulation.calibrate import Calibration
from hsnn.passes.simulation.check_graph import check_graph

PAYLOAD_BITS_MAX = 24


@dataclass(frozen=True, slots=True)
class QuantizeOptions:
    """How to quantize.

    Attributes:
        payload_bits: Width of graded payloads, 1 to 24, with the sign if there is one. Unsigned
            payloads have 23 bits at most.
        margin: The states get room for this factor on what calibration saw, 1 or more.

    Raises:
        UsageError: ``HSNN-Q014`` if an option is out of range.
    """

    payload_bits: int = 8
    margin: float = 2.0

    def __post_init__(self) -> None:
        if not 1 <= self.payload_bits <= PAYLOAD_BITS_MAX:
            raise UsageError(
                "HSNN-Q014",
                f"payload_bits is {self.payload_bits}",
                allowed=f"1 to {PAYLOAD_BITS_MAX}",
                fix="leave it out for the default",
            )
        if not 1.0 <= self.margin <= 1024.0:
            raise UsageError(
                "HSNN-Q014", f"margin is {self.margin}", allowed="1 to 1024", fix="leave it out for the default"
            )


@dataclass(frozen=True, slots=True)
class LayerScale:
    """How one population was quantized, and what that changes.

    Attributes:
        population: Name.
        scale: Integer voltage units per unit of the model's voltage (S).
        projections: Of every projection that ends here.
        neurons: Of the parameters of the neurons.
        current_headroom: 2**23 over the largest current that calibration saw; None if there was none.
        voltage_headroom: The same for the voltage; what a reset to zero forgets does not count.
        worst: What any input at all could do; above 1 only the calibrated headroom protects.
    """

    population: str
    scale: float
    projections: tuple[ProjectionError, ...]
    neurons: NeuronError
    current_headroom: float | None
    voltage_headroom: float | None
    worst: WorstCase

    @property
    def weight_snr_db(self) -> float | None:
        """The worst signal to noise ratio of its projections in decibels; None if no weight changed."""
        return min((p.snr_db for p in self.projections if p.snr_db is not None), default=None)


@dataclass(frozen=True, slots=True, eq=False)
class Quantized:
    """A quantized segment.

    Attributes:
        network: The integers.
        input_scales: Of every input port: value of one unit of payload; 1 for binary spikes.
        output_scales: Of every neuron population and input port: value of one unit that it sends; 1
            for spikes, ``1 / S`` for voltages, ``2**message_shift / S`` for messages.
        layers: Of every neuron population, in order.
    """

    network: IntegerNetwork
    input_scales: Mapping[str, float]
    output_scales: Mapping[str, float]
    layers: tuple[LayerScale, ...]

    def layer(self, name: str) -> LayerScale:
        """Return the record of a population.

        Raises:
            KeyError: If there is none.
        """
        for layer in self.layers:
            if layer.population == name:
                return layer
        raise KeyError(name)


def quantize(graph: SpikingGraph, calibration: Calibration, options: QuantizeOptions | None = None) -> Quantized:
    """Quantize a segment.

    Args:
        graph: A segment.
        calibration: Ranges of that segment.
        options: How; the defaults if None.

    Raises:
        QuantizationError: ``HSNN-Q010`` or ``HSNN-Q011`` if the graph breaks its contract;
            ``HSNN-Q012`` if 24 bits cannot hold the states and the threshold of a population;
            ``HSNN-Q013`` if the calibration is of another graph; ``HSNN-Q015`` if a model fixes a scale at which
            its parameters are no integers.
    """
    options = options or QuantizeOptions()
    check_graph(graph)
    _check_calibration(graph, calibration)
    ports = choose_ports(graph, calibration, bits=options.payload_bits, margin=options.margin)
    messages = messages_of(graph, ports, calibration, margin=options.margin)
    populations: list[Population] = []
    projections: dict[str, Projection] = {}
    layers: list[LayerScale] = []
    for item in graph.populations:
        if isinstance(item, ConstantSource):
            populations.append(item)
            continue
        incoming = incoming_of(graph, item, ports, messages, calibration, margin=options.margin)
        population, synapses, layer = _quantize_layer(graph, item, incoming, messages, calibration, options)
        populations.append(population)
        projections.update({synapse.name: synapse for synapse in synapses})
        layers.append(layer)
    network = IntegerNetwork(
        graph.name,
        graph.timesteps,
        tuple(choice.port for choice in ports.values()),
        tuple(populations),
        tuple(projections[p.name] for p in graph.projections),
        graph.outputs,
    )
    validate_network(network)
    inputs = {name: choice.scale for name, choice in ports.items()}
    sent = {n.name: unit_of(n, layer.scale) for n, layer in zip(network.neurons, layers, strict=True)}
    return Quantized(network, inputs, inputs | sent, tuple(layers))


def unit_of(neuron: Neuron, scale: float) -> float:
    """Value of one unit that a population sends, if its states have ``scale`` units per unit of the model."""
    match neuron:
        case IntegratorPopulation():
            return 1.0 / scale
        case SigmaDeltaPopulation():
            return 2.0**neuron.message_shift / scale
        case _:
            return 1.0


def _quantize_layer(
    graph: SpikingGraph,
    neuron: FloatNeuron,
    incoming: list[Incoming],
    messages: Mapping[str, Messages],
    calibration: Calibration,
    options: QuantizeOptions,
) -> tuple[Neuron, list[Projection], LayerScale]:
    """Quantize one population together with all projections that end at it."""
    stats, margin, timesteps = calibration.populations[neuron.name], options.margin, graph.timesteps
    population: Neuron
    if isinstance(neuron, FloatSigmaDelta):
        scale = messages[neuron.name].scale
        population, neuron_error = quantize_sigma_delta(neuron, messages[neuron.name])
        # Their input is not shifted.
        weight_scale, lasting = scale * MANTISSA_UNIT, max(-stats.voltage_low, stats.voltage_high, 0.0)
    else:
        needed = measure_range(neuron, incoming, stats=stats, timesteps=timesteps, margin=margin)
        scale = weight_scale = choose_scale(neuron, incoming, needed, timesteps=timesteps, margin=margin)
        population, neuron_error = quantize_neuron(neuron, scale)
        lasting = lasting_voltage(neuron, stats)
    pairs = [quantize_projection(item.projection, weight_scale, payload_scale=item.payload_scale) for item in incoming]
    synapses = [synapse for synapse, _ in pairs]
    payloads = {item.projection.pre: (item.max_payload, item.signed) for item in incoming}
    layer = LayerScale(
        population=neuron.name,
        scale=scale,
        projections=tuple(error for _, error in pairs),
        neurons=neuron_error,
        current_headroom=_headroom(stats.current * scale),
        voltage_headroom=_headroom(lasting * scale),
        worst=worst_case(population, synapses, payloads, timesteps=timesteps),
    )
    if isinstance(neuron, FloatSigmaDelta):
        require_exact_messages(neuron, exact=messages[neuron.name].exact)
    elif neuron.scale is not None:
        require_exact(neuron, layer.projections, neuron_error)
    return population, synapses, layer


def _headroom(largest: float) -> float | None:
    return STATE_LIMIT / largest if largest > 0.0 else None


def _check_calibration(graph: SpikingGraph, calibration: Calibration) -> None:
    shapes = {neuron.name: neuron.shape for neuron in graph.neurons}
    have = {name: stats.spikes.shape for name, stats in calibration.populations.items()}
    ports, projections = {port.name for port in graph.inputs}, {p.name for p in graph.projections}
    if have == shapes and set(calibration.inputs) == ports and set(calibration.deliveries) == projections:
        return
    different = set(have.items()) ^ set(shapes.items())
    names = {name for name, _ in different} | (set(calibration.inputs) ^ ports)
    names |= set(calibration.deliveries) ^ projections
    raise QuantizationError(
        "HSNN-Q013",
        f"the calibration of segment {calibration.segment!r} does not match segment {graph.name!r}: "
        f"{', '.join(sorted(names))}",
        allowed="a calibration of the same graph",
        fix="calibrate the graph that is quantized",
    )
