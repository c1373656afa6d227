"""Lower neurons of the hybrid model to a SpikingGraph.

Each neuron's input is an affine function of spike trains (``hsnn.passes.trains.linear``). Its terms become
projections, one a branch. Its bias goes where it acts the same: into the voltage where the current has
no memory, else into the current by a constant source that sends one spike per timestep.
``decay_input`` scales weights and current bias by the voltage decay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from hsnn.errors import UnsupportedError
from hsnn.ir.hybrid import module_of, scale_text
from hsnn.ir.populations import ConstantSource, Reset
from hsnn.ir.shape import Shape, size
from hsnn.ir.spiking import (
    Comparison,
    FloatAdaptiveLif,
    FloatDense,
    FloatIntegrator,
    FloatLif,
    FloatNeuron,
    FloatPopulation,
    FloatProjection,
    FloatResonator,
    FloatSigmaDelta,
    SpikeInput,
    SpikingGraph,
)
from hsnn.ops import OPS
from hsnn.ops.resonators import RESONATE_FIRE
from hsnn.passes.trains.domains import Domains, constant, feature_shape, train_operands, view_of
from hsnn.passes.trains.linear import Affine, Term, synapse
from hsnn.passes.trains.linear_ops import LINEAR_OPS

if TYPE_CHECKING:
    import onnx_ir as ir
    from numpy.typing import NDArray

    from hsnn.ir.arithmetic import Firing

    Float = NDArray[np.float64]

SCALE_MIN, SCALE_MAX = 2.0**-64, 2.0**64
RADIUS_ROUNDING = 1e-6
"""How much single precision may make of a radius of 1."""
CONSTANT = "constant"
"""Name of the constant source of a segment."""


@dataclass(frozen=True, slots=True, eq=False)
class ChipNeuron:
    """A neuron that goes onto the chip.

    Attributes:
        node: Its ONNX node.
        name: Name of its population: the torch module where there is one.
        drive: Its input as a function of spike trains.
    """

    node: ir.Node
    name: str
    drive: Affine

    @property
    def value(self) -> str:
        """Name of the value that carries its output."""
        return self.node.outputs[0].name or ""

    @property
    def shape(self) -> Shape:
        """Feature shape of its output: that of its input, of which resonators give back half the channels."""
        first, *rest = self.drive.shape or (1,)
        return (first // 2, *rest) if self.node.op_type == RESONATE_FIRE.name else self.drive.shape

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the values that drive it."""
        return tuple(dict.fromkeys(term.source for term in self.drive.terms))


@dataclass(frozen=True, slots=True)
class Origin:
    """A value that enters a segment.

    Attributes:
        shape: Feature shape.
        name: Wanted name of its port.
        scale: Units of payload per unit of the value, where the model fixes them.
    """

    shape: Shape
    name: str
    scale: float | None = None


def drive_of(value: ir.Value, domains: Domains, on_chip: frozenset[str]) -> Affine:
    """Express a spike train by its sources.

    Args:
        value: A value of type train.
        domains: Types of all values.
        on_chip: Names of the nodes that are synapses; the search stops at the result of any other.
    """
    node = value.producer()
    train = domains.trains[value.name or ""]
    if node is None or node.name not in on_chip:
        return Affine(feature_shape(value, train), (Term(value.name or ""),))
    operands = {
        position: drive_of(operand, domains, on_chip) for position, operand, _ in train_operands(node, domains.trains)
    }
    return LINEAR_OPS[node.domain, node.op_type](view_of(node, domains.trains, operands))


def lower(
    name: str,
    neurons: Iterable[ChipNeuron],
    *,
    domains: Domains,
    origins: Mapping[str, Origin],
    outputs: Iterable[str],
) -> SpikingGraph:
    """Lower one segment.

    Args:
        name: Name of the segment.
        neurons: Its neurons, in dataflow order.
        domains: Types of all values.
        origins: What is known of each value that enters.
        outputs: Names of the values that leave the segment.

    Raises:
        UnsupportedError: If a parameter of a neuron is not a constant or does not fit its shape.
    """
    members = tuple(neurons)
    population_of = {neuron.value: neuron.name for neuron in members}
    entering = dict.fromkeys(source for n in members for source in n.sources if source not in population_of)
    taken = set(population_of.values())
    ports = {value: _unique(origins[value].name, taken) for value in entering}
    inputs = tuple(
        SpikeInput(port, origins[value].shape, value, domains.trains[value].binary, origins[value].scale)
        for value, port in ports.items()
    )
    populations: list[FloatPopulation] = []
    projections: list[FloatProjection] = []
    for neuron in members:
        population, synapses = _lower_neuron(neuron, lambda source: ports.get(source) or population_of[source])
        populations.append(population)
        projections.extend(synapses)
    if any(projection.pre == CONSTANT for projection in projections):
        populations.insert(0, ConstantSource(CONSTANT))
    timesteps = domains.trains[members[0].value].timesteps
    leaving = tuple(dict.fromkeys(population_of[value] for value in outputs))
    return SpikingGraph(name, timesteps, inputs, tuple(populations), tuple(projections), leaving)


