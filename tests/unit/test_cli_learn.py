"""hsnn-compile learn: what it writes, what it tells, and what it leaves alone when something is wrong."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hsnn.artifact import load
from hsnn.artifact.networks import encode_network
from hsnn.cli import main
from hsnn.runtime import lessons
from hsnn.runtime.lessons import teach
from hsnn.runtime.session import Session
from hsnn_models.learning_head import HeadOptions, learning_head

FEATURES, CLASSES, SAMPLES = 6, 3, 24


def weights_of(program):
    return encode_network(program.chip_stages[0].network, "n")


@pytest.fixture
def samples():
    """One pair of features a class, with a little noise."""
    rng = np.random.default_rng(1)
    labels = np.arange(SAMPLES) % CLASSES
    x = rng.random((SAMPLES, FEATURES)) * 0.2
    for index, label in enumerate(labels):
        x[index, 2 * label : 2 * label + 2] = 1
    return x.astype(np.float32), labels


@pytest.fixture
def head(tmp_path, monkeypatch, samples):
    """An untaught head in head.hsnn, samples in data.npz."""
    monkeypatch.chdir(tmp_path)
    program = learning_head(FEATURES, CLASSES, HeadOptions(column=2, threshold=60, recruit_margin=60))
    program.save("head.hsnn")
    np.savez("data.npz", features=samples[0], labels=samples[1])
    return program


def learn(*arguments):
    return main(
        ["learn", "head.hsnn", "--input", "data.npz", "-o", "learned.hsnn", "--target", "reference", *arguments]
    )


def error_of(capsys):
    return json.loads(capsys.readouterr().out)["error"]["code"]


def test_it_learns_what_python_learns_and_then_knows_it(head, samples, capsys):
    x, labels = samples
    assert learn("--label-key", "labels", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    lesson = teach(head, x, labels, target="reference")
    learned = load("learned.hsnn")
    assert weights_of(learned) == weights_of(lesson.program)
    assert (told["samples"], told["labelled"], told["classes"]) == (SAMPLES, SAMPLES, [0, 1, 2])
    assert told["known_before"] == lesson.right > 0
    assert told["unanswered"] == int(np.sum(lesson.answers < 0)) >= 1  # the first sample, at least
    assert 0 < told["weights_changed"]["prototypes"] <= 1
    with Session(learned, target="reference") as session:
        votes = session.run(x).outputs["votes"]
    assert (votes.argmax(axis=1) == labels).all()
    assert (votes.sum(axis=1) == 1).all()
    assert weights_of(load("head.hsnn")) == weights_of(head)


def test_two_lessons_are_one_and_shown_to_people(head, samples, capsys):
    x, labels = samples
    for name, part in (("first", slice(10)), ("rest", slice(10, None))):
        np.save(f"{name}.npy", x[part])
        np.save(f"{name}-labels.npy", labels[part])
    common = ["--target", "reference"]
    assert main(["learn", "head.hsnn", "-i", "first.npy", "--labels", "first-labels.npy", "-o", "a.zip", *common]) == 0
    assert "10 samples of classes 0, 1, 2 on reference" in capsys.readouterr().out
    assert main(["learn", "a.zip", "-i", "rest.npy", "--labels", "rest-labels.npy", "-o", "b.hsnn", *common]) == 0
    assert weights_of(load("b.hsnn")) == weights_of(teach(head, x, labels, target="reference").program)


def test_lessons_in_many_parts_are_one(head, samples, monkeypatch):
    whole = teach(head, *samples, target="reference")
    monkeypatch.setattr(lessons, "LESSON_BYTES", 1)
    parts = teach(head, *samples, target="reference")
    assert weights_of(parts.program) == weights_of(whole.program)
    np.testing.assert_array_equal(parts.answers, whole.answers)


def test_inspect_shows_what_learns(head, capsys):
    assert main(["inspect", "head.hsnn", "--json"]) == 0
    network = json.loads(capsys.readouterr().out)["stages"][1]["network"]
    learner, plastic = network["populations"][0], network["projections"][0]
    assert (learner["kind"], learner["label"], learner["recruited"]) == ("learner", "label", 0)
    assert (plastic["kind"], plastic["epochs"], plastic["rule"]["epoch"]) == ("plastic", 0, 5)
    assert plastic["rule"]["dw"].startswith("2^0*x0*y1 - 2^-1*u0*y1")
    assert main(["inspect", "head.hsnn"]) == 0
    assert "learner" in capsys.readouterr().out


def test_samples_without_a_label_teach_nothing(head, samples):
    lesson = teach(head, samples[0], np.full(SAMPLES, -1), target="reference")
    assert not lesson.changed["prototypes"]
    assert (lesson.answers == -1).all()


@pytest.mark.parametrize(
    ("change", "arguments", "code"),
    [
        ({"labels": [CLASSES] * SAMPLES}, (), "HSNN-U060"),
        ({"labels": [0.5] * SAMPLES}, (), "HSNN-U060"),
        ({"labels": [0, 1]}, (), "HSNN-U125"),
        ({"features": np.full((SAMPLES, FEATURES), np.nan, np.float32)}, (), "HSNN-R104"),
        ({"features": np.zeros((SAMPLES, FEATURES + 1), np.float32)}, (), "HSNN-R103"),
        ({}, ("--label-key", "other"), "HSNN-U126"),
        ({}, ("--target", "nowhere"), "HSNN-T001"),
    ],
)
def test_wrong_samples_leave_no_trace(head, samples, tmp_path, change, arguments, code, capsys):
    np.savez("data.npz", **{"features": samples[0], "labels": samples[1], **change})
    assert learn("--label-key", "labels", *arguments, "--json") != 0
    assert error_of(capsys) == code
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.npz", "head.hsnn"]


def test_labels_are_needed_and_outputs_are_not_replaced(head, capsys):
    assert learn("--json") == 2
    assert error_of(capsys) == "HSNN-U126"
    assert learn("--label-key", "labels") == 0
    before = weights_of(load("learned.hsnn"))
    assert learn("--label-key", "labels", "--samples", "3", "--json") == 2
    capsys.readouterr()
    assert weights_of(load("learned.hsnn")) == before
    assert learn("--label-key", "labels", "--samples", "3", "--force", "--json") == 0
    assert weights_of(load("learned.hsnn")) != before


def test_an_artifact_that_does_not_learn_is_refused(artifact, samples, capsys):
    np.savez("data.npz", x=samples[0], labels=samples[1])
    assert main(["learn", artifact, "-i", "data.npz", "--label-key", "labels", "-o", "out.hsnn", "--json"]) != 0
    assert error_of(capsys) in ("HSNN-R103", "HSNN-T061")
