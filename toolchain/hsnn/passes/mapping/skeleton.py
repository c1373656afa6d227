"""The integer network that a segment will become, with every weight still zero.

Its size is known before any sample has been seen, so a model can be checked against a chip at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hsnn.ir.integer import IntegerNetwork, count_synapses
from hsnn.ir.populations import (
    ConstantSource,
    InputPort,
    IntegratorPopulation,
    LifPopulation,
    Population,
    ResonatorPopulation,
    SigmaDeltaPopulation,
    counting,
)
from hsnn.ir.projections import ConvProjection, DenseProjection, Projection, SparseProjection
from hsnn.ir.shape import size
from hsnn.ir.spiking import (
    FloatConv,
    FloatCountingLif,
    FloatDense,
    FloatIntegrator,
    FloatPopulation,
    FloatProjection,
    FloatResonator,
    FloatSigmaDelta,
    FloatSparse,
    SpikingGraph,
)

if TYPE_CHECKING:
    from hsnn.program import Json

GRADED_BITS = 8


def skeleton(graph: SpikingGraph) -> IntegerNetwork:
    """Return a network of the same populations and synapses, to be counted but not run."""
    return IntegerNetwork(
        graph.name,
        graph.timesteps,
        tuple(InputPort(p.name, p.shape, 1 if p.binary else (1 << GRADED_BITS) - 1) for p in graph.inputs),
        tuple(_population(population) for population in graph.populations),
        tuple(_projection(projection) for projection in graph.projections),
        graph.outputs,
    )


def describe_network(network: IntegerNetwork) -> dict[str, Json]:
    """Count a segment: timesteps, neurons, synapses and populations."""
    return {
        "name": network.name,
        "timesteps": network.timesteps,
        "neurons": sum(size(population.shape) for population in network.neurons),
        "synapses": sum(count_synapses(network, projection) for projection in network.projections),
        "populations": [population.name for population in network.neurons],
    }


def _population(population: FloatPopulation) -> Population:
    zero = np.zeros((), np.int32)
    if isinstance(population, ConstantSource):
        return population
    if isinstance(population, FloatIntegrator):
        return IntegratorPopulation(population.name, population.shape, zero, zero, zero)
    if isinstance(population, FloatSigmaDelta):
        return SigmaDeltaPopulation(population.name, population.shape, zero, zero)
    if isinstance(population, FloatResonator):
        return ResonatorPopulation(population.name, population.shape, zero, zero, zero, population.firing)
    plain = LifPopulation(
        population.name,
        population.shape,
        zero,
        zero,
        np.zeros(population.threshold.shape, np.int32),
        zero,
        reset=population.reset,
        refractory=population.refractory,
    )
    return counting(plain, max_spikes=population.max_spikes) if isinstance(population, FloatCountingLif) else plain


def _projection(projection: FloatProjection) -> Projection:
    name, pre, post, delay = projection.name, projection.pre, projection.post, projection.delay
    match projection:
        case FloatDense():
            return DenseProjection(name, pre, post, np.zeros(projection.weights.shape, np.int16), delay=delay)
        case FloatSparse():
            weights = np.zeros(projection.data.shape, np.int16)
            return SparseProjection(name, pre, post, weights, projection.indices, projection.indptr, delay=delay)
        case FloatConv():
            return ConvProjection(
                name,
                pre,
                post,
                np.zeros(projection.weights.shape, np.int16),
                projection.stride,
                projection.padding,
                projection.dilation,
                projection.groups,
                delay=delay,
            )
