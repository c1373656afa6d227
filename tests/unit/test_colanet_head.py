from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from hsnn.errors import UsageError
from hsnn_models import data
from hsnn_models.colanet.head import ColanetHead
from hsnn_models.colanet.parameters import PRESETS, Parameters, preset
from hsnn_models.colanet.scaling import Scaling
from support.colanet import digit_parameters

PARAMETERS = digit_parameters(copies=5, microcolumns=5)


def samples(split, classes=range(10)):
    part = data.digits(split)
    kept = np.isin(part.labels, list(classes))
    return part.images.reshape(len(part), -1)[kept], part.labels[kept]


@pytest.fixture(scope="module")
def learned():
    features, labels = samples("train")
    head = ColanetHead(PARAMETERS, Scaling.of(features, quantile=0.95, centre=0.0), seed=1)
    head.learn(features, labels)
    return head


def few(count=60, features=12, seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((count, features)).astype(np.float32), rng.integers(0, 3, count)


def small(**changes):
    features, _ = few()
    parameters = dataclasses.replace(Parameters(copies=2, microcolumns=2, threshold=1.0), **changes)
    return ColanetHead(parameters, Scaling.of(features), seed=3)


def refused(code, call, *args, **kwargs):
    with pytest.raises(UsageError) as caught:
        call(*args, **kwargs)
    assert caught.value.code == code
    return str(caught.value)


def test_a_single_pass_tells_digits_apart(learned):
    features, labels = samples("test")
    assert learned.accuracy(features, labels) > 0.85
    assert learned.classes == tuple(range(10))
    assert learned.counts == tuple(np.bincount(samples("train")[1]))


def test_votes_add_up_to_the_copies_that_answer(learned):
    votes = learned.votes(samples("test")[0])
    assert votes.dtype == np.float32
    assert votes.sum(axis=1).max() <= 5.00001
    assert np.array_equal(learned.votes(samples("test")[0][:20], engine="reference"), votes[:20])


def test_learning_one_by_one_is_learning_at_once():
    features, labels = few()
    once, often = small(), small()
    once.add_classes([0, 1, 2])
    often.add_classes([0, 1, 2])
    once.learn(features, labels)
    for k in range(len(labels)):
        often.learn(features[k : k + 1], labels[k : k + 1], engine="reference" if k % 2 else "fast")
    assert once.state.resources.tobytes() == often.state.resources.tobytes()
    assert once.counts == often.counts


def test_a_checkpoint_resumes_exactly(tmp_path):
    features, labels = few()
    whole, first = small(), small()
    whole.learn(features, labels)
    first.learn(features[:25], labels[:25])
    first.save(tmp_path / "head.safetensors")
    second = ColanetHead.load(tmp_path / "head.safetensors")
    second.learn(features[25:], labels[25:])
    for name in ("resources", "weights", "thresholds", "stability"):
        assert getattr(whole.state, name).tobytes() == getattr(second.state, name).tobytes(), name
    assert (whole.classes, whole.counts, whole.state.seen) == (second.classes, second.counts, second.state.seen)
    assert np.array_equal(whole.votes(features), second.votes(features))
    assert not list(tmp_path.glob("*.unfinished"))


def test_an_interrupted_save_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "head.safetensors"
    head = small()
    head.learn(*few())
    head.save(path)
    before = path.read_bytes()
    head.learn(*few(seed=1))

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        head.save(path)
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("damage", ["missing", "cut", "other", "shape"])
def test_damaged_checkpoints_are_refused(tmp_path, damage):
    from safetensors.numpy import load_file, save_file

    path = tmp_path / "head.safetensors"
    head = small()
    head.learn(*few())
    head.save(path)
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-7])
    elif damage == "other":
        save_file({"weights": np.zeros(3)}, path)
    else:
        import safetensors

        with safetensors.safe_open(str(path), framework="numpy") as file:
            about = file.metadata()
        arrays = load_file(path)
        save_file({**arrays, "stability": arrays["stability"][:, :-1].copy()}, path, metadata=about)
    assert "checkpoint" in refused("HSNN-U225", ColanetHead.load, path)


