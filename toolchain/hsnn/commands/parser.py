"""The command line: what can be asked for, and how it is written."""

from __future__ import annotations

import argparse
import difflib
import sys
import textwrap
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, NoReturn

from hsnn.commands import bench, build, check, doctor, export, inspect, learn, report, run, targets, verify
from hsnn.errors import UsageError

if TYPE_CHECKING:
    pass

VERBS: Mapping[str, ModuleType] = {
    "build": build,
    "check": check,
    "run": run,
    "learn": learn,
    "verify": verify,
    "bench": bench,
    "report": report,
    "inspect": inspect,
    "export": export,
    "targets": targets,
    "doctor": doctor,
}
"""Every verb, in the order of ``--help``."""

FLAGS = ("--json", "-q", "--quiet", "-v", "--verbose")
"""Flags of every verb; they may also stand before it."""

SHORT_HELP = """\
hsnn-compile compiles a trained hybrid PyTorch model: its ordinary layers for ONNX Runtime, its spiking
layers for Loihi 2, simulated or real. Three things to try:

  hsnn-compile doctor                                   is everything here that is needed?
  hsnn-compile my_model:network --weights weights.safetensors --calibration samples.npz
                                                        compile a model into network.hsnn
  hsnn-compile run network.hsnn --input test.npz --label-key labels
                                                        run it and tell its accuracy

hsnn-compile --help lists all verbs, hsnn-compile VERB --help explains one.
"""

_DESCRIPTION = """\
Compile a trained hybrid PyTorch model for Loihi 2: ordinary layers become ONNX and run on the host, spiking
layers become integer networks for the chip, and one artifact holds both and what joins them.
"""

_EPILOG = """\
The verb "build" may be left out: hsnn-compile MODEL builds.

examples:
  hsnn-compile check my_model:network --input-shape 1x28x28
  hsnn-compile my_model:network --weights weights.safetensors --calibration samples.npz -o network.hsnn
  hsnn-compile verify network.hsnn
  hsnn-compile run network.hsnn --input test.npz --label-key labels --target loihi2-sim

exit status:
  0 done   1 other error   2 wrong usage   3 model unsupported   4 does not fit the chip
  5 verification failed    6 target missing   130 interrupted

hsnn-compile VERB --help explains one verb. Every verb takes --json.
"""


class Parser(argparse.ArgumentParser):
    """A parser that raises coded errors instead of ending the process."""

    def error(self, message: str) -> NoReturn:
        """Raise HSNN-U111."""
        raise UsageError("HSNN-U111", message, fix=f"{self.prog} --help explains the arguments")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse arguments; ``call`` of the result is the verb's ``run``.

    Raises:
        UsageError: HSNN-U111 for arguments that cannot be understood.
        SystemExit: After ``--help`` or ``--version``.
    """
    complete = with_verb(arguments)
    args, unknown = make_parser().parse_known_args(complete)
    if unknown:
        fix = f"hsnn-compile {complete[0]} --help explains the arguments"
        raise UsageError("HSNN-U111", f"unrecognized arguments: {' '.join(unknown)}", fix=fix)
    return args


def make_parser() -> Parser:
    """Build the parser with all verbs."""
    parser = Parser(
        prog="hsnn-compile",
        usage="hsnn-compile [build] MODEL [options]\n       hsnn-compile VERB [arguments]",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=Help,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=ShowVersion, nargs=0, help="show the version of hsnn and exit")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", prog="hsnn-compile", required=True)
    common = _common_flags()
    for name, module in VERBS.items():
        verb = verbs.add_parser(
            name,
            parents=[common],
            usage=f"hsnn-compile {module.USAGE}",
            help=module.HELP,
            description=module.DESCRIPTION,
            epilog=module.EPILOG,
            formatter_class=Help,
            allow_abbrev=False,
        )
        module.add_arguments(verb)
        verb.set_defaults(call=module.run)
    return parser


def with_verb(arguments: Sequence[str]) -> list[str]:
    """Put the verb first: flags may stand before it, and ``build`` may be left out.

    >>> with_verb(["--json", "check", "net:make"])
    ['check', '--json', 'net:make']
    >>> with_verb(["net:make", "-o", "net.hsnn"])
    ['build', 'net:make', '-o', 'net.hsnn']

    Raises:
        UsageError: HSNN-U112 if the first word looks like a misspelt verb.
    """
    flags = 0
    while flags < len(arguments) and arguments[flags] in FLAGS:
        flags += 1
    first = arguments[flags] if flags < len(arguments) else ""
    if first in VERBS:
        return [first, *arguments[:flags], *arguments[flags + 1 :]]
    if not flags and first in ("-h", "--help", "--version"):
        return list(arguments)
    if first.isalpha() and (near := difflib.get_close_matches(first, VERBS, n=1)):
        raise UsageError(
            "HSNN-U112",
            f"there is no verb {first!r}",
            allowed=f"{', '.join(VERBS)}, or a model such as package.module:factory",
            fix=f"did you mean {near[0]!r}?",
        )
    return ["build", *arguments]


class Help(argparse.HelpFormatter):
    """Help whose sentences fill the terminal and whose examples stay as they are written."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        paragraphs = text.strip().split("\n\n")
        return "\n\n".join(
            paragraph if "\n  " in paragraph else textwrap.fill(paragraph, width, initial_indent=indent)
            for paragraph in paragraphs
        )


class ShowVersion(argparse.Action):
    """Print the version; looked up only when asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        """Print and exit."""
        from importlib.metadata import version

        sys.stdout.write(f"hsnn {version('hsnn')}\n")
        parser.exit()


def _common_flags() -> Parser:
    flags = Parser(add_help=False)
    flags.add_argument("--json", action="store_true", help="print the result as one JSON object")
    loudness = flags.add_mutually_exclusive_group()
    loudness.add_argument("-q", "--quiet", action="store_true", help="no progress, no notes, no warnings")
    loudness.add_argument("-v", "--verbose", action="store_true", help="say more; show where internal errors come from")
    return flags
