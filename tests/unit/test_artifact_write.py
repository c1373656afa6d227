"""Artifacts: whole or not there, whatever fails while they are written."""

from __future__ import annotations

import dataclasses
import errno
import os
import subprocess
import sys

import numpy as np
import pytest

from hsnn.artifact import load
from hsnn.artifact.encode import encode
from hsnn.errors import ArtifactError, UsageError
from support.refusals import code_of

ZIP_AND_FOLDER = pytest.mark.parametrize("name", ["net.hsnn", "net.hsnn.zip"])


def contents(path):
    if path.is_file():
        return path.read_bytes()
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


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
