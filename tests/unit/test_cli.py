"""hsnn-compile: arguments, exit statuses, streams."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hsnn import errors
from hsnn.cli import main
from hsnn.commands import parser
from hsnn.errors import HsnnWarning, UnsupportedError, UsageError


@pytest.fixture
def verb(monkeypatch):
    """Let the verb ``targets`` do what a test wants."""

    def install(act):
        monkeypatch.setattr(parser.targets, "run", act)

    return install


def raising(error):
    def act(args, console):
        raise error

    return act


def as_json(capsys):
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["net:make"], ["build", "net:make"]),
        (["-o", "check", "net:make"], ["build", "-o", "check", "net:make"]),
        (["build", "net:make"], ["build", "net:make"]),
        (["--json", "-v", "check", "net:make"], ["check", "--json", "-v", "net:make"]),
        (["--quiet", "net:make"], ["build", "--quiet", "net:make"]),
        (["--json"], ["build", "--json"]),
        (["--help"], ["--help"]),
        (["--version"], ["--version"]),
        (["network.onnx"], ["build", "network.onnx"]),
        (["checks:net"], ["build", "checks:net"]),
    ],
)
def test_the_verb_comes_first_and_may_be_left_out(given, expected):
    assert parser.with_verb(given) == expected


@pytest.mark.parametrize(("typed", "meant"), [("chekc", "check"), ("verfy", "verify"), ("target", "targets")])
def test_a_misspelt_verb_is_named(typed, meant, capsys):
    assert main([typed, "net:make"]) == 2
    err = capsys.readouterr().err
    assert "HSNN-U112" in err
    assert repr(meant) in err


def test_without_arguments_there_is_a_short_help(capsys):
    assert main([]) == 0
    out, err = capsys.readouterr()
    assert out.count("  hsnn-compile ") == 3
    assert len(out.splitlines()) < 15
    assert not err


def test_help_names_every_verb_and_exit_status(capsys):
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    for name, module in parser.VERBS.items():
        assert f"    {name} " in out
        assert module.HELP in out
    for status in range(7):
        assert f"{status} " in out[out.index("exit status") :]


@pytest.mark.parametrize("name", parser.VERBS)
def test_every_verb_explains_itself_with_examples(name, capsys):
    assert main([name, "--help"]) == 0
    out = capsys.readouterr().out
    assert f"hsnn-compile {name}" in out or name == "build"
    assert "\nexamples:\n  hsnn-compile " in out
    assert "--json" in out
    for line in out[out.index("\nexamples:\n") :].splitlines()[2:]:
        # What the examples show can be parsed.
        parser.parse(line.split("#")[0].replace("'", "").split()[1:])


def test_version(capsys):
    from importlib.metadata import version

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"hsnn {version('hsnn')}\n"


MISSING = {
    "torch": (["check", "net:make", "--input-shape", "4"], "pip install 'hsnn[torch]'"),
    "pydantic": (["run", "net.hsnn", "--input", "x.npy"], "pip install pydantic"),
}


@pytest.mark.parametrize("module", MISSING)
def test_a_library_that_is_missing_is_named(module, artifact, samples):
    Path("net.py").write_text("def make(): return 1", encoding="utf-8")
    words, fix = MISSING[module]
    code = f"import sys; sys.modules[{module!r}] = None; from hsnn.cli import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert (done.returncode, done.stderr.startswith("error: HSNN-U154")) == (1, True), done.stderr
    assert fix in done.stderr


def test_help_loads_nothing_heavy():
    code = (
        "import sys, hsnn.cli; hsnn.cli.main(['--help']); hsnn.cli.main(['build', '--help'])\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for heavy in ("numpy", "torch", "onnx", "onnxruntime", "llvmlite", "pydantic", "rich", "lava", "scipy", "jinja2"):
        assert repr(heavy) not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "net.hsnn"],
        ["run", "net.hsnn", "--input", "x.npz", "--batch-size", "0"],
        ["run", "net.hsnn", "--input", "x.npz", "--timeout", "nan"],
        ["run", "net.hsnn", "--input", "x.npz", "--timeout", "0"],
        ["net:make", "--pin", "head=gpu"],
        ["net:make", "--pin", "=host"],
        ["net:make", "--calibration-samples", "many"],
        ["net:make", "--seed", "-1"],
        ["net:make", "another:model"],
        ["net:make", "--calib", "x.npz"],
        ["targets", "--quiet", "--verbose"],
        ["verify", "net.hsnn", "--timeout", "0"],
    ],
)
def test_wrong_arguments_are_usage_errors(arguments, capsys):
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert err.startswith("error: HSNN-U111")
    assert "--help" in err
    assert not out
    assert main([*arguments, "--json"]) == 2
    assert as_json(capsys)["error"]["code"] == "HSNN-U111"


# Errors


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (errors.HsnnError, 1),
        (errors.UsageError, 2),
        (errors.UnsupportedError, 3),
        (errors.CapacityError, 4),
        (errors.VerificationError, 5),
        (errors.TargetMissingError, 6),
        (errors.QuantizationError, 1),
        (errors.ArtifactError, 1),
        (errors.RunError, 1),
    ],
)
def test_every_error_has_its_exit_status(kind, status, verb, capsys):
    verb(raising(kind("HSNN-X001", "it broke", allowed="whole ones", fix="mend it")))
    assert main(["targets"]) == status
    out, err = capsys.readouterr()
    assert err == "error: HSNN-X001: it broke\n  allowed: whole ones\n  fix: mend it\n"
    assert not out
    assert main(["targets", "--json"]) == status
    assert as_json(capsys) == {
        "error": {
            "code": "HSNN-X001",
            "found": "it broke",
            "allowed": "whole ones",
            "fix": "mend it",
            "exit_status": status,
        }
    }


def test_every_reason_is_told(verb, capsys):
    reasons = [UnsupportedError(f"HSNN-P00{i}", f"reason {i}", fix=f"fix {i}") for i in range(3)]
    verb(raising(UnsupportedError.joined(reasons)))
    assert main(["targets", "--json"]) == 3
    out, err = capsys.readouterr()
    for i in range(3):
        assert f"error: HSNN-P00{i}: reason {i}\n  fix: fix {i}\n" in err
    assert [item["code"] for item in json.loads(out)["error"]["reasons"]] == ["HSNN-P000", "HSNN-P001", "HSNN-P002"]


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (KeyboardInterrupt(), "HSNN-U113", 130),
        (MemoryError("12 GB"), "HSNN-U114", 1),
        (PermissionError(13, "Permission denied", "model.py"), "HSNN-U115", 1),
        (ZeroDivisionError("division by zero"), "HSNN-U116", 1),
        (HsnnWarning("HSNN-Q023: nothing spikes"), "HSNN-Q023", 1),
        (SystemExit(0), "HSNN-U117", 1),
    ],
)
def test_nothing_escapes_as_a_traceback(error, code, status, verb, capsys):
    verb(raising(error))
    assert main(["targets"]) == status
    out, err = capsys.readouterr()
    assert err.startswith(f"error: {code}: ")
    assert "Traceback" not in err
    assert not out
    assert main(["targets", "--json"]) == status
    described = as_json(capsys)["error"]
    assert (described["code"], described["exit_status"]) == (code, status)


def test_verbose_shows_where_an_internal_error_comes_from(verb, capsys):
    verb(raising(ZeroDivisionError("division by zero")))
    assert main(["targets", "--verbose"]) == 1
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert "ZeroDivisionError" in err
    assert "please report" in err


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="needs POSIX signals")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_request_to_end_closes_what_is_open(name, verb):
    closed = []
    number = getattr(signal, name)

    def act(args, console):
        try:
            os.kill(os.getpid(), number)
            signal.pause()
        finally:
            closed.append(name)

    verb(act)
    before = signal.getsignal(number)
    assert main(["targets"]) == 128 + number
    assert closed == [name]
    assert signal.getsignal(number) == before


def test_escape_sequences_in_names_are_spelt_out(verb, capsys):
    verb(raising(UsageError("HSNN-X001", "node '\x1b[2Jboo'\nsecond line")))
    main(["targets"])
    err = capsys.readouterr().err
    assert "\x1b" not in err
    assert "\\x1b[2Jboo'\nsecond" in err


def test_main_reads_the_arguments_of_the_process(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["hsnn-compile", "--version"])
    assert main() == 0
    assert capsys.readouterr().out.startswith("hsnn ")
