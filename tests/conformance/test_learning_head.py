"""Learning on the chip: digits taught one by one, on the emulator, on Lava, and on the host in floating point."""

from __future__ import annotations

import numpy as np
import pytest

from hsnn.artifact.networks import encode_network
from hsnn.runtime.lessons import teach
from hsnn.runtime.session import Session
from hsnn_models.colanet.head import ColanetHead
from hsnn_models.colanet.scaling import Scaling
from hsnn_models.learning_head import HeadOptions, learning_head
from support.colanet import digit_parameters

OPTIONS = HeadOptions()
LESSONS = 220


class HostHead:
    """The same rule in floating point: weights unbounded and unrounded, gains exact."""

    def __init__(self, features, classes, options):
        self.options, self.classes = options, classes
        self.weights = np.zeros((classes * options.column, features))
        self.stability = np.zeros(classes * options.column)
        self.recruited = np.zeros(classes * options.column)

    def spikes(self, x):
        steps = np.arange(self.options.timesteps + 1)[:, None]
        return np.diff(np.floor(steps * np.clip(x, 0, 1).astype(np.float32)), axis=0)

    def answer(self, spikes):
        """Voltages at the end, and who spiked first."""
        v = np.cumsum(spikes @ self.weights.T, axis=0)
        for now in v:
            if (now > self.options.threshold).any():
                return v[-1], int(np.argmax(now))
        return v[-1], None

    def learn(self, x, label):
        spikes = self.spikes(x)
        v, won = self.answer(spikes)
        gain, y, width = 2 ** (-self.stability / 16), np.zeros(self.stability.size), self.options.column
        if won is not None:
            y[won] -= self.options.penalty * gain[won]
        right = won is not None and won // width == label
        if won is not None and not right:
            self.settle(won, -self.options.stability_down)
        column = np.arange(label * width, (label + 1) * width)
        chosen = won if right else column[np.argmax(v[column] - self.options.recruit_margin * self.recruited[column])]
        y[chosen] += self.options.reward * gain[chosen]
        self.settle(chosen, self.options.stability_up if right else -self.options.stability_down)
        self.recruited[chosen] = 1
        self.weights += np.outer(y, spikes.any(axis=0) - 0.5)

    def settle(self, neuron, change):
        self.stability[neuron] = np.clip(self.stability[neuron] + change, 0, 127)

    def accuracy(self, x, labels):
        answers = [self.answer(self.spikes(row))[1] for row in x]
        return np.mean([a is not None and a // self.options.column == b for a, b in zip(answers, labels, strict=True)])


@pytest.fixture(scope="module")
def digits():
    """Images and labels: 1000 to learn from, 400 to test with."""
    data = pytest.importorskip("sklearn.datasets").load_digits()
    order = np.random.default_rng(0).permutation(1400)
    x, labels = (data.data[order] / 16).astype(np.float32), data.target[order].astype(np.int64)
    return (x[:1000], labels[:1000]), (x[1000:], labels[1000:])


def accuracy(program, x, labels, target="emulator"):
    """Share of samples that are answered, and rightly."""
    with Session(program, target=target, batch_size=200) as session:
        votes = session.run(x).outputs["votes"]
    return float(np.mean((votes.argmax(axis=1) == labels) & votes.any(axis=1)))


def network_bytes(program):
    return encode_network(program.chip_stages[0].network, "n")


@pytest.mark.lava
def test_lava_learns_what_the_emulator_learns(digits):
    """Over 200 lessons of four classes: every weight, tag, trace, stability and answer, and the runs after."""
    (x, labels), (test_x, test_labels) = digits
    few, few_test = labels < 4, test_labels < 4
    x, labels = x[few][:LESSONS], labels[few][:LESSONS]
    assert labels.size == LESSONS
    program = learning_head(64, 4, OPTIONS)
    ours, theirs = (teach(program, x, labels, target=target) for target in ("emulator", "loihi2-sim"))
    np.testing.assert_array_equal(theirs.answers, ours.answers)
    assert network_bytes(theirs.program) == network_bytes(ours.program)
    found = accuracy(theirs.program, test_x[few_test][:40], test_labels[few_test][:40], "loihi2-sim")
    assert found == accuracy(ours.program, test_x[few_test][:40], test_labels[few_test][:40]) > 0.8


def test_integers_lose_less_than_three_points_to_the_host(digits):
    """Means over three orders of a thousand lessons of ten classes."""
    (x, labels), test = digits
    ours, theirs = [], []
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(labels.size)
        ours.append(accuracy(teach(learning_head(64, 10, OPTIONS), x[order], labels[order]).program, *test))
        host = HostHead(64, 10, OPTIONS)
        for row, label in zip(x[order], labels[order], strict=True):
            host.learn(row, label)
        theirs.append(host.accuracy(*test))
    assert np.mean(ours) > np.mean(theirs) - 0.03, (ours, theirs)
    assert np.mean(theirs) > 0.8, theirs


def test_a_head_on_the_chip_is_near_colanet(digits):
    """One copy of CoLaNET with as many microcolumns, learning on the host; means over three orders."""
    (x, labels), test = digits
    parameters = digit_parameters(copies=1, microcolumns=OPTIONS.column)
    ours, theirs = [], []
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(labels.size)
        ours.append(accuracy(teach(learning_head(64, 10, OPTIONS), x[order], labels[order]).program, *test))
        host = ColanetHead(parameters, Scaling.of(x, quantile=0.95, centre=0.0), seed=seed, classes=range(10))
        host.learn(x[order], labels[order])
        theirs.append(host.accuracy(*test))
    assert np.mean(ours) > np.mean(theirs) - 0.03, (ours, theirs)
    assert np.mean(theirs) > 0.8, theirs


def test_a_class_is_added_online(digits):
    """Nine classes first; then the tenth alone, in twenty lessons."""
    (x, labels), (test_x, test_labels) = digits
    old, old_test = labels != 9, test_labels != 9
    first = teach(learning_head(64, 10, OPTIONS), x[old], labels[old]).program
    then = teach(first, x[~old][:20], labels[~old][:20]).program
    before = accuracy(first, test_x[old_test], test_labels[old_test])
    after = accuracy(then, test_x[old_test], test_labels[old_test])
    new = accuracy(then, test_x[~old_test], test_labels[~old_test])
    assert accuracy(first, test_x[~old_test], test_labels[~old_test]) == 0
    assert new > 0.5, (before, after, new)
    assert after > before - 0.1, (before, after, new)
