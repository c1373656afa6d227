"""Artifacts: forged names, sizes and JSON under hashes that agree raise a coded error, and do nothing else."""

from __future__ import annotations

import copy
import json
import zipfile

import pytest

from hsnn.artifact import layout, load
from hsnn.artifact.decode import parse_manifest
from hsnn.artifact.encode import encode
from hsnn.errors import ArtifactError
from support.forged import CHIP, HOST, canonical, decode_files, forge, sealed, write_folder
from support.refusals import code_of

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
