"""What one comparison of the ladder gives."""

from __future__ import annotations

from dataclasses import dataclass

from hsnn.verify.difference import Difference


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a comparison found.

    Attributes:
        passed: Whether the two agree.
        detail: What was measured.
        difference: Where they part, if that is known.
    """

    passed: bool
    detail: str
    difference: Difference | None = None


class Skipped(Exception):  # noqa: N818 - it is no error
    """A comparison that cannot be made here; the text says why."""
