"""Every deliberate error of hsnn.

::

    HsnnError                exit 1   any error that hsnn raises on purpose
      UsageError             exit 2   a wrong argument, file or option
      UnsupportedError       exit 3   a model that cannot be compiled, with every reason
      CapacityError          exit 4   a network that does not fit the chip
      VerificationError      exit 5   two stages that should agree do not
      TargetMissingError     exit 6   a target that is not there
      QuantizationError      exit 1   integers that stray too far from the floats
      ArtifactError          exit 1   an artifact that is damaged, edited or from elsewhere
      RunError               exit 1   a run that failed: a worker killed, stalled or out of memory
      MissingLibraryError    exit 1   a library that is not installed; a ModuleNotFoundError, too

An error names the object, what was found, what is allowed and how to mend it. Its code is stable:
scripts and bug reports may rely on it. ``docs/errors.md`` lists every code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class HsnnError(Exception):
    """Base of all deliberate errors.

    Attributes:
        code: Stable identifier such as ``HSNN-P007``.
        found: What is wrong, one sentence that names the object.
        allowed: What would be accepted, or an empty string.
        fix: What the user can do, or an empty string.
        exit_status: Exit status of ``hsnn-compile`` for this error.
    """

    exit_status: ClassVar[int] = 1

    def __init__(self, code: str, found: str, *, allowed: str = "", fix: str = "") -> None:
        self.code = code
        self.found = found
        self.allowed = allowed
        self.fix = fix
        super().__init__(str(self))

    def __str__(self) -> str:
        lines = [f"{self.code}: {self.found}"]
        if self.allowed:
            lines.append(f"  allowed: {self.allowed}")
        if self.fix:
            lines.append(f"  fix: {self.fix}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.code, self.found, self.allowed, self.fix))


class HsnnWarning(UserWarning):
    """Something legal about a model that may surprise whoever deploys it; the text starts with a stable code."""


def _rebuild(kind: type[HsnnError], code: str, found: str, allowed: str, fix: str) -> HsnnError:
    return kind(code, found, allowed=allowed, fix=fix)


class UsageError(HsnnError):
    """A wrong argument, file or option."""

    exit_status = 2


class UnsupportedError(HsnnError):
    """A model that cannot be compiled as it is.

    Attributes:
        reasons: Each reason as an error of its own, where there are several; else empty.
    """

    exit_status = 3
    reasons: tuple[UnsupportedError, ...] = ()

    @classmethod
    def joined(cls, reasons: Sequence[UnsupportedError]) -> UnsupportedError:
        """Return one error that tells every reason, under the code of the first."""
        first, *others = reasons
        if not others:
            return first
        found = "; ".join((first.found, *(f"{other.code}: {other.found}" for other in others)))
        fixes = dict.fromkeys(reason.fix for reason in reasons if reason.fix)
        error = cls(first.code, found, allowed=first.allowed, fix="; ".join(fixes))
        error.reasons = tuple(reasons)
        return error


class CapacityError(HsnnError):
    """A network that does not fit the chip."""

    exit_status = 4


class VerificationError(HsnnError):
    """Two stages that should agree do not."""

    exit_status = 5


class TargetMissingError(HsnnError):
    """A target, execution provider or board that is not there."""

    exit_status = 6


class QuantizationError(HsnnError):
    """Integers that stray from the floats beyond the stated limits."""


class ArtifactError(HsnnError):
    """An artifact that is damaged, edited, incomplete or unsafe."""


class RunError(HsnnError):
    """A run that failed after it had started."""


class MissingLibraryError(HsnnError, ModuleNotFoundError):
    """A library that is not installed and that what was asked for needs.

    It is a ModuleNotFoundError, too, so that ``try: import ... except ImportError`` around hsnn goes on working.
    """
