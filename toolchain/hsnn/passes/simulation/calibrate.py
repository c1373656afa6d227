"""Calibrate: run real samples through the float segment and keep the ranges that quantization needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hsnn.errors import UsageError
from hsnn.ir.spiking import SpikingGraph
from hsnn.passes.simulation.float_neurons import PopulationStatistics
from hsnn.passes.simulation.port_range import PortRange, measure_port
from hsnn.passes.simulation.simulate import Simulation, simulate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Ranges and rates of one segment over all calibration samples.

    Attributes:
        segment: Name of the graph.
        samples: Number of samples.
        inputs: Of every input: its values.
        populations: Of every neuron population: its states and spikes.
        deliveries: Of every projection: largest magnitude of ``W . s`` at a neuron.
    """

    segment: str
    samples: int
    inputs: Mapping[str, PortRange]
    populations: Mapping[str, PopulationStatistics]
    deliveries: Mapping[str, float]

    def merge(self, other: Calibration) -> Calibration:
        """Return the calibration of both sets of samples, of one graph, together."""
        return Calibration(
            self.segment,
            self.samples + other.samples,
            {name: port.merge(other.inputs[name]) for name, port in self.inputs.items()},
            {name: stats.merge(other.populations[name]) for name, stats in self.populations.items()},
            {name: max(value, other.deliveries[name]) for name, value in self.deliveries.items()},
        )


def calibrate(graph: SpikingGraph, batches: Iterable[Mapping[str, NDArray[np.generic]]]) -> Calibration:
    """Measure the ranges of a segment on real samples.

    Args:
        graph: A segment.
        batches: Batches as for :func:`hsnn.passes.simulation.simulate.simulate`, each array
            ``(timestep, batch, *feature)``; consumed once.

    Raises:
        UsageError: ``HSNN-Q001`` if there is no batch; ``HSNN-Q002`` to ``HSNN-Q004`` as ``simulate``.
        QuantizationError: As ``simulate``.
    """
    total: Calibration | None = None
    for batch in batches:
        if not isinstance(batch, Mapping):
            found = f"a calibration batch of segment {graph.name!r} is a {type(batch).__name__}"
            raise UsageError("HSNN-Q002", found, allowed="a mapping from input names to arrays, for each batch")
        part = calibration_of(graph, batch, simulate(graph, batch, keep=()))
        total = part if total is None else total.merge(part)
    if total is None:
        fix = "give at least one batch of representative samples"
        raise UsageError("HSNN-Q001", f"calibration of segment {graph.name!r} got no samples", fix=fix)
    return total


def calibration_of(graph: SpikingGraph, batch: Mapping[str, NDArray[np.generic]], run: Simulation) -> Calibration:
    """Return the ranges of a batch that has been simulated already.

    Args:
        graph: A segment.
        batch: What was fed to :func:`hsnn.passes.simulation.simulate.simulate`, ``(timestep, batch, *feature)`` each.
        run: What it returned.
    """
    ports = {port.name: measure_port(batch[port.name]) for port in graph.inputs}
    return Calibration(graph.name, run.batch, ports, run.populations, run.deliveries)
