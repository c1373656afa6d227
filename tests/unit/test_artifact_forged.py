"""Artifacts: forged contents under hashes that agree raise a coded error, and do nothing else."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import zipfile

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from hsnn.artifact import layout, load
from hsnn.artifact.decode import decode, parse_manifest
from hsnn.artifact.encode import encode
from hsnn.artifact.networks import decode_network, encode_network
from hsnn.errors import ArtifactError
from support.refusals import code_of

CHIP = "chip/01_chip.0.json"


ARRAYS = "chip/01_chip.0.safetensors"


HOST = "host/00_host.0.onnx"


def canonical(content):
    return (json.dumps(content, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()


def reseal(files):
    """Give files a manifest that agrees with them, as a careful forger would."""
    manifest = json.loads(files["manifest.json"])
    manifest.pop("sha256")
    manifest["files"] = {
        name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in files.items()
        if name != "manifest.json"
    }
    return {**files, "manifest.json": sealed(manifest)}


def sealed(manifest):
    return canonical({**manifest, "sha256": hashlib.sha256(canonical(manifest)).hexdigest()})


def decode_files(files):
    return decode(parse_manifest(files["manifest.json"]), {k: v for k, v in files.items() if k != "manifest.json"})


def forge(program, **changes):
    """Files of a program with some replaced, and a manifest that agrees."""
    return reseal({**encode(program), **{name.replace("__", "/"): data for name, data in changes.items()}})


def write_folder(files, path):
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


BAD_NAMES = [
    "../escape", "/etc/passwd", "C:/x", "C:\\x", "a\\..\\b", "a//b", "a/./b", "a/../b", "./a", ".hidden", "a/", "",
    "a b", "a\tb", "ü", "~/x", "$HOME", "a" * 300, "-rf", "host/00_host.0.onnx/../../x", "a\nb", "x:stream",
]  # fmt: skip


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_that_lead_elsewhere_are_refused(chain, tmp_path, name):
    files = encode(chain)
    manifest = json.loads(files["manifest.json"])
    manifest.pop("sha256")
    manifest["files"][name] = manifest["files"].pop(HOST)
    path = write_folder({**files, "manifest.json": sealed(manifest)}, tmp_path / "net.hsnn")
    assert code_of(load, path) == "HSNN-A007"
    if name and not name.endswith("/"):
        chain.save(tmp_path / "net.zip")
        with zipfile.ZipFile(tmp_path / "net.zip", "a") as archive:
            archive.writestr(zipfile.ZipInfo(name), b"x")
        assert code_of(load, tmp_path / "net.zip") == "HSNN-A007"


def test_zip_bombs_are_refused_before_they_unpack(chain, tmp_path, monkeypatch):
    zeros = bytes(40 << 20)
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in forge(chain, **{"report.html": zeros}).items():
            archive.writestr(name, data)
    monkeypatch.setattr("hsnn.artifact.reader._RATIO_FLOOR", 1 << 20)
    assert code_of(load, bomb) == "HSNN-A011"
    liar = tmp_path / "liar.zip"
    with zipfile.ZipFile(liar, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in encode(chain).items():
            archive.writestr(name, zeros if name == HOST else data)
    assert code_of(load, liar) in ("HSNN-A010", "HSNN-A011")


def test_announced_sizes_have_limits(chain, tmp_path, monkeypatch):
    manifest = json.loads(encode(chain)["manifest.json"])
    manifest.pop("sha256")
    huge = copy.deepcopy(manifest)
    huge["files"][HOST]["size"] = layout.FILE_LIMIT + 1
    assert code_of(parse_manifest, sealed(huge)) == "HSNN-A011"
    many = copy.deepcopy(manifest)
    many["files"].update({f"host/{index}.onnx": many["files"][HOST] for index in range(layout.COUNT_LIMIT)})
    assert code_of(parse_manifest, sealed(many)) == "HSNN-A011"
    chain.save(tmp_path / "net.hsnn")
    chain.save(tmp_path / "net.zip")
    monkeypatch.setattr(layout, "MANIFEST_LIMIT", 100)
    assert code_of(load, tmp_path / "net.hsnn") == "HSNN-A011"
    assert code_of(load, tmp_path / "net.zip") == "HSNN-A011"
    monkeypatch.setattr(layout, "FILE_LIMIT", 100)
    assert code_of(chain.save, tmp_path / "large.hsnn") == "HSNN-A011"
    monkeypatch.setattr(layout, "COUNT_LIMIT", 3)
    assert code_of(load, tmp_path / "net.hsnn") == "HSNN-A011"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"version": 2}, "HSNN-A008"),
        ({"version": 99, "news": [1]}, "HSNN-A008"),
        ({"version": 0}, "HSNN-A012"),
        ({"version": "1"}, "HSNN-A012"),
        ({"format": "pickle"}, "HSNN-A008"),
        ({"seed": "5"}, "HSNN-A012"),
        ({"seed": 1.0}, "HSNN-A012"),
        ({"extra": 1}, "HSNN-A012"),
        ({"libraries": {"numpy": 2}}, "HSNN-A012"),
        ({"time": {"alignment": "skewed", "reset": "sample", "timesteps": {"chip.0": 6}}}, "HSNN-A012"),
        ({"time": {"alignment": "aligned", "reset": "sample", "timesteps": {"chip.0": 7}}}, "HSNN-A012"),
        ({"time": {"alignment": "aligned", "reset": "sample", "timesteps": {}}}, "HSNN-A012"),
    ],
)
def test_forged_manifests(chain, change, code):
    files = encode(chain)
    manifest = {**json.loads(files["manifest.json"]), **change}
    manifest.pop("sha256")
    assert code_of(decode_files, {**files, "manifest.json": sealed(manifest)}) == code


def test_a_newer_format_asks_for_a_newer_hsnn(chain):
    manifest = {**json.loads(encode(chain)["manifest.json"]), "version": 2}
    with pytest.raises(ArtifactError) as caught:
        parse_manifest(canonical(manifest))
    assert caught.value.fix == "upgrade hsnn"


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"a": 1, "a": 1}', b'{"a": NaN}', b'{"a": 1e999}', b"[" * 100_000,
        b'{"a": ' * 100_000, b'{"a": ' + b"9" * 10_000 + b"}", b'"\\ud800"', b'{"\\ud800": 1}', b"\x00", b"{} {}",
    ],
)  # fmt: skip
def test_strange_json(chain, data):
    assert code_of(parse_manifest, data) in ("HSNN-A008", "HSNN-A012")
    assert code_of(decode_files, forge(chain, **{"bridge.json": data})) == "HSNN-A012"
    assert code_of(decode_files, forge(chain, **{"layers.json": data})) == "HSNN-A012"


def test_a_key_that_is_there_twice(chain):
    assert code_of(decode_files, forge(chain, **{"layers.json": b'{"layers": [], "layers": []}'})) == "HSNN-A012"
    decode_files(forge(chain, **{"layers.json": b'{"layers": []}'}))


VALUES = [None, -1, 0, 1, 2, 2**31, 2**63, 2**70, -(2**40), 1.5, True, "", "x", "chip.0", [], [1], {}, {"a": 1}]


def places(content, path=()):
    """Every place in JSON, containers included."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield (*path, key)
            yield from places(value, (*path, key))
    elif isinstance(content, list):
        for index, value in enumerate(content):
            yield (*path, index)
            yield from places(value, (*path, index))


