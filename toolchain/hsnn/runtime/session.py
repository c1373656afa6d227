"""Run a program: host stages on ONNX Runtime, chip stages on a target, one after the other or at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from hsnn.errors import RunError, UsageError
from hsnn.ir.plan import ModelValue
from hsnn.program import Program, require_program
from hsnn.recording import Recording
from hsnn.runtime.host import HostExecutable, default_threads, find_provider
from hsnn.runtime.inputs import batch_axis, check_inputs, sample_count, take_samples
from hsnn.runtime.pipeline import run_pipeline
from hsnn.runtime.result import ChipTrace, RunResult, StageRun, merge_stages, merge_traces
from hsnn.runtime.stages import ChipRunner, HostRunner, Runner, stage_errors
from hsnn.target import Progress, Target, find_target
from hsnn.validate import validate_program

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Values = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class _Batch:
    """A batch on its way through the stages."""

    samples: int | None
    values: Values
    reports: tuple[StageRun, ...] = ()
    traces: tuple[ChipTrace, ...] = ()


_Step: TypeAlias = Callable[[_Batch], _Batch]
TIMED = 2
"""Batches that run one stage after the other before stages may get threads; the first also makes what is made once."""
PAYS = 0.01
"""Seconds a batch that threads have to save: they share processors with the stages, and one may take milliseconds to
wake while others compute. On two processors a model of 2 us a sample ran six times as fast without, 32 at a time."""


class Session:
    """A program loaded on a host and a target; a context manager.

    With more than two batches, and where the first two show that it pays, every stage has a thread of its own and works
    on another batch. The result is the same as without; batches stay in order.

    An error in a stage, or an interrupt, closes the session, because a target may be left half way.
    An error in the inputs does not.
    """

    def __init__(
        self,
        program: Program,
        *,
        target: str | Target = "emulator",
        host: str = "cpu",
        batch_size: int = 32,
        timeout: float | None = None,
        threads: int | None = None,
        pipeline: bool | None = None,
    ) -> None:
        """Load a program.

        Args:
            program: The program.
            target: Where chip stages run: a name, or the target itself.
            host: Where host stages run; see :data:`hsnn.runtime.host.PROVIDERS`.
            batch_size: Samples that go through a stage at once.
            timeout: Seconds without progress after which the target gives up, or its default.
            threads: Threads of each host stage, or one for each processor.
            pipeline: Whether stages work on successive batches at the same time; None for where that saves at least
                :data:`PAYS` a batch, as the second one tells.

        Raises:
            UsageError: ``HSNN-R105``, if a number is out of range; ``HSNN-U156``, if it is no program.
            TargetMissingError: If target or host are not there.
            UnsupportedError: If the target cannot run a network.
            RunError: ``HSNN-R107``, if ONNX Runtime cannot load a host stage.
        """
        require_program(program)
        _check_options(batch_size, timeout, threads)
        validate_program(program)
        self.program = program
        self._batch_size = batch_size
        self._pipeline = pipeline
        self._keep = _live_values(program)
        self._running = threading.Lock()
        self._closing = threading.Lock()
        self._closed = False
        with ExitStack() as loading:
            loaded = _load_chips(program, loading, target, timeout)
            loaded.update(_load_hosts(program, loading, host, threads or default_threads()))
            self._resources = loading.pop_all()
        self._runners: tuple[Runner, ...] = tuple(loaded[stage.name] for stage in program.stages)

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release everything, at once; a run in another thread ends with ``HSNN-R106``."""
        with self._closing:
            self._closed = True
            self._runners = ()
            resources = self._resources.pop_all()
        resources.close()

    def run(
        self,
        inputs: ArrayLike | Mapping[str, ArrayLike],
        *,
        trace: bool | Recording = False,
        progress: Progress | None = None,
    ) -> RunResult:
        """Run samples through the program.

        Args:
            inputs: One array for each input by its name, or the array of the only input, with the
                shape and dtype that ``program.inputs`` states; float64 is taken for float32.
            trace: Whether to record payloads, spikes and final states of every chip stage; or a
                :class:`hsnn.recording.Recording`, for spikes as packed bits, and states over time.
            progress: Called in this thread with the number of samples of each finished batch.

        Returns:
            Outputs, counts and timing.

        Raises:
            UsageError: ``HSNN-R101`` to ``HSNN-R104``, if the inputs are wrong; ``HSNN-R106``, if the
                session is closed.
            RunError: ``HSNN-R107`` to ``HSNN-R109``, or what the target says; it names the stage.
        """
        arrays = check_inputs(inputs, self.program.inputs)
        with self._running:
            # Before the look at _closed: a close in between would leave no stages.
            runners = self._runners
            if self._closed:
                raise UsageError("HSNN-R106", "the session is closed", fix="open another one")
            start = time.perf_counter()
            batches: list[_Batch] = []
            steps = [self._step(index, runner, trace) for index, runner in enumerate(runners)]
            try:
                self._run_all(arrays, steps, batches, progress)
            except BaseException:  # a target may be left half way
                self.close()
                raise
            return self._result(batches, time.perf_counter() - start)

    def _run_all(self, arrays: Values, steps: list[_Step], finished: list[_Batch], progress: Progress | None) -> None:
        count = sample_count(arrays, self.program.inputs)

        def done(batch: _Batch) -> None:
            finished.append(batch)
            if progress is not None:
                progress(batch.samples or 1)

        waiting = self._batches(arrays, count)
        several = len(steps) > 1 and count is not None and count > self._batch_size
        if not (self._pipeline and several):
            for batch in waiting:
                for step in steps:
                    batch = step(batch)
                done(batch)
                if self._pipeline is None and len(finished) == TIMED and overlap(batch.reports) >= PAYS:
                    break
            else:
                return
        run_pipeline(waiting, steps, done=done, cancel=self.close)

    def _batches(self, arrays: Values, count: int | None) -> Iterator[_Batch]:
        if count is None:
            yield _Batch(None, arrays)
            return
        for start in range(0, count, self._batch_size):
            stop = min(start + self._batch_size, count)
            yield _Batch(stop - start, take_samples(arrays, self.program.inputs, start=start, stop=stop))

    def _step(self, index: int, runner: Runner, trace: bool | Recording) -> _Step:
        def step(batch: _Batch) -> _Batch:
            with stage_errors(runner.stage.name, closed=lambda: self._closed):
                made, report, traced = runner.run(batch.values, samples=batch.samples, trace=trace)
            if self._closed:
                raise RunError(
                    "HSNN-R106",
                    "the session was closed during the run",
                    fix="open another session, and close it after the run",
                )
            values = {name: array for name, array in {**batch.values, **made}.items() if name in self._keep[index]}
            traces = batch.traces if traced is None else (*batch.traces, traced)
            return _Batch(batch.samples, values, (*batch.reports, report), traces)

        return step

    def _result(self, batches: list[_Batch], seconds: float) -> RunResult:
        names = [stage.name for stage in self.program.chip_stages] if batches[0].traces else []
        return RunResult(
            outputs=self._outputs(batches),
            samples=sum(batch.samples or 1 for batch in batches),
            seconds=seconds,
            stages=tuple(
                merge_stages([batch.reports[index] for batch in batches]) for index in range(len(batches[0].reports))
            ),
            traces={name: merge_traces([batch.traces[index] for batch in batches]) for index, name in enumerate(names)},
        )

    def _outputs(self, batches: list[_Batch]) -> dict[str, NDArray[Any]]:
        outputs = {}
        for value in self.program.outputs:
            axis = batch_axis(value)
            parts = [batch.values[value.name] for batch in batches]
            for batch, part in zip(batches, parts, strict=True):
                fits = axis is None or (part.ndim == len(value.shape) and part.shape[axis] == (batch.samples or 1))
                if not fits or (axis is None and len(parts) > 1):
                    raise RunError(
                        "HSNN-R109",
                        f"output {value.name!r} of {batch.samples} samples has shape {part.shape}",
                        allowed="a batch axis with one entry a sample",
                        fix=_without_batch(self.program.outputs),
                    )
            outputs[value.name] = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=axis or 0)
        return outputs


