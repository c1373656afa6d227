"""Random programs in the language of kernels compute what the same source means in Python with numbers that wrap."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from hsnn_targets.emulator.kernel import Kernel
from support.kernel_meaning import Cells, lift, read
from support.kernel_programs import OUT, Programs, values

PROGRAMS, INPUTS = 12, 12


def check(folder, seed, *, programs=PROGRAMS, inputs=INPUTS):
    """Compile a module of programs and compare everything that they write."""
    source, name = Programs(seed).module(programs), f"programs_{seed}"
    (folder / f"{name}.py").write_text(source)
    compiled, meant = Kernel(name, "programs"), read(source)["programs"]
    results = []
    for number in range(inputs):
        found, expected = ([*values(number)[:-1], np.zeros((programs, OUT), np.int64)] for _ in range(2))
        compiled(*found)
        with np.errstate(all="ignore"):
            meant(*[Cells(part) if isinstance(part, np.ndarray) else lift(part) for part in expected])
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other, err_msg=f"{folder / name}.py, input {number}")
        results.append(found[-1])
    return np.array(results)


@pytest.mark.parametrize("seed", [0, 1])
def test_programs_mean_what_python_says(seed, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("HSNN_CACHE", str(tmp_path / "cache"))
    results = check(tmp_path, seed)
    del sys.modules[f"programs_{seed}"]
    assert len(np.unique(results)) > 100
