"""Record golden traces: what a few samples do, stage by stage, to be replayed later."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from hsnn.program import Golden, Program
from hsnn.runtime.inputs import check_inputs
from hsnn.runtime.session import Session
from hsnn.target import Target

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def record_golden(
    program: Program, inputs: ArrayLike | Mapping[str, ArrayLike], *, target: str | Target = "reference"
) -> Golden:
    """Run a few samples in one batch and keep everything.

    Args:
        program: The program.
        inputs: As for :meth:`hsnn.runtime.session.Session.run`.
        target: Target that is believed.

    Raises:
        HsnnError: As a run does.
    """
    arrays = check_inputs(inputs, program.inputs)
    with Session(program, target=target, batch_size=1 << 30) as session:
        result = session.run(arrays, trace=True)
    return Golden(
        inputs=arrays,
        outputs=result.outputs,
        payloads={name: trace.payloads for name, trace in result.traces.items()},
        sent={name: {**trace.result.outputs, **trace.result.spikes} for name, trace in result.traces.items()},
    )
