"""Command lines of the pages in docs do what they say, in their order, in a folder with the files that they name."""

from __future__ import annotations

import shlex
import subprocess
import sys
import warnings
from types import ModuleType

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from hsnn import nn as snn
from hsnn.cli import main
from hsnn.frontends.netx.write import net_bytes
from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.populations import InputPort, LifPopulation
from hsnn.ir.projections import DenseProjection
from hsnn_models import data
from hsnn_models.has8 import Has8ResNet
from support.pages import FENCE, PAGES, README, blocks, page, section

COMMANDS = ("hsnn-compile ", "python ", "make ", "pip ")
NEVER_RUN = {
    "colanet.md": {
        "pip install": "installs packages; an environment may not have an index",
        "make colanet": "learns for many minutes; its parts are tested in test_colanet_*.py",
        "python -m hsnn_models.colanet.evaluate": "the same",
        "python -m hsnn_models.colanet.tune": "the same",
        "hsnn-compile hsnn_models.efficientnet_colanet": "needs packages of EfficientNet: tests/interop has the test",
        "hsnn-compile run clothes.hsnn": "runs what the line before has built",
    },
    "has8.md": {
        "python -m hsnn_models.fetch_fashion": "fetches a data set",
        "python -m hsnn_models.train": "trains for an hour; test_models.py trains for a moment",
        "python -m hsnn_models.has8_table": "measures trained models for minutes; test_has8_table.py has the parts",
    },
    "speed.md": {"make bench": "measures for minutes; test_bench.py runs every section at its smallest size"},
    "targets.md": {"pip install": "installs packages; an environment may not have an index"},
}
"""By page: how a line that is not run begins, and why it is not."""


def command_lines(name):
    """Return the command lines in the blocks of a page, in order, without those that cannot run here."""
    lines = [line for _, body in FENCE.findall(page(name)) for line in body.splitlines()]
    return [line for line in lines if line.startswith(COMMANDS) and not never(name, line)]


def never(name, line):
    return [start for start in NEVER_RUN.get(name, {}) if line.startswith(start)]


def run(line, capsys):
    """Run one line; return what it printed. ``hsnn-compile`` runs in this process, which is faster."""
    words = shlex.split(line, comments=True)
    if words[0] == "hsnn-compile":
        status = main(words[1:])
        said = capsys.readouterr()
        assert status == 0, f"{line}\n{said.err}"
        return said.out
    done = subprocess.run([sys.executable, *words[1:]], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{line}\n{done.stderr}"
    return done.stdout


# --- the files that a user has; a seed makes them, and weights are large enough for neurons to spike


def own_model(folder, monkeypatch):
    """The model of the README, its weights and samples for it."""
    (program,) = blocks(section(README.read_text(encoding="utf-8"), "Your own model, in ten lines"), "python")
    monkeypatch.setitem(sys.modules, "my_model", module := ModuleType("my_model"))
    exec(compile(program, "my_model.py", "exec"), vars(module))
    torch.manual_seed(0)
    model = module.net()
    with torch.no_grad():
        for synapses in model[3:].parameters():
            synapses *= 16
    save_file(model.state_dict(), folder / "net.safetensors")
    images = np.random.default_rng(0).random((12, 1, 28, 28), np.float32)
    np.savez(folder / "samples.npz", x=images)
    np.save(folder / "images.npy", images[:3])


def chip(folder, monkeypatch):
    own_model(folder, monkeypatch)
    text, _ = blocks(page("chips.md"), "toml")
    (folder / "my_chip.toml").write_text(text, encoding="utf-8")


def pictures(folder, monkeypatch):
    image = pytest.importorskip("PIL.Image")
    for number, label in enumerate(("cat", "dog")):
        (folder / "pictures" / label).mkdir(parents=True)
        image.new("L", (32, 40), 100 * number).save(folder / "pictures" / label / "0.png")


def has8_network(folder, monkeypatch):
    torch.manual_seed(0)
    images = data.fashion_subset("calibration")
    model = Has8ResNet("has8", stem=4, base=4, depth=(1, 1)).train()
    with torch.no_grad():
        for _ in range(5):
            model(torch.from_numpy(images.images[:64]))
    monkeypatch.setitem(sys.modules, "my_model", module := ModuleType("my_model"))
    module.network = model.eval()
    np.savez(folder / "samples.npz", x=images.images[:32], labels=images.labels[:32])


def lessons(folder, monkeypatch):
    """Digits 0 to 8 first, then one class more."""
    train, test = data.digits("train"), data.digits("test")
    for name, kept in {"first": train.labels < 9, "new_class": train.labels == 9}.items():
        np.savez(folder / f"{name}.npz", x=train.images[kept].reshape(-1, 64), labels=train.labels[kept])
    np.savez(folder / "test.npz", x=test.images.reshape(-1, 64), labels=test.labels)


def dense():
    """Two layers of spiking neurons over 32 timesteps, trains in and trains out."""
    torch.manual_seed(0)
    layers = [torch.nn.Linear(6, 8), snn.Lif(comparison=">="), torch.nn.Linear(8, 4), snn.Lif(comparison=">=")]
    with torch.no_grad():
        for layer in layers[::2]:
            layer.weight.uniform_(0.5, 1.0)
            layer.bias.zero_()
    return torch.nn.Sequential(snn.TrainEncode(32), *layers, snn.TrainDecode())


def netx_file(folder, monkeypatch):
    """One dense layer with even weights, which netx has."""
    field = {"du": np.array(4095), "dv": np.array(128), "threshold": np.array(512), "bias_mant": np.array(0)}
    neurons = LifPopulation("b", (4,), **{name: value.astype(np.int32) for name, value in field.items()})
    synapses = DenseProjection("ab", "a", "b", np.arange(-8, 40, 2, np.int16).reshape(4, 6))
    network = IntegerNetwork("chip.0", 32, (InputPort("a", (6,)),), (neurons,), (synapses,), ("b",))
    (folder / "network.net").write_bytes(net_bytes(network))


def nir_file(folder, monkeypatch):
    own_model(folder, monkeypatch)
    monkeypatch.setitem(sys.modules, "trained", module := ModuleType("trained"))
    module.net = dense()
    trains = (np.random.default_rng(1).random((24, 32, 6)) < 0.4).astype(np.float32)
    for name in ("samples.npz", "trains.npz"):
        np.savez(folder / name, input=trains)
    export = ["export", "trained:net", "--example", "samples.npz"]
    assert main([*export, "--to", "nir", "--nir-policy", "spikingjelly", "-o", "network.nir"]) == 0
    assert main([*export, "--to", "onnx", "-o", "hybrid.onnx"]) == 0


def plain_network(folder, monkeypatch):
    torch.manual_seed(0)
    model = torch.nn.Sequential()
    model.layer1, model.layer3 = torch.nn.Linear(6, 8), torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Linear(8, 3))
    inputs = {"input_names": ["x"], "dynamic_shapes": [{0: torch.export.Dim("batch")}]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model.eval(), (torch.rand(2, 6),), folder / "ann.onnx", opset_version=20, **inputs)
    np.savez(folder / "samples.npz", x=np.random.default_rng(0).random((64, 6), np.float32))