def _lower_neuron(neuron: ChipNeuron, source_of: Callable[[str], str]) -> tuple[FloatNeuron, list[FloatProjection]]:
    """Lower one neuron and everything that drives it."""
    parameter = _Parameters(neuron)
    kind, attributes = neuron.node.op_type.removeprefix("Fixed"), neuron.node.attributes
    resolution = attributes["resolution"].as_float() if "resolution" in attributes else 0.0
    if kind in ("Delta", "SigmaDelta"):
        return _lower_sigma_delta(neuron, parameter), _synapses(neuron, neuron.drive, neuron.drive.biases, source_of)
    if neuron.node.op_type == RESONATE_FIRE.name:
        return _lower_resonator(neuron, parameter), _synapses(neuron, neuron.drive, neuron.drive.biases, source_of)
    current_decay, voltage_decay = parameter("current_decay"), parameter("voltage_decay")
    decays_input = "decay_input" in attributes and attributes["decay_input"].as_int() == 1
    gain = voltage_decay if decays_input else np.ones(())
    drive = neuron.drive.scaled(gain)
    bias = parameter("bias")
    biases = dict(drive.biases)
    if np.all(current_decay == 1.0) and 0 in biases:
        bias = _compact(bias + biases.pop(0))
    projections = _synapses(neuron, drive, biases, source_of)
    if kind == "RecurrentLif":
        recurrent = parameter.matrix("recurrent_weight", size(drive.shape))
        weights = recurrent * np.broadcast_to(gain, drive.shape).reshape(-1, 1)
        projections.append(FloatDense(f"{neuron.name}.recurrent", neuron.name, neuron.name, weights, 1))
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


def _lower_sigma_delta(neuron: ChipNeuron, parameter: _Parameters) -> FloatSigmaDelta:
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
        resolution=attributes["resolution"].as_float() if "resolution" in attributes else 0.0,
        scale=fixed_scale(neuron.node, neuron.name),
    )


def _lower_resonator(neuron: ChipNeuron, parameter: _Parameters) -> FloatResonator:
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
        cos_decay=cos,
        sin_decay=sin,
        firing=cast("Firing", neuron.node.attributes["firing"].as_string()),
    )


def fixed_scale(node: ir.Node, name: str) -> float | None:
    """Return the scale that a neuron or encoder fixes for its integers, or None."""
    text = scale_text(node)
    if text is None:
        return None
    try:
        scale = float(text)
    except ValueError:
        scale = 0.0
    if not SCALE_MIN <= scale <= SCALE_MAX:
        raise UnsupportedError(
            "HSNN-L003",
            f"the metadata of {name!r} fixes its scale as {text!r}",
            allowed=f"a number from {SCALE_MIN:g} to {SCALE_MAX:g}",
        )
    return scale


@dataclass(frozen=True, slots=True)
class _Parameters:
    """Reads the constant inputs of a neuron's node."""

    neuron: ChipNeuron

    def __call__(self, name: str) -> Float:
        """Return a parameter as float64 of shape () or the feature shape."""
        array, shape = self._constant(name), self.neuron.shape
        if array.size == 1:
            return array.reshape(())
        try:
            return np.ascontiguousarray(np.broadcast_to(array, shape))
        except ValueError:
            raise UnsupportedError(
                "HSNN-L002",
                f"{name} of neuron {self.neuron.name!r} has shape {array.shape}",
                allowed=f"a shape that broadcasts to {shape}",
            ) from None

    def matrix(self, name: str, neurons: int) -> Float:
        """Return a parameter that is a square matrix."""
        array = self._constant(name)
        if array.shape != (neurons, neurons):
            raise UnsupportedError(
                "HSNN-L002",
                f"{name} of neuron {self.neuron.name!r} has shape {array.shape}",
                allowed=f"({neurons}, {neurons})",
            )
        return array

    def _constant(self, name: str) -> Float:
        node = self.neuron.node
        array = constant(node.inputs[OPS[node.op_type].inputs.index(name)])
        if array is None:
            raise UnsupportedError(
                "HSNN-L001",
                f"{name} of neuron {self.neuron.name!r} is computed by the model, not a constant",
                allowed="parameters that are fixed after training",
                fix="store the value as a parameter or buffer, or keep the neuron on the host with --pin",
            )
        return np.asarray(array, np.float64)


def neuron_name(node: ir.Node, taken: set[str]) -> str:
    """Name a population after its torch module, else after its node; ``taken`` gets the name."""
    return _unique(source_name(node, node.op_type), taken)


def source_name(node: ir.Node | None, otherwise: str) -> str:
    """Name what a node sends after its torch module, else after the node itself."""
    return (node and (module_of(node) or node.name)) or otherwise


def _unique(wanted: str, taken: set[str]) -> str:
    name, number = wanted, 2
    while name in taken or name == CONSTANT:
        name, number = f"{wanted}.{number}", number + 1
    taken.add(name)
    return name


def _compact(array: Float) -> Float:
    """Reduce an array of equal values to shape ()."""
    first = array.reshape(-1)[0]
    return np.asarray(first, np.float64) if np.all(array == first) else array
