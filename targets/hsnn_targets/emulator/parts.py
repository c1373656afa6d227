"""Cut a sample into parts that threads share, where that pays.

A network runs population by population through all timesteps of a window. Timesteps of synaptic sums need nothing of
each other, and neither do tiles of neurons; so either can be cut anywhere. What comes next needs all of them. Cycles,
and what takes about as little time as a meeting of threads, one thread does alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.projections import DenseProjection
from hsnn.ir.shape import size
from hsnn_targets.emulator import tables
from hsnn_targets.emulator.blocks import NEURON_SECONDS, projection_seconds, sample_seconds, worthwhile_threads
from hsnn_targets.emulator.kernel import Kernel
from hsnn_targets.emulator.nodes import is_graded
from hsnn_targets.emulator.plan import ROWS, Plan
from hsnn_targets.emulator.sharing import Part, Tasks, share

if TYPE_CHECKING:
    from hsnn_targets.emulator.kernel import Bound

STAGE_SECONDS = 5e-4
"""Predicted time in a window from which a stage is worth a meeting of threads; that takes about 0.1 ms."""
PIECES = 8
"""Parts for each thread, so that none waits long for one that is late, or whose timesteps have more spikes."""
BY_TIMESTEP = (tables.READ, tables.RECEIVE)
"""What is cut by timesteps; the rest is by tiles."""

run_part = Kernel("hsnn_targets.emulator.part_kernels", "run_part")


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of running a window.

    Attributes:
        what, first, last: See :class:`hsnn_targets.emulator.tables.Part`.
        units: Timesteps or tiles that it could be cut into, or 0.
        seconds: Predicted time in a window.
        more: What may be done in it instead of before it, predicted.
        least: Units that a part has at least, if that leaves a part for each thread.
        cut: Whether it is cut; one thread does it alone otherwise.
    """

    what: int
    first: int = 0
    last: int = 0
    units: int = 0
    seconds: float = 0.0
    more: float = 0.0
    least: int = 1
    cut: bool = False

    def parts(self, origin: int, steps: int, threads: int) -> tuple[Part, ...]:
        """Cut it, for a window of ``steps`` timesteps from ``origin`` on."""
        units = min(self.units, steps) if self.what in BY_TIMESTEP else self.units
        wanted = max(-(-units // (threads * PIECES)), min(self.least, -(-units // threads)))
        length = max(wanted if self.cut else units, 1)
        return tuple(
            (self.what, self.first, self.last, begin, min(begin + length, units), origin)
            for begin in range(0, max(units, 1), length)
        )


@dataclass(frozen=True, slots=True)
class Cut:
    """How threads share a sample.

    Attributes:
        threads: How many, at least 2.
        stages: What they do in each window, one after the other.
        timesteps: Timesteps of a sample.
        window: Timesteps of a window.
        time: What a shared sample is predicted to take, as a part of what one thread takes for it.
    """

    threads: int
    stages: tuple[Stage, ...]
    timesteps: int
    window: int
    time: float

    def pays(self, batch: int) -> bool:
        """Whether samples are faster shared, one after the other, than each on a thread of its own."""
        return batch < self.threads and batch * self.time < 1

    def run(self, kernels: Sequence[Bound], words: tuple[int, ...]) -> None:
        """Run one sample.

        Args:
            kernels: :data:`run_part` for each thread, bound to the same scratch.
            words: The run as kernels take it.
        """
        share(kernels, tuple(self.rounds()), words)

    def rounds(self) -> Iterator[Tasks]:
        """What may be done at the same time, then what may be after it, and so on."""
        alone: list[Part] = []
        for origin in range(0, self.timesteps, self.window):
            steps = min(self.window, self.timesteps - origin)
            for stage in self.stages:
                if stage.what == tables.CLEAR and origin > 0:
                    continue  # states go on from window to window
                parts = stage.parts(origin, steps, self.threads)
                if not stage.cut:
                    alone += parts
                    continue
                if alone:
                    yield deque([tuple(alone)])
                    alone = []
                yield deque((part,) for part in parts)
        yield deque([tuple(alone)])


def cut_sample(network: IntegerNetwork, plan: Plan, threads: int) -> Cut | None:
    """Choose how threads share a sample.

    Args:
        network: A valid network.
        plan: The same, compiled.
        threads: Most threads.

    Returns:
        None where one thread is as fast.
    """
    stages = (*_opening(network, plan), *_populations(network, plan), Stage(tables.CLOSE))
    seconds = -(-network.timesteps // plan.window) * sum(stage.seconds for stage in stages if stage.cut)
    shared = worthwhile_threads(seconds, threads)
    saved = min(seconds / sample_seconds(network), 1.0) * (1 - 1 / shared)
    return Cut(shared, stages, network.timesteps, plan.window, 1 - saved) if shared > 1 else None


def _opening(network: IntegerNetwork, plan: Plan) -> Iterator[Stage]:
    """States, the largest port, and all that sends besides populations."""
    tiles = plan.tiles.size // (tables.FIELDS * tables.TILE)
    yield _judged(Stage(tables.CLEAR, units=tiles, seconds=tiles * tables.TILE * NEURON_SECONDS))
    ports = [place for place, port in enumerate(network.inputs) if not is_graded(port)]
    # Without vectors all senders share the bytes that a port is read into.
    if not ports or (plan.vector is None and len(network.inputs) > 1):
        yield Stage(tables.OPEN, -1)
        return
    largest = max(ports, key=lambda place: size(network.inputs[place].shape))
    seconds = plan.window * size(network.inputs[largest].shape) * NEURON_SECONDS
    yield _judged(Stage(tables.READ, largest, units=plan.window, seconds=seconds))
    yield Stage(tables.OPEN, largest)


def _populations(network: IntegerNetwork, plan: Plan) -> Iterator[Stage]:
    """What populations receive, their neurons, and what these send."""
    for c, (first, _, recurrent) in enumerate(plan.program.components.tolist()):
        stages = () if recurrent else tuple(map(_judged, _population(network, plan, c, first)))
        if any(stage.cut for stage in stages):
            yield from stages
        else:
            yield Stage(tables.ADVANCE, c, c + 1)


def _population(network: IntegerNetwork, plan: Plan, c: int, q: int) -> Iterator[Stage]:
    """Stages of component ``c``, which is population ``q``."""
    neuron, live = plan.neurons[q], set(plan.projections)
    own = [p for p in network.projections if p.post == neuron.name and p.name in live]
    synapses = plan.window * sum(projection_seconds(network, projection) for projection in own)
    neurons = plan.window * size(neuron.shape) * NEURON_SECONDS
    # Every part reads all weights of dense layers and of products.
    together = any(isinstance(projection, DenseProjection) for projection in own) or _multiplies(plan, q)
    yield Stage(tables.RECEIVE, c, c + 1, plan.window, synapses, least=ROWS if together else 1)
    fused = plan.vector is not None and bool(plan.vector.layers[q]["fused"])
    tiles = int(plan.program.populations[q]["tiles"])
    yield Stage(tables.UPDATE, c, c + 1, tiles, neurons, more=synapses if fused else 0.0)
    yield Stage(tables.SEND, c, c + 1)


def _multiplies(plan: Plan, q: int) -> bool:
    """Whether any synapses of population ``q`` may run as products."""
    if plan.vector is None:
        return False
    population, products = plan.program.populations[q], plan.vector.products
    groups = plan.program.groups[population["first_group"] :][: population["groups"]]
    return any(bool(products[group["first"] : group["last"]]["taps"].any()) for group in groups)


def _judged(stage: Stage) -> Stage:
    """Cut a stage where that pays."""
    return replace(stage, cut=stage.units > 1 and stage.seconds + stage.more >= STAGE_SECONDS)
