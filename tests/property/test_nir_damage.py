"""Damaged NIR and hybrid ONNX files: a coded error or a model, in bounded time and memory, never anything else."""

from __future__ import annotations

import itertools
import pickle
import resource
import time
from contextlib import suppress

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hsnn.errors import HsnnError
from hsnn.frontends.onnx import from_onnx
from hsnn.ops import DOMAIN
from support.hdf5_damage import edits, entries

h5py = pytest.importorskip("h5py")
nir = pytest.importorskip("nir")

from hsnn.frontends.nir.build import from_nir  # noqa: E402 - needs nir

SECONDS, MEGABYTES = 5.0, 400
"""What one file may take, on a busy machine, and what all files together may add to the memory in use."""


def whole():
    """A graph with nearly every type of node, a loop and a graph inside."""
    u = np.random.default_rng(0).uniform
    inner = nir.NIRGraph(
        {
            "input": nir.Input(np.array([4])),
            "lif": nir.CubaLIF(u(0.01, 0.02, 4), u(0.01, 0.02, 4), u(1, 2, 4), u(0, 0, 4), u(0.5, 1, 4)),
            "rec": nir.Linear(u(-1, 1, (4, 4))),
            "output": nir.Output(np.array([4])),
        },
        [("input", "lif"), ("lif", "rec"), ("rec", "lif"), ("lif", "output")],
        type_check=False,
    )
    nodes = {
        "input": nir.Input(np.array([2, 5, 5])),
        "conv": nir.Conv2d((5, 5), u(-1, 1, (3, 2, 2, 2)), 1, 0, 1, 1, u(-1, 1, 3)),
        "if": nir.IF(u(1, 2, (3, 4, 4)), u(0.5, 1, (3, 4, 4))),
        "pool": nir.AvgPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        "flat": nir.Flatten(np.array([3, 2, 2]), 0, -1),
        "fc": nir.Affine(u(-1, 1, (4, 12)), u(-1, 1, 4)),
        "block": inner,
        "delay": nir.Delay(np.full(4, 2e-3)),
        "scale": nir.Scale(u(1, 2, 4)),
        "li": nir.LI(u(0.01, 0.02, 4), u(1, 2, 4), u(0, 1, 4)),
        "output": nir.Output(np.array([4])),
    }
    names = list(nodes)
    return nir.NIRGraph(nodes, list(itertools.pairwise(names)), type_check=False)


def attempt(path):
    start = time.monotonic()
    try:
        from_nir(path, timesteps=4, policy="equations,dt=1e-3,initial=zero")
        outcome = "compiled"
    except HsnnError as error:
        outcome = error.code
    assert time.monotonic() - start < SECONDS
    return outcome


def memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def dangling(file, group, leaf, rng):
    edges = file["/node/edges"][()]
    edges[int(rng.integers(len(edges))), int(rng.integers(2))] = str(rng.choice(["input", "fc", "gone", ""]))
    del file["/node/edges"]
    file["/node/edges"] = edges


def types(file, group, leaf, rng):
    del group[leaf]
    group[leaf] = str(rng.choice(["LIF", "Quantum", "NIRGraph", "Input", "", "x" * 10_000]))


EDITS = (*edits("/node"), dangling, types)


def edit(file, rng):
    """Change one thing in a way that HDF5 itself does not mind."""
    name = str(rng.choice(entries(file)))
    if name in file and (name.startswith("/node") or rng.random() < 0.2):
        parent, leaf = name.rsplit("/", 1)
        chosen = EDITS[int(rng.integers(len(EDITS)))]
        if chosen is not dangling or "/node/edges" in file:
            chosen(file, file[parent or "/"], leaf, rng)


def test_bytes_of_a_file_are_changed(tmp_path):
    nir.write(tmp_path / "whole.nir", whole())
    data = (tmp_path / "whole.nir").read_bytes()
    assert attempt(tmp_path / "whole.nir") == "compiled"
    rng, before, outcomes = np.random.default_rng(1), memory(), []
    for _ in range(300):
        changed = bytearray(data)
        for place in rng.integers(0, len(data), int(rng.integers(1, 60))):
            changed[int(place)] = int(rng.integers(256))
        if rng.random() < 0.3:
            del changed[int(rng.integers(len(data))) :]
        (tmp_path / "damaged.nir").write_bytes(changed)
        outcomes.append(attempt(tmp_path / "damaged.nir"))
    assert memory() - before < MEGABYTES
    assert outcomes.count("compiled") < 200
    assert outcomes.count("HSNN-F080") > 30


