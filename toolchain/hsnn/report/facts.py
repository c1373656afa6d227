"""Plain facts about integer networks: sizes, counts, spike rates of golden traces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from typing_extensions import assert_never

from hsnn.ir.integer import count_synapses
from hsnn.ir.plastic import LearnerPopulation, PlasticProjection
from hsnn.ir.populations import (
    AdaptiveLifPopulation,
    ConstantSource,
    CountingLifPopulation,
    InputPort,
    IntegratorPopulation,
    LifPopulation,
    ResonatorPopulation,
    SigmaDeltaPopulation,
    sends_spikes,
)
from hsnn.ir.projections import ConvProjection, DenseProjection, SparseProjection
from hsnn.ir.shape import size
from hsnn.report.cells import TIMES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hsnn.ir.integer import IntegerNetwork
    from hsnn.ir.populations import Population
    from hsnn.ir.projections import Projection
    from hsnn.program import Program

    Int32 = NDArray[np.int32]


def neurons(network: IntegerNetwork) -> int:
    """Number of neurons that have a state."""
    return sum(size(item.shape) for item in network.neurons)


def all_synapses(network: IntegerNetwork) -> int:
    """Number of connections of a network."""
    return sum(count_synapses(network, item) for item in network.projections)


def weights_of(projection: Projection) -> NDArray[np.int16]:
    """Stored weights, without ``weight_exp``, int16 of shape ``(synapse,)``; a convolution has each once."""
    return projection.data if isinstance(projection, SparseProjection) else projection.weights.reshape(-1)


def kind_of(item: InputPort | Population) -> str:
    """What an item of a network is called."""
    match item:
        case InputPort():
            return "graded input" if item.graded else "spike input"
        case ConstantSource():
            return "constant"
        case AdaptiveLifPopulation():
            return "adaptive LIF"
        case CountingLifPopulation():
            return "LIF with floor" if sends_spikes(item) else "counting LIF"
        case LearnerPopulation():
            return "learner"
        case LifPopulation():
            return "LIF"
        case IntegratorPopulation():
            return "integrator"
        case ResonatorPopulation():
            return "resonator"
        case SigmaDeltaPopulation():
            return "sigma-delta" if item.accumulate else "delta"
        case _:
            assert_never(item)


def connection_of(projection: Projection) -> str:
    """How a projection connects, such as ``conv 3×3/2``."""
    match projection:
        case PlasticProjection():
            return "plastic"
        case DenseProjection():
            return "dense"
        case SparseProjection():
            return "sparse"
        case ConvProjection():
            height, width = projection.weights.shape[2:]
            stride = max(projection.stride)
            groups = f" g{projection.groups}" if projection.groups > 1 else ""
            return f"conv {height}{TIMES}{width}" + (f"/{stride}" if stride > 1 else "") + groups
        case _:
            assert_never(projection)


def golden_trains(program: Program, stage: str) -> dict[str, Int32]:
    """Spike trains that golden traces keep of a stage, ports first: ``(timestep, batch, *feature)``."""
    if program.golden is None:
        return {}
    return {**program.golden.payloads.get(stage, {}), **program.golden.sent.get(stage, {})}


def activity(train: Int32) -> float:
    """Fraction of neurons that send something, 0 to 1, mean over timesteps and samples; any shape, 0 if empty."""
    return float(np.count_nonzero(train)) / train.size if train.size else 0.0