def put(content, path, value):
    changed = copy.deepcopy(content)
    parent = changed
    for part in path[:-1]:
        parent = parent[part]
    parent[path[-1]] = value
    return changed


@pytest.mark.parametrize("name", ["bridge.json", CHIP, "placements.json", "cuts.json", "layers.json", "mapping.json"])
def test_no_forged_value_does_more_than_raise(chain, name):
    """Whatever stands in a field, loading refuses it, or gives a program that can be written again."""
    content = json.loads(encode(chain)[name])
    refused = 0
    for place in places(content):
        for value in VALUES:
            files = forge(chain, **{name: canonical(put(content, place, value))})
            try:
                program = decode_files(files)
            except ArtifactError:
                refused += 1
                continue
            encode(program)
    assert refused > 0


@pytest.mark.parametrize("name", ["manifest.json", "bridge.json", CHIP, "placements.json", "cuts.json"])
def test_unknown_and_missing_fields_are_refused(chain, name):
    files = encode(chain)
    content = json.loads(files[name])
    open_to_all = {("options",), ("libraries",), ("files",), ("spikes",), ("time", "timesteps")}
    objects = [path for path in ((), *places(content)) if isinstance(at(content, path), dict)]
    for path in objects:
        if path in open_to_all or path[:1] in (("options",), ("files",)):
            continue
        changes = [put(content, (*path, "surprise"), 1)]
        changes += [without(content, (*path, key)) for key in at(content, path) if key != "sha256"]
        for changed in changes:
            if name == "manifest.json":
                changed.pop("sha256", None)
                bad = {**files, name: sealed(changed)}
            else:
                bad = forge(chain, **{name: canonical(changed)})
            assert code_of(decode_files, bad) in ("HSNN-A008", "HSNN-A012"), path


