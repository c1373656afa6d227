"""``hsnn-compile export --to nir`` and ``--to onnx``: what is written compiles to the same integers again."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hsnn.artifact import load
from hsnn.cli import main
from hsnn.frontends.onnx import from_onnx

nir = pytest.importorskip("nir")

LOOSE = ["--limit", "f1=0,rate=10,dead=1,voltage=10", "--json"]


@pytest.fixture(scope="module")
def hybrid(tmp_path_factory, write_nir):
    """A folder with a network as NIR, its artifact, and samples for it."""
    folder = tmp_path_factory.mktemp("export")
    write_nir(folder)
    policy = ["--nir-policy", "spikingjelly,dt=1e-3", "--timesteps", "8"]
    assert build(folder, "net.nir", "net.hsnn", *policy) == 0
    return folder


def build(folder, model, artifact, *options):
    samples = ["--calibration", str(folder / "x.npz")]
    return main([str(folder / model), *options, *samples, "-o", str(folder / artifact), *LOOSE])


def network(folder, artifact):
    (stage,) = load(str(folder / artifact)).chip_stages
    return stage.network


def assert_same_network(ours, theirs):
    for a, b in zip(ours.populations, theirs.populations, strict=True):
        for name in ("threshold", "bias", "du", "dv", "reset", "refractory"):
            if hasattr(a, name):
                np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    for a, b in zip(ours.projections, theirs.projections, strict=True):
        np.testing.assert_array_equal(a.weights, b.weights)
        assert (a.weight_exp, a.delay) == (b.weight_exp, b.delay)


def test_an_artifact_goes_out_as_nir_and_comes_back_without_a_policy(hybrid, tmp_path, capsys):
    path = hybrid / "again.nir"
    arguments = ["export", str(hybrid / "net.hsnn"), "--to", "nir", "-o", str(path)]
    capsys.readouterr()
    assert main([*arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["nodes"]["lif"] == "NIRGraph"
    assert "comparison=>=" in told["nir_policy"]
    assert [item.split()[1] for item in told["host_operators_left_out"]] == ["(hsnn.TrainEncode)", "(hsnn.TrainDecode)"]
    assert build(hybrid, "again.nir", "again.hsnn") == 0
    assert_same_network(network(hybrid, "net.hsnn"), network(hybrid, "again.hsnn"))
    assert main(arguments) == 2
    assert main([*arguments, "--force", "--nir-policy", "norse"]) == 3
    assert "HSNN-F087" in capsys.readouterr().err


def test_an_artifact_goes_out_as_onnx_and_comes_back(hybrid, capsys):
    path = hybrid / "again.onnx"
    capsys.readouterr()
    assert main(["export", str(hybrid / "net.hsnn"), "--to", "onnx", "-o", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["inputs"] == {"input": "(batch, timestep=8, 6): spikes or values of each timestep"}
    assert told["outputs"] == {"output": "(batch, timestep=8, 3): spikes or values of each timestep"}
    assert build(hybrid, "again.onnx", "onnx.hsnn") == 0
    assert_same_network(network(hybrid, "net.hsnn"), network(hybrid, "onnx.hsnn"))
    assert main(["export", str(path), "--to", "nir", "-o", str(hybrid / "third.nir")]) == 0


def test_the_onnx_file_runs_in_onnx_runtime_with_functions_and_without(hybrid):
    import onnx
    import onnxruntime as ort

    results = []
    for name, options in (("with.onnx", []), ("without.onnx", ["--inline"])):
        path = str(hybrid / name)
        assert main(["export", str(hybrid / "net.hsnn"), "--to", "onnx", "-o", path, *options, "-q"]) == 0
        session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
        results.append(session.run(None, {"input": np.load(hybrid / "x.npz")["input"]})[0])
    np.testing.assert_array_equal(*results)
    assert np.abs(results[0]).max() > 0
    plain = onnx.load(hybrid / "without.onnx")
    assert {item.domain for item in plain.opset_import} == {""}
    assert not plain.functions
    assert "trains (timestep, batch, *feature)" in plain.graph.doc_string
    assert from_onnx(str(hybrid / "with.onnx")).inputs[0].shape == (None, 8, 6)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--to", "onnx", "--nir-policy", "norse"], "HSNN-U152"),
        (["--to", "nir", "--inline"], "HSNN-U152"),
        (["--to", "nir", "--nir-policy", "brian"], "HSNN-F084"),
        (["--to", "text"], "HSNN-U111"),
    ],
)
def test_wrong_use(hybrid, arguments, code, capsys):
    assert main(["export", str(hybrid / "net.hsnn"), "-o", str(hybrid / "none"), *arguments]) == 2
    assert code in capsys.readouterr().err
    assert not (hybrid / "none").exists()


def test_without_its_float_model_an_artifact_is_not_exported(hybrid, capsys):
    assert (
        build(
            hybrid, "net.nir", "bare.hsnn", "--nir-policy", "spikingjelly,dt=1e-3", "--timesteps", "8", "--no-reference"
        )
        == 0
    )
    for kind in ("nir", "onnx"):
        assert main(["export", str(hybrid / "bare.hsnn"), "--to", kind, "-o", str(hybrid / "none")]) == 2
        assert "HSNN-U151" in capsys.readouterr().err


@pytest.fixture
def factory(tmp_path, monkeypatch):
    """The name of a function that returns a torch module, and a file of weights for it."""
    import torch

    (tmp_path / "exported_net.py").write_text(
        "import torch\nfrom torch import nn\nfrom hsnn import nn as snn\n\n\ndef net():\n"
        "    torch.manual_seed(0)\n"
        "    layers = nn.Linear(6, 5), snn.Lif(0.2, voltage_decay=0.25), nn.Linear(5, 3), snn.LeakyIntegrator()\n"
        "    return nn.Sequential(snn.TrainEncode(7), *layers, snn.TrainDecode())\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    from hsnn.frontends.torch import load_factory

    state = load_factory("exported_net:net").state_dict()
    torch.save(
        {name: value * 2 if name.endswith("weight") else value for name, value in state.items()}, tmp_path / "w.pt"
    )
    return "exported_net:net", str(tmp_path / "w.pt")


def test_a_torch_module_is_exported_without_being_built(factory, tmp_path, capsys):
    import torch

    from hsnn.frontends.torch import load_factory, load_weights

    name, weights = factory
    arguments = ["export", name, "--weights", weights, "--input-shape", "7x6"]
    for kind in ("nir", "onnx"):
        assert main([*arguments, "--to", kind, "-o", str(tmp_path / f"net.{kind}"), "-q"]) == 0
    graph = nir.read(tmp_path / "net.nir")
    assert {type(node).__name__ for node in graph.nodes.values()} == {"Input", "Affine", "LIF", "LI", "Output"}
    x = (torch.rand(3, 7, 6) > 0.5).float()
    expected = load_weights(load_factory(name), weights)(x).detach().numpy()
    import onnxruntime as ort

    session = ort.InferenceSession(str(tmp_path / "net.onnx"), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {session.get_inputs()[0].name: x.numpy()})[0], expected, atol=1e-5)
    capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--to", "nir"], "HSNN-U139"),
        (["--to", "nir", "--input-shape", "7x6", "--time", "soon"], "HSNN-U111"),
        (["--to", "netx", "--input-shape", "7x6"], "HSNN-U155"),
    ],
)
def test_wrong_use_of_a_torch_module(factory, arguments, code, tmp_path, capsys):
    assert main(["export", factory[0], "-o", str(tmp_path / "none"), *arguments]) == 2
    assert code in capsys.readouterr().err


def test_an_artifact_needs_no_example(hybrid, capsys):
    arguments = ["export", str(hybrid / "net.hsnn"), "--to", "nir", "-o", str(hybrid / "none"), "--input-shape", "7x6"]
    assert main(arguments) == 2
    assert "HSNN-U152" in capsys.readouterr().err
