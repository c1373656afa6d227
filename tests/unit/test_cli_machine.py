"""hsnn-compile targets and doctor."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import pytest

from hsnn.cli import main
from hsnn.doctor import examine


def as_json(capsys):
    return json.loads(capsys.readouterr().out)


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


@pytest.mark.parametrize("missing", ["numpy", "rich", "onnxruntime", "llvmlite", "jinja2"])
def test_doctor_works_where_nothing_else_does(missing):
    code = f"import sys; sys.modules[{missing!r}] = None; from hsnn.cli import main; sys.exit(main(['doctor']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("error: HSNN-U145")
    assert f"pip install {missing}" in done.stdout
    assert "Traceback" not in done.stderr


def test_doctor_holds_a_cuda_device_to_the_reference(monkeypatch):
    monkeypatch.setenv("HSNN_GPU_DEVICE", "cpu")
    found = {item.name: item for item in examine()}
    assert found["self-test gpu"].state == "ok"
    monkeypatch.setenv("HSNN_GPU_DEVICE", "")
    monkeypatch.setattr("hsnn_targets.gpu.target.count_devices", lambda: 0)
    assert "self-test gpu" not in {item.name for item in examine()}
