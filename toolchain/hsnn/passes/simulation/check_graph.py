"""Check that a SpikingGraph keeps its contract before anything is computed from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hsnn.errors import QuantizationError
from hsnn.ir.arithmetic import VOLTAGE_MAX
from hsnn.ir.populations import ConstantSource
from hsnn.ir.projections import conv_output_shape
from hsnn.ir.routes import Ends, check_route, check_unique
from hsnn.ir.shape import Shape, broadcasts, size
from hsnn.ir.spiking import (
    FloatAdaptiveLif,
    FloatConv,
    FloatCountingLif,
    FloatDense,
    FloatIntegrator,
    FloatNeuron,
    FloatPopulation,
    FloatProjection,
    FloatResonator,
    FloatSigmaDelta,
    FloatSparse,
    SpikeInput,
    SpikingGraph,
    received,
)
from hsnn.passes.simulation.synapses import weights_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

REFRACTORY_MAX = 64
_TINY, _HUGE = 1e-100, 1e100
"""Beyond these, products of parameters leave float64."""


def check_graph(graph: SpikingGraph) -> None:
    """Check structure and parameters.

    Raises:
        QuantizationError: ``HSNN-Q011`` for a wrong structure: names, order, shapes of synapses;
            ``HSNN-Q010`` for a wrong parameter of neurons or synapses.
    """
    _structure(graph.timesteps >= 1, f"segment {graph.name!r} has {graph.timesteps} timesteps", "1 or more")
    names = [item.name for item in (*graph.inputs, *graph.populations)]
    check_unique(names, "input or population", _structure)
    check_unique([p.name for p in graph.projections], "projection", _structure)
    for item in (*graph.inputs, *graph.populations):
        _structure(size(item.shape) > 0, f"{item.name!r} has shape {item.shape}", "at least one neuron")
    for neuron in graph.neurons:
        _check_neuron(neuron)
    ends = Ends(
        order={name: index for index, name in enumerate(names)},
        sending={item.name for item in (*graph.inputs, *graph.populations) if not isinstance(item, FloatIntegrator)},
        receiving={neuron.name for neuron in graph.neurons},
    )
    for projection in graph.projections:
        check_route(projection, ends, _structure)
        _check_shape(projection, graph.source(projection.pre), graph.source(projection.post))
        weights = weights_of(projection)
        finite = weights.dtype == np.float64 and bool(np.all(np.abs(weights) < _HUGE))
        _parameter(finite, f"weights of {projection.name!r} are {weights.dtype} or not finite", "finite float64")
    for output in graph.outputs:
        known = output in ends.order and not isinstance(graph.source(output), ConstantSource)
        _structure(known, f"output {output!r} names nothing that sends in segment {graph.name!r}", ", ".join(names))


def _structure(holds: bool, found: str, allowed: str) -> None:
    if not holds:
        fix = "correct the graph; if hsnn built it from a model, report this"
        raise QuantizationError("HSNN-Q011", found, allowed=allowed, fix=fix)


def _parameter(holds: bool, found: str, allowed: str) -> None:
    if not holds:
        fix = "correct the parameter in the model that it comes from"
        raise QuantizationError("HSNN-Q010", found, allowed=allowed, fix=fix)


def _check_neuron(neuron: FloatNeuron) -> None:
    name = neuron.name
    if isinstance(neuron, FloatSigmaDelta):
        _check_range(neuron.threshold, neuron, "threshold", 0.0, _HUGE)
        _check_range(neuron.bias, neuron, "bias", -_HUGE, _HUGE)
        return
    _check_range(neuron.current_decay, neuron, "current_decay", 0.0, 1.0)
    _check_range(neuron.voltage_decay, neuron, "voltage_decay", 0.0, 1.0)
    _check_range(neuron.bias, neuron, "bias", -_HUGE, _HUGE)
    if isinstance(neuron, FloatIntegrator):
        return
    _check_range(neuron.threshold, neuron, "threshold", _TINY, _HUGE)
    if isinstance(neuron, FloatResonator):
        _structure(bool(neuron.shape), f"resonators {name!r} have no axis", "one axis or more")
        _check_range(neuron.cos_decay, neuron, "cos_decay", -1.0, 1.0)
        _check_range(neuron.sin_decay, neuron, "sin_decay", -1.0, 1.0)
        _parameter(
            neuron.firing in ("phase", "izhikevich"),
            f"firing of {name!r} is {neuron.firing!r}",
            "phase or izhikevich",
        )
    elif isinstance(neuron, FloatAdaptiveLif):
        _check_range(neuron.threshold_decay, neuron, "threshold_decay", 0.0, 1.0)
        _check_range(neuron.refractory_decay, neuron, "refractory_decay", 0.0, 1.0)
        _check_range(neuron.threshold_step, neuron, "threshold_step", 0.0, _HUGE)
    else:
        _check_range(neuron.amount, neuron, "reset_amount", 0.0, _HUGE)
        if isinstance(neuron, FloatCountingLif):
            _check_counting(neuron)
    _parameter(neuron.comparison in (">", ">="), f"comparison of {name!r} is {neuron.comparison!r}", "> or >=")
    resets = ("zero", "subtract", "none")
    _parameter(neuron.reset in resets, f"reset of {name!r} is {neuron.reset!r}", ", ".join(resets))
    _parameter(
        0 <= neuron.refractory <= REFRACTORY_MAX,
        f"refractory of {name!r} is {neuron.refractory}",
        f"0 to {REFRACTORY_MAX} timesteps",
    )


def _check_counting(neuron: FloatCountingLif) -> None:
    name, most = neuron.name, neuron.max_spikes
    _check_range(neuron.v_min, neuron, "v_min", -np.inf, 0.0)
    _parameter(1 <= most <= VOLTAGE_MAX, f"max_spikes of {name!r} is {most}", f"1 to {VOLTAGE_MAX}")
    counts = neuron.comparison == ">=" and neuron.reset != "none" and not neuron.refractory
    found = f"{name!r} counts with comparison {neuron.comparison!r} and reset {neuron.reset!r}"
    _parameter(counts and neuron.reset_amount is None, found, ">=, zero or subtract, and no refractory timesteps")


def _check_range(values: NDArray[np.float64], neuron: FloatNeuron, what: str, low: float, high: float) -> None:
    shape = neuron.shape
    _parameter(
        broadcasts(values.shape, shape),
        f"{what} of {neuron.name!r} has shape {values.shape}",
        f"a shape that broadcasts to {shape}",
    )
    # A NaN fails both comparisons.
    inside = bool(np.all((values >= low) & (values <= high)))
    _parameter(inside, f"{what} of {neuron.name!r} is {values.min()} to {values.max()}", f"{low:g} to {high:g}")


def _check_shape(
    projection: FloatProjection, pre: SpikeInput | FloatPopulation, post: SpikeInput | FloatPopulation
) -> None:
    to = received(post)
    rows, columns = size(to), size(pre.shape)
    match projection:
        case FloatDense():
            fits = projection.weights.shape == (rows, columns)
            allowed = f"weights of shape {(rows, columns)}"
        case FloatConv():
            fits = _conv_fits(projection, pre.shape, to)
            allowed = f"a kernel that maps {pre.shape} to {to}"
        case FloatSparse():
            fits = _sparse_fits(projection, rows, columns)
            allowed = f"compressed sparse rows of a {rows} x {columns} matrix"
    found = f"projection {projection.name!r} from {pre.shape} to {to} has weights {weights_of(projection).shape}"
    _structure(fits, found, allowed)


def _conv_fits(projection: FloatConv, pre: Shape, post: Shape) -> bool:
    weights, groups = projection.weights, projection.groups
    if len(pre) != 3 or weights.ndim != 4 or groups < 1:
        return False
    if min(*projection.stride, *projection.dilation) < 1 or min(projection.padding) < 0:
        return False
    channels = weights.shape[1] * groups == pre[0] and weights.shape[0] % groups == 0
    return channels and conv_output_shape(projection, pre) == post


def _sparse_fits(projection: FloatSparse, rows: int, columns: int) -> bool:
    data, indices, indptr = projection.data, projection.indices, projection.indptr
    if indptr.shape != (rows + 1,) or indices.shape != data.shape or data.ndim != 1:
        return False
    if int(indptr[0]) != 0 or int(indptr[-1]) != data.size or np.any(np.diff(indptr) < 0):
        return False
    return data.size == 0 or (int(indices.min()) >= 0 and int(indices.max()) < columns)