def written_by_hand(folder, monkeypatch):
    (program,) = blocks(page("operators.md"), "python")
    (folder / "write_net.py").write_text(program, encoding="utf-8")
    np.savez(folder / "samples.npz", x=np.random.default_rng(1).random((24, 4), np.float32))


def small_artifact(folder, monkeypatch):
    own_model(folder, monkeypatch)
    build = ["my_model:net", "--weights", "net.safetensors", "--calibration", "samples.npz", "-o", "net.hsnn"]
    assert main(build) == 0


RUN = {
    "chips.md": (chip, ()),
    "colanet.md": (pictures, ("test.npz",)),
    "has8.md": (has8_network, ()),
    "learning.md": (lessons, ("nine.hsnn", "ten.hsnn")),
    "netx.md": (netx_file, ("network.hsnn", "again.net")),
    "nir.md": (nir_file, ("network.hsnn", "again.nir", "hybrid.nir", "net.nir")),
    "operators.md": (written_by_hand, ("net.hsnn",)),
    "speed.md": (small_artifact, ()),
    "spike.md": (plain_network, ("ann.hsnn", "curve.svg")),
}
"""By page: what makes the files that its lines read, and what its lines leave behind."""


@pytest.mark.lava
@pytest.mark.filterwarnings("ignore::hsnn.errors.HsnnWarning")
@pytest.mark.parametrize("name", RUN)
def test_the_commands_of_a_page_work_in_their_order(name, folder, monkeypatch, capsys):
    prepare, left = RUN[name]
    prepare(folder, monkeypatch)
    capsys.readouterr()
    lines = command_lines(name)
    assert lines
    for line in lines:
        run(line, capsys)
    assert [path for path in left if not (folder / path).exists()] == []


def test_no_page_with_commands_is_left_out():
    names = {path.name for path in PAGES if path.parent.name == "docs"}
    assert {name for name in names if command_lines(name)} == set(RUN)


def test_what_is_never_run_is_there():
    for name, starts in NEVER_RUN.items():
        lines = [line for _, body in FENCE.findall(page(name)) for line in body.splitlines()]
        for start in starts:
            assert any(line.startswith(start) for line in lines), f"{name} has no line {start}"
