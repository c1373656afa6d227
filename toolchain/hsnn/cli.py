"""``hsnn-compile``: arguments in, exit status out."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from types import FrameType
from typing import NoReturn, TextIO

from hsnn.commands.console import Console, OutputClosedError
from hsnn.commands.failures import coded
from hsnn.errors import HsnnError

OUTPUT_CLOSED = 141
"""What a shell reports for a process that SIGPIPE ended."""


class _InterruptedError(HsnnError):
    """Ctrl-C."""

    exit_status = 128 + signal.SIGINT


class _TerminatedError(BaseException):
    """The system asks the process to end."""

    def __init__(self, number: int) -> None:
        self.status = 128 + number
        super().__init__(number)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: Arguments without the program's name; those of the process by default.

    Returns:
        The exit status: 0 done, 1 any other error, 2 usage, 3 model unsupported, 4 does not fit, 5 verification
        failed, 6 target missing, 130 interrupted.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    _open_closed()
    _tolerate_names(sys.stdout)
    # Arguments that cannot be parsed are an error in the form that they ask for.
    console = Console(json="--json" in arguments, verbose="-v" in arguments or "--verbose" in arguments)
    try:
        status = _guarded(arguments, console)
        console.flush()
    except OutputClosedError:
        return OUTPUT_CLOSED
    except HsnnError as error:  # standard output is full: what is left can only be told on standard error
        console.error(error)
        return error.exit_status
    return status


def _guarded(arguments: list[str], console: Console) -> int:
    """Run the command and turn what it raises into a message and an exit status."""
    try:
        with _terminable():
            return _dispatch(arguments, console)
    except _TerminatedError as error:
        return error.status
    except OutputClosedError:
        raise
    except KeyboardInterrupt:
        return _fail(_InterruptedError("HSNN-U113", "interrupted; no file was left half-written"), console)
    except SystemExit as error:
        found = f"code that the command ran ended the program: SystemExit({error.code!r})"
        return _fail(HsnnError("HSNN-U117", found, fix="let the model's module only define things"), console)
    except Exception as error:  # noqa: BLE001  # the border of the program: a user gets one clear line
        return _fail(coded(error, console), console)


def _dispatch(arguments: list[str], console: Console) -> int:
    from hsnn.commands.parser import SHORT_HELP, parse

    if not arguments:
        console.out.write(SHORT_HELP)
        return 0
    try:
        args = parse(arguments)
    except SystemExit:  # how argparse leaves after --help and --version
        return 0
    console = Console(json=args.json, quiet=args.quiet, verbose=args.verbose, out=console.out)
    # A user's model or a library may print; standard output is for the result alone.
    with redirect_stdout(console.err), _short_warnings(console), _waiting(console):
        status: int = args.call(args, console)
    return status


def _fail(error: HsnnError, console: Console) -> int:
    console.failure(error)
    return error.exit_status


@contextmanager
def _short_warnings(console: Console) -> Iterator[None]:
    """Show each warning once, in one line; with ``--verbose`` as Python does, with ``--quiet`` not at all."""
    if console.verbose:
        yield
        return
    seen: set[str] = set()

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        text = str(message).strip().split("\n")[0]
        if text not in seen:
            seen.add(text)
            console.warn(text)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


@contextmanager
def _waiting(console: Console) -> Iterator[None]:
    """Show what hsnn logs: why it takes longer than usual."""
    import logging

    class Waiting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            console.waiting(record.getMessage())

    logger, handler = logging.getLogger("hsnn"), Waiting(logging.INFO)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


@contextmanager
def _terminable() -> Iterator[None]:
    """Let a request to end the process close what is open, as Ctrl-C does."""
    names = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    try:
        before = {name: signal.signal(name, _leave) for name in names if signal.getsignal(name) == signal.SIG_DFL}
    except ValueError:  # not the main thread: signals are somebody else's
        before = {}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    raise _TerminatedError(number)


def _open_closed() -> None:
    """Let a stream that the caller has closed lead nowhere; else the next file to be opened would take its number."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  # open as long as the process


def _tolerate_names(stream: object) -> None:
    """Print what a stream cannot encode as escapes rather than fail."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    sys.exit(main())
