"""One stage of a program, loaded: it reads values and makes values, batch by batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from hsnn.errors import HsnnError, RunError
from hsnn.ir.plan import HostStage
from hsnn.ir.validate_batch import widen
from hsnn.packed_spikes import PackedSpikes
from hsnn.program import ChipStage
from hsnn.recording import Recording, record
from hsnn.runtime.bridge import from_sent, to_payloads, to_spikes
from hsnn.runtime.host import HostExecutable
from hsnn.runtime.result import ChipTrace, StageRun
from hsnn.target import Executable, SegmentResult

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hsnn.ir.validate_batch import Inputs, Payloads

    Values = Mapping[str, NDArray[Any]]


class Runner(Protocol):
    """A loaded stage. It may be run by one thread at a time, and closed by any."""

    @property
    def stage(self) -> HostStage | ChipStage:
        """The stage."""
        ...

    def run(
        self, values: Values, *, samples: int | None, trace: bool | Recording
    ) -> tuple[Values, StageRun, ChipTrace | None]:
        """Run one batch.

        Args:
            values: What the stage reads, and maybe more.
            samples: Number of samples, if it is known.
            trace: Whether to record everything, or what to record.

        Returns:
            The values that the stage makes, its counts, and a trace if asked for and a chip stage.
        """
        ...

    def close(self) -> None:
        """Release everything and end a run that is under way; may be called twice."""
        ...


class HostRunner:
    """A host stage on ONNX Runtime."""

    def __init__(self, stage: HostStage, executable: HostExecutable) -> None:
        self.stage = stage
        self._executable = executable

    def run(
        self, values: Values, *, samples: int | None, trace: bool | Recording
    ) -> tuple[Values, StageRun, ChipTrace | None]:
        """Run one batch; see :class:`Runner`."""
        start = time.perf_counter()
        made = self._executable.run({name: values[name] for name in self.stage.inputs})
        return made, StageRun(self.stage.name, (time.perf_counter() - start,)), None

    def close(self) -> None:
        """End a run that is under way."""
        self._executable.close()


class ChipRunner:
    """A chip stage on a target, with its bridge."""

    def __init__(self, stage: ChipStage, executable: Executable) -> None:
        self.stage = stage
        self._executable = executable
        self._ports = {port.name: port for port in stage.network.inputs}

    def run(
        self, values: Values, *, samples: int | None, trace: bool | Recording
    ) -> tuple[Values, StageRun, ChipTrace | None]:
        """Run one batch; see :class:`Runner`."""
        start = time.perf_counter()
        timesteps = self.stage.network.timesteps
        payloads: dict[str, Payloads] = {}
        clipped, messages = {}, {}
        for item in self.stage.inputs:
            value, port = values[item.value], self._ports[item.port]
            spikes = to_spikes(value, port, timesteps=timesteps) if item.scale == 1.0 else None
            if spikes is None:
                payloads[item.port], clipped[item.port] = to_payloads(
                    value, port, scale=item.scale, timesteps=timesteps
                )
            else:
                payloads[item.port], clipped[item.port] = spikes, 0
            messages[item.value] = int(np.count_nonzero(payloads[item.port]))
            self._check(payloads[item.port], item.port, samples)
        if isinstance(trace, Recording):
            result = record(self._executable, payloads, trace)
        else:
            result = self._executable.run(payloads, trace=trace)
        made = {}
        for output in self.stage.outputs:
            sent = result.outputs[output.population]
            self._check(sent, output.population, samples)
            made[output.value] = from_sent(sent, output.scale)
            messages[output.value] = int(np.count_nonzero(sent[-1:] if output.last else sent))
        seconds = time.perf_counter() - start
        report = StageRun(self.stage.name, (seconds,), result.spike_counts, messages, clipped)
        if isinstance(trace, Recording):
            return made, report, self._packed(payloads, result)
        return made, report, ChipTrace(widen(payloads), result) if trace else None

    def close(self) -> None:
        """Close the executable."""
        self._executable.close()

    def _packed(self, payloads: Inputs, result: SegmentResult) -> ChipTrace:
        """Pack the spikes of binary ports, too."""
        graded = widen({name: array for name, array in payloads.items() if self._ports[name].graded})
        binary = {name: PackedSpikes.pack(array) for name, array in payloads.items() if name not in graded}
        return ChipTrace(graded, replace(result, packed={**binary, **result.packed}))

    def _check(self, array: Payloads, name: str, samples: int | None) -> None:
        """Check what crosses: a value with another batch than the samples' would mix them up."""
        network = self.stage.network
        shape = (network.timesteps, array.shape[1] if samples is None else samples, *network.source(name).shape)
        if array.shape != shape:
            raise RunError(
                "HSNN-R108",
                f"{name!r} has shape {array.shape}",
                allowed=str(shape),
                fix="build the artifact again; it does not fit itself",
            )


class stage_errors:  # noqa: N801 - used like a function
    """Context in which every error names a stage; what is no HsnnError becomes ``HSNN-R107``.

    Once the session is closed, whatever a stage raises is only the echo of that: ``HSNN-R106``.
    """

    def __init__(self, name: str, *, closed: Callable[[], bool] = lambda: False) -> None:
        self._name = name
        self._closed = closed

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            return
        if isinstance(error, Exception) and self._closed():
            raise RunError(
                "HSNN-R106",
                "the session was closed during the run",
                fix="open another session, and close it after the run",
            ) from error
        where = f"stage {self._name!r}"
        match error:
            case HsnnError():
                raise type(error)(
                    error.code, f"{where}: {error.found}", allowed=error.allowed, fix=error.fix
                ) from error
            case MemoryError():
                raise RunError("HSNN-R107", f"{where} ran out of memory", fix="choose a smaller batch size") from error
            case Exception():
                raise RunError(
                    "HSNN-R107",
                    f"{where} failed: {type(error).__name__}: {error}",
                    fix="run hsnn-compile verify on the artifact: it tells whether the stage or the input is to blame",
                ) from error