def at(content, path):
    for part in path:
        content = content[part]
    return content


def without(content, path):
    changed = copy.deepcopy(content)
    del at(changed, path[:-1])[path[-1]]
    return changed


def edit_tensors(data, change):
    tensors = {key: array.copy() for key, array in load_tensors(data).items()}
    change(tensors)
    return save_tensors(tensors)


WEIGHTS, DU = "projection/in-hidden/weights", "population/hidden/du"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda t: t.pop(DU), "HSNN-A013"),
        (lambda t: t.update(extra=np.zeros(1, np.int32)), "HSNN-A013"),
        (lambda t: t.update({DU: t[DU].astype(np.int64)}), "HSNN-A013"),
        (lambda t: t.update({DU: t[DU].astype(np.float32)}), "HSNN-A013"),
        (lambda t: t.update({WEIGHTS: t[WEIGHTS].astype(np.int32)}), "HSNN-A013"),
        (lambda t: t.update({WEIGHTS: t[WEIGHTS] | 1}), "HSNN-A014"),
        (lambda t: t.update({WEIGHTS: t[WEIGHTS].T}), "HSNN-A014"),
        (lambda t: t.update({DU: np.full((), 4096, np.int32)}), "HSNN-A014"),
        (lambda t: t.update({DU: np.zeros((7,), np.int32)}), "HSNN-A014"),
    ],
)
def test_forged_arrays(chain, change, code):
    data = edit_tensors(encode(chain)[ARRAYS], change)
    assert code_of(decode_files, forge(chain, **{ARRAYS: data})) == code


def test_strange_safetensors(chain):
    good = encode(chain)[ARRAYS]
    huge = (1 << 60).to_bytes(8, "little") + good[8:]
    bad = [b"", b"\0" * 7, b"\0" * 8, huge, good[:100], (5).to_bytes(8, "little") + b"hello"]
    bad.append(good.replace(b'"I16"', b'"F99"'))
    bad.append(good.replace(b'"I16"', b'"F16"'))
    bad.append(good.replace(b'"data_offsets":[0', b'"data_offsets":[9'))
    for data in bad:
        assert code_of(decode_files, forge(chain, **{ARRAYS: data})) == "HSNN-A013"
    rng = np.random.default_rng(5)
    for _ in range(150):
        data = bytearray(good)
        data[rng.integers(0, len(good))] ^= 1 << int(rng.integers(0, 8))
        try:
            encode(decode_files(forge(chain, **{ARRAYS: bytes(data)})))
        except ArtifactError:
            continue


