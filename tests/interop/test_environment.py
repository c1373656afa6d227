"""The libraries are those that constraints-interop.txt pins: the support matrix is about these versions."""

import re
from importlib.metadata import version
from pathlib import Path

import pytest

PINS = re.findall(r"^([\w.-]+)==([\w.]+)", (Path(__file__).parents[2] / "constraints-interop.txt").read_text(), re.M)


@pytest.mark.parametrize(("name", "pinned"), PINS)
def test_version(name, pinned):
    assert version(name) == pinned


def test_torch_is_that_of_the_main_environment():
    import torch

    pins = (Path(__file__).parents[2] / "constraints.txt").read_text()
    assert torch.__version__.split("+")[0] == re.search(r"^torch==(\S+)", pins, re.M)[1]
