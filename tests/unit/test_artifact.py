"""Artifacts: whole or not there, the same bytes every time, and nothing believed that was not checked."""

from __future__ import annotations

import copy
import dataclasses
import errno
import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from hsnn.artifact import layout, load, networks, schema
from hsnn.artifact.decode import decode, parse_manifest
from hsnn.artifact.encode import encode
from hsnn.artifact.networks import decode_network, encode_network
from hsnn.errors import ArtifactError, HsnnError, UsageError
from hsnn.ir import integer, plan
from hsnn.program import ChipInput, ChipOutput, ChipStage, HostStage

CHIP = "chip/01_chip.0.json"
ARRAYS = "chip/01_chip.0.safetensors"
HOST = "host/00_host.0.onnx"
ZIP_AND_FOLDER = pytest.mark.parametrize("name", ["net.hsnn", "net.hsnn.zip"])


def code_of(call, *args, **options):
    with pytest.raises(HsnnError) as caught:
        call(*args, **options)
    return caught.value.code


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
    for left, right in zip(
        one.populations + one.projections, other.populations + other.projections, strict=True
    ):
        same_arrays(left, right)


# ---- what is written comes back


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
    view = dataclasses.replace(network, projections=(dataclasses.replace(dense, weights=wide[::2]), *network.projections[1:]))
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
        schema.Network: (integer.IntegerNetwork, ()),
        schema.Port: (integer.InputPort, ()),
        schema.Constant: (integer.ConstantSource, networks.ARRAYS["constant"]),
        schema.Lif: (integer.LifPopulation, networks.ARRAYS["lif"]),
        schema.Integrator: (integer.IntegratorPopulation, networks.ARRAYS["integrator"]),
        schema.Dense: (integer.DenseProjection, networks.ARRAYS["dense"]),
        schema.Conv: (integer.ConvProjection, networks.ARRAYS["conv"]),
        schema.Sparse: (integer.SparseProjection, networks.ARRAYS["sparse"]),
    }
    for model, (kind, arrays) in pairs.items():
        fields = {field.name for field in dataclasses.fields(kind)} - set(arrays)
        assert set(model.model_fields) - {"kind"} == fields, model


# ---- the same program gives the same bytes


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
        archive.extractall(tmp_path / "net.hsnn")
    assert encode(load(tmp_path / "net.hsnn")) == encode(chain)
    mode = (tmp_path / "net.hsnn" / "manifest.json").stat().st_mode
    assert stat.S_IMODE(mode) & 0o400


# ---- writing: whole or not at all


def test_an_existing_artifact_is_replaced_only_if_allowed(chain, diamond, tmp_path):
    for name in ("net.hsnn", "net.zip"):
        chain.save(tmp_path / name)
        before = contents(tmp_path / name)
        assert code_of(diamond.save, tmp_path / name) == "HSNN-A002"
        assert contents(tmp_path / name) == before
        diamond.save(tmp_path / name, overwrite=True)
        assert encode(load(tmp_path / name)) == encode(diamond)
    assert sorted(os.listdir(tmp_path)) == ["net.hsnn", "net.zip"]


def test_a_folder_that_is_no_artifact_is_never_replaced(chain, tmp_path):
    mine = tmp_path / "thesis"
    mine.mkdir()
    (mine / "manifest.json").write_text('{"name": "some web page"}')
    (tmp_path / "file").write_text("text")
    (tmp_path / "folder.zip").mkdir()
    for name in ("thesis", "file", "folder.zip"):
        with pytest.raises(UsageError) as caught:
            chain.save(tmp_path / name, overwrite=True)
        assert caught.value.code == "HSNN-A002"
    assert sorted(os.listdir(tmp_path)) == ["file", "folder.zip", "thesis"]
    assert (mine / "manifest.json").read_text() == '{"name": "some web page"}'


