"""Synapses that learn, one timestep of the hardware at a time, as Lava's LearningDense does it.

Every rule that is not bookkeeping is in ``hsnn.ir.learning_arithmetic``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hsnn.ir import learning_arithmetic as rules
from hsnn.ir.learning import Trace

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hsnn.ir.plastic import PlasticProjection

    Int64 = NDArray[np.int64]
    Bool = NDArray[np.bool_]

VARIABLES = (("w", "dw"), ("t", "dt"), ("d", "dd"))
SENT = Trace(0.0, rules.THIRD_FACTOR_TAU)
"""How a trace goes on within an epoch that the neuron sends."""


class PlasticSynapses:
    """State of one plastic projection.

    Attributes:
        stored: ``w``, ``t`` and ``d``, each of shape ``(post, pre)``.
        pre_traces, post_traces: ``x1, x2`` and ``y1, y2, y3``, one row each.
        epochs: Epochs that lie behind.
    """

    def __init__(self, projection: PlasticProjection, *, third_factor: bool) -> None:
        self._rule, self._sign_mode = projection.rule, projection.sign_mode
        self._third_factor = third_factor
        self.stored = {
            "w": projection.weights.astype(np.int64),
            "t": projection.tag.astype(np.int64),
            "d": projection.tag_delay.astype(np.int64),
        }
        self.pre_traces = projection.pre_traces.astype(np.int64)
        self.post_traces = projection.post_traces.astype(np.int64)
        self.epochs = projection.epochs
        self._x = (self._rule.x1, self._rule.x2)
        self._y = (SENT,) * 3 if third_factor else (self._rule.y1, self._rule.y2, self._rule.y3)
        self._streams = rules.RandomStreams(self._rule, self.epochs)
        self._draws = self._streams.draw(1)
        self._pre_spiked = np.zeros(projection.weights.shape[1], np.int64)
        self._post_spiked = np.zeros(projection.weights.shape[0], np.int64)
        self._moment = 0

    def advance(self, pre: Bool, post: Bool, sent: Int64) -> None:
        """Take one timestep of the hardware, and learn if it ends an epoch.

        Args:
            pre: Which presynaptic neurons' spikes arrive, shape ``(pre,)``.
            post: Which postsynaptic neurons spike, shape ``(post,)``.
            sent: What they send as ``y1`` to ``y3``, shape ``(3, post)``; not used without a third factor.
        """
        self._moment += 1
        again = pre & (self._pre_spiked > 0)
        for row, trace in enumerate(self._x):
            self.pre_traces[row, again] = rules.add_impulse(self.pre_traces[row, again], trace, 0)
        self._pre_spiked[pre] = self._moment
        again = post & (self._post_spiked > 0)
        early = int(self._draws.early[0, self._moment - 1])
        for row, trace in enumerate(self._y):
            self.post_traces[row, again] = rules.add_impulse(self.post_traces[row, again], trace, early)
        self._post_spiked[post] = self._moment
        if self._third_factor:
            self.post_traces = sent.astype(np.int64)
        if self._moment == self._rule.epoch:
            self._learn()

    def _learn(self) -> None:
        """End an epoch."""
        before = self.stored
        x = self._history(self.pre_traces, self._x, self._pre_spiked, 0)
        y = self._history(self.post_traces, self._y, self._post_spiked, 1)
        self.epochs += 1

        def lookup(variable: str, dependency: str) -> Int64:
            return self._see(variable, dependency, x, y, before)

        after = {}
        for variable, target in VARIABLES:
            products = getattr(self._rule, target)
            if not products:
                continue
            low, high = rules.accumulator_range(variable, self._sign_mode)
            after[variable] = rules.round_stored(
                rules.accumulate(before[variable], products, lookup),
                float(self._draws.rounding[0]),
                rules.stored_range(variable, self._sign_mode),
                floor=low,
                ceiling=high,
            )
        self.stored = {**before, **after}
        self.pre_traces = x[-1]
        if not self._third_factor:
            self.post_traces = y[-1]
        self._pre_spiked[:], self._post_spiked[:], self._moment = 0, 0, 0
        self._draws = self._streams.draw(1)

    def _history(self, start: Int64, traces: tuple[Trace, ...], spiked: Int64, side: int) -> Int64:
        """Traces after each timestep of the epoch, shape ``(timestep + 1, trace, neuron)``."""
        decay, impulse = float(self._draws.decay[0, side]), int(self._draws.impulse[0, side])
        history = [start]
        for moment in range(1, self._rule.epoch + 1):
            now = np.stack(
                [rules.decay_trace(row, trace.tau, decay) for row, trace in zip(history[-1], traces, strict=True)]
            )
            last = spiked == moment
            for row, trace in enumerate(traces):
                now[row, last] = rules.add_impulse(now[row, last], trace, impulse)
            history.append(now)
        return np.stack(history)

    def _see(self, variable: str, dependency: str, x: Int64, y: Int64, stored: dict[str, Int64]) -> Int64:
        """A variable as a product of some dependency sees it; shapes broadcast to ``(post, pre)``."""
        pre, post = self._pre_spiked, self._post_spiked
        if variable in stored:
            return stored[variable]
        match variable[0], variable[1:]:
            case "u", _:
                return np.array(int(self.epochs % (1 << self._rule.decimate) == 0))
            case "x", "0":
                return (pre > 0).astype(np.int64)[None, :]
            case "y", "0":
                return (post > 0).astype(np.int64)[:, None]
            case "x", number:
                row = x[:, int(number) - 1]
                own, other = row[pre, np.arange(pre.size)][None, :], row[post]
                seen: dict[str, Int64] = {"x0": own, "y0": other, "u": row[-1][None, :]}
                return seen[dependency]
            case _, number:
                row = y[:, int(number) - 1]
                own, other = row[post, np.arange(post.size)][:, None], row[pre].T
                seen = {"y0": own, "x0": other, "u": row[-1][:, None]}
                return seen[dependency]
