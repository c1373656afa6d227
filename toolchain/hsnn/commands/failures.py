"""What a user is told of an exception that nobody meant to raise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hsnn.errors import HsnnError, HsnnWarning
from hsnn.libraries import missing_library

if TYPE_CHECKING:
    from hsnn.commands.console import Console


def coded(error: Exception, console: Console) -> HsnnError:
    """Return an exception as an error with a code; ``--verbose`` shows where mistakes of hsnn come from."""
    if isinstance(error, HsnnError):
        return error
    if isinstance(error, MemoryError):
        fix = "use fewer samples, a smaller --batch-size, or a machine with more memory"
        return HsnnError("HSNN-U114", f"out of memory: {error}", fix=fix)
    if isinstance(error, OSError):
        return HsnnError(
            "HSNN-U115",
            f"the system refused: {error}",
            fix="mend what the system names: rights, room on the disk, or the path",
        )
    if isinstance(error, HsnnWarning):  # Python was asked to raise warnings
        code, _, text = str(error).partition(": ")
        return HsnnError(code, text, fix="heed it, or run without -W error and PYTHONWARNINGS=error")
    if isinstance(error, ModuleNotFoundError):
        return missing_library(error) or _internal(error, console)
    return _internal(error, console)


def _internal(error: Exception, console: Console) -> HsnnError:
    if console.verbose:
        import traceback

        traceback.print_exception(type(error), error, error.__traceback__, file=console.err)
    return HsnnError(
        "HSNN-U116",
        f"internal error: {type(error).__name__}: {error}",
        fix="please report it with what --verbose shows",
    )
