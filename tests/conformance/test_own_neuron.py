"""A user's own neuron class, from the error of the first try to simulated Loihi: what the message says is enough."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hsnn.cli import main

MODEL = '''
import torch
from torch import nn
{imports}

class Mine(nn.Module):
    """Keeps its voltage from call to call."""

    def __init__(self, limit, keep):
        super().__init__()
        self.limit, self.keep, self.v = limit, keep, None

    def reset(self):
        self.v = None

    def forward(self, x):
        v = x if self.v is None else self.keep * self.v + x
        spikes = (v > self.limit).to(x.dtype)
        self.v = v - self.limit * spikes
        return spikes


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.first = nn.Sequential(nn.Linear(6, 8), nn.ReLU()), Mine(0.5, 0.75)
        self.fc, self.second = nn.Linear(8, 4), Mine(0.4, 0.5)
        with torch.no_grad():
            self.fc.weight.mul_(3)

    def forward(self, x):
        self.first.reset()
        self.second.reset()
        x, total = self.stem(x), 0
        for _ in range(8):
            total = total + self.second(self.fc(self.first(x)))
        return total / 8


net = Net
{registration}
'''
REGISTRATION = """
@hsnn.register_neuron(Mine)
def convert(neuron):
    return hsnn.nn.Lif(threshold={limit}, voltage_decay=1 - neuron.keep, reset="subtract")
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a module with the model; return its name for the command line."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("hsnn.frontends.live.registry._REGISTERED", {})
    monkeypatch.chdir(tmp_path)
    np.savez("x.npz", x=np.random.default_rng(0).random((48, 6)).astype(np.float32))

    def written(name, imports="", registration=""):
        (tmp_path / f"{name}.py").write_text(MODEL.format(imports=imports, registration=registration))
        return f"{name}:net"

    return written


def test_without_its_equation_the_message_shows_the_way(write, capsys):
    assert main(["check", write("own_unknown"), "--input-shape", "6", "--json"]) == 3
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert problem["code"] == "HSNN-F025"
    assert "hsnn.register_neuron" in problem["fix"]


def test_a_wrong_equation_is_found_out(write, capsys):
    model = write("own_wrong", "import hsnn", REGISTRATION.format(limit="2 * neuron.limit"))
    assert main(["check", model, "--example", "x.npz"]) == 3
    captured = capsys.readouterr()
    assert "HSNN-F095" in captured.out + captured.err


@pytest.mark.lava
@pytest.mark.slow
def test_with_it_the_model_compiles_and_is_verified_down_to_lava(write, capsys):
    model = write("own_known", "import hsnn", REGISTRATION.format(limit="neuron.limit"))
    assert main([model, "--calibration", "x.npz", "-o", "own.hsnn", "-q"]) == 0
    assert main(["verify", "own.hsnn", "--model", model, "--target", "loihi2-sim"]) == 0
    assert "emulator = loihi2-sim" in capsys.readouterr().out
