"""How torch models are called: time first, one timestep a call, some of the outputs."""

from __future__ import annotations

import argparse
import copy

import numpy as np
import pytest
import torch
from torch import nn

import hsnn
from hsnn import nn as snn
from hsnn.cli import main
from hsnn.commands.calling import Time, outputs, time
from hsnn.errors import HsnnError
from hsnn.frontends.live import adapt
from hsnn.frontends.torch import compare_with_torch, from_torch
from support.explicit_neuron import Explicit, assert_same, register_explicit

STEPS = 5


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    register_explicit(monkeypatch)


class Net(nn.Module):
    """Time first; returns spikes and a state."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.fc, self.neuron = nn.Linear(6, 4), Explicit()
        with torch.no_grad():
            self.fc.weight.mul_(4)

    def forward(self, x):
        state, sent = None, []
        for t in range(x.shape[0]):
            spikes, state = self.neuron(self.fc(x[t]), state)
            sent.append(spikes)
        return torch.stack(sent), state


def network():
    """What the command line names: returns spikes and a state, time first."""
    return Net().eval()


class Step(nn.Module):
    """One timestep."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.fc, self.neuron = nn.Linear(6, 4), Explicit()

    def forward(self, x, state=None):
        return self.neuron(4 * self.fc(x), state)


def step():
    """What the command line names: one timestep, with its state."""
    return Step().eval()


def test_the_loop_hands_a_state_on():
    x = torch.rand(3, 6)
    over = snn.OverTime(Step(), timesteps=STEPS, outputs="sum")
    assert_same(over, x)
    module, state, total = over.module, None, 0
    for _ in range(STEPS):
        spikes, state = module(x, state)
        total = total + spikes
    torch.testing.assert_close(over(x), total)


def test_what_fails_by_itself_says_where():
    with pytest.raises(HsnnError, match=r"HSNN-F010.*'module\.fc'"):
        adapt(snn.TimeFirst(network()), (torch.rand(3, STEPS, 7),))


class Squeezed(nn.Module):
    """Splits batch and time by numbers that it keeps, as sinabs's squeezed layers do."""

    def __init__(self):
        super().__init__()
        self.batch_size, self.num_timesteps = 2, -1

    def forward(self, x):
        train = x.reshape(self.batch_size, self.num_timesteps, *x.shape[1:])
        return train.cumsum(1).flatten(0, 1)


def test_merged_time_frees_the_batch():
    x, squeezed = torch.rand(3, STEPS, 4), Squeezed()
    merged = snn.MergedTime(nn.Sequential(squeezed), timesteps=STEPS)
    torch.testing.assert_close(merged(x), x.cumsum(1))
    assert squeezed.batch_size == 2
    with pytest.raises(HsnnError, match="HSNN-U022"):
        merged(torch.rand(3, STEPS + 1, 4))
    with pytest.raises(HsnnError, match="HSNN-U021"):
        snn.MergedTime(squeezed, timesteps=0)


def test_outputs_that_are_not_there():
    for keep in ([], [-1]):
        with pytest.raises(HsnnError, match="HSNN-U021"):
            snn.KeepOutputs(network(), keep)
    with pytest.raises(HsnnError, match="HSNN-U022"):
        snn.KeepOutputs(network(), [2])(torch.rand(STEPS, 3, 6))
    with pytest.raises(HsnnError, match="HSNN-U022"):
        snn.KeepOutputs(nn.Linear(6, 4), [0])(torch.rand(3, 6))
    both = snn.KeepOutputs(network(), [1, 0])(torch.rand(STEPS, 3, 6))
    assert [item.ndim for item in both] == [2, 3]
    for keep in (["voltage"], ["spikes", "0"], [3]):
        with pytest.raises(HsnnError, match=r"HSNN-U022.*3 outputs") as caught:
            snn.KeepOutputs(TwoInputs(), keep)(torch.rand(3, STEPS, 6), torch.rand(3, 4))
        assert "0 to 2 or 'logits', 'spikes', 'state'" in caught.value.allowed


class TwoInputs(Net):
    """Takes two inputs, and returns a dictionary."""

    def forward(self, image, aux):
        spikes, state = super().forward(image.transpose(0, 1))
        return {"logits": spikes.mean(0) + aux, "spikes": spikes, "state": state}


@pytest.mark.parametrize(
    ("keep", "names"), [(["logits"], ["logits"]), (["spikes", 0], ["spikes", "logits"]), ("logits", ["logits"])]
)
def test_outputs_of_a_dictionary_and_inputs_keep_their_names(keep, names):
    x = (torch.rand(3, STEPS, 6), torch.rand(3, 4))
    model = snn.KeepOutputs(TwoInputs(), keep)
    hybrid = from_torch(model, x)
    assert [item.name for item in hybrid.inputs] == ["image", "aux"]
    assert [item.name for item in hybrid.outputs] == names
    assert compare_with_torch(model, hybrid, x).max_abs < 1e-6
    assert list(copy.deepcopy(model)(image=x[0], aux=x[1])) == names


def test_any_number_of_inputs():
    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.lif = snn.Lif(0.5)

        def forward(self, first, *others):
            return snn.RateDecode()(self.lif(snn.DirectEncode(4)(first + sum(others))))

    for count in (1, 2, 3):
        x = tuple(torch.rand(2, 4) for _ in range(count))
        assert len(from_torch(Sum(), x).inputs) == count


class Returns(nn.Module):
    """Returns what ``more`` makes beside the rate of spikes."""

    def __init__(self, more, *, foreign):
        super().__init__()
        torch.manual_seed(0)
        self.more, self.fc = more, nn.Linear(6, 4)
        neurons = Step() if foreign else nn.Sequential(nn.Linear(6, 4), snn.DirectEncode(STEPS), snn.Lif(0.2))
        self.over = snn.OverTime(neurons, timesteps=STEPS) if foreign else nn.Sequential(neurons, snn.RateDecode())

    def forward(self, x):
        return self.more(self.over(x), x, self.fc.weight)


