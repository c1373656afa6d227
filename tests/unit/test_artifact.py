"""Artifacts: what is written comes back, and the same program gives the same bytes."""

from __future__ import annotations

import dataclasses
import json
import os
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load as load_tensors

from hsnn.artifact import layout, load, networks, schema, schema_network
from hsnn.artifact.encode import encode
from hsnn.artifact.networks import decode_network, encode_network
from hsnn.ir import integer, plan, populations, projections
from hsnn.ir.plan import HostStage
from hsnn.program import ChipInput, ChipOutput, ChipStage

ZIP_AND_FOLDER = pytest.mark.parametrize("name", ["net.hsnn", "net.hsnn.zip"])


def same_arrays(one, other):
    assert type(one) is type(other)
    for field in dataclasses.fields(one):
        left, right = getattr(one, field.name), getattr(other, field.name)
        if isinstance(left, np.ndarray):
            assert left.dtype == right.dtype
            assert left.shape == right.shape
            assert np.array_equal(left, right)
        else:
            assert left == right


def same_network(one, other):
    assert (one.name, one.timesteps, one.inputs, one.outputs) == (
        other.name,
        other.timesteps,
        other.inputs,
        other.outputs,
    )
    for left, right in zip(one.populations + one.projections, other.populations + other.projections, strict=True):
        same_arrays(left, right)


@ZIP_AND_FOLDER
def test_round_trip(chain, golden, tmp_path, name):
    program = dataclasses.replace(chain, golden=golden)
    program.save(tmp_path / name)
    back = load(tmp_path / name)
    assert (tmp_path / name).is_file() == name.endswith(".zip")
    for field in ("inputs", "outputs", "metadata", "placements", "cuts", "cut_spikes", "layers", "mapping"):
        assert getattr(back, field) == getattr(program, field), field
    assert (back.hybrid, back.report) == (program.hybrid, program.report)
    for one, other in zip(program.stages, back.stages, strict=True):
        assert type(one) is type(other)
        assert (one.name, one.inputs, one.outputs) == (other.name, other.inputs, other.outputs)
        if isinstance(one, ChipStage):
            same_network(one.network, other.network)
        else:
            assert one.model == other.model
    for kind in ("inputs", "outputs"):
        for key, array in getattr(golden, kind).items():
            assert np.array_equal(getattr(back.golden, kind)[key], array)
    for kind in ("payloads", "sent"):
        for key, array in getattr(golden, kind)["chip.0"].items():
            found = getattr(back.golden, kind)["chip.0"][key]
            assert found.dtype == np.int32
            assert np.array_equal(found, array)


def test_round_trip_without_the_optional_parts(diamond, tmp_path):
    diamond.save(tmp_path / "net.hsnn")
    back = load(tmp_path / "net.hsnn")
    assert (back.hybrid, back.golden, back.report) == (None, None, None)
    assert [stage.name for stage in back.stages] == ["host.0", "chip.0", "chip.1", "host.1"]
    assert back.outputs == diamond.outputs


def test_every_kind_of_network_comes_back(every_kind):
    structure, arrays = encode_network(every_kind, "a.json")
    same_network(every_kind, decode_network(structure, arrays, "a.json"))


def test_views_and_foreign_byte_orders_are_written_right(build):
    network = build.network()
    dense = network.projections[0]
    wide = np.zeros((2 * build.hidden, build.features), np.int16)
    wide[::2] = dense.weights
    view = dataclasses.replace(
        network, projections=(dataclasses.replace(dense, weights=wide[::2]), *network.projections[1:])
    )
    assert encode_network(view, "a.json") == encode_network(network, "a.json")


def test_small_golden_integers_take_one_byte(chain, golden):
    data = encode(dataclasses.replace(chain, golden=golden))[layout.GOLDEN]
    assert {key: str(array.dtype) for key, array in load_tensors(data).items()} == {
        "input/x": "float32",
        "output/y": "float32",
        "payload/chip.0/in": "uint8",
        "sent/chip.0/hidden": "int16",
        "sent/chip.0/out": "int32",
    }


