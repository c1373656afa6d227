"""Where the command writes: results to standard output, everything else to standard error."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from hsnn.commands.plain import error_fields, plain, reasons_of
from hsnn.errors import HsnnError
from hsnn.report.cells import visible

if TYPE_CHECKING:
    from rich.console import Console as RichConsole

StageProgress = Callable[[str, int, int], None]
"""Called with a stage's name, how much of it is done and how much there is."""

WIDTH_OF_A_PIPE = 160
"""Columns of a table where there is no terminal to ask."""


class OutputClosedError(Exception):
    """Whoever read standard output has gone, as ``head`` does; there is nobody to tell."""


def _stdout() -> IO[str]:
    return sys.stdout


@dataclass(frozen=True, slots=True)
class Console:
    """The two streams of one call of ``hsnn-compile``.

    Attributes:
        json: Whether the result is one JSON object instead of text.
        quiet: Whether progress, notes and warnings are left out.
        verbose: Whether to say more, and to show tracebacks of internal errors.
        out: Standard output; kept, because what else is printed is sent to standard error.
    """

    json: bool = False
    quiet: bool = False
    verbose: bool = False
    out: IO[str] = field(default_factory=_stdout)

    @property
    def err(self) -> IO[str]:
        """Standard error as it is now: while progress is shown, what is written there moves above it."""
        return sys.stderr

    def result(self, value: Mapping[str, object], render: Callable[[], Iterable[object]]) -> None:
        """Show the result of a verb.

        Args:
            value: The result; printed with ``--json``.
            render: Makes the same result for people: lines of text and rich renderables. Not called with
                ``--json``.
        """
        if self.json:
            self._write(json.dumps(plain(value), indent=2, allow_nan=False) + "\n")
            return
        for item in render():
            self._write(f"{_shown(item)}\n" if isinstance(item, str) else self._drawn(item))

    def note(self, text: str) -> None:
        """Say something beside the result, unless quiet."""
        if not self.quiet:
            self._tell(text)

    def hint(self, text: str) -> None:
        """Say what could be done next, to somebody at a terminal."""
        if self.err.isatty() and not self.json:
            self.note(text)

    def waiting(self, text: str) -> None:
        """Say why something takes longer than usual: at a terminal, and with ``--verbose`` anywhere."""
        if self.verbose:
            self._tell(text)
        else:
            self.hint(text)

    def detail(self, text: str) -> None:
        """Say something that only ``--verbose`` asks for."""
        if self.verbose:
            self._tell(text)

    def warn(self, text: str) -> None:
        """Warn of something that does not stop the work, unless quiet."""
        self.note(f"warning: {text}")

    def error(self, error: HsnnError) -> None:
        """Say why the work failed, each reason for itself; the JSON of it, if asked for, is the caller's."""
        for reason in reasons_of(error) or (error,):
            self._tell(f"error: {reason}")

    def failure(self, error: HsnnError) -> None:
        """End a verb that has no result to show."""
        self.error(error)
        if self.json:
            self._write(json.dumps({"error": error_fields(error)}, indent=2) + "\n")

    @contextmanager
    def progress(self) -> Iterator[StageProgress]:
        """Show what is under way and how far it has come, on a terminal; say nothing in a pipe.

        With ``--verbose`` a pipe gets one line a stage.
        """
        if self.quiet or not self.err.isatty():
            yield self._stage_lines()
            return
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        tasks: dict[str, TaskID] = {}
        with Progress(*columns, console=self._rich(self.err), transient=True) as bars:

            def advance(stage: str, done: int, total: int) -> None:
                if stage not in tasks:
                    tasks[stage] = bars.add_task(stage, total=total or None)
                bars.update(tasks[stage], completed=done, total=total or None, visible=not 0 < total <= done)

            yield advance

    def flush(self) -> None:
        """Write out what is still buffered, so that a failure of it is not lost."""
        with self._guarded():
            self.out.flush()

    def _stage_lines(self) -> StageProgress:
        seen: set[str] = set()

        def advance(stage: str, done: int, total: int) -> None:
            if stage not in seen:
                seen.add(stage)
                self.detail(stage)

        return advance

    def _drawn(self, item: object) -> str:
        rich = self._rich(self.out)
        # What was written before goes out here, too.
        with self._guarded(), rich.capture() as capture:
            rich.print(item)
        # A table is padded to its width; a file or a diff needs no blanks at the ends of lines.
        return "".join(f"{line.rstrip()}\n" for line in capture.get().splitlines())

    def _rich(self, stream: IO[str]) -> RichConsole:
        from rich.console import Console as RichConsole

        # Without a terminal rich would take 80 columns, or what COLUMNS says.
        width = None if stream.isatty() or "COLUMNS" in os.environ else WIDTH_OF_A_PIPE
        return RichConsole(file=stream, width=width, highlight=False, markup=False, emoji=False)

    def _write(self, text: str) -> None:
        with self._guarded():
            self.out.write(text)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError as error:
            self._discard()
            raise OutputClosedError from error
        except OSError as error:
            self._discard()
            raise HsnnError(
                "HSNN-U110",
                f"the result cannot be written to standard output: {error.strerror or error}",
                fix="make room, or send the output elsewhere",
            ) from error

    def _discard(self) -> None:
        """Let what is buffered go nowhere: Python would complain of it again when it ends."""
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.out.fileno())
            os.close(nowhere)

    def _tell(self, text: str) -> None:
        with suppress(OSError):  # with standard error gone there is no place left to say it
            self.err.write(f"{_shown(text)}\n")
            self.err.flush()


def _shown(text: str) -> str:
    """A text of several lines in full, with what would move a terminal's cursor spelt out."""
    return "\n".join(visible(line, most=sys.maxsize) for line in text.split("\n"))