def _without_batch(outputs: tuple[ModelValue, ...]) -> str:
    """Say what to do about outputs that have no batch axis."""
    kept = [value.name.removeprefix("output_") for value in outputs if batch_axis(value) is not None]
    alone = "return a value for each sample, such as a mean over features or timesteps"
    if not kept:
        return alone
    python = ", ".join(name if name.isdecimal() else repr(name) for name in kept)
    return (
        f"{alone}; or leave it out of a torch model: hsnn-compile --outputs {','.join(kept)}, "
        f"hsnn.nn.KeepOutputs(model, [{python}]) in Python"
    )


def overlap(reports: Sequence[StageRun]) -> float:
    """Seconds that a batch would save, at best, if its stages worked at the same time as those of other batches."""
    seconds = [sum(report.seconds) for report in reports]
    return sum(seconds) - max(seconds)


def _load_chips(program: Program, loading: ExitStack, target: str | Target, timeout: float | None) -> dict[str, Runner]:
    """Load every chip stage; what is loaded is closed with ``loading``."""
    runners: dict[str, Runner] = {}
    if not program.chip_stages:
        return runners
    back_end = find_target(target) if isinstance(target, str) else target
    for stage in program.chip_stages:
        with stage_errors(stage.name):
            runners[stage.name] = ChipRunner(stage, back_end.load(stage.network, timeout=timeout))
        loading.callback(runners[stage.name].close)
    return runners


def _load_hosts(program: Program, loading: ExitStack, host: str, threads: int) -> dict[str, Runner]:
    """Load every host stage; what is loaded is closed with ``loading``."""
    runners: dict[str, Runner] = {}
    provider = find_provider(host) if program.host_stages else ""
    for stage in program.host_stages:
        with stage_errors(stage.name):
            runners[stage.name] = HostRunner(stage, HostExecutable(stage, provider=provider, threads=threads))
        loading.callback(runners[stage.name].close)
    return runners


def _live_values(program: Program) -> tuple[frozenset[str], ...]:
    """For each stage, the values that are still needed after it."""
    live = frozenset(value.name for value in program.outputs)
    kept = []
    for stage in reversed(program.stages):
        kept.append(live)
        live |= frozenset(stage.reads)
    return tuple(reversed(kept))


def _check_options(batch_size: int, timeout: float | None, threads: int | None) -> None:
    for name, number in (("batch_size", batch_size), ("threads", threads)):
        if number is not None and (isinstance(number, bool) or not isinstance(number, int) or number < 1):
            raise UsageError(
                "HSNN-R105",
                f"{name} is {number!r}",
                allowed="a whole number, 1 or more",
                fix="leave it out for the default",
            )
    if timeout is not None and not (isinstance(timeout, int | float) and timeout > 0):
        raise UsageError(
            "HSNN-R105",
            f"timeout is {timeout!r}",
            allowed="seconds above 0",
            fix="leave it out for the target's default",
        )
