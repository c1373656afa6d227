"""Networks that learn, on Lava: a worker for runs, and a fresh one for each lesson, whose weights are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hsnn.errors import RunError
from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.plastic import LearnerPopulation, PlasticProjection, learners, plastic_projections, with_parts
from hsnn.learning import Learned
from hsnn.passes.mapping.epochs import learning_clock
from hsnn.target import Progress, SegmentResult
from hsnn_targets.lava.executable import LavaExecutable
from hsnn_targets.lava.layout import from_lava
from hsnn_targets.lava.plastic import LEARNED, TAUGHT, learned_arrays, projection_name
from hsnn_targets.lava.populations import part_name

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hsnn.ir.validate_batch import Inputs

    Int32 = NDArray[np.int32]


@dataclass(slots=True)
class LearningLava:
    """A network with parts that learn.

    Attributes:
        network: A valid network; each run and each lesson starts from it.
        start: Starts a worker that learns, or one that does not.
    """

    network: IntegerNetwork
    start: Callable[[bool], LavaExecutable]
    _running: LavaExecutable | None = field(init=False, default=None)
    _lesson: LavaExecutable | None = field(init=False, default=None)
    _closed: bool = field(init=False, default=False)

    def run(self, inputs: Inputs, *, trace: bool = False, progress: Progress | None = None) -> SegmentResult:
        """Run one batch without learning; see :class:`hsnn.target.Executable`."""
        self._require_open()
        if self._running is None:
            self._running = self.start(False)
        return self._running.run(inputs, trace=trace, progress=progress)

    def learn(self, inputs: Inputs, *, trace: bool = False, progress: Progress | None = None) -> Learned:
        """Learn from samples in order; see :class:`hsnn.learning.Learner`.

        Raises:
            RunError: ``HSNN-R020`` to ``HSNN-R023``.
        """
        self._require_open()
        self._lesson = lesson = self.start(True)
        try:
            result = lesson.run(inputs, trace=trace, progress=progress)
            samples = next(iter(inputs.values())).shape[1]
            return Learned(self._read(lesson, samples), result)
        finally:
            lesson.close()
            self._lesson = None

    def close(self) -> None:
        """Kill the workers; may be called twice."""
        self._closed = True
        for executable in (self._running, self._lesson):
            if executable is not None:
                executable.close()

    def _require_open(self) -> None:
        if self._closed:
            raise RunError("HSNN-R023", "the network is closed", fix="load it again")

    def _read(self, lesson: LavaExecutable, samples: int) -> IntegerNetwork:
        """Read what the processes have learned."""
        projections, populations = plastic_projections(self.network), learners(self.network)
        wanted = [(projection_name(p.name), variable) for p in projections for variable in LEARNED]
        wanted += [(part_name(p.name), variable) for p in populations for variable in TAUGHT]
        values = dict(zip(wanted, lesson.read(wanted), strict=True))
        period = learning_clock(self.network).period
        return with_parts(
            self.network,
            {p.name: self._projection(p, values, samples * period) for p in projections},
            {p.name: _population(p, values) for p in populations},
        )

    def _projection(
        self, projection: PlasticProjection, values: Mapping[tuple[str, str], NDArray[np.int64]], steps: int
    ) -> PlasticProjection:
        read = {variable: values[projection_name(projection.name), variable] for variable in LEARNED}
        pre, post = (self.network.source(name).shape for name in (projection.pre, projection.post))
        arrays: dict[str, Any] = learned_arrays(read, pre, post)
        return replace(projection, epochs=projection.epochs + steps // projection.rule.epoch, **arrays)


def _population(
    population: LearnerPopulation, values: Mapping[tuple[str, str], NDArray[np.int64]]
) -> LearnerPopulation:
    arrays: dict[str, Any] = {
        variable: from_lava(values[part_name(population.name), variable], population.shape).astype(np.int32)
        for variable in TAUGHT
    }
    return replace(population, **arrays)
