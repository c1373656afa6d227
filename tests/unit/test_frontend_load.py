"""Model factories, weights and example inputs by name."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from hsnn import nn as snn
from hsnn.errors import UsageError
from hsnn.frontends.torch import example_inputs, load_factory, load_weights

SOURCE = """
from torch import nn
from hsnn.errors import UsageError

class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(2, 3))

made = Net()
number = 3

class Group:
    @staticmethod
    def make():
        return Net()

def needs(argument):
    return Net()

def broken():
    raise ZeroDivisionError("by design")

def refuses():
    raise UsageError("HSNN-X001", "no")

def none():
    return None
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    name = f"factory_{tmp_path.name.replace('-', '_')}"
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("")
    (tmp_path / name / "nets.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    return f"{name}.nets"


@pytest.mark.parametrize("attribute", ["Net", "made", "Group.make"])
def test_factories(package, attribute):
    assert type(load_factory(f"{package}:{attribute}")).__name__ == "Net"


@pytest.mark.parametrize(
    ("code", "attribute", "says"),
    [
        ("F001", "missing", "missing"),
        ("F001", "needs", "argument"),
        ("F001", "broken", "by design"),
        ("F001", "number", "not callable"),
        ("F002", "none", "NoneType"),
        ("X001", "refuses", "no"),
    ],
)
def test_factories_that_fail(package, code, attribute, says):
    with pytest.raises(UsageError, match=f"HSNN-{code}.*{says}"):
        load_factory(f"{package}:{attribute}")


@pytest.mark.parametrize("spec", ["net", "no.such.package:make", "a b:c", "package:", "net.py:make.", ""])
def test_specs_that_name_nothing(spec):
    with pytest.raises(UsageError, match="HSNN-F001"):
        load_factory(spec)


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 3), snn.Lif(torch.ones(3)))


def test_weights_of_every_form(tmp_path):
    state = {name: torch.rand_like(value) for name, value in net().state_dict().items()}
    save_file(state, tmp_path / "w.safetensors")
    torch.save(state, tmp_path / "w.pt")
    torch.save({"epoch": 3, "state_dict": state}, tmp_path / "checkpoint.pth")
    for name in ("w.safetensors", "w.pt", "checkpoint.pth"):
        loaded = load_weights(net(), tmp_path / name)
        assert all(torch.equal(value, state[key]) for key, value in loaded.state_dict().items())


def changed(**changes):
    state = net().state_dict()
    for name, value in changes.items():
        key = name.replace("__", ".")
        if value is None:
            del state[key]
        else:
            state[key] = value
    return state


@pytest.mark.parametrize(
    ("code", "state", "says"),
    [
        ("F004", changed(**{"0__weight": None, "1__bias": None}), r"missing 0\.weight, 1\.bias"),
        ("F004", changed(**{"2__weight": torch.zeros(1)}), r"unexpected 2\.weight"),
        ("F004", changed(**{"0__weight": torch.zeros(2, 3)}), r"0\.weight \(2, 3\) for \(3, 2\)"),
        ("F005", changed(**{"0__bias": torch.tensor([0, float("nan"), 0])}), r"0\.bias"),
        ("F005", changed(**{"1__threshold": torch.full((3,), float("inf"))}), r"1\.threshold"),
    ],
)
@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_weights_that_do_not_fit(tmp_path, code, state, says, suffix):
    path = tmp_path / f"w.{suffix}"
    (torch.save if suffix == "pt" else save_file)({key: value.contiguous() for key, value in state.items()}, path)
    module = net()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with pytest.raises(UsageError, match=f"HSNN-{code}.*{says}"):
        load_weights(module, path)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


class Evil:
    def __reduce__(self):
        return (print, ("code ran",))


def test_pickles_are_never_executed(tmp_path, capsys):
    torch.save({"a": Evil()}, tmp_path / "evil.pt")
    torch.save(net(), tmp_path / "module.pt")
    (tmp_path / "plain.pkl").write_bytes(pickle.dumps(Evil()))
    for name in ("evil.pt", "module.pt", "plain.pkl"):
        with pytest.raises(UsageError, match="HSNN-F003"):
            load_weights(net(), tmp_path / name)
    assert "code ran" not in capsys.readouterr().out


@pytest.mark.parametrize("name", ["missing.pt", "damaged.pt", "damaged.safetensors", "empty.pt", "number.pt"])
def test_weights_that_cannot_be_read(tmp_path, name):
    for damaged in ("damaged.pt", "damaged.safetensors"):
        (tmp_path / damaged).write_bytes(b"PK\x03\x04 nothing" * 9)
    (tmp_path / "empty.pt").write_bytes(b"")
    torch.save({"weight": 3}, tmp_path / "number.pt")
    with pytest.raises(UsageError, match="HSNN-F003"):
        load_weights(net(), tmp_path / name)


def test_example_inputs_of_a_shape():
    (x,) = example_inputs("1x28x28")
    assert (tuple(x.shape), x.dtype) == ((2, 1, 28, 28), torch.float32)
    assert 0 <= x.min() < 0.1
    assert 0.9 < x.max() < 1
    assert torch.equal(x, example_inputs("1x28x28")[0])
    assert not torch.equal(x, example_inputs("1x28x28", seed=1)[0])
    assert tuple(example_inputs("5,1,8")[0].shape) == (5, 1, 8)
    assert tuple(example_inputs("7")[0].shape) == (2, 7)


def test_example_inputs_of_a_file(tmp_path):
    np.savez(tmp_path / "x.npz", b=np.ones((3, 2)), a=np.arange(3), c=np.ones((3, 1), np.float16))
    b, a, c = example_inputs(tmp_path / "x.npz")
    assert (b.dtype, a.dtype, c.dtype) == (torch.float32, torch.int64, torch.float16)
    assert a.tolist() == [0, 1, 2]


@pytest.mark.parametrize("source", ["1x", "x28", "1x28,3", "0x3", "2,0", "", "net.pt", "missing.npz", "-1x3"])
def test_example_inputs_that_are_none(source):
    with pytest.raises(UsageError, match="HSNN-F006"):
        example_inputs(source)


def test_example_files_that_hold_no_inputs(tmp_path):
    np.savez(tmp_path / "empty.npz")
    np.savez(tmp_path / "words.npz", a=np.array(["x"]))
    np.savez(tmp_path / "none.npz", a=np.zeros((0, 3)))
    np.savez(tmp_path / "objects.npz", a=np.array([{}], object))
    (tmp_path / "damaged.npz").write_bytes(b"PK\x03\x04")
    for name in ("empty", "words", "none", "objects", "damaged"):
        with pytest.raises(UsageError, match="HSNN-F006"):
            example_inputs(tmp_path / f"{name}.npz")
