"""Kernels of :mod:`hsnn_models.colanet.fast`: one copy through all samples of a chunk.

Additions are those of the reference in its order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

from hsnn_models.colanet import arithmetic
from hsnn_models.colanet.state import Floats, Integers

Function = TypeVar("Function", bound=Callable[..., Any])


def _compiled(function: Function) -> Function:
    """Compile a function; the machine code is kept on disk where a directory is writable."""
    try:
        return _numba(function, cache=True)
    except RuntimeError:
        return _numba(function)


def _numba(function: Function, **options: bool) -> Function:
    decorator = cast("Callable[..., Callable[[Function], Function]]", numba.njit)  # typed as what it returns to Python
    return decorator(nogil=True, error_model="numpy", **options)(function)


class Constants(NamedTuple):
    """Parameters as the kernels take them, float32 where the reference has float32.

    Attributes:
        timesteps: Timesteps of a presentation, up to the label.
        window: Timesteps up to a spike in which a synapse contributes to it.
        isi_max: Timesteps from spike to reward at which stability grows most.
        threshold: Threshold without what its weights add.
        excess: What the sum of positive weights adds to it, as a factor.
        low: Smallest weight.
        width: Largest weight less the smallest.
        anti: Change of resources by an unforced spike.
        reward: Change of resources by a reward.
        sharers: Features and silent synapses, among which changes are shared out again.
        rate: Change of stability by a reward, before it is weighed by its moment.
        noise: Largest noise of a timestep; it is drawn from 0 up to it.
        keep: Part of the voltage that a timestep leaves.
        floor: Lowest voltage; minus infinity for none.
    """

    timesteps: int
    window: int
    isi_max: int
    threshold: np.float32
    excess: np.float32
    low: np.float32
    width: np.float32
    anti: np.float32
    reward: np.float32
    sharers: np.float32
    rate: float
    noise: np.float32
    keep: np.float32
    floor: np.float32


_halved = _compiled(arithmetic.halved)
_stabilized = _compiled(arithmetic.stabilized)


@_compiled
def _mixed(h: np.uint32) -> np.uint32:
    h = np.uint32(h ^ (h >> np.uint32(16)))
    h = np.uint32(h * np.uint32(0x85EBCA6B))
    h = np.uint32(h ^ (h >> np.uint32(13)))
    h = np.uint32(h * np.uint32(0xC2B2AE35))
    return np.uint32(h ^ (h >> np.uint32(16)))


@_compiled
def _collect(weights: Floats, features: npt.NDArray[np.int32], first: int, last: int, current: Floats) -> None:
    """Add up the weights of all features that spike."""
    current[:] = 0
    for at in range(first, last):
        row = weights[features[at]]
        for j in range(current.size):
            current[j] += row[j]


@_compiled
def _race(
    weights: Floats,
    thresholds: Floats,
    features: npt.NDArray[np.int32],
    starts: Integers,
    constants: Constants,
    key: np.uint32,
    voltage: Floats,
    current: Floats,
) -> tuple[int, int]:
    """Integrate until a neuron spikes; return it and its timestep, or -1 and -1."""
    voltage[:] = 0
    for t in range(constants.timesteps):
        _collect(weights, features, starts[t], starts[t + 1], current)
        step = _mixed(np.uint32(t) ^ key)
        for j in range(voltage.size):
            random = np.float32(_mixed(np.uint32(step + np.uint32(j))) >> np.uint32(8)) * np.float32(2**-24)
            x = np.float32(constants.keep * voltage[j]) + current[j] + np.float32(constants.noise * random)
            voltage[j] = max(x, constants.floor)
        winner, best = 0, voltage[0] - thresholds[0]
        for j in range(1, voltage.size):
            above = voltage[j] - thresholds[j]
            if above > best:
                winner, best = j, above
        if best >= 0:
            return winner, t
    return -1, -1


@_compiled
def _nearest(voltage: Floats, thresholds: Floats, columns: Integers, column: int) -> int:
    """Return the neuron of a column that is furthest above, or nearest below, its threshold."""
    found, best = -1, np.float32(0)
    for j in range(voltage.size):
        if columns[j] == column:
            above = voltage[j] - thresholds[j]
            if found < 0 or above > best:
                found, best = j, above
    return found


@_compiled
def _contributed(
    features: npt.NDArray[np.int32],
    starts: Integers,
    timestep: int,
    constants: Constants,
    marked: npt.NDArray[np.bool_],
) -> int:
    """Mark the features that spiked in the window that ends with a timestep; return their number."""
    marked[:] = False
    first = max(timestep - constants.window + 1, 0)
    last = min(timestep, constants.timesteps - 1)
    number = 0
    if first > last:
        return number
    for at in range(starts[first], starts[last + 1]):
        number += not marked[features[at]]
        marked[features[at]] = True
    return number


@_compiled
def _change(
    resources: Floats,
    column: Floats,
    change: np.float32,
    marked: npt.NDArray[np.bool_],
    number: int,
    constants: Constants,
) -> np.float32:
    """Change resources and weights of a neuron; return its threshold."""
    share = np.float32(-np.float32(change * np.float32(number)) / constants.sharers)
    nothing = np.float32(0)
    for i in range(resources.size):
        resources[i] = np.float32(np.float32(resources[i] + change) if marked[i] else resources[i]) + share
    total = nothing
    for i in range(resources.size):
        positive = max(resources[i], nothing)
        weight = np.float32(constants.low + constants.width * positive / (constants.width + positive))
        column[i] = weight
        total = np.float32(total + max(weight, nothing))
    return np.float32(constants.threshold + constants.excess * total)


@_compiled
def learn_copy(
    resources: Floats,
    weights: Floats,
    thresholds: Floats,
    stability: Floats,
    columns: Integers,
    features: npt.NDArray[np.int32],
    starts: Integers,
    labels: Integers,
    constants: Constants,
    seed: np.uint32,
    copy: np.uint32,
    start: np.uint32,
    told: Integers,
) -> None:
    """Learn all samples of a chunk with one copy, by the rules of :mod:`hsnn_models.colanet.reference`.

    Resources, weights, thresholds and stability are changed in place, and so is ``told``.

    Args:
        resources: Resource of each synapse, shape ``(neuron, feature)``.
        weights: Weights that follow from them, shape ``(feature, neuron)``.
        thresholds: Shape ``(neuron,)``.
        stability: At least 0, shape ``(neuron,)``.
        columns: Column of each neuron, shape ``(neuron,)``.
        features: Which features spike, shape ``(spike,)``, as in :class:`~hsnn_models.colanet.spikes.Events`.
        starts: Where the spikes of a timestep start, shape ``(sample, timestep + 1)``.
        labels: Column of the class of each sample, shape ``(sample,)``.
        constants: All choices.
        seed: Seed of the noise.
        copy: Number of the copy, which the noise depends on.
        start: Number of samples learned before these, modulo ``2**32``; the noise depends on it too.
        told: Shape ``(sample, 3)``; gets the winner and the timestep of its spike, or -1 and -1, and the forced neuron;
            where none was forced the last stays as it is.
    """
    voltage = np.zeros(thresholds.size, np.float32)
    current = np.zeros(thresholds.size, np.float32)
    marked = np.zeros(weights.shape[0], np.bool_)
    for sample in range(labels.size):
        key = _mixed(copy ^ _mixed(np.uint32(start + np.uint32(sample)) ^ _mixed(seed)))
        winner, when = _race(weights, thresholds, features, starts[sample], constants, key, voltage, current)
        right = winner >= 0 and columns[winner] == labels[sample]
        if winner >= 0:
            change = np.float32(constants.anti + constants.reward) if right else constants.anti
            change = np.float32(change * np.float32(_halved(float(stability[winner]))))
            number = _contributed(features, starts[sample], when, constants, marked)
            # The threshold of a neuron that lost is read below, so the winner's is set now.
            thresholds[winner] = _change(resources[winner], weights[:, winner], change, marked, number, constants)
        told[sample, 0], told[sample, 1] = winner, when
        if right:
            factor = _stabilized(constants.timesteps - when, constants.isi_max)
            step = np.float32(constants.rate * factor)
            stability[winner] = max(np.float32(stability[winner] + step), np.float32(0))
            continue
        forced = _nearest(voltage, thresholds, columns, labels[sample])
        change = np.float32(constants.reward * np.float32(_halved(float(stability[forced]))))
        number = _contributed(features, starts[sample], constants.timesteps, constants, marked)
        thresholds[forced] = _change(resources[forced], weights[:, forced], change, marked, number, constants)
        stability[forced] = max(np.float32(stability[forced] + np.float32(-constants.rate)), np.float32(0))
        told[sample, 2] = forced


@_compiled
def answer_copy(
    weights: Floats,
    thresholds: Floats,
    features: npt.NDArray[np.int32],
    starts: Integers,
    constants: Constants,
    first: npt.NDArray[np.int8],
) -> None:
    """Find when the winners of one copy spike; nothing is learned, and noise is replaced by its mean.

    Args:
        weights: Shape ``(feature, neuron)``.
        thresholds: Shape ``(neuron,)``.
        features: Which features spike, shape ``(spike,)``, as in :class:`~hsnn_models.colanet.spikes.Events`.
        starts: Where the spikes of a timestep start, shape ``(sample, timestep + 1)``.
        constants: All choices.
        first: Shape ``(sample, neuron)``; gets the timestep of the first spike of a sample for all neurons that have
            one then, and stays as it is for all others.
    """
    voltage = np.zeros(thresholds.size, np.float32)
    current = np.zeros(thresholds.size, np.float32)
    bias = np.float32(constants.noise * np.float32(0.5))
    for sample in range(first.shape[0]):
        voltage[:] = 0
        for t in range(constants.timesteps):
            _collect(weights, features, starts[sample, t], starts[sample, t + 1], current)
            won = False
            for j in range(voltage.size):
                x = np.float32(constants.keep * voltage[j]) + current[j] + bias
                voltage[j] = max(x, constants.floor)
                if voltage[j] >= thresholds[j]:
                    first[sample, j] = t
                    won = True
            if won:
                break
