"""Artifacts: no damage goes unseen, no trick of a file system or zip file works."""

from __future__ import annotations

import dataclasses
import os
import shutil
import stat
import sys
import zipfile

import numpy as np
import pytest

from hsnn.artifact import load
from hsnn.artifact.encode import encode
from hsnn.errors import ArtifactError
from support.refusals import code_of

HOST = "host/00_host.0.onnx"


def contents(path):
    if path.is_file():
        return path.read_bytes()
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


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
