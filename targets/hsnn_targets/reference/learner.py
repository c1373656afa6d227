"""Neurons that compete and tell their synapses what to learn; see :class:`hsnn.ir.plastic.LearnerPopulation`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hsnn.ir import learning_arithmetic as rules

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hsnn.ir.plastic import LearnerPopulation

    Int32 = NDArray[np.int32]
    Int64 = NDArray[np.int64]

NOBODY = -1


class Competition:
    """One sample of one population.

    Args:
        population: The population.
        stability, recruited: Its state, shape ``(classes, neurons of a column)``; changed in place.
    """

    def __init__(self, population: LearnerPopulation, stability: Int64, recruited: Int64) -> None:
        self._population = population
        self._stability, self._recruited = stability.reshape(-1), recruited.reshape(-1)
        self._winner = NOBODY
        self._taught = False
        self.sent = np.zeros((3, stability.size), np.int64)
        """``y1``, ``y2`` and ``y3`` of every neuron."""

    def step(self, v: Int32, label: int) -> Int32:
        """Take one timestep.

        Args:
            v: Voltages, shape ``(classes, neurons of a column)``.
            label: Class + 1, or 0.

        Returns:
            Spikes, same shape.
        """
        flat = v.reshape(-1).astype(np.int64)
        spikes = np.zeros(flat.shape, np.int32)
        able = flat > np.broadcast_to(self._population.threshold, v.shape).reshape(-1)
        if self._winner == NOBODY and not self._taught and able.any():
            self._winner = int(np.argmax(np.where(able, flat, np.iinfo(np.int64).min)))
            spikes[self._winner] = 1
        if label and not self._taught:
            self._taught = True
            self._teach(flat, label - 1)
        return spikes.reshape(v.shape)

    def _teach(self, v: Int64, wanted: int) -> None:
        population, winner = self._population, self._winner
        width = population.shape[1]
        right = winner != NOBODY and winner // width == wanted
        if winner != NOBODY:
            self.sent[1, winner] = rules.third_factor(population.penalty, int(self._stability[winner]))
        if right:
            self._reward(winner, population.stability_up)
            return
        if winner != NOBODY:
            self._settle(winner, -population.stability_down)
        column = slice(wanted * width, (wanted + 1) * width)
        eligible = v[column] - population.recruit_margin * self._recruited[column]
        self._reward(column.start + int(np.argmax(eligible)), -population.stability_down)

    def _reward(self, neuron: int, change: int) -> None:
        self.sent[0, neuron] = rules.third_factor(self._population.reward, int(self._stability[neuron]))
        self._settle(neuron, change)
        self._recruited[neuron] = 1

    def _settle(self, neuron: int, change: int) -> None:
        self._stability[neuron] = min(max(int(self._stability[neuron]) + change, 0), rules.STABILITY_MAX)
