"""Run a partitioned model in float: host segments on ONNX Runtime, spiking segments simulated.

This is the model as it was cut, before any integer: what calibration measures and what the integers are
compared with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hsnn.ir.plan import ChipSegment, HostStage, Plan
from hsnn.ir.spiking import SpikingGraph
from hsnn.passes.simulation.simulate import Simulation, simulate
from hsnn.runtime.host import PROVIDERS, HostExecutable, default_threads
from hsnn.runtime.stages import stage_errors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.generic]

CPU = PROVIDERS["cpu"]
BATCH = 32
"""Samples that go through the stages together."""


@dataclass(frozen=True, slots=True, eq=False)
class FloatBatch:
    """One batch on its way through the model.

    Attributes:
        values: Every value that a stage made or the caller gave, by its name in the hybrid model.
        driven: For each spiking segment: its inputs, ``(timestep, batch, *feature)``.
        simulations: For each spiking segment: what it did.
    """

    values: Mapping[str, Array]
    driven: Mapping[str, Mapping[str, Array]]
    simulations: Mapping[str, Simulation]


def run_float(
    plan: Plan,
    samples: Mapping[str, Array],
    *,
    keep: Callable[[SpikingGraph], tuple[str, ...]] | None = None,
    batch: int = BATCH,
) -> Iterator[FloatBatch]:
    """Run samples in batches.

    Args:
        plan: A partitioned model.
        samples: For each model input: all samples, batch axis first.
        keep: Which populations of a segment a simulation keeps; all if None. What leaves the segment
            is always kept.
        batch: Samples in a batch.

    Yields:
        One outcome a batch, in order.

    Raises:
        RunError: ``HSNN-R107``, if ONNX Runtime cannot run a host stage.
    """
    hosts = {stage.name: load_host(stage) for stage in plan.stages if isinstance(stage, HostStage)}
    total = next(iter(samples.values())).shape[0]
    for start in range(0, total, batch):
        values: dict[str, Array] = {name: array[start : start + batch] for name, array in samples.items()}
        driven: dict[str, Mapping[str, Array]] = {}
        simulations: dict[str, Simulation] = {}
        for stage in plan.stages:
            if isinstance(stage, HostStage):
                with stage_errors(stage.name):
                    values.update(hosts[stage.name].run({name: values[name] for name in stage.inputs}))
                continue
            driven[stage.name] = chip_inputs(stage, values)
            kept = None if keep is None else {*keep(stage.graph), *_neuron_outputs(stage.graph)}
            simulations[stage.name] = simulate(stage.graph, driven[stage.name], keep=kept)
            values.update(made_values(stage, driven[stage.name], simulations[stage.name]))
        yield FloatBatch(values, driven, simulations)


def load_host(stage: HostStage) -> HostExecutable:
    """Load a host stage on the processor; raises ``HSNN-R107`` where ONNX Runtime cannot."""
    with stage_errors(stage.name):
        return HostExecutable(stage, provider=CPU, threads=default_threads())


def chip_inputs(stage: ChipSegment, values: Mapping[str, Array]) -> dict[str, Array]:
    """Arrange the values that enter a segment.

    Args:
        stage: The segment.
        values: Values of the hybrid model by name; trains may have time and batch as one axis.

    Returns:
        For each input of the segment: shape ``(timestep, batch, *feature)``.
    """
    return {
        port.name: values[port.value].reshape(stage.graph.timesteps, -1, *port.shape) for port in stage.graph.inputs
    }


def _neuron_outputs(graph: SpikingGraph) -> tuple[str, ...]:
    names = {neuron.name for neuron in graph.neurons}
    return tuple(name for name in graph.outputs if name in names)


def made_values(stage: ChipSegment, driven: Mapping[str, Array], run: Simulation) -> dict[str, Array]:
    """Return the values that leave a segment.

    Args:
        stage: The segment.
        driven: What entered it, by input.
        run: What its populations did.

    Returns:
        For each value of the hybrid model that leaves: spikes, voltages of read-out neurons, or what entered,
        float32, shape ``(timestep, batch, *feature)``.
    """
    made: dict[str, Array] = {}
    for name, value in zip(stage.graph.outputs, stage.outputs, strict=True):
        sent = run.spikes.get(name, run.voltages.get(name, driven.get(name)))
        made[value] = np.asarray(sent, np.float32)
    return made