def test_an_empty_folder_and_a_link_can_be_saved_to(chain, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    chain.save(tmp_path / "link", overwrite=True)
    assert (tmp_path / "link").is_symlink()
    assert encode(load(tmp_path / "empty")) == encode(chain)


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
@ZIP_AND_FOLDER
def test_a_write_that_fails_anywhere_leaves_the_old_artifact(chain, diamond, tmp_path, monkeypatch, name, failure):
    chain.save(tmp_path / name)
    before = contents(tmp_path / name)
    calls = count_calls(monkeypatch, diamond, tmp_path / f"probe-{name}")
    assert len(calls) >= 3
    for index in range(len(calls)):
        with monkeypatch.context() as patch:
            fail_at(patch, index, failure)
            with pytest.raises((ArtifactError, KeyboardInterrupt)) as caught:
                diamond.save(tmp_path / name, overwrite=True)
        if isinstance(failure, OSError):
            assert caught.value.code == "HSNN-A003"
            assert "No space left" in str(caught.value)
        assert sorted(os.listdir(tmp_path)) == sorted([name, f"probe-{name}"])
        # The last call flushes the renamed folder: the new artifact is whole by then.
        expected = before if index < len(calls) - 1 else contents(tmp_path / f"probe-{name}")
        assert contents(tmp_path / name) == expected


def watch(patch, react):
    for function in ("fsync", "rename", "replace"):
        original = getattr(os, function)

        def called(*args, original=original, function=function, **options):
            react(function)
            return original(*args, **options)

        patch.setattr(os, function, called)


def count_calls(monkeypatch, program, path):
    calls = []
    program.save(path)
    with monkeypatch.context() as patch:
        watch(patch, calls.append)
        program.save(path, overwrite=True)
    return calls


def fail_at(patch, index, failure):
    seen = []

    def react(function):
        seen.append(function)
        if len(seen) == index + 1:
            raise failure

    watch(patch, react)


@pytest.mark.skipif(sys.platform == "win32", reason="no RLIMIT_FSIZE")
def test_a_real_limit_of_the_system(chain, tmp_path):
    chain.save(tmp_path / "a.zip")
    code = (
        "import resource, signal, sys, hsnn\n"
        "program = hsnn.load(sys.argv[1])\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "for name in ('b.zip', 'c.hsnn'):\n"
        "    try:\n"
        "        program.save(sys.argv[2] + '/' + name)\n"
        "    except hsnn.HsnnError as error:\n"
        "        print(error.code)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a.zip"), str(tmp_path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["HSNN-A003", "HSNN-A003"]
    assert os.listdir(tmp_path) == ["a.zip"]


def test_a_missing_parent_is_an_error(chain, tmp_path):
    assert code_of(chain.save, tmp_path / "missing" / "net.hsnn") == "HSNN-A003"
    (tmp_path / "file").write_text("")
    assert code_of(chain.save, tmp_path / "file" / "net.zip") == "HSNN-A003"


def test_what_cannot_be_read_back_is_not_written(chain, golden, tmp_path):
    network = chain.stages[1].network
    odd = dataclasses.replace(network.projections[0], weights=network.projections[0].weights + 1)
    bad_network = dataclasses.replace(network, projections=(odd, *network.projections[1:]))
    cases = {
        "HSNN-A001": dataclasses.replace(chain, stages=chain.stages[:1]),
        "HSNN-I001": dataclasses.replace(
            chain, stages=(chain.stages[0], dataclasses.replace(chain.stages[1], network=bad_network), chain.stages[2])
        ),
        "HSNN-A004": dataclasses.replace(chain, layers=({"error": float("nan")},)),
        "HSNN-A015": dataclasses.replace(chain, hybrid=b"not a model"),
        "HSNN-A013": dataclasses.replace(chain, golden=dataclasses.replace(golden, sent={"chip.0": {}})),
        "HSNN-A016": dataclasses.replace(
            chain, golden=dataclasses.replace(golden, inputs={"x": np.zeros((3, 4), np.float32)})
        ),
    }
    for code, program in cases.items():
        assert code_of(program.save, tmp_path / "net.hsnn") == code
    for layers in (({"a": object()},), ({1: "a"},), ({"a": np.float32(1)},), ({"a": {"b": float("inf")}},)):
        assert code_of(dataclasses.replace(chain, layers=layers).save, tmp_path / "net.hsnn") == "HSNN-A004"
    assert os.listdir(tmp_path) == []


# ---- reading: damage


@pytest.fixture
def folder(chain, golden, tmp_path):
    dataclasses.replace(chain, golden=golden).save(tmp_path / "net.hsnn")
    return tmp_path / "net.hsnn"


def test_errors_name_artifact_and_file(folder):
    (folder / HOST).write_bytes(b"x")
    with pytest.raises(ArtifactError) as caught:
        load(folder)
    assert str(folder) in caught.value.found
    assert HOST in caught.value.found


def test_any_flipped_byte_in_a_folder_is_found(folder):
    rng = np.random.default_rng(0)
    for name in sorted(contents(folder)):
        original = (folder / name).read_bytes()
        for position in rng.integers(0, len(original), 12):
            data = bytearray(original)
            data[position] ^= int(rng.integers(1, 256))
            (folder / name).write_bytes(data)
            assert code_of(load, folder).startswith("HSNN-A0"), (name, position)
        (folder / name).write_bytes(original)
    load(folder)


def test_any_shortened_or_longer_file_is_found(folder):
    for name in sorted(contents(folder)):
        original = (folder / name).read_bytes()
        for data in (b"", original[:-1], original[: len(original) // 2], original + b"\n", original + b"\0"):
            (folder / name).write_bytes(data)
            assert code_of(load, folder) in ("HSNN-A010", "HSNN-A012"), name
        (folder / name).write_bytes(original)


def test_a_flipped_byte_in_a_zip_file_changes_nothing_unseen(chain, golden, tmp_path):
    program = dataclasses.replace(chain, golden=golden)
    program.save(tmp_path / "net.zip")
    original, expected = (tmp_path / "net.zip").read_bytes(), encode(program)
    directory = original.rindex(b"PK\x01\x02") - 200
    rng = np.random.default_rng(1)
    refused = 0
    for position in (*rng.integers(0, len(original), 150), *rng.integers(directory, len(original), 250)):
        data = bytearray(original)
        data[position] ^= 1 << int(rng.integers(0, 8))
        (tmp_path / "bad.zip").write_bytes(data)
        try:
            program = load(tmp_path / "bad.zip")
        except ArtifactError:
            refused += 1
        else:
            assert encode(program) == expected
    assert refused > 200


def test_truncated_zip_files_are_refused(chain, tmp_path):
    chain.save(tmp_path / "net.zip")
    original = (tmp_path / "net.zip").read_bytes()
    for length in (0, 1, 4, 21, 22, 100, *range(200, len(original), 331), len(original) - 1):
        (tmp_path / "bad.zip").write_bytes(original[:length])
        assert code_of(load, tmp_path / "bad.zip") == "HSNN-A006", length


def test_swapped_files_are_refused(folder):
    one, other = (folder / HOST).read_bytes(), (folder / "host/02_host.1.onnx").read_bytes()
    (folder / HOST).write_bytes(other)
    (folder / "host/02_host.1.onnx").write_bytes(one)
    assert code_of(load, folder) == "HSNN-A010"


def test_missing_and_unknown_files_are_refused(folder):
    for name in sorted(contents(folder)):
        shutil.move(folder / name, folder.parent / "kept")
        expected = "HSNN-A005" if name == "manifest.json" else "HSNN-A009"
        assert code_of(load, folder) == expected, name
        shutil.move(folder.parent / "kept", folder / name)
    for name in ("code.py", "chip/notes.txt", "host/00_host.0.data"):
        (folder / name).write_text("")
        assert code_of(load, folder) == "HSNN-A009"
        (folder / name).unlink()
    load(folder)


def test_what_is_no_artifact(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("hello")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("readme", "x")
    assert code_of(load, tmp_path / "empty") == "HSNN-A005"
    assert code_of(load, tmp_path / "missing") == "HSNN-A005"
    assert code_of(load, tmp_path / "text") == "HSNN-A006"
    assert code_of(load, tmp_path / "other.zip") == "HSNN-A005"


# ---- reading: tricks


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_links_and_devices_are_refused(folder):
    secret = folder.parent / "secret"
    shutil.move(folder / HOST, secret)
    (folder / HOST).symlink_to(secret)
    assert code_of(load, folder) == "HSNN-A007"
    (folder / HOST).unlink()
    os.mkfifo(folder / HOST)
    assert code_of(load, folder) == "HSNN-A007"
    (folder / HOST).unlink()
    shutil.move(secret, folder / HOST)
    shutil.move(folder / "chip", folder.parent / "chip")
    (folder / "chip").symlink_to(folder.parent / "chip")
    assert code_of(load, folder) == "HSNN-A007"


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


def rezip(source, target, **options):
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", **options) as new:
        for info in old.infolist():
            new.writestr(info.filename, old.read(info))
        return target


def test_zip_files_of_other_programs(chain, tmp_path):
    chain.save(tmp_path / "net.zip")
    deflated = rezip(tmp_path / "net.zip", tmp_path / "deflated.zip", compression=zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(deflated, "a") as archive:
        archive.writestr(zipfile.ZipInfo("host/"), b"")
    assert encode(load(deflated)) == encode(chain)
    packed = rezip(tmp_path / "net.zip", tmp_path / "bz2.zip", compression=zipfile.ZIP_BZIP2)
    assert code_of(load, packed) == "HSNN-A006"


def test_zip_tricks_are_refused(chain, tmp_path):
    chain.save(tmp_path / "net.zip")
    original = (tmp_path / "net.zip").read_bytes()

    twice = tmp_path / "twice.zip"
    twice.write_bytes(original)
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(twice, "a") as archive:
        archive.writestr(HOST, b"x")
    assert code_of(load, twice) == "HSNN-A007"

    link = tmp_path / "link.zip"
    link.write_bytes(original)
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(link, "a") as archive:
        archive.writestr(info, "/etc/passwd")
    assert code_of(load, link) == "HSNN-A007"

    encrypted = bytearray(original)
    entry = encrypted.index(b"PK\x01\x02")
    encrypted[entry + 8] |= 1
    (tmp_path / "encrypted.zip").write_bytes(encrypted)
    assert code_of(load, tmp_path / "encrypted.zip") == "HSNN-A007"

    nul = bytearray(original)
    at = nul.rindex(b"bridge.json")
    nul[at + 6 : at + 7] = b"\0"
    (tmp_path / "nul.zip").write_bytes(nul)
    assert code_of(load, tmp_path / "nul.zip") in ("HSNN-A006", "HSNN-A007")


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


def test_a_directory_that_lies_about_a_size_is_found(chain, tmp_path):
    files = encode(chain)
    real = files[HOST]
    with zipfile.ZipFile(tmp_path / "net.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data * 1000 if name == HOST else data)
    data = bytearray((tmp_path / "net.zip").read_bytes())
    for size_at, mark in ((24, b"PK\x01\x02"), (22, b"PK\x03\x04")):
        start = -1
        while (start := data.find(mark, start + 1)) >= 0:
            if data[start + size_at : start + size_at + 4] == (len(real) * 1000).to_bytes(4, "little"):
                data[start + size_at : start + size_at + 4] = len(real).to_bytes(4, "little")
    (tmp_path / "net.zip").write_bytes(data)
    assert code_of(load, tmp_path / "net.zip") in ("HSNN-A006", "HSNN-A010")


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


# ---- reading: forged contents


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
            except ArtifactError as error:
                refused += 1
                assert error.found
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
        model.functions.append(
            helper.make_function("mine", "F", ["a"], ["b"], [], [helper.make_opsetid("", 17)])
        )

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


def test_running_an_artifact_needs_no_exporter_and_no_lava(chain, tmp_path):
    chain.save(tmp_path / "net.hsnn")
    blocked = ("torch", "onnx_ir", "onnxscript", "lava", "scipy", "matplotlib")
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
