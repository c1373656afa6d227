"""hsnn-compile against the real compiler: a newcomer's own model, from the check to the report."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch

from hsnn.cli import main

MODEL = '''
import torch
from torch import nn
from hsnn.nn import Lif, RateDecode, RateEncode

print("this module talks when it is imported")

class Net(nn.Module):
    def __init__(self, hidden=12):
        super().__init__()
        self.stem = nn.Linear(6, 8)
        self.encode = RateEncode(8, scale=2.0, initial=0.5)
        self.synapses = nn.Linear(8, hidden)
        self.neurons = Lif(current_decay=1.0, voltage_decay=0.125)
        self.decode = RateDecode()
        self.head = nn.Linear(hidden, 4)

    def forward(self, picture):
        spikes = self.encode(self.stem(picture).relu())
        return self.head(self.decode(self.neurons(self.synapses(spikes))))

class Pooled(nn.Module):
    """Max pooling of spikes, which the chip has not."""

    def __init__(self):
        super().__init__()
        self.encode = RateEncode(4)
        self.before, self.after = Lif(current_decay=1.0, voltage_decay=0.125), Lif(current_decay=1.0, voltage_decay=0.5)
        self.pool = nn.MaxPool2d(2)
        self.decode = RateDecode()

    def forward(self, picture):
        spikes = self.before(self.encode(picture))
        pooled = self.pool(spikes.flatten(0, 1)).unflatten(0, (4, -1))
        return self.decode(self.after(pooled))

class Remembering(Net):
    """Keeps what it saw."""

    def forward(self, picture):
        self.last = picture + getattr(self, "last", 0)
        return super().forward(self.last)

def net():
    torch.manual_seed(0)
    return Net()

def broken():
    model = net()
    with torch.no_grad():
        model.head.weight[0, 0] = float("nan")
    return model

pooled = Pooled
remembering = Remembering

def leaving():
    raise SystemExit(0)
'''
SAMPLES = 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a model, its weights, samples, and what was built from them."""
    folder = tmp_path_factory.mktemp("newcomer")
    before = os.getcwd()
    os.chdir(folder)
    try:
        (folder / "newcomers_net.py").write_text(MODEL)
        rng = np.random.default_rng(0)
        x = rng.random((SAMPLES, 6)).astype(np.float32)
        model = module().net()
        torch.manual_seed(1)
        for parameter in model.parameters():
            torch.nn.init.uniform_(parameter, -0.6, 0.9)
        torch.save(model.state_dict(), "weights.pt")
        with torch.no_grad():
            scores = model.eval()(torch.from_numpy(x)).numpy()
        np.savez("data.npz", picture=x, labels=scores.argmax(1), scores=scores)
        yield folder
    finally:
        os.chdir(before)
        sys.modules.pop("newcomers_net", None)


def module():
    import importlib

    sys.path.insert(0, os.getcwd())
    try:
        return importlib.import_module("newcomers_net")
    finally:
        sys.path.remove(os.getcwd())


BUILD = "newcomers_net:net --weights weights.pt --calibration data.npz -o net.hsnn".split()


