"""A target that tells how far it is: a batch on Lava may take minutes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hsnn.recording import Recording, record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hsnn.ir.integer import IntegerNetwork
    from hsnn.ir.validate_batch import Inputs
    from hsnn.target import Executable, Progress, SegmentResult, Target, TargetStatus

    Int32 = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class ReportingTarget:
    """A target that passes everything on to another one, and tells of finished samples.

    Attributes:
        target: The target that does the work.
        tell: Called with the name of a network and the number of samples that it has just finished; by
            the thread that runs the network.
    """

    target: Target
    tell: Callable[[str, int], None]

    @property
    def name(self) -> str:
        """Name of the target that does the work."""
        return self.target.name

    def status(self) -> TargetStatus:
        """Status of the target that does the work."""
        return self.target.status()

    def load(self, network: IntegerNetwork, *, timeout: float | None = None) -> Executable:
        """Prepare a network; see :class:`hsnn.target.Target`."""
        return _Reporting(self.target.load(network, timeout=timeout), network.name, self.tell)


@dataclass(frozen=True, slots=True)
class _Reporting:
    executable: Executable
    network: str
    tell: Callable[[str, int], None]

    def run(self, inputs: Inputs, *, trace: bool = False, progress: Progress | None = None) -> SegmentResult:
        """Run one batch; see :class:`hsnn.target.Executable`."""
        return self.executable.run(inputs, trace=trace, progress=self._finished(progress))

    def record(self, inputs: Inputs, what: Recording, *, progress: Progress | None = None) -> SegmentResult:
        """Run one batch and record; see :func:`hsnn.recording.record`."""
        return record(self.executable, inputs, what, progress=self._finished(progress))

    def _finished(self, progress: Progress | None) -> Progress:
        def finished(samples: int) -> None:
            self.tell(self.network, samples)
            if progress is not None:
                progress(samples)

        return finished

    def close(self) -> None:
        """Close the executable."""
        self.executable.close()
