"""What a CoLaNET head has learned, and how weights and thresholds follow from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hsnn_models.colanet.parameters import Parameters

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]


@dataclass(slots=True, eq=False)
class State:
    """All that changes while a head learns. Both ways of learning change these arrays in place.

    Neurons of a copy are ordered by column: neuron ``j`` belongs to column ``columns[j]``.

    Attributes:
        resources: Resource of each synapse, float32, shape ``(copy, neuron, feature)``.
        weights: Weights that follow from them, float32, shape ``(copy, feature, neuron)``.
        thresholds: Threshold of each neuron with its excess, float32, shape ``(copy, neuron)``.
        stability: Stability of each neuron, float32, at least 0, shape ``(copy, neuron)``.
        columns: Column of each neuron, int64, shape ``(neuron,)``.
        seen: Number of samples that were learned so far; the noise depends on it.
    """

    resources: Floats
    weights: Floats
    thresholds: Floats
    stability: Floats
    columns: Integers
    seen: int

    @classmethod
    def new(cls, features: int, columns: int, parameters: Parameters) -> State:
        """Return a state in which nothing was learned yet."""
        copies, neurons = parameters.copies, columns * parameters.microcolumns
        above = parameters.weight_start - parameters.weight_min
        start = above * parameters.width / (parameters.width - above)
        resources = np.full((copies, neurons, features), start, np.float32)
        return cls.of(resources, np.zeros((copies, neurons), np.float32), 0, parameters)

    @classmethod
    def of(cls, resources: Floats, stability: Floats, seen: int, parameters: Parameters) -> State:
        """Return the state with weights and thresholds that follow from resources.

        Args:
            resources: Float32, shape ``(copy, neuron, feature)``; kept, not copied.
            stability: Float32, at least 0, shape ``(copy, neuron)``; kept, not copied.
            seen: Number of samples that were learned so far.
            parameters: For the neurons of a column, and the constants of weights and thresholds.
        """
        weights = weights_of(resources, parameters)
        columns = np.repeat(np.arange(resources.shape[1] // parameters.microcolumns), parameters.microcolumns)
        return cls(
            resources=resources,
            weights=np.ascontiguousarray(weights.transpose(0, 2, 1)),
            thresholds=thresholds_of(weights, parameters),
            stability=stability,
            columns=columns.astype(np.int64),
            seen=seen,
        )

    def with_columns(self, count: int, parameters: Parameters) -> State:
        """Return the state with so many new columns behind the others, which stay as they are."""
        fresh = State.new(self.resources.shape[2], count, parameters)
        return State.of(
            np.concatenate((self.resources, fresh.resources), axis=1),
            np.concatenate((self.stability, fresh.stability), axis=1),
            self.seen,
            parameters,
        )

    def copy(self) -> State:
        """Return a state that shares nothing with this one."""
        return State(
            self.resources.copy(),
            self.weights.copy(),
            self.thresholds.copy(),
            self.stability.copy(),
            self.columns.copy(),
            self.seen,
        )


def weights_of(resources: Floats, parameters: Parameters) -> Floats:
    """Return the weights that follow from resources: ``w_min + d R / (d + R)`` with ``d = w_max - w_min``.

    A resource below 0 is a debt: its synapse has the smallest weight until it is paid.

    Args:
        resources: Float32, any shape.
        parameters: For ``w_min`` (``weight_min``) and ``d`` (``width``).

    Returns:
        Float32, same shape.
    """
    low, width = np.float32(parameters.weight_min), np.float32(parameters.width)
    positive = np.maximum(resources, np.float32(0))
    weights: Floats = (low + width * positive / (width + positive)).astype(np.float32, copy=False)
    return weights


def thresholds_of(weights: Floats, parameters: Parameters) -> Floats:
    """Return the thresholds of neurons: ``threshold + threshold_excess * sum_i max(w_i, 0)``.

    The sum is taken feature by feature, in float32, so that both ways of learning find the same.

    Args:
        weights: Float32, shape ``(..., feature)``.
        parameters: For ``threshold`` and ``threshold_excess``.

    Returns:
        Float32, shape ``(...)``.
    """
    positive = np.add.accumulate(np.maximum(weights, np.float32(0)), axis=-1)[..., -1]
    total = np.float32(parameters.threshold) + np.float32(parameters.threshold_excess) * positive
    thresholds: Floats = total.astype(np.float32, copy=False)
    return thresholds
