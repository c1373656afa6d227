"""Programs in the pages in docs run as they are written; what only a user has is defined before them."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from support.pages import PAGES, blocks, page

ELSEWHERE = {
    "has8.md": "tests/conformance/test_has8.py",
    "operators.md": "tests/unit/test_docs_reference.py and test_docs_commands.py",
    "targets.md": "tests/unit/test_docs_reference.py",
}
"""Pages whose programs other tests run."""

OWN_NEURON = """
import hsnn, numpy as np, torch
from torch import nn

samples = np.random.default_rng(0).random((8, 6), np.float32)


class MyNeuron(nn.Module):
    limit, keep, v = 0.5, 0.75, None

    def reset(self):
        self.v = None

    def forward(self, x):
        v = x if self.v is None else self.keep * self.v + x
        spikes = (v > self.limit).to(x.dtype)
        self.v = v - self.limit * spikes
        return spikes


class Explicit(nn.Module):
    def forward(self, x, v=None):
        v = x if v is None else 0.5 * v + x
        spikes = (v >= 1.0).to(x.dtype)
        return spikes, v * (1 - spikes)


class Net(nn.Module):
    def __init__(self, explicit):
        super().__init__()
        torch.manual_seed(0)
        self.explicit = explicit
        self.fc, self.neuron = nn.Linear(6, 8), Explicit() if explicit else MyNeuron()
        nn.init.uniform_(self.fc.weight, 0.1, 0.9)

    def forward(self, x):
        total, v = 0, None
        if not self.explicit:
            self.neuron.reset()
        x = self.fc(x)
        for _ in range(8):
            spikes, v = self.neuron(x, v) if self.explicit else (self.neuron(x), None)
            total = total + spikes
        return total / 8


def same(program, model):
    with hsnn.Session(program, target="emulator") as session, torch.no_grad():
        expected, found = model(torch.from_numpy(samples)).numpy(), session.run(samples).output
    assert expected.any() and np.abs(found - expected).max() <= 1 / 8 + 1e-6, (found, expected)
"""


def interop(compiles, one_tensor, explicit):
    """Compiling comes first on the page, with a library's neuron; here it compiles each neuron that is registered."""
    yield OWN_NEURON
    for registers, kind in ((one_tensor, False), (explicit, True)):
        yield registers
        yield f"model = Net({kind}).eval()"
        yield compiles
        yield "same(program, model)"


def learning(teaches):
    yield """
import numpy as np
from hsnn_models.learning_head import learning_head

classes = 3
network = learning_head(4, classes).chip_stages[0].network
timesteps = network.timesteps
spikes = (np.random.default_rng(0).random((timesteps, 5, 4)) < 0.5).astype(np.int32)
labels = np.arange(5) % classes
"""
    yield teaches
    yield """
was, now = (tuple(item.weights.copy() for item in part.projections) for part in (network, learned.network))
assert any((a != b).any() for a, b in zip(was, now))
"""


def chips(resource):
    yield """
import pathlib, sys
pathlib.Path("my_package").mkdir()
pathlib.Path("my_package/__init__.py").touch()
pathlib.Path("my_package/my_chip.toml").write_text("name = 'my-chip'")
sys.path.insert(0, ".")
"""
    yield f"pathlib.Path('my_package/chips.py').write_text({resource!r})"
    yield """
from my_package.chips import MY_CHIP
assert MY_CHIP.read_text("utf-8") == "name = 'my-chip'"
"""


def colanet(teaches):
    yield teaches
    yield "assert np.mean(np.array(head.classes)[votes.argmax(1)] == test.labels) > 0.8"


PROGRAMS = {"chips.md": chips, "colanet.md": colanet, "interop.md": interop, "learning.md": learning}
"""By page: the program that is run, from the programs of the page."""

SLOW = ("colanet.md", "interop.md")


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in PROGRAMS])
def test_the_programs_of_a_page_run(name, tmp_path):
    program = "\n".join(PROGRAMS[name](*blocks(page(name), "python")))
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_no_page_with_programs_is_left_out():
    names = {path.name for path in PAGES if path.parent.name == "docs" and blocks(path.read_text("utf-8"), "python")}
    assert names == PROGRAMS.keys() | ELSEWHERE.keys()


def test_programs_are_marked_as_such():
    for path in PAGES:
        for body in blocks(path.read_text(encoding="utf-8"), ""):
            assert not re.search(r"^(import|from) \w", body, re.M), f"{path.name}: no language: {body}"