def test_schema_mirrors_the_dataclasses():
    pairs = {
        schema.Value: (plan.ModelValue, ()),
        schema.PlacementEntry: (plan.Placement, ()),
        schema.CutEntry: (plan.Cut, ()),
        schema.BridgeInput: (ChipInput, ()),
        schema.BridgeOutput: (ChipOutput, ()),
        schema.Host: (HostStage, ("model",)),
        schema.Chip: (ChipStage, ("network",)),
        schema_network.Network: (integer.IntegerNetwork, ()),
        schema_network.Port: (populations.InputPort, ()),
        schema_network.Constant: (populations.ConstantSource, networks.ARRAYS["constant"]),
        schema_network.Lif: (populations.LifPopulation, networks.ARRAYS["lif"]),
        schema_network.AdaptiveLif: (populations.AdaptiveLifPopulation, networks.ARRAYS["adaptive_lif"]),
        schema_network.CountingLif: (populations.CountingLifPopulation, networks.ARRAYS["counting_lif"]),
        schema_network.Resonator: (populations.ResonatorPopulation, networks.ARRAYS["resonator"]),
        schema_network.SigmaDelta: (populations.SigmaDeltaPopulation, networks.ARRAYS["sigma_delta"]),
        schema_network.Integrator: (populations.IntegratorPopulation, networks.ARRAYS["integrator"]),
        schema_network.Dense: (projections.DenseProjection, networks.ARRAYS["dense"]),
        schema_network.Conv: (projections.ConvProjection, networks.ARRAYS["conv"]),
        schema_network.Sparse: (projections.SparseProjection, networks.ARRAYS["sparse"]),
    }
    for model, (kind, arrays) in pairs.items():
        fields = {field.name for field in dataclasses.fields(kind)} - set(arrays)
        assert set(model.model_fields) - {"kind"} == fields, model


@ZIP_AND_FOLDER
def test_same_bytes_every_time(chain, golden, tmp_path, name):
    program = dataclasses.replace(chain, golden=golden)
    shuffled = dataclasses.replace(program, mapping=dict(reversed(program.mapping.items())))
    for index, one in enumerate((program, shuffled, load_after_save(program, tmp_path / "other.hsnn"))):
        (tmp_path / f"{index}").mkdir()
        one.save(tmp_path / f"{index}" / name)
    first, *others = (contents(tmp_path / f"{index}" / name) for index in range(3))
    assert others == [first, first]


def load_after_save(program, path):
    program.save(path)
    return load(path)


def contents(path):
    if path.is_file():
        return path.read_bytes()
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def test_another_process_writes_the_same_bytes(chain, tmp_path):
    chain.save(tmp_path / "a.zip")
    code = "import sys, hsnn; hsnn.load(sys.argv[1]).save(sys.argv[2])"
    command = [sys.executable, "-c", code, str(tmp_path / "a.zip"), str(tmp_path / "b.zip")]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": "77"})
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_the_manifest_has_no_time_and_no_machine(chain):
    manifest = json.loads(encode(chain)["manifest.json"])
    assert set(manifest) == {
        "files", "format", "hsnn", "libraries", "options", "seed", "sha256", "source", "target", "time", "version",
    }  # fmt: skip
    assert manifest["time"] == {"alignment": "aligned", "reset": "sample", "timesteps": {"chip.0": 6}}


def test_files_can_be_read_by_others(chain, tmp_path):
    chain.save(tmp_path / "net.zip")
    with zipfile.ZipFile(tmp_path / "net.zip") as archive:
        assert archive.testzip() is None
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        archive.extractall(tmp_path / "net.hsnn")
    assert encode(load(tmp_path / "net.hsnn")) == encode(chain)
    mode = (tmp_path / "net.hsnn" / "manifest.json").stat().st_mode
    assert stat.S_IMODE(mode) & 0o400


def test_running_an_artifact_needs_no_exporter_and_no_lava(chain, tmp_path):
    chain.save(tmp_path / "net.hsnn")
    blocked = ("torch", "onnx", "onnx_ir", "onnxscript", "lava", "scipy", "matplotlib")
    code = (
        "import sys\n"
        f"for name in {blocked!r}: sys.modules[name] = None\n"
        "import hsnn, numpy as np\n"
        "program = hsnn.load(sys.argv[1])\n"
        "with hsnn.Session(program, target='reference', threads=1) as session:\n"
        "    print(session.run(np.ones((2, 4), np.float32)).output.shape)\n"
    )
    command = [sys.executable, "-W", "error", "-c", code, str(tmp_path / "net.hsnn")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("(2, 8)\n", "")
    assert Path(tmp_path / "net.hsnn").is_dir()