@pytest.fixture(scope="module")
def built(folder):
    """The artifact, and what the command said in a process of its own."""
    done = subprocess.run([sys.executable, "-m", "hsnn.cli", *BUILD, "--json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def answer(capsys, *arguments):
    status = main([*arguments, "--json"])
    return status, json.loads(capsys.readouterr().out)


def test_build_tells_where_everything_went(built, folder):
    result, err = built
    assert "this module talks" in err  # and not on standard output, which is JSON
    assert "Traceback" not in err
    places = {item["module"]: item["place"] for item in result["placements"] if item["module"]}
    assert places["stem"].startswith("host")
    assert places["neurons"].startswith("chip")
    assert places["head"].startswith("host")
    [into] = [cut for cut in result["cuts"] if cut["target"].startswith("chip")]
    assert (into["shape"], into["timesteps"]) == ([8], 8)
    assert 0 < into["spikes_per_timestep"] < 8
    assert result["layers"]
    assert result["mapping"]
    assert (folder / "net.hsnn" / "manifest.json").is_file()


def test_text_shows_the_figures_of_the_json(built, folder, capsys):
    result, _ = built
    assert main([*BUILD, "--force"]) == 0
    out, _ = capsys.readouterr()
    for title in ("Partition", "wrote net.hsnn"):
        assert title in out
    [into] = [cut for cut in result["cuts"] if cut["target"].startswith("chip")]
    assert f"{into['spikes_per_timestep']:.3g}" in out
    assert all(stage["name"] in out for stage in result["stages"])


def test_the_same_build_gives_the_same_artifact(built, folder, capsys):
    _, first = answer(capsys, "inspect", "net.hsnn")
    assert main([*BUILD[:-1], "again.zip", "--quiet"]) == 0
    assert capsys.readouterr().out.startswith("wrote again.zip in ")
    _, second = answer(capsys, "inspect", "again.zip")
    assert first["sha256"] == second["sha256"]
    assert first["files"] == second["files"]


def test_run_agrees_with_torch(built, folder, capsys):
    status, result = answer(capsys, "run", "net.hsnn", "-i", "data.npz", "--label-key", "labels", "-o", "outputs.npz")
    assert status == 0
    assert result["samples"] == SAMPLES
    assert result["accuracy"] >= 0.8  # the labels are the float model's own answers
    with np.load("outputs.npz") as written, np.load("data.npz") as data:
        [name] = written.files
        assert result["correct"] == int(np.sum(written[name].argmax(1) == data["labels"]))
        assert np.abs(written[name] - data["scores"]).mean() < 0.1


def test_run_needs_no_torch(built, folder):
    code = "import sys; sys.modules['torch'] = None; sys.modules['onnxscript'] = None; from hsnn.cli import main; "
    code += "sys.exit(main(['run', 'net.hsnn', '-i', 'data.npz', '--label-key', 'labels', '--json']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["samples"] == SAMPLES


def test_verify_climbs_every_rung(built, folder, capsys):
    arguments = "verify net.hsnn --target emulator --model newcomers_net:net --weights weights.pt".split()
    status, result = answer(capsys, *arguments)
    assert status == 0, result
    assert result["passed"]
    assert {rung["status"] for rung in result["rungs"]} == {"passed"}
    assert len(result["rungs"]) == 5


def test_verify_notices_other_weights(built, folder, capsys):
    status, result = answer(capsys, *"verify net.hsnn --target emulator --model newcomers_net:net".split())
    assert status == 5
    failed = [rung["name"] for rung in result["rungs"] if rung["status"] == "failed"]
    assert failed == ["torch = ONNX"]
    assert result["error"]["code"] == "HSNN-V001"


@pytest.mark.lava
def test_build_verifies_up_to_lava(folder, capsys):
    status, result = answer(capsys, *BUILD[:-1], "proven.hsnn", "--verify")
    assert status == 0, result
    rungs = {rung["name"]: rung["status"] for rung in result["verify"]["rungs"]}
    assert rungs["emulator = loihi2-sim"] == "passed"
    assert rungs["torch = ONNX"] == "passed"


def test_report_is_one_page(built, folder, capsys):
    assert main(["report", "net.hsnn"]) == 0
    page = Path(capsys.readouterr().out.strip()).read_text(encoding="utf-8")
    assert "newcomers_net:net" in page
    assert "<script src" not in page
    assert 'href="http' not in page


def test_check_agrees_with_the_build(built, folder, capsys):
    status, result = answer(capsys, "check", "newcomers_net:net", "--input-shape", "6")
    assert status == 0
    assert result["supported"]
    assert result["fits"]
    assert [item["place"] for item in result["placements"]] == [item["place"] for item in built[0]["placements"]]


def test_a_pin_is_obeyed(folder, capsys):
    status, result = answer(capsys, *"check newcomers_net:net --input-shape 6 --pin *=host".split())
    assert status == 3
    assert [problem["code"] for problem in result["problems"]] == ["HSNN-P020"]
    assert "--pin" in result["problems"][0]["fix"]


def test_a_hybrid_onnx_file_compiles_too(built, folder, capsys):
    onnx = folder / "net.hsnn" / "hybrid.onnx"
    status, result = answer(capsys, "build", str(onnx), "--calibration", "data.npz", "-o", "onnx.hsnn")
    assert status == 0, result
    for name in ("net.hsnn", "onnx.hsnn"):
        main(["run", name, "-i", "data.npz", "-o", f"{name}.npz", "--quiet"])
    with np.load("net.hsnn.npz") as left, np.load("onnx.hsnn.npz") as right:
        for one, other in zip(left.values(), right.values(), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        ("check newcomers_net:pooled --input-shape 1x4x4", 3, "HSNN-U140"),
        ("check newcomers_net:remembering --input-shape 6", 3, "HSNN-U140"),
        ("check newcomers_net:net --input-shape 6 --chip small.toml", 4, "HSNN-U141"),
        ("newcomers_net:net --calibration data.npz --chip small.toml -o bad.hsnn", 4, "HSNN-C010"),
        ("check newcomers_net:net --input-shape 7", 2, "HSNN-F010"),
        ("check newcomers_net:nothing --input-shape 6", 2, "HSNN-F001"),
        ("check newcomers_net:leaving --input-shape 6", 1, "HSNN-U117"),
        ("newcomers_net:broken --calibration data.npz -o bad.hsnn", 2, "HSNN-F005"),
        ("newcomers_net:net --calibration nan.npz -o bad.hsnn", 2, "HSNN-R104"),
        ("newcomers_net:net --calibration empty.npz -o bad.hsnn", 2, "HSNN-R103"),
        ("newcomers_net:net --calibration data.npz --weights other.pt -o bad.hsnn", 2, "HSNN-F004"),
        ("newcomers_net:net --calibration data.npz --weights text.pt -o bad.hsnn", 2, "HSNN-F003"),
        ("newcomers_net:net --calibration data.npz --chip ghost.toml -o bad.hsnn", 2, "HSNN-C001"),
        ("newcomers_net:net --calibration data.npz --limit f1=1.1 -o bad.hsnn", 2, "HSNN-Q021"),
        ("newcomers_net:pooled --calibration images.npz -o bad.hsnn", 3, "HSNN-P010"),
    ],
)
def test_bad_input_ends_with_a_code_and_leaves_nothing(folder, arguments, status, code, capsys):
    np.savez("nan.npz", picture=np.full((4, 6), np.nan, np.float32))
    np.savez("empty.npz", picture=np.zeros((0, 6), np.float32))
    np.savez("images.npz", picture=np.zeros((4, 1, 4, 4), np.float32))
    torch.save({"weight": torch.zeros(2)}, "other.pt")
    Path("text.pt").write_text("these are no weights")
    chip = resources.files("hsnn_targets.chips").joinpath("loihi2.toml").read_text(encoding="utf-8")
    Path("small.toml").write_text(chip.replace("value = 120", "value = 1").replace("value = 8192", "value = 4"))
    found, result = answer(capsys, *arguments.split())
    assert found == status, result
    assert result["error"]["exit_status"] == status
    assert result["error"]["code"] == code
    assert not Path("bad.hsnn").exists()
    assert not list(Path().glob(".*"))


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
def test_ctrl_c_ends_a_run_at_once(built, folder):
    np.savez("many.npz", picture=np.random.default_rng(0).random((2_000_000, 6)).astype(np.float32))
    arguments = "run net.hsnn -i many.npz -o never.npz --batch-size 1 --target reference --verbose".split()
    with subprocess.Popen(
        [sys.executable, "-m", "hsnn.cli", *arguments], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr.readline() == "chip.0 on reference\n"
            time.sleep(0.5)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "HSNN-U113" in err
    assert "Traceback" not in err
    assert not out
    assert not Path("never.npz").exists()
