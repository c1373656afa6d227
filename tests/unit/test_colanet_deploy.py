from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch

import hsnn
from hsnn.cli import main as hsnn_compile
from hsnn.errors import UsageError
from hsnn.verify.ladder import verify
from hsnn_models import data
from hsnn_models.colanet import evaluate, figures, forgetting, tasks, tune
from hsnn_models.colanet.deploy import FrozenHead, deploy, learn_and_deploy
from hsnn_models.colanet.head import ColanetHead
from hsnn_models.colanet.parameters import Parameters
from hsnn_models.colanet.scaling import Scaling
from hsnn_models.colanet.tasks import Samples
from support.colanet import digit_parameters

PARAMETERS = digit_parameters(copies=3, microcolumns=4, leak=0.02)


def digits(split):
    part = data.digits(split)
    return Samples(part.images.reshape(len(part), -1), part.labels)


@pytest.fixture(scope="module")
def learned():
    train = digits("train")
    head = ColanetHead(PARAMETERS, Scaling.of(train.features, quantile=0.95, centre=0.0), seed=1)
    head.learn(train.features, train.labels)
    return head


@pytest.fixture(scope="module")
def program(learned):
    return deploy(learned, digits("train").features[:64])


@pytest.fixture
def exact(learned):
    """Return the head with the weights that freezing leaves it."""
    head = ColanetHead(learned.parameters, learned.scaling, seed=1, classes=learned.classes)
    head.counts, head.state = learned.counts, learned.state.copy()
    weights = FrozenHead.of(learned).synapses.weight.numpy()
    head.state.weights[:] = weights.reshape(3, -1, learned.features).transpose(0, 2, 1)
    return head


def test_the_frozen_head_says_what_the_head_says(exact):
    test = digits("test").features
    with torch.no_grad():
        found = FrozenHead.of(exact)(torch.from_numpy(test)).numpy()
    expected = exact.votes(test)
    # Torch adds the weights of a timestep in an order of its own; voltages at a threshold may fall either way.
    assert (np.abs(found - expected).max(axis=1) < 1e-5).mean() > 0.995


def test_integers_keep_the_accuracy(learned, program):
    test = digits("test")
    with hsnn.Session(program, target="emulator") as session:
        votes = session.run(test.features).output
    integer = (np.array(learned.classes)[votes.argmax(axis=1)] == test.labels).mean()
    assert learned.accuracy(test.features, test.labels) > 0.8
    # Half a point of 497 images is two images.
    assert abs(integer - learned.accuracy(test.features, test.labels)) < 0.015
    assert [stage.name for stage in program.stages] == ["host.0", "chip.0", "host.1"]


@pytest.mark.lava
def test_lava_equals_the_emulator(learned, program):
    samples = {program.inputs[0].name: digits("test").features[:30]}
    report = verify(program, model=FrozenHead.of(learned), samples=samples, target="loihi2-sim")
    assert report.passed
    assert "emulator = loihi2-sim" in {rung.name for rung in report.rungs}


def test_a_frozen_head_is_kept(learned, tmp_path):
    frozen = FrozenHead.of(learned)
    frozen.save(tmp_path / "head.safetensors")
    again = FrozenHead.load(tmp_path / "head.safetensors")
    assert again.classes == learned.classes
    for name, value in frozen.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    (tmp_path / "head.safetensors").write_bytes(b"none")
    with pytest.raises(UsageError) as caught:
        FrozenHead.load(tmp_path / "head.safetensors")
    assert caught.value.code == "HSNN-U225"


def test_a_class_without_samples_is_not_deployed(learned):
    head = ColanetHead(PARAMETERS, learned.scaling, classes=[1, 2])
    with pytest.raises(UsageError) as caught:
        FrozenHead.of(head)
    assert caught.value.code == "HSNN-U226"


def test_rounds_of_learning_and_deploying(tmp_path):
    train = digits("train")
    small = dataclasses.replace(PARAMETERS, copies=1)
    head = ColanetHead(small, Scaling.of(train.features, quantile=0.95, centre=0.0))
    halves = [(train.features[part], train.labels[part]) for part in (slice(0, 60), slice(60, 500))]
    shares = []
    for program in learn_and_deploy(head, halves, train.features[:32], checkpoint=tmp_path / "head.safetensors"):
        with hsnn.Session(program, target="emulator") as session:
            votes = session.run(train.features[:300]).output
        assert np.array_equal(ColanetHead.load(tmp_path / "head.safetensors").state.weights, head.state.weights)
        shares.append((np.array(head.classes)[votes.argmax(axis=1)] == train.labels[:300]).mean())
    assert shares[0] + 0.02 < shares[1]


def test_a_class_is_added_without_the_others():
    train, test = digits("train"), digits("test")
    old = train.part(train.labels != 3)
    head = ColanetHead(PARAMETERS, Scaling.of(old.features, quantile=0.95, centre=0.0))
    head.learn(old.features, old.labels)
    found = forgetting.add_classes(head, train, test, [3], rehearse=10)
    assert head.classes == (0, 1, 2, 4, 5, 6, 7, 8, 9, 3)
    assert found.new > 0.5
    assert found.lost == found.before - found.after
    assert found.after > 0.5
    with pytest.raises(UsageError) as caught:
        forgetting.add_classes(head, train, test, [11])
    assert caught.value.code == "HSNN-U226"


