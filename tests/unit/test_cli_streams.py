"""What hsnn-compile writes where: results, messages, progress."""

from __future__ import annotations

import dataclasses
import io
import json
import logging
import os
import shlex
import subprocess
import sys
import warnings

import numpy as np
import pytest

from hsnn.cli import main
from hsnn.commands import parser
from hsnn.commands.console import Console
from hsnn.commands.plain import plain


@pytest.fixture
def verb(monkeypatch):
    """Let the verb ``targets`` do what a test wants."""

    def install(act):
        monkeypatch.setattr(parser.targets, "run", act)

    return install


def command(*arguments, **options):
    return subprocess.Popen([sys.executable, "-m", "hsnn.cli", *arguments], stderr=subprocess.PIPE, **options)


def test_standard_output_is_for_the_result_alone(verb, capsys):
    def act(args, console):
        print("a library chatters")  # noqa: T201
        warnings.warn("careful\nlong story", UserWarning, stacklevel=1)
        warnings.warn("careful", UserWarning, stacklevel=1)
        console.result({"number": 1}, lambda: ["one"])
        return 0

    verb(act)
    warnings.simplefilter("always")
    assert main(["targets"]) == 0
    out, err = capsys.readouterr()
    assert out == "one\n"
    assert err == "a library chatters\nwarning: careful\n"
    assert main(["targets", "--quiet"]) == 0
    assert capsys.readouterr().err == "a library chatters\n"


def test_progress_is_silent_in_a_pipe(verb, capsys):
    def act(args, console):
        with console.progress() as progress:
            progress("export", 0, 2)
            progress("export", 2, 2)
            progress("quantize", 1, 0)
        return 0

    verb(act)
    assert main(["targets"]) == 0
    assert capsys.readouterr() == ("", "")
    assert main(["targets", "-v"]) == 0
    assert capsys.readouterr() == ("", "export\nquantize\n")


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("arguments", "terminal", "told"),
    [
        ([], True, True),
        ([], False, False),
        (["-v"], False, True),
        (["--json"], True, False),
        (["--quiet"], True, False),
    ],
)
def test_what_takes_longer_than_usual_is_told(verb, monkeypatch, arguments, terminal, told):
    def act(args, console):
        logging.getLogger("hsnn").info("compiling")
        logging.getLogger("hsnn").debug("a detail")
        return 0

    verb(act)
    monkeypatch.setattr(sys, "stderr", Terminal() if terminal else io.StringIO())
    assert main(["targets", *arguments]) == 0
    assert sys.stderr.getvalue() == ("compiling\n" if told else "")
    assert not logging.getLogger("hsnn").handlers


def test_progress_is_shown_on_a_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", Terminal())
    with Console().progress() as progress:
        progress("export", 1, 2)
        progress("export", 9, 9)
        progress("calibrate", 3, 7)
    shown = sys.stderr.getvalue()
    assert "3/7" in shown
    assert "calibrate" in shown
    assert "9/9" not in shown  # what is done is out of the way
    monkeypatch.setattr(sys, "stderr", Terminal())
    with Console(quiet=True).progress() as progress:
        progress("export", 1, 2)
    assert sys.stderr.getvalue() == ""


def test_a_reader_that_leaves_is_no_error():
    with command("--help", stdout=subprocess.PIPE) as process:
        process.stdout.close()
        err = process.stderr.read()
    assert process.returncode in (0, 141)  # argparse itself ignores it
    assert err == b""
    with command("targets", "--json", stdout=subprocess.PIPE) as process:
        process.stdout.close()
        err = process.stderr.read()
    assert process.returncode == 141
    assert err == b""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_behind_standard_output_is_told():
    with open("/dev/full", "w") as full, command("targets", "--json", stdout=full) as process:
        err = process.stderr.read().decode()
    assert process.returncode == 1
    assert err.startswith("error: HSNN-U110")
    assert "Traceback" not in err
    assert "Exception ignored" not in err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_so_is_one_behind_tables(artifact, samples):
    """Tables are drawn by rich, which writes out what came before them."""
    with open("/dev/full", "w") as full, command("run", artifact, "-i", "x.npy", stdout=full) as process:
        err = process.stderr.read().decode()
    assert (process.returncode, err.split(": ")[1]) == (1, "HSNN-U110"), err


@pytest.mark.skipif(os.name != "posix", reason="needs a shell")
@pytest.mark.parametrize(("closed", "said"), [(">&-", ""), ("2>&-", "emulator"), (">&- 2>&-", "")])
def test_streams_that_are_closed_lead_nowhere(closed, said):
    line = f"{shlex.quote(sys.executable)} -m hsnn.cli targets {closed}"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert said in done.stdout
    assert bool(done.stdout) == bool(said)


def test_names_that_cannot_be_encoded_are_no_error(artifact):
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    with command("inspect", artifact, stdout=subprocess.PIPE, env=environment) as process:
        out, err = process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert b"\\u2192" in out


def test_plain_values_hold_what_json_can():
    @dataclasses.dataclass
    class Point:
        x: float
        y: object

    value = {
        "point": Point(float("inf"), np.float32(0.5)),
        "array": np.arange(3, dtype=np.int16),
        "flag": np.bool_(True),
        "nan": np.array([1.0, np.nan]),
        2: None,
        "other": object,
    }
    assert json.loads(json.dumps(plain(value), allow_nan=False)) == {
        "point": {"x": None, "y": 0.5},
        "array": [0, 1, 2],
        "flag": True,
        "nan": [1.0, None],
        "2": None,
        "other": str(object),
    }
