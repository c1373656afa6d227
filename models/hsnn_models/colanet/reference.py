"""How a CoLaNET head learns and answers, written to be read; `fast` computes the same, bit for bit.

One presentation of a sample to one copy, times in timesteps::

    0 ... active - 1     features send spikes; voltages rise
                         first neuron over its threshold wins: it spikes, all others are blocked until the end
    active + wait        the label comes. If the winner is of its column: the winner is rewarded. If not, the bias
                         gate forces the neuron of its column that is nearest to its threshold, which is rewarded

Local rules, for the synapses that contributed to a spike of neuron ``j`` (``c_i``), with ``g = 2**-stability``::

    unforced spike       R_i += anti_hebbian * g * c_i
    reward               R_i += dopamine * g * c_i
    after the sample     R_i -= (sum of all these changes) / (features + silent_synapses)      for every i
    w_i = w_min + d max(R_i, 0) / (d + max(R_i, 0)),  d = w_max - w_min
    threshold_j = threshold + threshold_excess * sum_i max(w_i, 0)

So a right answer changes next to nothing, a wrong one is punished, a missed class is written into a neuron.

Source: KasperskyLab/knp @ 70208e95 (``altai_stdp.h``, ``blifat_stdp.h``, ``training/stdp.h``) and arXiv 2409.01230.
Departures: of neurons that cross in one timestep the one that is furthest above its threshold wins (KNP draws lots);
the bias gate forces one neuron, the nearest (KNP excites the whole column); the changes of one sample are added up
before they are applied; weights and thresholds follow at once; neurons that stay silent keep their stability.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hsnn_models.colanet.arithmetic import halved, stabilized
from hsnn_models.colanet.parameters import Parameters
from hsnn_models.colanet.spikes import Events
from hsnn_models.colanet.state import Floats, Integers, State, thresholds_of, weights_of

Winners = npt.NDArray[np.int64]


def learn(state: State, events: Events, columns: Integers, parameters: Parameters, seed: int) -> Winners:
    """Learn samples one after the other; ``state`` is changed.

    Args:
        state: The head.
        events: Input spikes of the samples.
        columns: Column of each sample's class, shape ``(sample,)``.
        parameters: All choices.
        seed: Seed of the noise.

    Returns:
        What happened, shape ``(sample, copy, 3)``: the neuron that won, the timestep of its spike, and the neuron that
        was forced; -1 where there was none.
    """
    told = np.full((len(columns), parameters.copies, 3), -1, np.int64)
    for sample, column in enumerate(columns):
        for copy in range(parameters.copies):
            told[sample, copy] = _learn_one(state, copy, events, sample, int(column), parameters, seed)
        state.seen += 1
    return told


def first_spikes(state: State, events: Events, parameters: Parameters) -> npt.NDArray[np.int8]:
    """Return when the winners of each copy spike, without learning; noise is replaced by its mean.

    All neurons that cross in the first such timestep win, since spikes do not tell how far a neuron went over.

    Returns:
        Timesteps, shape ``(sample, copy, neuron)``; ``timesteps`` for neurons that did not win.
    """
    samples, copies, neurons = len(events.starts), parameters.copies, len(state.columns)
    first = np.full((samples, copies, neurons), parameters.timesteps, np.int8)
    bias = np.full(neurons, np.float32(parameters.noise) * np.float32(0.5), np.float32)
    for sample in range(samples):
        for copy in range(copies):
            voltage = np.zeros(neurons, np.float32)
            for t in range(parameters.timesteps):
                voltage = _integrated(voltage, state.weights[copy], events.at(sample, t), bias, parameters)
                crossed = voltage >= state.thresholds[copy]
                if crossed.any():
                    first[sample, copy, crossed] = t
                    break
    return first


def _learn_one(
    state: State, copy: int, events: Events, sample: int, column: int, parameters: Parameters, seed: int
) -> tuple[int, int, int]:
    """Present one sample to one copy; return who won and when, and who was forced."""
    winner, when, voltage = _race(state, copy, events, sample, parameters, seed)
    right = winner >= 0 and state.columns[winner] == column
    anti, reward = np.float32(parameters.anti_hebbian), np.float32(parameters.dopamine)
    if winner >= 0:
        change = anti + reward if right else anti
        _change(state, copy, winner, change, _contributed(events, sample, when, parameters), parameters)
    if right:
        factor = stabilized(parameters.timesteps - when, parameters.isi_max)
        _stabilize(state, copy, winner, factor, parameters)
        return winner, when, -1
    of_class = np.flatnonzero(state.columns == column)
    nearest = np.argmax(voltage[of_class] - state.thresholds[copy, of_class])
    forced = int(of_class[nearest])
    contributed = _contributed(events, sample, parameters.timesteps, parameters)
    _change(state, copy, forced, reward, contributed, parameters)
    _stabilize(state, copy, forced, -1.0, parameters)
    return winner, when, forced


def _race(
    state: State, copy: int, events: Events, sample: int, parameters: Parameters, seed: int
) -> tuple[int, int, Floats]:
    """Integrate until a neuron spikes; return it and its timestep (or -1 and -1), and all voltages then."""
    voltage = np.zeros(len(state.columns), np.float32)
    for t in range(parameters.timesteps):
        random = noise(seed, copy, state.seen, t, len(voltage))
        voltage = _integrated(
            voltage, state.weights[copy], events.at(sample, t), np.float32(parameters.noise) * random, parameters
        )
        above = voltage - state.thresholds[copy]
        if above.max() >= 0:
            return int(np.argmax(above)), t, voltage
    return -1, -1, voltage


def _integrated(
    voltage: Floats, weights: Floats, spiking: npt.NDArray[np.int32], extra: Floats, parameters: Parameters
) -> Floats:
    """Return the voltages after one timestep; weights are added feature by feature, in float32."""
    current = np.zeros_like(voltage)
    for feature in spiking:
        current += weights[feature]
    voltage = np.float32(1.0 - parameters.leak) * voltage + current + extra
    return np.maximum(voltage, np.float32(0)) if parameters.floor else voltage


def _contributed(events: Events, sample: int, timestep: int, parameters: Parameters) -> npt.NDArray[np.int32]:
    """Return the features whose spikes came in the window that ends with a timestep, ascending, once each."""
    last = min(timestep, parameters.timesteps - 1)
    times = range(max(timestep - parameters.window + 1, 0), last + 1)
    return np.unique(np.concatenate([events.at(sample, t) for t in times])) if times else np.zeros(0, np.int32)


def _change(
    state: State,
    copy: int,
    neuron: int,
    change: np.float32,
    contributed: npt.NDArray[np.int32],
    parameters: Parameters,
) -> None:
    """Change the resources of a neuron, share the sum out, and let weights and threshold follow."""
    change = change * np.float32(halved(float(state.stability[copy, neuron])))
    resources = state.resources[copy, neuron]
    count = np.float32(len(resources)) + np.float32(parameters.silent_synapses)
    share = -(change * np.float32(len(contributed))) / count
    resources[contributed] += change
    resources += share
    weights = weights_of(resources, parameters)
    state.weights[copy, :, neuron] = weights
    state.thresholds[copy, neuron] = thresholds_of(weights, parameters)


def _stabilize(state: State, copy: int, neuron: int, factor: float, parameters: Parameters) -> None:
    """Add to the stability of a neuron, which stays at least 0."""
    step = np.float32(parameters.stability_rate * parameters.dopamine * factor)
    state.stability[copy, neuron] = max(state.stability[copy, neuron] + step, np.float32(0))


def noise(seed: int, copy: int, sample: int, timestep: int, neurons: int) -> Floats:
    """Return uniform noise for the neurons of a copy: a pure function of its arguments.

    A counter goes through the 32-bit finalizer of MurmurHash3 (Appleby, public domain) at every level.

    Returns:
        float32 in [0, 1), multiples of ``2**-24``, shape ``(neuron,)``.
    """
    key = np.uint32(0)
    for part in (seed, sample, copy, timestep):
        key = mixed(np.asarray([part & 0xFFFFFFFF], np.uint32) ^ key)[0]
    counter = np.arange(neurons, dtype=np.uint32) + np.full(neurons, key, np.uint32)
    return (mixed(counter) >> np.uint32(8)).astype(np.float32) * np.float32(2**-24)


def mixed(h: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """Permute the 32-bit integers: the finalizer ``fmix32`` of MurmurHash3, on an array of any shape.

    >>> [int(value) for value in mixed(np.arange(3, dtype=np.uint32))]
    [0, 1364076727, 821347078]
    """
    h = h ^ (h >> np.uint32(16))
    h = h * np.uint32(0x85EBCA6B)
    h = h ^ (h >> np.uint32(13))
    h = h * np.uint32(0xC2B2AE35)
    return h ^ (h >> np.uint32(16))
