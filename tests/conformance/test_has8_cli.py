"""The published preset at the command line: its warnings, what it computes, and what freezing its scales changes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import hsnn
from hsnn.cli import main
from hsnn_models import data

SOURCE = """
import torch
from hsnn_models import data
from hsnn_models.has8 import Has8ResNet

def net():
    torch.manual_seed(2)
    torch.set_num_threads(1)
    model = Has8ResNet("has8", stem=4, base=4, depth=(1,), stem_stride=2)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.constant_(module.weight, 2.5)
    with torch.no_grad():
        model.train()
        for _ in range(20):
            model(torch.from_numpy(data.fashion_subset("calibration").images[:100]))
    return model.eval()
"""
LIMITS = "f1=0,rate=10,dead=1,voltage=10,saturation=0.05"
BUILD = ["build", "published:net", "--calibration", "data.npz", "--limit", LIMITS, "--json"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    (folder / "published.py").write_text(SOURCE)
    images = data.fashion_subset("calibration").first(48)
    np.savez(folder / "data.npz", images=images.images, labels=images.labels)
    np.save(folder / "x.npy", images.images)
    return folder


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hsnn.cli", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def frozen(folder: Path) -> tuple[dict[str, object], str]:
    done = command(
        folder, *BUILD, "-o", "frozen.hsnn", "--freeze-rescale", "--freeze-batch", "16", "--label-key", "labels"
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def test_the_published_preset_equals_torch_rung_by_rung_and_warns(folder: Path) -> None:
    done = command(folder, *BUILD[:3], "x.npy", *BUILD[4:], "-o", "published.hsnn", "--verify", "--target", "emulator")
    assert done.returncode == 0, done.stderr
    assert "warning: HSNN-P030" in done.stderr
    assert "warning: HSNN-P031" in done.stderr
    rungs = {rung["name"]: rung["status"] for rung in json.loads(done.stdout)["verify"]["rungs"]}
    assert set(rungs.values()) == {"passed"}
    assert "torch = ONNX" in rungs


def test_freezing_tells_its_cost_and_takes_the_warning_away(frozen: tuple[dict[str, object], str]) -> None:
    result, told = frozen
    record = result["freeze_rescale"]
    assert [scale["module"] for scale in record["scales"]] == ["blocks.0.snn.encode", "blocks.1.snn.encode"]
    # Pixels lie in [0, 1], so the first block never rescaled; the second one did.
    assert (record["scales"][0]["low"], record["scales"][0]["high"]) == (0.0, 1.0)
    assert record["scales"][1]["high"] > 1.5
    assert (record["batch"], record["samples"]) == (16, 48)
    assert 0 <= record["accuracy_after"] <= 1
    assert record["accuracy_before"] is not None
    assert 0.5 < record["agreement"] <= 1
    assert "HSNN-P031" not in told
    assert "warning: HSNN-P030" in told


def test_frozen_samples_are_independent(folder: Path, frozen: object) -> None:
    images = data.fashion_subset("test").images[:8]
    with hsnn.Session(hsnn.load(folder / "frozen.hsnn"), target="emulator", batch_size=8) as session:
        together = session.run(images).output
        alone = np.concatenate([session.run(images[i : i + 1]).output for i in range(8)])
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-5)


def test_a_frozen_artifact_climbs_all_rungs_from_the_unfrozen_module(folder: Path, frozen: object) -> None:
    done = command(folder, "verify", "frozen.hsnn", "--model", "published:net", "--target", "emulator", "--json")
    assert done.returncode == 0, done.stderr
    rungs = json.loads(done.stdout)["rungs"]
    assert {rung["status"] for rung in rungs} == {"passed"}
    assert "before the scale of 2 encoders was frozen" in rungs[0]["detail"]


def test_the_report_shows_the_scales_and_the_cost(folder: Path, frozen: tuple[dict[str, object], str]) -> None:
    page = (folder / "frozen.hsnn" / "report.html").read_text(encoding="utf-8")
    assert "Frozen scales" in page
    assert str(frozen[0]["freeze_rescale"]["summary"]) in page
    assert "--freeze-rescale --freeze-batch 16" in page


def test_labels_that_are_not_there_are_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    assert main([*BUILD[:-1], "-o", "refused.hsnn", "--freeze-rescale", "--label-key", "truth"]) == 2
    told = capsys.readouterr().err
    assert "HSNN-U126" in told
    assert "images, labels" in told
    assert not (folder / "refused.hsnn").exists()


def test_the_example_goes_all_the_way(folder: Path) -> None:
    example = Path(__file__).parents[2] / "examples" / "03_layer_wise_hybrid.py"
    done = subprocess.run([sys.executable, str(example)], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = " ".join(done.stdout.split())
    assert "froze the scale of 4 encoders" in told
    assert "golden replay" in told
    assert "frozen, batches of 1: accuracy" in told
    assert (folder / "build" / "layer_wise.hsnn" / "report.html").exists()
