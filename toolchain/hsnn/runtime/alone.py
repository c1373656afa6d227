"""One projection of a network, or one population of its neurons, alone: what a part of a segment takes by itself.

What the part gets from the rest of the network comes in through a port instead, from a trace.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.populations import ConstantSource, InputPort, Neuron, largest_payload
from hsnn.ir.projections import Projection

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hsnn.runtime.result import ChipTrace

PORT = "sent"
"""The port of a part."""


def projection_alone(network: IntegerNetwork, projection: Projection) -> IntegerNetwork:
    """Keep one projection and the neurons that it leads to; they send nothing back to the host."""
    source = network.source(projection.pre)
    post = next(neuron for neuron in network.neurons if neuron.name == projection.post)
    if isinstance(source, ConstantSource):
        populations = (replace(source, name="constant"), replace(post, name="neurons"))
        return _part(
            network, InputPort(PORT, (1,)), populations, (replace(projection, pre="constant", post="neurons"),)
        )
    largest, signed = largest_payload(source)
    return _part(
        network,
        InputPort(PORT, source.shape, largest, signed),
        (replace(post, name="neurons"),),
        (replace(projection, pre=PORT, post="neurons"),),
    )


def neurons_alone(network: IntegerNetwork, neuron: Neuron) -> IntegerNetwork:
    """Keep one population without its synapses; its port leads nowhere and only says how many samples there are."""
    return _part(network, InputPort(PORT, (1,)), (neuron,), ())


def sent_to(part: IntegerNetwork, source: str | None, trace: ChipTrace) -> Mapping[str, NDArray[np.int32]]:
    """Take from a trace what the port of a part gets.

    Args:
        part: A part.
        source: Name of the port or population that its projection starts at; None for neurons alone.
        trace: What the whole network got and did, with the spikes of every population.
    """
    known = {**trace.result.spikes, **trace.payloads}
    if source in known:
        return {PORT: np.ascontiguousarray(known[source])}
    samples = next(iter(trace.payloads.values())).shape[1]
    return {PORT: np.zeros((part.timesteps, samples, 1), np.int32)}


def _part(
    network: IntegerNetwork,
    port: InputPort,
    populations: tuple[ConstantSource | Neuron, ...],
    projections: tuple[Projection, ...],
) -> IntegerNetwork:
    return IntegerNetwork(network.name, network.timesteps, (port,), populations, projections, ())