def test_contents_of_a_file_are_changed(tmp_path):
    nir.write(tmp_path / "whole.nir", whole())
    data = (tmp_path / "whole.nir").read_bytes()
    rng, before, outcomes = np.random.default_rng(2), memory(), []
    for _ in range(220):
        (tmp_path / "edited.nir").write_bytes(data)
        with h5py.File(tmp_path / "edited.nir", "r+") as file:
            for _ in range(int(rng.integers(1, 4))):
                with suppress(RuntimeError):  # A link that was made before leads around in circles.
                    edit(file, rng)
        outcomes.append(attempt(tmp_path / "edited.nir"))
    assert memory() - before < MEGABYTES
    assert outcomes.count("compiled") < 60
    assert {"HSNN-F080", "HSNN-F081", "HSNN-F082", "HSNN-F083"} <= set(outcomes)


@pytest.mark.parametrize("version", [b"9.0", b"", b"\xff", b"1", 3])
def test_unknown_versions(tmp_path, version):
    path = tmp_path / "graph.nir"
    nir.write(path, whole())
    with h5py.File(path, "r+") as file:
        del file["version"]
        file["version"] = version
    assert attempt(path) in ("HSNN-F081", "HSNN-F080")


def test_a_pickle_is_not_loaded(tmp_path):
    path = tmp_path / "evil.nir"
    path.write_bytes(pickle.dumps({"node": 1}))
    assert attempt(path) == "HSNN-F080"
    assert attempt(tmp_path / "missing.nir") == "HSNN-F080"
    assert attempt(tmp_path) == "HSNN-F080"


def hybrid():
    """A small hybrid ONNX model."""
    rng = np.random.default_rng(0)
    constants = {"w": rng.normal(size=(4, 3)), "one": 1.0, "half": 0.5, "none": 0.0}
    lif = {"reset": "subtract", "comparison": ">", "refractory": 1, "decay_input": 0}
    nodes = [
        helper.make_node("TrainEncode", ["x"], ["s"], domain=DOMAIN, timesteps=5, values="binary"),
        helper.make_node("MatMul", ["s", "w"], ["d"], name="fc"),
        helper.make_node("Lif", ["d", "one", "half", "one", "none"], ["f"], domain=DOMAIN, **lif),
        helper.make_node("Delay", ["f"], ["g"], domain=DOMAIN, steps=1),
        helper.make_node("TrainDecode", ["g"], ["y"], domain=DOMAIN),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 5, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 5, 3])],
        [numpy_helper.from_array(np.asarray(v, np.float32), k) for k, v in constants.items()],
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid(DOMAIN, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def test_bytes_of_a_hybrid_onnx_file_are_changed(tmp_path):
    data = hybrid().SerializeToString()
    path = tmp_path / "net.onnx"
    path.write_bytes(data)
    from_onnx(path)
    rng, before, outcomes = np.random.default_rng(3), memory(), []
    for _ in range(500):
        changed = bytearray(data)
        for place in rng.integers(0, len(data), int(rng.integers(1, 3))):
            changed[int(place)] = int(rng.integers(256))
        if rng.random() < 0.05:
            del changed[int(rng.integers(len(data))) :]
        path.write_bytes(changed)
        start = time.monotonic()
        try:
            from_onnx(path)
            outcomes.append("compiled")
        except HsnnError as error:
            outcomes.append(error.code)
        assert time.monotonic() - start < SECONDS
    assert memory() - before < MEGABYTES
    assert {"HSNN-F020", "HSNN-F021", "HSNN-F023"} <= set(outcomes), outcomes
    assert outcomes.count("compiled") < 300
    onnx.checker.check_model(onnx.load_from_string(data))
