"""How the text of an argument is read: numbers, times, pins."""

from __future__ import annotations

import argparse
import math


def pin(text: str) -> tuple[str, str]:
    """Read ``GLOB=host`` or ``GLOB=chip``."""
    glob, equals, place = text.rpartition("=")
    if not equals or not glob or place not in ("host", "chip"):
        raise argparse.ArgumentTypeError(f"{text!r} is not GLOB=host or GLOB=chip")
    return glob, place


def positive(text: str) -> int:
    """Read a whole number of 1 or more."""
    return _whole(text, least=1)


def spike_timesteps(text: str) -> int | None:
    """Read a number of timesteps; None for ``auto``."""
    return None if text == "auto" else positive(text)


def natural(text: str) -> int:
    """Read a whole number of 0 or more."""
    return _whole(text, least=0)


def real(text: str) -> float:
    """Read a finite number."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return number


def seconds(text: str) -> float:
    """Read a time above 0 in seconds."""
    number = real(text)
    if number <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time above 0 seconds")
    return number


def _whole(text: str, *, least: int) -> int:
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
    if number < least:
        raise argparse.ArgumentTypeError(f"{text!r} is below {least}")
    return number
