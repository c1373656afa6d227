"""hsnn-compile: arguments, exit statuses, and results that are the same in text and in JSON."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import signal
import subprocess
import sys
import warnings
import zipfile

import numpy as np
import pytest

from hsnn import errors
from hsnn.cli import main
from hsnn.commands import arrays, describe, options, parser, run
from hsnn.commands.console import Console
from hsnn.commands.models import default_name
from hsnn.commands.plain import plain
from hsnn.commands.report import default_path
from hsnn.errors import UnsupportedError, UsageError
from hsnn.ir.plan import ModelValue

SAMPLES = 9


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def artifact(chain, folder):
    chain.save(folder / "net.hsnn")
    return "net.hsnn"


@pytest.fixture
def samples(folder, build):
    rng = np.random.default_rng(1)
    x = rng.random((SAMPLES, build.features)).astype(np.float32)
    labels = rng.integers(0, build.hidden + build.classes, SAMPLES)
    np.savez("data.npz", x=x, labels=labels)
    np.save("x.npy", x)
    np.save("labels.npy", labels)
    return x, labels


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


def command(*arguments, **options):
    return subprocess.Popen([sys.executable, "-m", "hsnn.cli", *arguments], stderr=subprocess.PIPE, **options)


# Arguments


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


def test_help_loads_nothing_heavy():
    code = (
        "import sys, hsnn.cli; hsnn.cli.main(['--help']); hsnn.cli.main(['build', '--help'])\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for heavy in ("numpy", "torch", "onnx", "onnxruntime", "numba", "pydantic", "rich", "lava", "scipy", "jinja2"):
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
        ["verify", "net.hsnn", "--target", "reference"],
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


# Streams


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


def test_progress_is_shown_on_a_terminal(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

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


# Samples


def code_of(function, *args, **kwargs):
    with pytest.raises(UsageError) as caught:
        function(*args, **kwargs)
    return caught.value.code


def test_arrays_are_read_by_name(samples):
    x, labels = samples
    read = arrays.load_arrays("data.npz", "input")
    assert set(read) == {"x", "labels"}
    np.testing.assert_array_equal(read["x"], x)
    np.testing.assert_array_equal(arrays.load_arrays("x.npy", "input")[""], x)
    os.rename("data.npz", "data.bin")
    np.testing.assert_array_equal(arrays.load_arrays("data.bin", "input")["labels"], labels)


def test_what_is_no_file_of_arrays_is_refused(folder):
    (folder / "text.npz").write_text("one,two\n")
    (folder / "empty.npz").write_bytes(b"")
    np.savez("objects.npz", x=np.array([{"a": 1}, None], dtype=object))
    np.save("object.npy", np.array([[1], [1, 2]], dtype=object))
    np.savez("none.npz")
    with zipfile.ZipFile("other.npz", "w") as archive:
        archive.writestr("notes.txt", "hello")
    assert code_of(arrays.load_arrays, "ghost.npz", "input") == "HSNN-U120"
    assert code_of(arrays.load_arrays, ".", "input") == "HSNN-U120"
    assert code_of(arrays.load_arrays, "text.npz", "input") == "HSNN-U121"
    assert code_of(arrays.load_arrays, "empty.npz", "input") == "HSNN-U121"
    assert code_of(arrays.load_arrays, "other.npz", "input") == "HSNN-U121"
    assert code_of(arrays.load_arrays, "objects.npz", "input") == "HSNN-U122"
    assert code_of(arrays.load_arrays, "object.npy", "input") == "HSNN-U122"
    assert code_of(arrays.load_arrays, "none.npz", "input") == "HSNN-U123"


@pytest.mark.parametrize("packed", [False, True])
def test_damaged_files_are_refused_with_a_code(folder, packed):
    """Cut short at every length, and with bytes flipped, a file is read or refused; nothing else comes out."""
    save = np.savez_compressed if packed else np.savez
    save("sound.npz", x=np.arange(12, dtype=np.float32).reshape(3, 4), y=np.arange(3))
    np.save("sound.npy", np.arange(12))
    rng = np.random.default_rng(0)
    for name in ("sound.npz", "sound.npy"):
        data = (folder / name).read_bytes()
        damaged = [data[:length] for length in range(0, len(data), 3)]
        for _ in range(150):
            changed = bytearray(data)
            for position in rng.integers(0, len(data), 2):
                changed[position] = int(rng.integers(0, 256))
            damaged.append(bytes(changed))
        for content in damaged:
            (folder / "damaged.npz").write_bytes(content)
            with warnings.catch_warnings(), contextlib.suppress(UsageError, MemoryError):
                warnings.simplefilter("ignore")
                arrays.load_arrays("damaged.npz", "input")


def test_inputs_are_chosen_by_name_or_because_they_are_alone():
    x, y, labels = np.zeros(2), np.ones(2), np.arange(2)

    def select(held, names, **more):
        return arrays.select_inputs(held, names, path="f.npz", what="input", **more)

    assert select({"": x}, ["image"])["image"] is x
    assert select({"pictures": x}, ["image"])["image"] is x
    assert select({"image": x, "labels": labels}, ["image"]).keys() == {"image"}
    assert select({"pictures": x, "labels": labels}, ["image"], ignore=["labels"])["image"] is x
    assert select({"b": x, "a": y}, ["a", "b"])["a"] is y
    for held, names in [({"p": x, "q": y}, ["image"]), ({"a": x}, ["a", "b"]), ({"": x}, ["a", "b"])]:
        assert code_of(select, held, names) == "HSNN-U124"
    assert code_of(select, {"labels": labels}, ["image"], ignore=["labels"]) == "HSNN-U124"


def test_labels_are_checked_before_anything_runs():
    def select(held, key=None, samples=3, classes=10):
        return arrays.select_labels(held, key, path="f.npz", samples=samples, classes=classes)

    good = np.array([0, 9, 3], np.uint8)
    assert select({"": good}) is good
    assert select({"a": good, "b": good[:2]}, "a") is good
    assert code_of(select, {"a": good, "b": good}) == "HSNN-U126"
    assert code_of(select, {"a": good}, "b") == "HSNN-U126"
    assert code_of(select, {"a": good.astype(np.float32)}) == "HSNN-U127"
    assert code_of(select, {"a": good.reshape(3, 1)}) == "HSNN-U127"
    assert code_of(select, {"a": good}, classes=9) == "HSNN-U127"
    assert code_of(select, {"a": np.array([0, -1, 2])}) == "HSNN-U127"
    assert code_of(select, {"a": good}, samples=4) == "HSNN-U125"


# run


def test_run_tells_accuracy_and_writes_outputs(artifact, samples, chain, capsys):
    x, labels = samples
    from hsnn.runtime.session import Session

    with Session(chain, target="reference") as session:
        expected = session.run(x)
    scores = expected.outputs["y"]
    arguments = ["run", artifact, "--input", "data.npz", "--label-key", "labels", "-o", "y.npz", "--batch-size", "4"]
    assert main([*arguments, "--json"]) == 0
    result = as_json(capsys)
    right = int(np.sum(scores.argmax(1) == labels))
    assert result["predictions"] == scores.argmax(1).tolist()
    assert (result["correct"], result["accuracy"]) == (right, right / SAMPLES)
    assert (result["samples"], result["target"], result["host"]) == (SAMPLES, "emulator", "cpu")
    stage = {item["name"]: item for item in result["stages"]}["chip.0"]
    assert stage["spikes"] == dict(expected.stages[1].spike_counts)
    assert stage["spikes_per_sample"]["hidden"] == stage["spikes"]["hidden"] / SAMPLES
    assert stage["batches"] == 3
    assert result["samples_per_second"] == pytest.approx(SAMPLES / result["seconds"])
    with np.load("y.npz") as written:
        np.testing.assert_array_equal(written["y"], scores)

    assert main(arguments) == 0
    text = capsys.readouterr().out
    assert f"accuracy {right / SAMPLES:.2%} ({right} of {SAMPLES})" in text
    assert "y.npz" in text
    assert f"{SAMPLES} samples on emulator" in text


def test_run_tells_how_far_every_stage_is(artifact, samples, capsys, monkeypatch):
    """On a target that reports samples one by one, as Lava does, progress does not wait for the batch."""
    from hsnn import target
    from hsnn.target import find_target

    class OneByOne:
        def __init__(self, executable):
            self._executable = executable

        def run(self, inputs, *, trace=False, progress=None):
            result = self._executable.run(inputs, trace=trace)
            for _ in range(next(iter(inputs.values())).shape[1]):
                progress(1)
            return result

        def close(self):
            self._executable.close()

    class Slow:
        name = "slow"

        def load(self, network, *, timeout=None):
            return OneByOne(find_target("reference").load(network))

    told = []

    @contextlib.contextmanager
    def progress(console):
        yield lambda *step: told.append(step)

    monkeypatch.setattr(target, "find_target", lambda name: Slow())
    monkeypatch.setattr(Console, "progress", progress)
    assert main(["run", artifact, "-i", "x.npy", "--target", "slow"]) == 0
    steps = [("chip.0 on slow", done, SAMPLES) for done in range(SAMPLES + 1)]
    assert told == [*steps, ("all stages", SAMPLES, SAMPLES)]


def test_run_takes_the_first_samples_and_labels_of_another_file(artifact, samples, capsys):
    _, labels = samples
    assert main(["run", artifact, "-i", "x.npy", "--labels", "labels.npy", "--samples", "4", "--json"]) == 0
    result = as_json(capsys)
    assert result["samples"] == len(result["predictions"]) == 4
    assert result["correct"] == int(np.sum(np.array(result["predictions"]) == labels[:4]))
    assert main(["run", artifact, "-i", "x.npy", "--samples", "1000", "--json"]) == 0
    result = as_json(capsys)
    assert result["samples"] == SAMPLES
    assert "accuracy" not in result


def test_run_without_class_scores_refuses_labels(diamond, samples, folder, capsys):
    diamond.save("net.hsnn")
    arguments = ["run", "net.hsnn", "-i", "x.npy", "--json"]
    assert main(arguments) == 0
    assert as_json(capsys)["outputs"].keys() == {"y", "b"}
    two_scores = dataclasses.replace(
        diamond, outputs=(ModelValue("y", (None, 10), "float32"), ModelValue("a", (None, 10), "float32"))
    )
    assert code_of(run.number_of_classes, two_scores) == "HSNN-U143"


@pytest.mark.parametrize(
    ("more", "code", "status"),
    [
        (["-i", "ghost.npz"], "HSNN-U120", 2),
        (["-i", "data.npz", "--label-key", "classes"], "HSNN-U126", 2),
        (["-i", "x.npy", "--label-key", "classes"], "HSNN-U126", 2),
        (["-i", "x.npy", "--labels", "x.npy"], "HSNN-U127", 2),
        (["-i", "x.npy", "--labels", "few.npy"], "HSNN-U125", 2),
        (["-i", "nan.npy"], "HSNN-R104", 2),
        (["-i", "wide.npy"], "HSNN-R103", 2),
        (["-i", "none.npy"], "HSNN-R103", 2),
        (["-i", "integers.npy"], "HSNN-R102", 2),
        (["-i", "x.npy", "-o", "y.txt"], "HSNN-U144", 2),
        (["-i", "data.npz", "-o", "data.npz"], "HSNN-U134", 2),
        (["-i", "x.npy", "-o", "ghost/y.npz"], "HSNN-U135", 2),
        (["-i", "x.npy", "-o", "net.hsnn/y.npz"], "HSNN-U137", 2),
        (["-i", "x.npy", "--target", "loihi9"], "HSNN-T001", 6),
        (["-i", "x.npy", "--host", "abacus"], "HSNN-T101", 6),
    ],
)
def test_run_refuses(artifact, samples, more, code, status, capsys, folder):
    x, labels = samples
    np.save("few.npy", labels[:-1])
    np.save("nan.npy", np.where(np.eye(len(x), x.shape[1]) > 0, np.float32(np.nan), x))
    np.save("wide.npy", np.hstack([x, x]))
    np.save("none.npy", x[:0])
    np.save("integers.npy", labels[:, None] + np.zeros(x.shape, np.int64))
    before = sorted(os.listdir())
    assert main(["run", artifact, *more, "--json"]) == status
    out, err = capsys.readouterr()
    assert json.loads(out)["error"]["code"] == code
    assert code in err
    assert sorted(os.listdir()) == before


def test_outputs_may_have_any_name(folder):
    held = {"file": np.arange(3), "a/b": np.ones((2, 2), np.float32)}
    with open("y.npz", "wb") as file:
        arrays.write_arrays(file, held)
    with np.load("y.npz") as written:
        assert set(written.files) == set(held)
        np.testing.assert_array_equal(written["file"], held["file"])


def test_a_write_that_fails_leaves_what_was_there(folder):
    from hsnn.commands.files import write_whole

    target = folder / "y.npz"
    target.write_bytes(b"old")

    def fail(file):
        file.write(b"new")
        raise OSError(28, "No space left on device")

    assert code_of(write_whole, target, fail) == "HSNN-U136"
    with pytest.raises(KeyboardInterrupt):
        write_whole(target, raising_write(KeyboardInterrupt()))
    assert target.read_bytes() == b"old"
    assert os.listdir(folder) == ["y.npz"]
    write_whole(target, lambda file: file.write(b"new"))
    assert target.read_bytes() == b"new"


def raising_write(error):
    def write(file):
        raise error

    return write


# inspect, report


def test_inspect_shows_what_is_inside(chain, artifact, every_kind, capsys):
    assert main(["inspect", artifact, "--json"]) == 0
    result = as_json(capsys)
    network = chain.chip_stages[0].network
    shown = result["stages"][1]["network"]
    assert [item["kind"] for item in result["stages"]] == ["host", "chip", "host"]
    assert shown["timesteps"] == network.timesteps
    assert shown["neurons"] == sum(item["neurons"] for item in shown["populations"]) - 1  # one constant source
    assert shown["synapses"] == sum(item.weights.size for item in network.projections)
    for item, projection in zip(shown["projections"], network.projections, strict=True):
        assert item["weights"] == [projection.weights.min(), projection.weights.max()]
    assert result["stages"][1]["output_scales"] == {"hidden": 1.0, "out": 0.25}
    assert result["files"]["bridge.json"]["bytes"] == os.path.getsize("net.hsnn/bridge.json")
    assert (result["seed"], result["source"], result["float_reference"]) == (5, "pkg:net", True)

    assert main(["inspect", artifact]) == 0
    text = capsys.readouterr().out
    assert f"{shown['synapses']} synapses" in text
    assert result["sha256"] in text
    for item in (*network.populations, *network.projections):
        assert item.name in text

    described = {item["name"]: item for item in describe.describe_network(every_kind)["projections"]}
    assert described["nothing"]["weights"] is None
    assert described["conv"]["kernel"] == [2, 1, 3, 2]
    assert described["sparse"]["weights"] == [-256, 254]
    assert json.dumps(plain(described))


@pytest.mark.parametrize("verb_name", ["inspect", "report", "run", "verify"])
def test_a_damaged_artifact_is_an_error_of_every_verb(artifact, samples, verb_name, capsys):
    with open("net.hsnn/bridge.json", "ab") as file:
        file.write(b" ")
    more = ["-i", "x.npy"] if verb_name == "run" else []
    assert main([verb_name, artifact, *more, "--json"]) == 1
    assert as_json(capsys)["error"]["code"] == "HSNN-A010"
    assert main([verb_name, "ghost.hsnn", *more, "--json"]) == 1
    assert as_json(capsys)["error"]["code"] == "HSNN-A005"


def test_report_is_written_beside_the_artifact(chain, artifact, folder, capsys):
    assert main(["report", artifact]) == 0
    assert capsys.readouterr().out == "net.hsnn.report.html\n"
    assert (folder / "net.hsnn.report.html").read_text(encoding="utf-8") == chain.report
    assert main(["inspect", artifact]) == 0  # the artifact is as it was
    capsys.readouterr()
    chain.save("packed.zip")
    assert main(["report", "packed.zip", "-o", "page.html", "--json"]) == 0
    result = as_json(capsys)
    assert result["bytes"] == os.path.getsize("page.html")
    assert main(["report", artifact, "-o", "net.hsnn/mine.html"]) == 2
    assert "HSNN-U137" in capsys.readouterr().err
    assert default_path("a/net.hsnn.zip").as_posix() == "a/net.hsnn.report.html"


def test_report_makes_the_page_that_the_build_left_out(chain, folder, capsys, monkeypatch):
    dataclasses.replace(chain, report=None, layers=()).save("net.hsnn")
    assert main(["report", "net.hsnn"]) == 0
    page = (folder / "net.hsnn.report.html").read_text(encoding="utf-8")
    assert page.lower().startswith("<!doctype html>")
    assert "pkg:net" in page
    import webbrowser

    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda url: opened.append(url) or False)
    capsys.readouterr()
    assert main(["report", "net.hsnn", "--open", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["opened"] is False
    assert err.startswith("warning: no browser")
    assert opened == [(folder / "net.hsnn.report.html").as_uri()]


# targets, doctor


def test_targets_lists_all_that_are_installed(capsys):
    from hsnn.target import target_names

    assert main(["targets", "--json"]) == 0
    result = as_json(capsys)
    assert [item["name"] for item in result["targets"]] == list(target_names())
    states = {item["name"]: item["available"] for item in result["targets"]}
    assert states["reference"]
    assert states["emulator"]
    assert {"name": "cpu", "available": True, "provider": "CPUExecutionProvider"} in result["hosts"]
    assert main(["targets"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in target_names())


def test_a_plug_in_that_does_not_load_hides_no_other(monkeypatch, capsys):
    from hsnn import target

    found = target.find_target

    def find(name):
        if name == "loihi2":
            raise ImportError("no module named nxcore")
        return found(name)

    monkeypatch.setattr(target, "find_target", find)
    assert main(["targets", "--json"]) == 0
    states = {item["name"]: item for item in as_json(capsys)["targets"]}
    assert not states["loihi2"]["available"]
    assert "nxcore" in states["loihi2"]["detail"]
    assert states["emulator"]["available"]


def test_doctor_finds_this_installation_sound(capsys):
    assert main(["doctor", "--json"]) == 0
    result = as_json(capsys)
    assert result["healthy"]
    found = {item["name"]: item for item in result["findings"]}
    assert found["numpy"]["state"] == found["self-test"]["state"] == "ok"
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in found)


def test_doctor_tells_what_is_missing_and_whether_it_matters(monkeypatch, capsys):
    from hsnn import doctor

    def without(*missing):
        monkeypatch.setattr(doctor, "find_spec", lambda name: None if name in missing else object())

    without("torch")
    assert main(["doctor", "--json"]) == 0
    found = {item["name"]: item for item in as_json(capsys)["findings"]}
    assert found["torch"]["state"] == "optional"
    assert "hsnn[torch]" in found["torch"]["fix"]

    without("safetensors")
    assert main(["doctor"]) == 1
    out, err = capsys.readouterr()
    assert "pip install safetensors" in out
    assert err.startswith("error: HSNN-U145")
    assert "safetensors" in err


def test_doctor_notices_a_wrong_emulator(monkeypatch, capsys):
    from hsnn import target

    real = target.find_target

    class Wrong:
        def __init__(self, executable):
            self._executable = executable

        def run(self, inputs, *, trace=False, progress=None):
            result = self._executable.run(inputs, trace=trace)
            spikes = {name: train ^ 1 for name, train in result.spikes.items()}
            return dataclasses.replace(result, spikes=spikes)

        def close(self):
            self._executable.close()

    class Target:
        def load(self, network, *, timeout=None):
            return Wrong(real("reference").load(network))

        def status(self):
            return real("emulator").status()

    monkeypatch.setattr(target, "find_target", lambda name: Target() if name == "emulator" else real(name))
    assert main(["doctor", "--json"]) == 1
    result = as_json(capsys)
    assert not result["healthy"]
    assert result["error"]["exit_status"] == 1
    [test] = [item for item in result["findings"] if item["group"] == "test"]
    assert test["state"] == "failed"
    assert "spikes" in test["detail"]


# build, check, verify: what they pass on


@pytest.fixture
def compiler(monkeypatch, chain):
    """Record what the compiler is asked, and answer with a finished program."""
    from hsnn import compiler as module

    calls = []

    def compile(model, calibration, **more):
        calls.append((model, calibration, more))
        return chain

    monkeypatch.setattr(module, "compile", compile)
    monkeypatch.setattr("hsnn.commands.models.load_model", lambda text, weights: (text, weights))
    return calls


def test_build_passes_every_option_on(compiler, samples, folder, capsys):
    (folder / "w.safetensors").write_bytes(b"")
    arguments = "net:make --weights w.safetensors --calibration x.npy --chip big.toml --target emulator"
    more = "--pin a.*=host --pin b=chip --limit f1=0.9,rate=0.1 --limit dead=0 --payload-bits 6 --seed 7"
    last = "--calibration-samples 12 --no-reference --json -o out.zip"
    assert main(f"{arguments} {more} {last}".split()) == 0
    [(model, calibration, passed)] = compiler
    assert model == ("net:make", "w.safetensors")
    np.testing.assert_array_equal(calibration, samples[0])
    assert passed["source"] == "net:make"
    assert passed["example_inputs"] is None
    chosen = passed["options"]
    assert (chosen.target, chosen.chip, chosen.seed) == ("emulator", "big.toml", 7)
    assert chosen.pins == (("a.*", "host"), ("b", "chip"))
    assert (chosen.payload_bits, chosen.calibration_samples, chosen.keep_reference) == (6, 12, False)
    assert (chosen.limits.min_f1, chosen.limits.max_rate_error, chosen.limits.max_dead) == (0.9, 0.1, 0.0)
    result = as_json(capsys)
    assert result["artifact"] == "out.zip"
    assert zipfile.is_zipfile("out.zip")
    assert result["cuts"][0]["spikes_per_timestep"] == 1.25
    assert result["placements"][1]["code"] == "HSNN-P007"


def test_defaults_are_those_of_the_library(compiler, samples):
    from hsnn.compiler import Options

    assert main(["net:make", "--calibration", "x.npy", "--quiet"]) == 0
    assert compiler[0][2]["options"] == Options()
    assert os.path.isdir("make.hsnn")


def test_build_does_not_overwrite_unless_told(compiler, samples, capsys):
    arguments = ["net:make", "--calibration", "x.npy", "-o", "net.hsnn", "--quiet"]
    assert main(arguments) == 0
    assert main(arguments) == 2
    assert "HSNN-U134" in capsys.readouterr().err
    assert len(compiler) == 1  # refused before any work
    assert main([*arguments, "--force"]) == 0
    assert len(compiler) == 2


@pytest.mark.parametrize(
    ("arguments", "code", "status"),
    [
        ("net:make", "HSNN-U138", 2),
        ("net:make --calibration ghost.npz", "HSNN-U120", 2),
        ("net:make --calibration x.npy --weights ghost.pt", "HSNN-U120", 2),
        ("net:make --calibration x.npy --example ghost.npz", "HSNN-U120", 2),
        ("net:make --calibration x.npy --input-shape 4 --example data.npz", "HSNN-U133", 2),
        ("net:make --calibration x.npy -o ghost/net.hsnn", "HSNN-U135", 2),
        ("net:make --calibration x.npy --target loihi9", "HSNN-T001", 6),
        ("net:make --calibration x.npy --limit speed=1", "HSNN-Q021", 2),
        ("net.py --calibration x.npy", "HSNN-U131", 2),
        ("weights.pt --calibration x.npy", "HSNN-U131", 2),
        ("ghost.onnx --calibration x.npy", "HSNN-U120", 2),
        ("check net:make", "HSNN-U139", 2),
        ("verify net.hsnn --weights w.pt", "HSNN-U142", 2),
        ("verify net.hsnn --model net.onnx", "HSNN-U142", 2),
        ("verify net.hsnn --model net", "HSNN-U131", 2),
        ("verify net.hsnn --samples ghost.npz", "HSNN-U120", 2),
    ],
)
def test_what_cannot_work_is_refused_before_any_work(compiler, samples, arguments, code, status, capsys):
    before = sorted(os.listdir())
    assert main([*arguments.split(), "--json"]) == status
    assert as_json(capsys)["error"]["code"] == code
    assert not compiler
    assert sorted(os.listdir()) == before


def test_weights_beside_an_onnx_file_are_refused(folder, samples, capsys):
    (folder / "net.onnx").write_bytes(b"x")
    (folder / "w.pt").write_bytes(b"x")
    assert main(["net.onnx", "--weights", "w.pt", "--calibration", "x.npy"]) == 2
    assert "HSNN-U132" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("supported", "fits", "status", "code"),
    [(True, True, 0, None), (True, False, 4, "HSNN-U141"), (False, True, 3, "HSNN-U140")],
)
def test_check_tells_by_its_exit_status(supported, fits, status, code, monkeypatch, capsys, folder):
    from hsnn import compiler as module

    problems = () if supported else tuple({"code": f"HSNN-P{i:03}", "found": f"f{i}", "fix": f"x{i}"} for i in range(3))
    report = module.CheckReport(supported, problems, fits=fits)
    monkeypatch.setattr(module, "check", lambda model, **more: report)
    monkeypatch.setattr("hsnn.commands.models.load_model", lambda text, weights: object())
    monkeypatch.setattr("hsnn.commands.models.example_inputs", lambda args, model: ())
    assert main(["check", "net:make", "--input-shape", "4", "--json"]) == status
    result = as_json(capsys)
    assert (result["supported"], result["fits"]) == (supported, fits)
    assert len(result["problems"]) == len(problems)
    assert result.get("error", {}).get("code") == code
    assert main(["check", "net:make", "--input-shape", "4"]) == status
    out, err = capsys.readouterr()
    for problem in problems:
        assert all(text in out for text in problem.values())
    assert (code is None) == (err == "")


def test_verify_names_the_first_difference(artifact, monkeypatch, capsys, samples):
    from hsnn.verify import ladder

    class Where:
        def __str__(self):
            return "segment 'chip.0', layer 'hidden', timestep 3, sample 1, neuron (2,): expected 0, found 1"

    asked = {}

    def verify(program, **more):
        asked.update(more)
        return ladder.VerifyReport(
            (
                ladder.Rung("reference = emulator", "passed", "12 spikes equal", seconds=0.25),
                ladder.Rung("emulator = loihi2-sim", "failed", "segment differs", Where()),
            )
        )

    monkeypatch.setattr(ladder, "verify", verify)
    arguments = ["verify", artifact, "--samples", "data.npz", "--limit", "f1=0.75", "--timeout", "9"]
    assert main([*arguments, "--json"]) == 5
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert not result["passed"]
    assert [rung["status"] for rung in result["rungs"]] == ["passed", "failed"]
    assert result["error"]["code"] == "HSNN-V001"
    assert "timestep 3, sample 1, neuron (2,)" in err
    np.testing.assert_array_equal(asked["samples"]["x"], samples[0])
    assert (asked["target"], asked["timeout"], asked["limits"].min_f1) == ("loihi2-sim", 9.0, 0.75)
    assert main(arguments) == 5
    assert "timestep 3" in capsys.readouterr().out


def test_names_of_artifacts():
    assert default_name("pkg.nets:Digits.small") == "small"
    assert default_name("dir/my net.onnx") == "my_net"


def test_pins_may_hold_an_equals_sign():
    assert options.pin("a=b=host") == ("a=b", "host")


def test_main_reads_the_arguments_of_the_process(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["hsnn-compile", "--version"])
    assert main() == 0
    assert capsys.readouterr().out.startswith("hsnn ")
