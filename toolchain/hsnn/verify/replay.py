"""Replay the golden traces of an artifact."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np

from hsnn.program import ChipStage, Golden, Program
from hsnn.runtime.session import Session
from hsnn.target import SegmentResult, find_target
from hsnn.verify.difference import Difference, first_difference
from hsnn.verify.outcome import Outcome, Skipped

if TYPE_CHECKING:
    from numpy.typing import NDArray

TARGET = "emulator"
RELATIVE = 1e-3
"""How far outputs may be apart where another processor or ONNX Runtime computes the host part."""


def replay_golden(program: Program) -> Outcome:
    """Feed each chip stage its golden payloads, then the whole program its golden inputs.

    What the chip sends has to be equal bit for bit. Outputs of the whole program may differ by the
    rounding of the host part.

    Raises:
        Skipped: If the artifact has no golden traces.
    """
    golden = program.golden
    if golden is None:
        raise Skipped("the artifact has no golden traces")
    for stage in program.chip_stages:
        difference = _replay_stage(stage, golden)
        if difference is not None:
            return Outcome(False, f"segment {stage.name!r} does not do what it did", difference)
    with Session(program, target=TARGET, batch_size=1 << 30) as session:
        outputs = session.run(golden.inputs).outputs
    worst = max((_relative(golden.outputs[name], outputs[name]) for name in golden.outputs), default=0.0)
    samples = next(iter(golden.inputs.values())).shape[0]
    return Outcome(worst <= RELATIVE, f"{samples} samples, outputs differ by {worst:.2g} of their range")


def _replay_stage(stage: ChipStage, golden: Golden) -> Difference | None:
    with closing(find_target(TARGET).load(stage.network)) as executable:
        found = executable.run(golden.payloads[stage.name], trace=True)
    sent = golden.sent[stage.name]
    expected = SegmentResult(outputs=sent, current=found.current, voltage=found.voltage)
    made = SegmentResult(outputs={**found.outputs, **found.spikes}, current=found.current, voltage=found.voltage)
    return first_difference(stage.network, expected, made)


def _relative(expected: NDArray[Any], found: NDArray[Any]) -> float:
    if expected.shape != found.shape:
        return float("inf")
    gap = np.abs(expected.astype(np.float64) - found.astype(np.float64)).max(initial=0.0)
    return float(gap / max(float(np.abs(expected).max(initial=0.0)), 1e-12))
