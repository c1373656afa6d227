"""The examples run as they are, on less: fewer epochs, fewer samples."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import hsnn
from hsnn_models import data
from support.pages import README, blocks, section

EXAMPLES = Path(__file__).parents[2] / "examples"


def load_example(name):
    spec = importlib.util.spec_from_file_location(f"example_{name[:2]}", EXAMPLES / name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_example(name, *arguments, folder, width=160):
    # A fixed width: tables that are cut off would hide what is looked for.
    environment = {**os.environ, "COLUMNS": str(width)}
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_help(name, tmp_path):
    done = run_example(name, "--help", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "--output" in done.stdout
    assert not list(tmp_path.iterdir())


def shares(text):
    """Accuracy of torch and of the compiled program, as the example tells them."""
    found = re.search(r"accuracy on (\d+) test images: torch ([\d.]+)%, compiled ([\d.]+)%", text)
    assert found, text
    return int(found[1]), float(found[2]), float(found[3])


def test_own_model(tmp_path):
    done = run_example("02_own_model.py", "--epochs", "3", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    images, trained, compiled = shares(done.stdout)
    assert images == len(data.digits("test"))
    assert trained > 60
    assert abs(trained - compiled) < 5
    program = hsnn.load(tmp_path / "build" / "own.hsnn")
    assert [stage.name for stage in program.stages] == ["host.0", "chip.0", "host.1"]
    with hsnn.Session(program) as session:
        result = session.run(data.digits("test").images)
    right = np.mean(np.argmax(result.output, axis=1) == data.digits("test").labels)
    assert round(100 * float(right), 2) == compiled
    assert all(count > 0 for count in result.stages[1].spike_counts.values())


def test_own_model_says_when_a_rung_fails(tmp_path, monkeypatch, capsys):
    example = load_example("02_own_model.py")
    honest = example.verify

    def verify(program, *, model, **options):
        with example.torch.no_grad():
            model.head.bias += 1.0
        return honest(program, model=model, **options)

    monkeypatch.setattr(example, "verify", verify)
    assert example.main(["--epochs", "1", "--output", str(tmp_path / "own.hsnn")]) == 5
    assert "failed" in capsys.readouterr().out


@pytest.mark.lava
def test_own_model_on_lava(tmp_path):
    done = run_example("02_own_model.py", "--epochs", "1", "--lava", "--output", "own.hsnn", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"emulator = loihi2-sim +passed", done.stdout)
    assert (tmp_path / "own.hsnn" / "manifest.json").is_file()


def test_a_folder_of_pictures_becomes_a_classifier_that_learns_a_class_more(tmp_path):
    image = pytest.importorskip("PIL.Image")
    digits = data.digits("train")
    for label in range(4):
        (tmp_path / "pictures" / f"digit {label}").mkdir(parents=True)
        for number, index in enumerate(np.flatnonzero(digits.labels == label)[:60]):
            pixels = np.rint(255 * digits.images[index, 0]).astype(np.uint8)
            image.fromarray(pixels).save(tmp_path / "pictures" / f"digit {label}" / f"{number:03}.png")
    command = ["--images", "pictures", "--pixels", "--side", "8", "--copies", "3", "--output", "out"]
    done = run_example("04_efficientnet_colanet.py", *command, folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    text = " ".join(done.stdout.split())
    before, after, new = re.search(
        r"old classes ([\d.]+)% before and ([\d.]+)% after; the new class ([\d.]+)%", text
    ).groups()
    assert min(float(before), float(after), float(new)) > 70, text
    assert float(re.search(r"emulator: ([\d.]+)% of 60 pictures", text)[1]) > 70
    assert len(hsnn.load(tmp_path / "out" / "classifier.hsnn").stages) == 3
    done = run_example("04_efficientnet_colanet.py", "--images", "out", "--pixels", folder=tmp_path)
    assert done.returncode == 2
    assert "HSNN-U228" in done.stdout


def words_of(line):
    """What a line says, without its numbers, which depend on the machine, and without its spaces."""
    return " ".join(re.sub(r"\d[\d.,]*(e-\d+)?", "#", line).split())


@pytest.mark.lava
@pytest.mark.slow
def test_the_demo_prints_what_the_readme_shows(tmp_path):
    done = run_example("01_digits.py", folder=tmp_path, width=80)
    assert done.returncode == 0, done.stderr
    (excerpt,) = blocks(section(README.read_text(encoding="utf-8"), "What you see"), "text")
    said = {words_of(line) for line in done.stdout.splitlines()}
    assert [line for line in excerpt.splitlines() if words_of(line) not in said] == []
    accuracies = re.compile(r"│ (.*?) +│ \d+ +│ ([\d.]+)%")
    shown, found = (dict(accuracies.findall(text)) for text in (excerpt, done.stdout))
    assert shown.keys() == found.keys()
    assert all(abs(float(shown[where]) - float(found[where])) < 1 for where in shown)
