"""The programs and commands of the README work as they are written."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import hsnn
from hsnn import nn as snn
from hsnn.cli import main
from hsnn.frontends.torch import from_torch
from hsnn.passes.partition.partition import Partition
from hsnn.passes.rewrite.canonicalize import canonicalize
from support.pages import CODE_SPAN, README, blocks, section

# --- the programs of the README


@pytest.mark.lava
def test_readme_in_python_runs_as_written(tmp_path):
    program = blocks(section(README.read_text(encoding="utf-8"), "In Python"), "python")[0]
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    predictions, _, counts = done.stdout.partition("] ")
    assert len(re.findall(r"\d+", predictions)) == 8
    assert "neurons1" in counts
    assert (tmp_path / "digits.hsnn" / "manifest.json").is_file()


@pytest.fixture
def own_model(tmp_path, monkeypatch):
    """Save the model of the README as my_model.py in the current folder."""
    text = section(README.read_text(encoding="utf-8"), "Your own model, in ten lines")
    (program,) = blocks(text, "python")
    (tmp_path / "my_model.py").write_text(program, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "my_model", module := ModuleType("my_model"))
    exec(compile(program, "my_model.py", "exec"), vars(module))
    return module


def partitioned(model, shape):
    return Partition()(canonicalize(from_torch(model.eval(), (torch.rand(2, *shape),))))


def test_the_model_of_the_readme_is_cut_as_its_comments_say(own_model):
    torch.manual_seed(0)
    plan = partitioned(own_model.net(), (1, 28, 28))
    assert [stage.name for stage in plan.stages] == ["host.0", "chip.0", "host.1"]
    places = {}
    for item in plan.placements:
        places.setdefault(item.module.split(".")[0], set()).add(item.place)
    expected = ["host.0"] * 4 + ["chip.0"] * 4 + ["host.1"] * 2
    assert places == {str(layer): {place} for layer, place in enumerate(expected)}
    assert (len(plan.cuts), plan.outputs[0].shape) == (2, (None, 10))


def test_the_check_of_the_readme(own_model, capsys):
    (span,) = (span for span in CODE_SPAN.findall(README.read_text(encoding="utf-8")) if "check my_model" in span)
    assert main([*shlex.split(span)[1:], "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["supported"]
    assert {item["place"] for item in report["placements"]} == {"host.0", "chip.0", "host.1"}


def test_max_pooling_between_spiking_layers_costs_a_pair_of_crossings():
    def model(pool):
        return torch.nn.Sequential(
            snn.RateEncode(4),
            snn.Lif(),
            snn.TimeDistributed(pool),
            snn.Lif(),
            snn.RateDecode(),
        )

    found = {}
    for pool in (torch.nn.AvgPool2d(2), torch.nn.MaxPool2d(2)):
        plan = partitioned(model(pool), (1, 4, 4))
        reasons = {f"{item.code} {item.reason}" for item in plan.placements if item.code}
        found[type(pool).__name__] = len(plan.cuts), reasons
    text = README.read_text(encoding="utf-8")
    reason = "HSNN-P007 Loihi has no max pooling"
    assert f"`{reason}`" in text
    assert found == {"AvgPool2d": (2, set()), "MaxPool2d": (4, {reason})}


@pytest.mark.lava
def test_the_commands_of_the_readme_work_in_their_order(own_model, tmp_path, capsys):
    torch.manual_seed(0)
    model = own_model.net()
    with torch.no_grad():
        for synapses in model[3:].parameters():
            synapses *= 16  # as they start, no neuron would spike
    save_file(model.state_dict(), "net.safetensors")
    rng = np.random.default_rng(0)
    images = rng.random((12, 1, 28, 28), np.float32)
    np.savez("samples.npz", x=images)
    np.save("images.npy", images[:3])
    np.save("labels.npy", rng.integers(0, 10, 3))
    text = section(README.read_text(encoding="utf-8"), "Your own model, in ten lines")
    lines = [line for body in blocks(text, "") for line in body.splitlines()]
    assert len(lines) == 4
    shown = ""
    for line in lines:
        status = main(shlex.split(line)[1:])
        said = capsys.readouterr()
        assert status == 0, said.err
        shown += said.out
    assert "accuracy" in shown
    assert "emulator = loihi2-sim" in shown
    assert (tmp_path / "net.hsnn.report.html").is_file()
    sent = hsnn.load("net.hsnn").golden.sent["chip.0"]
    assert all(spikes.any() for spikes in sent.values())
