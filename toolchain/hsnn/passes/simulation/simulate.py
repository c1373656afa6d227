"""Simulate a SpikingGraph in floating point, and keep the statistics that calibration needs.

All arithmetic is float64. The hybrid model itself runs in float32, where the order of a sum decides
ties between a voltage and its threshold; no other simulation can copy that order. In float64, sums of
float32 weights are exact but for extreme ranges, so the result depends on neither the batch, the
block size nor the matrix library, and it agrees with float32 as often as another float32 run would.

Feed-forward layers are computed for all timesteps at once. Populations between the two ends of a
projection that leads back are computed together, timestep by timestep.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from hsnn.errors import UsageError
from hsnn.ir.populations import ConstantSource
from hsnn.ir.shape import size
from hsnn.ir.spiking import FloatLif, FloatNeuron, FloatProjection, SpikingGraph, counts_spikes, received
from hsnn.passes.simulation.check_graph import check_graph
from hsnn.passes.simulation.float_neurons import PopulationStatistics, largest, new_state, statistics_of, step
from hsnn.passes.simulation.synapses import deliver

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float = NDArray[np.float64]
    Sent = NDArray[np.generic]

_BLOCK_ELEMENTS = 1 << 24
"""Activations of the largest layer that are held at a time (128 MiB)."""
_HUGE = 1e90


@dataclass(frozen=True, slots=True, eq=False)
class Simulation:
    """What a batch did.

    Attributes:
        batch: Number of samples.
        spikes: Of every kept LIF population: bool, shape ``(timestep, batch, *feature)``.
        voltages: Of every kept integrator its voltage, of every sigma-delta population its messages, of every LIF
            population that counts its counts: float64, same axes.
        populations: Statistics of every neuron population.
        deliveries: Of every projection: largest magnitude of ``W . s``.
    """

    batch: int
    spikes: Mapping[str, NDArray[np.bool_]]
    voltages: Mapping[str, Float]
    populations: Mapping[str, PopulationStatistics]
    deliveries: Mapping[str, float]


def simulate(
    graph: SpikingGraph,
    inputs: Mapping[str, NDArray[np.generic]],
    *,
    keep: Collection[str] | None = None,
    block: int | None = None,
) -> Simulation:
    """Run one batch, every sample from a zero state.

    Args:
        graph: A segment.
        inputs: For each input: spikes or payloads, shape ``(timestep, batch, *feature)``. A graph
            without inputs runs one sample.
        keep: Populations whose output is kept; all if None.
        block: Samples to run at a time, or None to choose by memory. It does not change the result.

    Raises:
        QuantizationError: ``HSNN-Q010`` or ``HSNN-Q011`` if the graph breaks its contract.
        UsageError: ``HSNN-Q002`` if an array or option does not fit the graph, ``HSNN-Q003`` if a value is
            not finite or beyond 1e90, ``HSNN-Q004`` if a binary input has values other than 0 and 1.
    """
    check_graph(graph)
    batch = check_inputs(graph, inputs)
    names = [neuron.name for neuron in graph.neurons]
    kept = set(names if keep is None else keep)
    if not kept <= set(names):
        found = f"cannot keep {', '.join(sorted(kept - set(names)))}"
        raise UsageError("HSNN-Q002", found, allowed=", ".join(names) or "nothing: no neurons")
    if block is not None and block < 1:
        raise UsageError("HSNN-Q002", f"block is {block}", allowed="1 or more samples")
    parts = []
    samples = block or _samples_per_block(graph)
    for start in range(0, batch, samples):
        part = {name: array[:, start : start + samples] for name, array in inputs.items()}
        parts.append(_run(graph, part, min(samples, batch - start)).only(kept))
    return _join(graph, parts, batch)


def check_inputs(graph: SpikingGraph, inputs: Mapping[str, NDArray[np.generic]]) -> int:
    """Check a batch of float values against the inputs of a graph and return its size.

    Raises:
        UsageError: See :func:`simulate`.
    """
    batches = set()
    for port in graph.inputs:
        array = inputs.get(port.name)
        if array is None:
            raise UsageError(
                "HSNN-Q002",
                f"segment {graph.name!r} got no values for input {port.name!r}",
                fix="give values for every input of the segment",
            )
        fits = array.ndim == 2 + len(port.shape) and array.shape[2:] == port.shape
        if not fits or array.shape[0] != graph.timesteps or array.shape[1] == 0 or array.dtype.kind not in "biuf":
            allowed = (
                f"numbers of shape ({graph.timesteps}, batch, {', '.join(map(str, port.shape))}), 1 sample or more"
            )
            raise UsageError(
                "HSNN-Q002", f"input {port.name!r} is {array.dtype} of shape {array.shape}", allowed=allowed
            )
        if port.binary and not np.all((array == 0) | (array == 1)):
            found = f"binary input {port.name!r} has values other than 0 and 1"
            raise UsageError("HSNN-Q004", found, allowed="0 and 1", fix="feed spikes, or declare the input graded")
        # A NaN fails the comparison. With parameters below 1e100, no state can overflow then.
        if not -_HUGE < float(array.min()) <= float(array.max()) < _HUGE:
            fix = "look for the operator or the sample that produced it"
            found = f"input {port.name!r} has a NaN, an infinity or a value beyond {_HUGE:g}"
            raise UsageError("HSNN-Q003", found, allowed="finite values", fix=fix)
        batches.add(array.shape[1])
    if len(batches) > 1:
        found = f"inputs of segment {graph.name!r} have batch sizes {sorted(batches)}"
        raise UsageError("HSNN-Q002", found, allowed="one batch size")
    return batches.pop() if batches else 1


def stepwise_groups(graph: SpikingGraph) -> tuple[tuple[FloatNeuron, ...], ...]:
    """Split the neurons, in order, into groups that can only be computed timestep by timestep.

    A population outside every loop is a group of its own.
    """
    order = {neuron.name: index for index, neuron in enumerate(graph.neurons)}
    together = [False] * len(order)
    for projection in graph.projections:
        # together[i] joins population i + 1 to the group of population i.
        for index in range(order[projection.post], order.get(projection.pre, -1)):
            together[index] = True
    groups: list[list[FloatNeuron]] = []
    for index, neuron in enumerate(graph.neurons):
        if index and together[index - 1]:
            groups[-1].append(neuron)
        else:
            groups.append([neuron])
    return tuple(tuple(group) for group in groups)


@dataclass(slots=True)
class _Pass:
    """One block of samples on its way through the graph."""

    batch: int
    sent: dict[str, Sent]
    """What every input and population has sent, ``(timestep, batch, *feature)``."""
    populations: dict[str, PopulationStatistics] = field(default_factory=dict)
    deliveries: dict[str, float] = field(default_factory=dict)

    def only(self, kept: Collection[str]) -> _Pass:
        """Forget the outputs that nobody asked for."""
        self.sent = {name: array for name, array in self.sent.items() if name in kept}
        return self

    def note(self, projection: FloatProjection, delivered: Float) -> Float:
        """Record how much a projection delivers, and return it."""
        peak = largest(delivered)
        self.deliveries[projection.name] = max(self.deliveries.get(projection.name, 0.0), peak)
        return delivered


def _run(graph: SpikingGraph, inputs: Mapping[str, Sent], batch: int) -> _Pass:
    run = _Pass(batch, {port.name: inputs[port.name] for port in graph.inputs})
    run.deliveries.update({projection.name: 0.0 for projection in graph.projections})
    for source in graph.populations:
        if isinstance(source, ConstantSource):
            # One spike vector stands for all timesteps and samples.
            run.sent[source.name] = np.ones((1, 1, *source.shape))
    for group in stepwise_groups(graph):
        _run_group(graph, run, group)
    return run


def _run_group(graph: SpikingGraph, run: _Pass, group: tuple[FloatNeuron, ...]) -> None:
    """Run populations that form loops, or one that does not, over all timesteps."""
    shape = {neuron.name: (graph.timesteps, run.batch, *neuron.shape) for neuron in group}
    arriving = {n.name: _from_outside(graph, run, n, tuple(shape)) for n in group}
    inner = {n.name: [p for p in graph.into(n.name) if p.pre in shape] for n in group}
    states = {n.name: new_state(n, shape[n.name]) for n in group}
    run.sent.update({name: state.sent for name, state in states.items()})
    for t in range(graph.timesteps):
        for neuron in group:
            activation = arriving[neuron.name][t]
            for projection in inner[neuron.name]:
                if t >= projection.delay:
                    spikes = run.sent[projection.pre][t - projection.delay]
                    activation = activation + run.note(projection, deliver(projection, spikes, received(neuron)))
            state = states[neuron.name]
            state.sent[t] = step(neuron, state, activation)
    for neuron in group:
        run.populations[neuron.name] = statistics_of(neuron, states[neuron.name])


def _from_outside(graph: SpikingGraph, run: _Pass, neuron: FloatNeuron, group: Collection[str]) -> Float:
    """Sum what arrives from populations that are already complete, for all timesteps."""
    shape = received(neuron)
    total = np.zeros((graph.timesteps, run.batch, *shape))
    for projection in graph.into(neuron.name):
        if projection.pre in group or projection.delay >= graph.timesteps:
            continue
        sent = run.sent[projection.pre][: graph.timesteps - projection.delay]
        delivered = deliver(projection, sent.reshape(-1, *sent.shape[2:]), shape)
        total[projection.delay :] += run.note(projection, delivered).reshape(*sent.shape[:2], *shape)
    return total


def _samples_per_block(graph: SpikingGraph) -> int:
    widest = max((size(item.shape) for item in (*graph.inputs, *graph.populations)), default=1)
    return max(1, _BLOCK_ELEMENTS // (graph.timesteps * widest))


def _join(graph: SpikingGraph, parts: Iterable[_Pass], batch: int) -> Simulation:
    first, *rest = parts
    populations, deliveries = first.populations, first.deliveries
    for part in rest:
        populations = {name: stats.merge(part.populations[name]) for name, stats in populations.items()}
        deliveries = {name: max(value, part.deliveries[name]) for name, value in deliveries.items()}
    sent = {name: np.concatenate([part.sent[name] for part in (first, *rest)], axis=1) for name in first.sent}
    lif = {neuron.name for neuron in graph.neurons if isinstance(neuron, FloatLif) and not counts_spikes(neuron)}
    return Simulation(
        batch,
        {name: array.astype(np.bool_, copy=False) for name, array in sent.items() if name in lif},
        {name: array.astype(np.float64, copy=False) for name, array in sent.items() if name not in lif},
        populations,
        deliveries,
    )
