"""The same as `reference`, compiled: equal in every weight and spike, and what a head uses by default.

Copies learn independently of each other, so each kernel takes one copy through all samples of a chunk, while its
weights stay in the cache, and copies are spread over threads. Additions are those of the reference in its order.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from hsnn.libraries import named_if_missing
from hsnn_models.colanet.parameters import Parameters
from hsnn_models.colanet.spikes import Events
from hsnn_models.colanet.state import Integers, State

with named_if_missing():
    from hsnn_models.colanet.fast_kernels import Constants, answer_copy, learn_copy


def learn(
    state: State, events: Events, columns: Integers, parameters: Parameters, seed: int, *, threads: int = 1
) -> npt.NDArray[np.int64]:
    """As :func:`hsnn_models.colanet.reference.learn`.

    Args:
        state: The head; it is changed.
        events: Input spikes of the samples.
        columns: Column of each sample's class.
        parameters: All choices.
        seed: Seed of the noise.
        threads: Copies that learn at the same time.
    """
    constants = _constants(parameters, state.weights.shape[1])
    told = np.full((parameters.copies, len(columns), 3), -1, np.int64)
    start = np.uint32(state.seen & 0xFFFFFFFF)

    def one(copy: int) -> None:
        learn_copy(
            state.resources[copy],
            state.weights[copy],
            state.thresholds[copy],
            state.stability[copy],
            state.columns,
            events.features,
            events.starts,
            columns,
            constants,
            np.uint32(seed & 0xFFFFFFFF),
            np.uint32(copy),
            start,
            told[copy],
        )

    _each(one, parameters.copies, threads)
    state.seen += len(columns)
    return told.transpose(1, 0, 2)


def first_spikes(state: State, events: Events, parameters: Parameters, *, threads: int = 1) -> npt.NDArray[np.int8]:
    """As :func:`hsnn_models.colanet.reference.first_spikes`."""
    constants = _constants(parameters, state.weights.shape[1])
    first = np.full((parameters.copies, len(events.starts), len(state.columns)), parameters.timesteps, np.int8)

    def one(copy: int) -> None:
        answer_copy(state.weights[copy], state.thresholds[copy], events.features, events.starts, constants, first[copy])

    _each(one, parameters.copies, threads)
    return first.transpose(1, 0, 2)


def _each(one: Callable[[int], None], copies: int, threads: int) -> None:
    if threads == 1 or copies == 1:
        for copy in range(copies):
            one(copy)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(one, range(copies)))


def _constants(parameters: Parameters, features: int) -> Constants:
    return Constants(
        timesteps=parameters.timesteps,
        window=parameters.window,
        isi_max=parameters.isi_max,
        threshold=np.float32(parameters.threshold),
        excess=np.float32(parameters.threshold_excess),
        low=np.float32(parameters.weight_min),
        width=np.float32(parameters.width),
        anti=np.float32(parameters.anti_hebbian),
        reward=np.float32(parameters.dopamine),
        sharers=np.float32(features) + np.float32(parameters.silent_synapses),
        rate=parameters.stability_rate * parameters.dopamine,
        noise=np.float32(parameters.noise),
        keep=np.float32(1.0 - parameters.leak),
        floor=np.float32(0) if parameters.floor else np.float32(-np.inf),
    )
