"""Teach a program: samples with labels go through its host parts, and its spiking part learns from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hsnn.errors import UnsupportedError, UsageError
from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.plan import HostStage
from hsnn.ir.plastic import LearnerPopulation, learners, plastic_projections
from hsnn.ir.shape import size
from hsnn.learning import label_train, learn
from hsnn.program import ChipStage, Program
from hsnn.runtime.bridge import to_payloads
from hsnn.runtime.host import HostExecutable, default_threads, find_provider
from hsnn.runtime.inputs import check_inputs, sample_count, take_samples
from hsnn.runtime.stages import stage_errors
from hsnn.target import Progress, Target, find_target

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Arrays = Mapping[str, NDArray[Any]]

LESSON_BYTES = 1 << 28
"""What the spikes of samples that are learned in one go may take. Learning in parts is learning in one, but a target
starts anew for each part."""


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """What came of teaching.

    Attributes:
        program: The program with what it has learned; without golden samples and report, which no longer hold.
        labels: What it was told, shape ``(sample,)``; -1 where nothing.
        answers: What it said before it was told, shape ``(sample,)``; -1 where no neuron had spiked.
        changed: For each plastic projection: share of its weights that are others now.
    """

    program: Program
    labels: NDArray[np.int64]
    answers: NDArray[np.int64]
    changed: Mapping[str, float]

    @property
    def right(self) -> int:
        """Samples whose class it knew before it was told."""
        return int(np.count_nonzero((self.labels == self.answers) & (self.labels >= 0)))


def learning_stage(program: Program) -> tuple[ChipStage, LearnerPopulation]:
    """Find the stage that learns and the population that is told labels.

    Raises:
        UnsupportedError: ``HSNN-T061``, unless there is one of each, behind host stages only.
    """
    stages = program.chip_stages
    taught = [(stage, p) for stage in stages for p in learners(stage.network) if plastic_projections(stage.network)]
    if len(stages) != 1 or len(taught) != 1:
        raise UnsupportedError(
            "HSNN-T061",
            f"the program has {len(stages)} spiking stages and {len(taught)} populations that are taught",
            allowed="one spiking stage with one learner population behind plastic projections",
            fix="build such a program with hsnn_models.learning_head",
        )
    return taught[0]


def teach(
    program: Program,
    inputs: ArrayLike | Mapping[str, ArrayLike],
    labels: NDArray[np.integer],
    *,
    target: str | Target = "emulator",
    host: str = "cpu",
    timeout: float | None = None,
    progress: Progress | None = None,
) -> Lesson:
    """Teach a program, sample by sample, in order; see :class:`hsnn.ir.plastic.LearnerPopulation`.

    Args:
        program: A program that learns; it stays what it is.
        inputs: As for :meth:`hsnn.runtime.session.Session.run`.
        labels: Class of each sample, or -1 for none.
        target: Where it learns.
        host: Where host stages run.
        timeout: Seconds without progress after which the target gives up, or its default.
        progress: Told of finished samples.

    Raises:
        UnsupportedError: ``HSNN-T060``, if the target cannot learn; ``HSNN-T061``, if the program cannot.
        UsageError: ``HSNN-U060`` and ``HSNN-R101`` to ``HSNN-R104`` for labels and inputs.
        RunError: If the target fails; nothing is kept then.
    """
    stage, population = learning_stage(program)
    arrays = check_inputs(inputs, program.inputs)
    samples = sample_count(arrays, program.inputs) or 1
    told = np.asarray(labels)
    label_train(told, population.shape[0], 1)  # all labels are checked before anything is learned
    if told.shape != (samples,):
        raise UsageError(
            "HSNN-U060",
            f"there are {told.size} labels for {samples} samples",
            allowed="one a sample",
            fix="give one label for every sample; -1 is no label",
        )
    chosen = find_target(target) if isinstance(target, str) else target
    network, answers = stage.network, []
    with ExitStack() as loaded:
        hosts = _load_hosts(program, stage, host, loaded)
        length = _lesson_samples(network)
        for start in range(0, samples, length):
            stop = min(start + length, samples)
            spikes = _spikes(take_samples(arrays, program.inputs, start=start, stop=stop), hosts, stage, population)
            spikes[population.label] = label_train(told[start:stop], population.shape[0], network.timesteps)
            with stage_errors(stage.name):
                network, said = _learn(chosen, network, spikes, population, timeout, progress)
            answers.append(said)
    return Lesson(
        _with_network(program, stage, network),
        told.astype(np.int64),
        np.concatenate(answers),
        {
            old.name: float(np.mean(old.weights != new.weights))
            for old, new in zip(plastic_projections(stage.network), plastic_projections(network), strict=True)
        },
    )


def _learn(
    target: Target,
    network: IntegerNetwork,
    spikes: Arrays,
    population: LearnerPopulation,
    timeout: float | None,
    progress: Progress | None,
) -> tuple[IntegerNetwork, NDArray[np.int64]]:
    """Learn from some samples; returns the network and what it said."""
    executable = target.load(network, timeout=timeout)
    try:
        learned = learn(executable, spikes, trace=True, progress=progress)
    finally:
        executable.close()
    sent = learned.result.spikes[population.name].sum(axis=(0, 3))
    return learned.network, np.where(sent.any(axis=1), sent.argmax(axis=1), -1)


def _lesson_samples(network: IntegerNetwork) -> int:
    """Samples of one go: all that ports and neurons send is held for each timestep, four bytes apiece."""
    senders = sum(size(item.shape) for item in (*network.inputs, *network.neurons))
    return max(1, LESSON_BYTES // (4 * network.timesteps * senders))


def _load_hosts(
    program: Program, stage: ChipStage, host: str, loaded: ExitStack
) -> Sequence[tuple[HostStage, HostExecutable]]:
    """Load the host stages before the one that learns."""
    before = [item for item in program.stages[: program.stages.index(stage)] if isinstance(item, HostStage)]
    provider = find_provider(host) if before else ""
    hosts = []
    for item in before:
        with stage_errors(item.name):
            hosts.append((item, HostExecutable(item, provider=provider, threads=default_threads())))
        loaded.callback(hosts[-1][1].close)
    return hosts


def _spikes(
    values: Arrays, hosts: Sequence[tuple[HostStage, HostExecutable]], stage: ChipStage, population: LearnerPopulation
) -> dict[str, NDArray[np.int32]]:
    """What the ports of the learning stage are sent, but for the labels."""
    made = dict(values)
    for item, executable in hosts:
        with stage_errors(item.name):
            made |= executable.run({name: made[name] for name in item.inputs})
    ports = {port.name: port for port in stage.network.inputs}
    return {
        item.port: to_payloads(made[item.value], ports[item.port], scale=item.scale, timesteps=stage.network.timesteps)[
            0
        ]
        for item in stage.inputs
        if item.port != population.label
    }


def _with_network(program: Program, stage: ChipStage, network: IntegerNetwork) -> Program:
    """Return a program with another network; what was measured of the old one is left out."""
    stages = tuple(replace(stage, network=network) if item is stage else item for item in program.stages)
    return replace(program, stages=stages, golden=None, report=None)