def test_neurons_have_a_limit(every_kind):
    structure, arrays = encode_network(every_kind, "a.json")
    content = json.loads(structure)
    content["inputs"][0]["shape"] = [2**31 - 1, 2]
    assert code_of(decode_network, canonical(content), arrays, "a.json") == "HSNN-A014"


def models(build):
    """Models that a host stage must not be: how each is broken."""
    good = onnx.load_model_from_string(build.encoder())

    def changed(change):
        model = onnx.ModelProto()
        model.CopyFrom(good)
        change(model)
        return model.SerializeToString()

    def external(tensor):
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="../../etc/passwd")

    def in_subgraph(model):
        body = helper.make_graph(
            [helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(np.ones(2, np.float32)))], "b", [],
            [helper.make_tensor_value_info("c", TensorProto.FLOAT, [2])],
        )  # fmt: skip
        external(body.node[0].attribute[0].t)
        model.graph.node.append(helper.make_node("If", ["cond"], ["z"], then_branch=body, else_branch=body))

    def function(model):
        model.functions.append(helper.make_function("mine", "F", ["a"], ["b"], [], [helper.make_opsetid("", 17)]))

    def spiking(model):
        model.graph.node[0].domain = "hsnn"

    def blob(model):
        model.graph.node.append(helper.make_node("EPContext", [], ["z"], domain="com.microsoft", embed_mode=0))

    def unfinished(model):
        del model.graph.output[:]

    def renamed(model):
        model.graph.output[0].name = model.graph.node[1].output[0] = "other"

    return {
        "garbage": b"\xff" * 50,
        "empty": b"",
        "text": b"hello world, this is not protobuf",
        "external": changed(lambda model: external(model.graph.initializer[0])),
        "external in a subgraph": changed(in_subgraph),
        "local function": changed(function),
        "spiking operator": changed(spiking),
        "compiled blob": changed(blob),
        "no output": changed(unfinished),
        "other output": changed(renamed),
        "other model": build.head(["h"]),
    }


def test_forged_models(chain, build):
    for fault, data in models(build).items():
        with pytest.raises(ArtifactError) as caught:
            decode_files(forge(chain, **{HOST: data}))
        assert caught.value.code == "HSNN-A015", fault
        assert HOST in caught.value.found
    for fault in ("garbage", "external", "external in a subgraph", "compiled blob"):
        assert code_of(decode_files, forge(chain, **{"hybrid.onnx": models(build)[fault]})) == "HSNN-A015", fault
    decode_files(forge(chain, **{"hybrid.onnx": models(build)["local function"]}))


def test_forged_golden_traces(chain, golden):
    program = dataclasses.replace(chain, golden=golden)
    data = encode(program)[layout.GOLDEN]
    key = "payload/chip.0/in"
    changes = {
        "HSNN-A013": lambda t: t.pop(key),
        "HSNN-A016": lambda t: t.update({key: t[key][:, :1].copy()}),
    }
    for code, change in changes.items():
        assert code_of(decode_files, forge(program, **{layout.GOLDEN: edit_tensors(data, change)})) == code
    for array in (np.zeros((6, 2, 4), np.float32), np.zeros((6, 2, 4), np.int64), np.zeros((5, 2, 4), np.uint8)):
        bad = edit_tensors(data, lambda t, array=array: t.update({key: array}))
        assert code_of(decode_files, forge(program, **{layout.GOLDEN: bad})) == "HSNN-A016"


def test_a_report_must_be_text(chain):
    assert code_of(decode_files, forge(chain, **{"report.html": b"\xff"})) == "HSNN-A012"


def test_a_listed_file_must_belong_to_the_program(chain):
    assert code_of(decode_files, forge(chain, **{"host/07_host.7.onnx": b"x"})) == "HSNN-A009"
