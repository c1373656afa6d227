"""The verify ladder: every stage of a build proven against the one before.

1. torch = ONNX: the hybrid ONNX model computes what the torch module computes.
2. host segments = ONNX: each host model of the artifact, and each spiking segment in float, computes what
   the hybrid model computes there.
3. float ~ integer: each layer's integers stay within the limits of the build.
4. reference = emulator: every spike and final state, bit for bit.
5. emulator = Lava: the same.
6. golden replay: the program does what it did when it was built.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from hsnn.errors import UsageError, VerificationError
from hsnn.libraries import named_if_missing
from hsnn.program import Program, require_program
from hsnn.runtime.inputs import check_inputs
from hsnn.runtime.session import Session
from hsnn.target import Target, find_target
from hsnn.verify.difference import Difference, first_difference
from hsnn.verify.floats import FloatRungs, has_compiler
from hsnn.verify.outcome import Outcome, Skipped
from hsnn.verify.replay import replay_golden

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from hsnn.report.layers import Limits
    from hsnn.runtime.result import ChipTrace

    Array = NDArray[np.generic]

Status: TypeAlias = Literal["passed", "failed", "skipped"]
Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with the name of a rung, how much of it is done, and how much there is."""

EMULATOR, REFERENCE = "emulator", "reference"


_WAYS_OUT = {
    "torch = ONNX": "name the model as it was compiled, with the same --weights, --time and --outputs; one that draws "
    "its weights at every call needs a seed",
    "float ~ integer": "build again with calibration samples like those that it runs on; --limit accepts a larger "
    "difference, and hsnn-compile inspect tells that of each layer",
    "golden replay": "build the artifact again with this version of hsnn",
}
_REPORT_IT = "this should never happen: please report it, with the artifact"


def _way_out(rung: str) -> str:
    """What helps where a rung failed; integers that differ are a mistake of hsnn, or of a target."""
    return _WAYS_OUT.get(rung, _REPORT_IT)


@dataclass(frozen=True, slots=True)
class Rung:
    """One comparison.

    Attributes:
        name: What is compared with what.
        status: ``passed``, ``failed`` or ``skipped``.
        detail: What was measured, or why it was skipped.
        difference: Where the two part, if they do.
        seconds: Time that it took.
    """

    name: str
    status: Status
    detail: str
    difference: Difference | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """Outcome of the ladder."""

    rungs: tuple[Rung, ...]

    @property
    def passed(self) -> bool:
        """Whether no rung failed."""
        return all(rung.status != "failed" for rung in self.rungs)

    def raise_for_status(self) -> None:
        """Raise if a rung failed.

        Raises:
            VerificationError: ``HSNN-V001``, naming the first rung that failed and where.
        """
        for rung in self.rungs:
            if rung.status == "failed":
                where = f": {rung.difference}" if rung.difference else ""
                raise VerificationError(
                    "HSNN-V001",
                    f"{rung.name} failed: {rung.detail}{where}",
                    allowed="no difference beyond the limits",
                    fix=_way_out(rung.name),
                )


