"""Lower neurons of the hybrid model to a SpikingGraph.

Each neuron's input is an affine function of spike trains (``hsnn.passes.trains.affine``). Its terms become
projections, one a branch. Its bias goes where it acts the same: into the voltage where the current has
no memory, else into the current by a constant source that sends one spike per timestep.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hsnn.ir.populations import ConstantSource
from hsnn.ir.shape import Shape
from hsnn.ir.spiking import FloatPopulation, FloatProjection, SpikeInput, SpikingGraph
from hsnn.passes.partition.chip_neuron import CONSTANT, ChipNeuron, unique_name
from hsnn.passes.partition.lower_neuron import lower_neuron
from hsnn.passes.trains.domains import Domains


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
    ports = {value: unique_name(origins[value].name, taken) for value in entering}
    inputs = tuple(
        SpikeInput(port, origins[value].shape, value, domains.trains[value].binary, origins[value].scale)
        for value, port in ports.items()
    )
    populations: list[FloatPopulation] = []
    projections: list[FloatProjection] = []
    for neuron in members:
        population, synapses = lower_neuron(neuron, lambda source: ports.get(source) or population_of[source])
        populations.append(population)
        projections.extend(synapses)
    if any(projection.pre == CONSTANT for projection in projections):
        populations.insert(0, ConstantSource(CONSTANT))
    timesteps = domains.trains[members[0].value].timesteps
    leaving = tuple(dict.fromkeys(population_of[value] for value in outputs))
    return SpikingGraph(name, timesteps, inputs, tuple(populations), tuple(projections), leaving)
