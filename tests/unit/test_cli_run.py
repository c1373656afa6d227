"""hsnn-compile run."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from hsnn.cli import main
from hsnn.commands import arrays, run_report
from hsnn.commands.console import Console
from hsnn.errors import UsageError
from hsnn.ir.plan import ModelValue
from hsnn.runtime.operations import synaptic_operations
from hsnn.runtime.session import Session
from hsnn.runtime.trace_file import read_spikes
from support.refusals import code_of

SAMPLES = 9
"""What the fixture ``samples`` holds."""


def as_json(capsys):
    return json.loads(capsys.readouterr().out)


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


def test_run_loads_onnxruntime_but_no_onnx_and_no_compiler(artifact, samples):
    code = (
        "import sys; from hsnn.cli import main; status = main(sys.argv[1:])\n"
        "print(status, sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    arguments = ["run", artifact, "--input", "x.npy", "--labels", "labels.npy", "-o", "y.npz", "--trace", "t.npz"]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    assert done.stderr.startswith("0 ")
    loaded = set(re.findall(r"'(\w+)'", done.stderr))
    assert {"onnxruntime", "numpy", "hsnn_targets"} <= loaded
    assert not loaded & {"onnx", "onnx_ir", "onnxscript", "torch", "scipy", "lava", "jinja2", "h5py"}


def test_run_writes_what_is_inside_as_packed_bits(artifact, samples, chain, capsys):
    x, _ = samples
    with Session(chain, target="reference") as session:
        traced = session.run(x, trace=True).traces["chip.0"]
    arguments = ["run", artifact, "-i", "x.npy", "--batch-size", "4", "--trace", "t.npz"]
    assert main([*arguments, "--trace-states", "--json"]) == 0
    result = as_json(capsys)
    assert result["trace_file"] == "t.npz"
    assert result["synaptic_operations"] == {"chip.0": synaptic_operations(chain.chip_stages[0].network, traced)}
    spikes = read_spikes("t.npz")["chip.0"]
    assert spikes.keys() >= traced.result.spikes.keys()
    for name, expected in traced.result.spikes.items():
        assert expected.any()
        assert np.array_equal(spikes[name].unpack(), expected)
    with np.load("t.npz") as arrays:
        for name, voltage in traced.result.voltage.items():
            assert np.array_equal(arrays[f"chip.0/{name}/voltage"][-1], voltage)
            assert np.array_equal(arrays[f"chip.0/{name}/current"][-1], traced.result.current[name])
    assert main(arguments) == 0
    assert "synaptic operations" in capsys.readouterr().out
    with np.load("t.npz") as arrays:
        assert not [name for name in arrays.files if name.endswith("voltage")]


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (["--trace", "t.txt"], "HSNN-U144"),
        (["--trace", "x.npz", "--output", "x.npz"], "HSNN-U134"),
        (["--trace-states"], "HSNN-U052"),
        (["--trace", "t.npz", "--trace-states", "--target", "reference"], "HSNN-R052"),
    ],
)
def test_traces_that_cannot_be_written(artifact, samples, more, code, capsys):
    assert main(["run", artifact, "-i", "x.npy", *more, "--json"]) == 2
    assert as_json(capsys)["error"]["code"] == code


@pytest.mark.parametrize("name", ["x.npy", "data.npz", "absent.npz"])
def test_files_without_recorded_spikes(samples, name):
    with pytest.raises(UsageError, match="HSNN-U121"):
        read_spikes(name)


def test_run_on_a_device_gives_the_same(artifact, samples, capsys):
    assert main(["run", artifact, "-i", "x.npy", "--json"]) == 0
    expected = as_json(capsys)
    assert main(["run", artifact, "-i", "x.npy", "--target", "gpu", "--device", "cpu", "--json"]) == 0
    found = as_json(capsys)
    assert found["predictions"] == expected["predictions"]
    for ours, theirs in zip(found["stages"], expected["stages"], strict=True):
        assert (ours["spikes"], ours["messages"]) == (theirs["spikes"], theirs["messages"])
    assert main(["run", artifact, "-i", "x.npy", "--target", "gpu", "--device", "tpu", "--json"]) == 2
    assert as_json(capsys)["error"]["code"] == "HSNN-U050"
    assert main(["run", artifact, "-i", "x.npy", "--device", "cpu", "--json"]) == 2
    assert as_json(capsys)["error"]["code"] == "HSNN-U051"


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
    assert code_of(run_report.number_of_classes, two_scores) == "HSNN-U143"


@pytest.mark.parametrize(
    ("change", "fix"),
    [
        (lambda x: x[0], "give a single sample a batch axis of 1: numpy.expand_dims(x, 0)"),
        (lambda x: x[:0], "give one sample or more"),
        (lambda x: np.hstack([x, x]), "prepare samples as those that the model was compiled with"),
    ],
)
def test_what_helps_depends_on_what_is_wrong_with_a_shape(artifact, samples, change, fix, capsys):
    np.save("y.npy", change(samples[0]))
    assert main(["run", artifact, "-i", "y.npy", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["fix"] == fix


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