def test_a_new_class_leaves_the_neurons_of_others_as_they_are():
    features, labels = few()
    head = small()
    head.learn(features, labels)
    before = head.state.copy()
    head.add_classes([7, 1])
    assert head.classes == (0, 1, 2, 7)
    assert head.state.resources[:, :6].tobytes() == before.resources.tobytes()
    assert head.state.stability[:, :6].tobytes() == before.stability.tobytes()
    head.learn(features[:9], np.full(9, 7))
    assert head.counts[3] == 9


def test_wrong_input_is_refused_before_anything_is_learned(learned):
    before = learned.state.copy()
    features, labels = samples("train")
    bad = features[:5].copy()
    bad[3, 2] = np.nan
    assert "sample 3" in refused("HSNN-U222", learned.learn, bad, labels[:5])
    assert refused("HSNN-U222", learned.votes, bad)
    refused("HSNN-U224", learned.learn, features[:5, :9], labels[:5])
    refused("HSNN-U224", learned.learn, features[:5], labels[:4])
    refused("HSNN-U224", learned.learn, features[:5], labels[:5] - 20)
    refused("HSNN-U224", learned.learn, features[:5], labels[:5].astype(float))
    refused("HSNN-U224", learned.accuracy, features[:5], np.array(["a"] * 5))
    assert learned.classes == tuple(range(10))
    assert learned.state.resources.tobytes() == before.resources.tobytes()
    assert learned.state.seen == before.seen


def test_a_class_without_samples_is_told():
    head = small()
    refused("HSNN-U226", head.votes, few()[0])
    refused("HSNN-U226", head.require_samples)
    head.learn(*few())
    head.require_samples()
    head.add_classes([9])
    assert "class 9" in refused("HSNN-U226", head.require_samples)


@pytest.mark.parametrize(
    "change",
    [
        {"microcolumns": 0},
        {"copies": 2.5},
        {"weight_min": 0.1},
        {"weight_start": 0.5},
        {"threshold": float("nan")},
        {"leak": 1.5},
        {"active": 60, "wait": 10},
        {"dopamine": True},
    ],
)
def test_parameters_are_checked(change):
    assert next(iter(change)).split("_")[0] in refused("HSNN-U223", dataclasses.replace, Parameters(), **change)


def test_presets():
    knp = preset("knp_mnist")
    assert (knp.threshold, knp.weight_min, knp.weight_max) == (8.571, -0.253, 0.0924)
    assert (knp.anti_hebbian, knp.dopamine, knp.microcolumns, knp.copies) == (-0.177, 0.18, 20, 1)
    refused("HSNN-U223", preset, "mnist")
    refused("HSNN-U223", Parameters.from_json, {"threshold": 1.0})
    for parameters in PRESETS.values():
        assert Parameters.from_json(parameters.to_json()) == parameters
        assert all(unit and source for _, _, unit, source in parameters.table())


def test_what_a_head_holds_does_not_grow_with_samples():
    head = small()
    features, labels = few(count=2000)
    head.learn(features, labels)
    sizes = [getattr(head.state, name).nbytes for name in ("resources", "weights", "thresholds", "stability")]
    head.learn(features, labels)
    assert sizes == [getattr(head.state, name).nbytes for name in ("resources", "weights", "thresholds", "stability")]


def test_the_page_lists_all_parameters():
    page = (Path(__file__).parents[2] / "docs" / "colanet.md").read_text(encoding="utf-8")
    rows = [f"| `{name}` | {value} | {limits} | {source} |" for name, value, limits, source in Parameters().table()]
    assert "\n".join(rows) in page


def test_parameters_fit_another_number_of_features():
    features, labels = samples("train")
    head = ColanetHead(Parameters(copies=2).fitted(64), Scaling.of(features), seed=1)
    head.learn(features, labels)
    assert head.accuracy(*samples("test")) > 0.85
    assert Parameters().fitted(1280) == Parameters()
    refused("HSNN-U223", Parameters().fitted, 0)
