"""The bench runs: every section at its smallest size, and the page that it writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BENCH = ROOT / "tests" / "bench"
PAGE = "# Speed\n\n<!-- figures of tests/bench -->\nold\n<!-- end of these figures -->\nend\n"


def run(folder, *arguments):
    # the thresholds of its networks are kept in the current folder
    return subprocess.run(
        [sys.executable, BENCH, *arguments], cwd=folder, capture_output=True, text=True, timeout=540, env=os.environ
    )


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    done = run(folder, "peaks", "speed", "choice", "scaling", "traces", "start", "--tiny")
    assert done.returncode == 0, done.stderr
    return folder


def rows(folder, section):
    return json.loads((folder / "build/bench" / f"{section}.json").read_text())["rows"]


def test_bench_times_every_tier_of_this_processor(measured):
    from hsnn_targets.emulator.tiers import usable_tiers

    found = rows(measured, "speed")
    assert {(row["tier"], row["batch"]) for row in found} == {(t, b) for t in usable_tiers() for b in (1, 2)}
    for row in found:
        assert row["microseconds"] >= row["best_microseconds"] > 0
        assert row["nanoseconds_per_operation"] == pytest.approx(
            1000 * row["microseconds"] / row["operations_per_sample"]
        )
        assert row["of_peak"] > 0


def test_bench_measures_peaks_choices_growth_recording_and_the_first_answer(measured):
    assert all(row["update_best"] >= row["update"] > 0 for row in rows(measured, "peaks"))
    assert all(row["over_best"] > 0 for row in rows(measured, "choice"))
    assert [row["kind"] for row in rows(measured, "scaling")] == ["dense", "conv"]
    assert all(row["recorded_over_plain"] > 0 for row in rows(measured, "traces"))
    assert all(row["warm_seconds"] > 0 for row in rows(measured, "start"))


def test_page_gets_the_figures_between_its_marks(measured):
    docs = measured / "docs"
    docs.mkdir()
    (docs / "speed.md").write_text(PAGE)
    assert run(measured, "page").returncode == 0
    text = (docs / "speed.md").read_text()
    assert text.startswith("# Speed")
    assert text.endswith("<!-- end of these figures -->\nend\n")
    assert "old" not in text
    assert "| tiny | 0.1 | 1 | portable | 1 |" in text
    assert set(json.loads((docs / "speed.json").read_text())) == {
        "peaks", "speed", "choice", "scaling", "traces", "start"
    }  # fmt: skip


def test_page_without_marks_is_refused(measured, tmp_path):
    (tmp_path / "speed.md").write_text("# Speed\n")
    done = run(measured, "page", "--docs", tmp_path)
    assert done.returncode != 0
    assert "no place" in done.stderr


def test_unknown_sections_are_refused(measured):
    done = run(measured, "sped")
    assert done.returncode == 2
    assert "sped" in done.stderr


def test_peaks_are_those_of_real_updates():
    """The loop that a tier's updates are held against computes the decay of the contract."""
    program = """
import numpy as np
from roofline import NEURONS, STEPS, compiled, operands, update
from hsnn.ir.arithmetic import shrink
from hsnn_targets.emulator.tiers import usable_tiers

for tier in usable_tiers():
    lanes = {"portable": 8, "avx2": 8}.get(tier, 16)
    a, b, out = operands()
    compiled(tier, update(tier), "update")(2, a.ctypes.data, b.ctypes.data, out.ctypes.data)
    u, v, n = (np.zeros(lanes, np.int32) for _ in range(3))
    for t in [*range(STEPS), *range(STEPS)]:
        fired = v > 1 << 18
        u = shrink(u, 1024) + a.reshape(STEPS, NEURONS)[t, :lanes]
        n, v = n + fired, shrink(np.where(fired, 0, v), 1024) + u + 80
    found = out[: 12 * lanes].view(np.int32).reshape(3, lanes)
    np.testing.assert_array_equal(found, np.stack([u, v, n]))
    print(tier, int(n.sum()))
"""
    environment = {**os.environ, "PYTHONPATH": str(BENCH)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    assert all(int(line.split()[1]) > 0 for line in done.stdout.splitlines())