@pytest.mark.parametrize("foreign", [False, True])
def test_what_is_no_tensor_is_no_output(foreign):
    cases = {
        ("output_0",): lambda y, x, _: (y, None),
        ("output_0", "output_3"): lambda y, x, _: (y, 3, "text", 2 * y, 0.5, True),
        ("y", "z"): lambda y, x, _: {"y": y, "state": None, "samples": x.shape[0], "z": y + 1},
    }
    x = (torch.rand(5, 6),)
    for names, more in cases.items():
        model = Returns(more, foreign=foreign)
        hybrid = from_torch(model, x)
        assert tuple(item.name for item in hybrid.outputs) == names
        assert compare_with_torch(model, hybrid, x).max_abs < 1e-6


@pytest.mark.parametrize("foreign", [False, True])
def test_constant_outputs_are_refused_by_name(foreign):
    with pytest.raises(HsnnError, match="HSNN-F032: output 1 of the model"):
        from_torch(Returns(lambda y, _, weight: (y, weight.sum()), foreign=foreign), (torch.rand(5, 6),))


def test_the_first_entry_of_a_dictionary_counts_over_time():
    class Named(Step):
        def forward(self, x):
            return {"spikes": super().forward(x)[0], "other": x}

    x = torch.rand(3, 6)
    over = snn.OverTime(Named(), timesteps=STEPS, outputs="last")
    torch.testing.assert_close(over(x), Step()(x)[0])


def test_how_time_is_written():
    assert time("first") == Time("first")
    assert time("steps=8,inputs=train") == Time("steps", 8, {"inputs": "train"})
    assert time("merged=8") == Time("merged", 8)
    assert outputs("0,2") == (0, 2)
    assert outputs("logits,2") == ("logits", 2)
    for text in (
        "",
        "last",
        "steps",
        "steps=0",
        "steps=-1",
        "steps=4,inputs=x",
        "steps=4,steps=5",
        "merged=4,inputs=train",
        "steps=4,more=1",
    ):
        with pytest.raises(argparse.ArgumentTypeError):
            time(text)
    for text in ("", "-1", "0,", "a,,b"):
        with pytest.raises(argparse.ArgumentTypeError):
            outputs(text)


def test_the_command_line_compiles_both(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    loose = ["--limit", "f1=0,rate=10,dead=1,voltage=10"]
    factories = {"test_calling:network": Net().eval(), "test_calling:step": Step().eval()}
    factories["test_calling:two"] = TwoInputs().eval()
    monkeypatch.setattr("hsnn.frontends.torch.load_factory", lambda text: factories[text])
    rng = np.random.default_rng(0)
    np.save("trains.npy", rng.uniform(0, 1, (6, STEPS, 6)).astype(np.float32))
    both = {"image": rng.uniform(0, 1, (6, STEPS, 6)), "aux": rng.uniform(0, 1, (6, 4))}
    np.savez("both.npz", **{name: array.astype(np.float32) for name, array in both.items()})
    np.save("values.npy", rng.uniform(0, 1, (6, 6)).astype(np.float32))
    first = ["test_calling:network", "--calibration", "trains.npy", "-o", "first.hsnn", *loose]
    assert main(first) == 3
    assert "--time first" in capsys.readouterr().err
    assert main([*first, "--time", "first"]) == 3
    assert "--outputs 0" in capsys.readouterr().err
    assert main([*first, "--time", "first", "--outputs", "0"]) == 0
    checked = ["--target", "emulator", "--model", "test_calling:network", "--time", "first", "--outputs", "0"]
    assert main(["verify", "first.hsnn", *checked]) == 0
    two = ["test_calling:two", "--calibration", "both.npz", "-o", "two.hsnn", "--outputs", "logits,spikes", *loose]
    assert main(two) == 0
    assert [value.name for value in hsnn.load("two.hsnn").outputs] == ["logits", "spikes"]
    checked = ["--target", "emulator", "--model", "test_calling:two", "--outputs", "logits,spikes"]
    assert main(["verify", "two.hsnn", *checked]) == 0
    one = ["test_calling:step", "--calibration", "values.npy", "-o", "step.hsnn", *loose]
    assert main(one) == 3
    assert "--time steps=16" in capsys.readouterr().err
    assert main([*one, "--time", f"steps={STEPS},outputs=train"]) == 0
    assert hsnn.load("step.hsnn").outputs[0].shape[1:] == (STEPS, 4)
    capsys.readouterr()
    (tmp_path / "net.onnx").write_bytes(b"")
    assert main(["check", "net.onnx", "--time", "first"]) == 2
    assert "HSNN-U153" in capsys.readouterr().err


class Drawing(Step):
    """Encodes its input by chance, as snnTorch's ``spikegen.rate`` does."""

    def forward(self, x, state=None):
        return super().forward(torch.bernoulli(x.clamp(0, 1)), state)


class ByValue(Step):
    """Takes an extent from a tensor."""

    def forward(self, x, state=None):
        count = torch.ones(2, dtype=torch.int64).tolist()[0]
        return super().forward(x.repeat(count, 1), state)


@pytest.mark.parametrize(("kind", "code"), [(Drawing, "HSNN-F012"), (ByValue, "HSNN-F01")])
def test_what_follows_from_no_input_is_refused(kind, code):
    with pytest.raises(HsnnError, match=code):
        adapt(snn.OverTime(kind(), timesteps=STEPS), (torch.rand(3, 6),))
