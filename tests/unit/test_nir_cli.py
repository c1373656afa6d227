"""NIR files and folders of models on the command line, the whole way down to Lava."""

from __future__ import annotations

import json

import numpy as np
import pytest

import hsnn
from hsnn import feasibility
from hsnn.cli import main
from hsnn.compiler import Options
from hsnn.errors import UsageError
from hsnn.frontends.nir.build import from_nir
from hsnn.report.layers import parse_limits

nir = pytest.importorskip("nir")

POLICY = ["--nir-policy", "spikingjelly,dt=1e-3", "--timesteps", "8"]


@pytest.fixture
def files(folder, write_nir):
    """A network with a loop, as ``net.nir``, and samples for it."""
    write_nir(folder)
    return folder


def out(capsys):
    return json.loads(capsys.readouterr().out)


def build(capsys):
    loose = ["--limit", "f1=0,rate=10,dead=1,voltage=10"]
    assert main(["net.nir", *POLICY, "--calibration", "x.npz", "-o", "net.hsnn", "--json", *loose]) == 0
    return out(capsys)


def test_a_nir_file_compiles_verifies_and_runs(files, capsys):
    build(capsys)
    assert main(["verify", "net.hsnn", "--target", "emulator", "--json"]) == 0
    out(capsys)
    recorded = json.loads((files / "net.hsnn" / "manifest.json").read_text())
    text = json.dumps(recorded)
    assert "comparison=>=" in text
    assert "dt=0.001" in text
    assert main(["run", "net.hsnn", "--input", "x.npz", "--target", "emulator", "--output", "y.npz", "--json"]) == 0
    assert np.load("y.npz")["output"].shape == (24, 8, 3)


def test_a_nir_file_in_python(files):
    with pytest.raises(UsageError, match=r"HSNN-F084[\s\S]*from_nir") as refused:
        hsnn.compile(files / "net.nir", np.load(files / "x.npz"))
    assert "timesteps=" in refused.value.fix
    loose = Options(target="emulator", limits=parse_limits("f1=0,rate=10,dead=1,voltage=10"))
    model = from_nir(files / "net.nir", policy="spikingjelly,dt=1e-3", timesteps=8)
    program = hsnn.compile(model, np.load(files / "x.npz"), options=loose)
    program.save(files / "net.hsnn")
    assert main(["export", "net.hsnn", "--to", "nir", "-o", "exported.nir", "--json"]) == 0
    # What hsnn exports says itself what NIR leaves open.
    again = hsnn.compile(files / "exported.nir", np.load(files / "x.npz"), options=loose)
    assert [stage.network.timesteps for stage in again.chip_stages] == [8]


@pytest.mark.lava
def test_a_nir_file_climbs_down_to_lava(files, capsys):
    build(capsys)
    assert main(["verify", "net.hsnn", "--target", "loihi2-sim", "--json"]) == 0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["check", "net.nir", "--timesteps", "8"], "HSNN-F084"),
        (["check", "net.nir", "--nir-policy", "spikingjelly"], "HSNN-F085"),
        (["check", "gone.nir", *POLICY], "HSNN-U120"),
        (["check", "net.nir", "--weights", "w.pt", *POLICY], "HSNN-U"),
        (["check", "net:make", "--input-shape", "3", "--timesteps", "4"], "HSNN-F075"),
        (["check", "net:make", "--input-shape", "3", "--nir-policy", "norse"], "HSNN-U146"),
        (["check", "net.nir", "--schedule", "lava", *POLICY], "HSNN-F075"),
    ],
)
def test_wrong_use(files, capsys, arguments, code):
    assert main(arguments) == UsageError.exit_status
    assert code in capsys.readouterr().err


def test_a_folder_is_checked_line_by_line(files, capsys):
    (files / "deep").mkdir()
    (files / "deep" / "broken.nir").write_bytes(b"nothing")
    (files / "deep" / "broken.onnx").write_bytes(b"\xff\xff")
    (files / "read.me").write_text("no model")
    assert main(["check", ".", *POLICY]) == 2
    text = capsys.readouterr().out
    lines = {line.split()[0]: line.split()[1] for line in text.splitlines()}
    assert lines["net.nir"] == "compiles"
    assert lines["deep/broken.nir"] == lines["deep/broken.onnx"] == "unreadable"
    assert text.splitlines()[-1] == "1 of 3 models compile"
    assert main(["check", ".", *POLICY, "--json"]) == 2
    found = out(capsys)
    assert [item["path"] for item in found["models"]] == ["deep/broken.nir", "deep/broken.onnx", "net.nir"]
    assert found["models"][0]["error"]["code"] == "HSNN-F080"
    assert found["models"][2]["neurons"] == 8
    assert main(["check", "."]) == 2
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("net.nir"))
    assert line.split()[1] == "incomplete"
    assert "--nir-policy" in line
    assert found["compiles"] == 1


def test_a_mistake_of_ours_in_one_file_leaves_the_lines_of_the_others(files, capsys, monkeypatch):
    (files / "broken.nir").write_bytes(b"nothing")
    checked = feasibility.check

    def stumble(*arguments, **options):
        raise ZeroDivisionError("by nought")

    monkeypatch.setattr(feasibility, "check", stumble)
    assert main(["check", ".", *POLICY]) == 2
    first, second, last = capsys.readouterr().out.splitlines()
    assert first.split()[:2] == ["broken.nir", "unreadable"]
    assert second.split()[:3] == ["net.nir", "failed", "HSNN-U116:"]
    assert "by nought" in second
    assert last == "0 of 2 models compile"
    monkeypatch.setattr(feasibility, "check", checked)
    (files / "broken.nir").unlink()
    assert main(["check", ".", *POLICY]) == 0


def test_a_folder_of_what_compiles_and_what_is_unsupported(files, capsys):
    assert main(["check", ".", *POLICY]) == 0
    assert main(["check", ".", "--timesteps", "8", "--nir-policy", "spikingjelly,dt=1"]) == 3
    assert "HSNN-F083" in capsys.readouterr().out
    (files / "tiny.toml").write_text("")
    (files / "empty").mkdir()
    assert main(["check", "empty"]) == 2
    assert "HSNN-U147" in capsys.readouterr().err
    assert main(["check", ".", *POLICY, "--input-shape", "3"]) == 2
