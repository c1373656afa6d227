"""How ``hsnn-compile check`` ends: with the error that a build would end with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hsnn.errors import CapacityError, HsnnError, UnsupportedError

if TYPE_CHECKING:
    from hsnn.feasibility import CheckReport


def verdict(report: CheckReport) -> HsnnError | None:
    """The error that a build of this model would end with; None if there is none."""
    if not report.supported:
        codes = ", ".join(sorted({str(problem["code"]) for problem in report.problems}))
        return UnsupportedError(
            "HSNN-U140", f"the model cannot be compiled as it is: {codes}", fix="see the fix of each problem"
        )
    if not report.fits:
        return CapacityError(
            "HSNN-U141", "the spiking segments do not fit the chip", fix="make layers smaller, or name another --chip"
        )
    return None
