"""hsnn-compile build, check and verify: what they pass on, and what they refuse before any work."""

from __future__ import annotations

import json
import os
import zipfile

import numpy as np
import pytest

from hsnn.cli import main
from hsnn.commands import values
from hsnn.commands.models import default_name


def as_json(capsys):
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def compiler(monkeypatch, chain):
    """Record what the compiler is asked, and answer with a finished program."""
    from hsnn import compiler as module

    calls = []

    def compile(model, calibration, **more):
        calls.append((model, calibration, more))
        return chain

    monkeypatch.setattr(module, "compile", compile)
    monkeypatch.setattr("hsnn.commands.models.load_model", lambda text, weights, reading=None: (text, weights))
    return calls


def test_build_passes_every_option_on(compiler, samples, folder, capsys):
    (folder / "w.safetensors").write_bytes(b"")
    arguments = "net:make --weights w.safetensors --calibration x.npy --chip big.toml --target emulator"
    more = "--pin a.*=host --pin b=chip --limit f1=0.9,rate=0.1 --limit dead=0 --payload-bits 6 --margin 1.5 --seed 7"
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
    assert chosen.margin == 1.5
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
        ("verify net.hsnn --input ghost.npz", "HSNN-U120", 2),
    ],
)
def test_what_cannot_work_is_refused_before_any_work(compiler, samples, arguments, code, status, capsys):
    before = sorted(os.listdir())
    assert main([*arguments.split(), "--json"]) == status
    assert as_json(capsys)["error"]["code"] == code
    assert not compiler
    assert sorted(os.listdir()) == before


def test_samples_in_the_place_of_the_model_are_called_so(folder, samples, capsys):
    assert main(["check", "x.npy", "--json"]) == 2
    assert "--calibration or --input" in as_json(capsys)["error"]["fix"]


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
    from hsnn import feasibility as module

    problems = () if supported else tuple({"code": f"HSNN-P{i:03}", "found": f"f{i}", "fix": f"x{i}"} for i in range(3))
    report = module.CheckReport(supported, problems, fits=fits)
    monkeypatch.setattr(module, "check", lambda model, **more: report)
    monkeypatch.setattr("hsnn.commands.models.load_model", lambda text, weights, reading=None: object())
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
    arguments = ["verify", artifact, "--input", "data.npz", "--limit", "f1=0.75", "--timeout", "9"]
    assert main([*arguments, "--json"]) == 5
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert not result["passed"]
    assert [rung["status"] for rung in result["rungs"]] == ["passed", "failed"]
    assert result["error"]["code"] == "HSNN-V001"
    assert "timestep 3, sample 1, neuron (2,)" in err
    assert "please report it" in result["error"]["fix"]
    np.testing.assert_array_equal(asked["samples"]["x"], samples[0])
    assert (asked["target"].name, asked["timeout"], asked["limits"].min_f1) == ("loihi2-sim", 9.0, 0.75)
    assert main(arguments) == 5
    assert "timestep 3" in capsys.readouterr().out


def test_names_of_artifacts():
    assert default_name("pkg.nets:Digits.small") == "small"
    assert default_name("dir/my net.onnx") == "my_net"


def test_pins_may_hold_an_equals_sign():
    assert values.pin("a=b=host") == ("a=b", "host")