def test_orders():
    samples = Samples(np.arange(6, dtype=np.float32)[:, None], np.array([1, 0, 1, 0, 2, 1]))
    assert forgetting.by_class(samples).labels.tolist() == [0, 0, 1, 1, 1, 2]
    assert sorted(forgetting.shuffled(samples, 1).features[:, 0]) == list(range(6))
    assert forgetting._order(samples.labels, [2], 1).tolist() == [4, 1, 0]


@pytest.fixture
def small_task(tmp_path):
    train, test = digits("train"), digits("test")
    path = tmp_path / "task.npz"
    np.savez(
        path,
        train_features=train.features[:200],
        train_labels=train.labels[:200],
        test_features=test.features[:100],
        test_labels=test.labels[:100],
    )
    return path


def test_validation_samples_are_training_samples_that_nothing_is_learned_from(small_task, console):
    task = tasks.load(str(small_task), console=console)
    learn, validation = task.validation()
    assert (len(learn), len(validation), len(task.test)) == (160, 40, 100)
    assert np.array_equal(np.concatenate((learn.features, validation.features)), task.train.features)


@pytest.fixture
def console():
    from rich.console import Console

    return Console(quiet=True)


def test_the_evaluation_fills_its_page(small_task, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(evaluate.PRESETS, "features", dataclasses.replace(Parameters(), copies=2))
    monkeypatch.setattr(evaluate, "SPEED_SAMPLES", 20)
    page = tmp_path / "page.md"
    page.write_text(f"before\n{figures.BEGIN}\nold\n{figures.END}\nafter\n", encoding="utf-8")
    arguments = ["--task", str(small_task), "--seeds", "2", "--passes", "2", "--threads", "1", "--json"]
    head = tmp_path / "head.safetensors"
    assert evaluate.main([*arguments, "--markdown", str(page), "--save-head", str(head)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["train"], report["test"]) == (200, 100)
    assert len(report["heads"]) == 4
    assert all(0.3 < share <= 1 for spread in report["heads"][:3] for share in spread["shares"])
    assert report["speed"]["fast"] > report["speed"]["reference"] > 0
    assert abs(report["frozen"][0] - report["frozen"][1]) < 0.05
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text.split("after")[0].split(figures.BEGIN)[1][:5]
    assert "| logistic regression |" in text
    assert FrozenHead.load(head).classes == tuple(range(10))
    assert evaluate.main([*arguments, "--no-freeze", "--markdown", str(tmp_path / "none.md")]) == 2
    assert "HSNN-U229" in capsys.readouterr().err


def test_a_search_goes_on_where_it_was(small_task, tmp_path, capsys, monkeypatch):
    pytest.importorskip("optuna")
    monkeypatch.setattr(tune, "COPIES", 1)
    arguments = ["--task", str(small_task), "--storage", str(tmp_path / "tune.sqlite")]
    assert tune.main([*arguments, "--trials", "2"]) == 0
    said = capsys.readouterr()
    assert "trial 2 of 2" in said.err
    assert tune.main([*arguments, "--trials", "3"]) == 0
    said = capsys.readouterr()
    assert "trial 3 of 3" in said.err
    assert "trial 2 of" not in said.err
    found = json.loads(said.out)
    assert Parameters.from_json(found["parameters"]).copies == Parameters().copies
    assert 0 <= found["validation_accuracy"] <= 1


def test_files_that_are_no_task_are_refused(tmp_path, capsys):
    assert tune.main(["--task", str(tmp_path / "none.npz"), "--trials", "1"]) == 2
    assert "HSNN-U224" in capsys.readouterr().err
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    assert evaluate.main(["--task", str(tmp_path / "other.npz")]) == 2
    assert "HSNN-U224" in capsys.readouterr().err


def test_hsnn_compile_goes_from_a_packed_head_to_an_artifact(learned, tmp_path, monkeypatch, capsys):
    FrozenHead.of(learned).save(tmp_path / "head.safetensors")
    (tmp_path / "packed_head.py").write_text(
        "from hsnn_models.colanet.deploy import FrozenHead\n\n\ndef net():\n"
        "    return FrozenHead.load('head.safetensors')\n",
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    test = digits("test")
    np.savez("samples.npz", x=digits("train").features[:32])
    np.savez("test.npz", x=test.features[:50], labels=test.labels[:50])
    assert hsnn_compile(["packed_head:net", "--calibration", "samples.npz", "-o", "head.hsnn"]) == 0
    command = ["run", "head.hsnn", "--input", "test.npz", "--label-key", "labels", "--json"]
    capsys.readouterr()
    assert hsnn_compile(command) == 0
    assert json.loads(capsys.readouterr().out)["accuracy"] > 0.7