@named_if_missing()
def verify(
    program: Program,
    *,
    model: nn.Module | None = None,
    samples: Mapping[str, Array] | None = None,
    target: str | Target = "loihi2-sim",
    limits: Limits | None = None,
    timeout: float | None = None,
    progress: Progress | None = None,
) -> VerifyReport:
    """Climb the ladder.

    Args:
        program: What to prove.
        model: The torch module that it was compiled from; without it the first rung is skipped.
        samples: Model inputs; those of the golden traces if None.
        target: Target that is held to the emulator, or its name; ``emulator`` and ``reference`` leave that rung out.
        limits: Limits for floats against integers; those of the build if None.
        timeout: Seconds without progress after which the target gives up, or its default.
        progress: Told how far it is.

    Raises:
        UsageError: ``HSNN-U156``, if it is no program; ``HSNN-V002``, if there are no samples;
            or if they do not fit the model.
        TargetMissingError: If the target is not there.
    """
    require_program(program)
    arrays = _samples(program, samples)
    top = find_target(target) if isinstance(target, str) else target
    tell = progress or (lambda name, done, total: None)
    rungs: list[Rung] = []
    floats = FloatRungs(program, arrays, limits)
    with Session(program, target=EMULATOR, batch_size=1 << 30) as session:
        traces = session.run(arrays, trace=True).traces
    climbs: list[tuple[str, Callable[[], Outcome]]] = [
        ("torch = ONNX", lambda: floats.torch_equals_onnx(_required_model(model))),
        ("host segments = ONNX", floats.segments_equal_onnx),
        ("float ~ integer", floats.integers_within_limits),
        ("reference = emulator", lambda: _equal_on(program, traces, find_target(REFERENCE), None)),
        (f"emulator = {top.name}", lambda: _equal_on(program, traces, top, timeout)),
        ("golden replay", lambda: replay_golden(program)),
    ]
    if top.name in (EMULATOR, REFERENCE):
        climbs.pop(4)
    for index, (name, climb) in enumerate(climbs):
        tell(name, index, len(climbs))
        rungs.append(_climb(name, climb, needs_compiler=index < 3))
    tell("done", len(climbs), len(climbs))
    return VerifyReport(tuple(rungs))


def _samples(program: Program, samples: Mapping[str, Array] | None) -> dict[str, Array]:
    if samples is not None:
        return check_inputs(samples, program.inputs)
    if program.golden is None:
        raise UsageError(
            "HSNN-V002", "the artifact has no golden traces", fix="give samples, for example with --input data.npz"
        )
    return dict(program.golden.inputs)


def _required_model(model: nn.Module | None) -> nn.Module:
    if model is None:
        raise Skipped("no torch model was given; name it with --model")
    return model


def _climb(name: str, climb: Callable[[], Outcome], *, needs_compiler: bool) -> Rung:
    start = time.perf_counter()
    try:
        if needs_compiler and not has_compiler():
            raise Skipped("needs the compiler's libraries: pip install 'hsnn[torch]'")
        outcome = climb()
    except Skipped as reason:
        return Rung(name, "skipped", str(reason))
    status: Status = "passed" if outcome.passed else "failed"
    return Rung(name, status, outcome.detail, outcome.difference, time.perf_counter() - start)


def _equal_on(program: Program, traces: Mapping[str, ChipTrace], target: Target, timeout: float | None) -> Outcome:
    """Run every spiking segment on a target with the payloads of the emulator's run and compare all.

    A target may have a true attribute ``outputs_only``: a board shows what leaves it and nothing inside.
    """
    outputs_only = bool(getattr(target, "outputs_only", False))
    counted = 0
    for name, difference, spikes in _differences(program, traces, target, timeout, outputs_only):
        if difference is not None:
            return Outcome(False, f"segment {name!r} differs", difference)
        counted += spikes
    samples = next(iter(next(iter(traces.values())).result.outputs.values())).shape[1]
    if outputs_only:
        return Outcome(True, f"all outputs of {samples} samples equal; {target.name} shows nothing inside")
    if not counted:
        return Outcome(True, f"all final states of {samples} samples equal, but nothing spiked: give samples that do")
    return Outcome(True, f"{counted:,} spikes of {samples} samples and all final states equal")


def _differences(
    program: Program, traces: Mapping[str, ChipTrace], target: Target, timeout: float | None, outputs_only: bool
) -> Iterator[tuple[str, Difference | None, int]]:
    for stage in program.chip_stages:
        trace = traces[stage.name]
        with closing(target.load(stage.network, timeout=timeout)) as executable:
            found = executable.run(trace.payloads, trace=not outputs_only)
        yield (
            stage.name,
            first_difference(stage.network, trace.result, found, outputs_only=outputs_only),
            sum(trace.result.spike_counts.values()),
        )
