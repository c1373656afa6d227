"""Which Lava is used: found without being imported, in whichever interpreter, and repaired where it has to be."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import json
import subprocess
import sys
import textwrap

import pytest

from hsnn.errors import TargetMissingError
from hsnn.verify.random_networks import random_network
from hsnn_targets.lava import TARGET, probe
from hsnn_targets.lava.interpreter import VARIABLE
from hsnn_targets.lava.shim import hashable_defaults


def imports(code):
    """Run code in a fresh interpreter and return the packages that it has imported from outside this one."""
    tail = """
        import importlib.util, json, site, sys
        top = {name.partition(".")[0] for name in sys.modules}
        found = {name: getattr(sys.modules[name], "__file__", None) or "" for name in top if name in sys.modules}
        print(json.dumps([name for name, file in found.items() if "site-packages" in file and name.isidentifier()]))
    """
    code = textwrap.dedent(code) + textwrap.dedent(tail)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name for name in json.loads(done.stdout) if not name.startswith("_")}


def test_targets_tell_their_status_without_importing_lava():
    assert imports("""
        from hsnn_targets.lava import TARGET
        from hsnn_targets.loihi2 import TARGET as BOARD
        TARGET.status(), BOARD.status()
    """) <= {"numpy"}


def test_the_worker_needs_no_more_than_numpy_and_what_lava_needs():
    """Its interpreter may be another one, with Lava and little else."""
    assert imports("import hsnn_targets.lava.worker, hsnn_targets.loihi2.rules") <= {"numpy"}


def test_an_interpreter_that_is_not_there(monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "python"))
    assert not TARGET.status().available
    assert VARIABLE in TARGET.status().detail
    with pytest.raises(TargetMissingError) as error:
        TARGET.load(random_network(0))
    assert error.value.code == "HSNN-T021"


def test_an_interpreter_without_lava(monkeypatch, tmp_path):
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    python.chmod(0o755)
    monkeypatch.setenv(VARIABLE, str(python))
    status = TARGET.status()
    assert not status.available
    assert "lava-nc is not installed" in status.detail
    assert "pip install" in status.detail
    with pytest.raises(TargetMissingError) as error:
        TARGET.load(random_network(0))
    assert error.value.code == "HSNN-T020"


@pytest.mark.lava
def test_another_package_called_lava_does_not_fool_the_probe(monkeypatch, tmp_path):
    (tmp_path / "lava").mkdir()
    (tmp_path / "lava" / "__init__.py").write_text("raise RuntimeError('imported')")
    assert probe.look()["problem"] == ""
    # Lava's worker is another process: that this one has imported the real one says nothing of what the worker finds.
    genuine = importlib.util.find_spec("lava")
    monkeypatch.setitem(sys.modules, "lava", importlib.util.module_from_spec(genuine))
    monkeypatch.syspath_prepend(tmp_path)
    assert "hides" in probe.look()["problem"]
    assert probe.look()["extension"] is False


def test_the_shim_hashes_one_class_and_leaves_dataclasses_as_they_were():
    genuine = dataclasses.dataclass
    with contextlib.suppress(KeyError), hashable_defaults():

        @dataclasses.dataclass
        class ByteEncoder:
            x: int = 0

        @dataclasses.dataclass
        class Other:
            x: int = 0

        raise KeyError
    assert dataclasses.dataclass is genuine
    assert hash(ByteEncoder(1)) == hash(ByteEncoder(1))
    assert Other.__hash__ is None


@pytest.mark.lava
def test_the_shim_leaves_scipy_signal_to_those_that_convolve():
    code = (
        "import sys; from hsnn_targets.lava.shim import import_lava; import_lava()\n"
        "import hsnn_targets.lava.assemble, lava.proc.conv.models; print('scipy.signal' in sys.modules)\n"
        "import numpy as np; from lava.proc.conv import utils\n"
        "one = np.ones((1, 1), int); print(utils.signal.convolve2d(one, one)); print('scipy.signal' in sys.modules)\n"
        "from scipy.signal._signaltools import convolve2d; print(utils.signal.convolve2d is convolve2d)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout.split() == ["False", "[[1]]", "True", "True"], run.stderr
