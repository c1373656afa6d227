"""The compiler as a library user meets it: options, progress, limits, errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import hsnn
from hsnn import nn as snn
from hsnn.compiler import Options, compile
from hsnn.errors import CapacityError, HsnnWarning, QuantizationError, UsageError
from hsnn.feasibility import check
from hsnn.report.layers import Limits


class Tiny(nn.Module):
    def __init__(self, width: int = 6) -> None:
        super().__init__()
        self.encode = snn.RateEncode(timesteps=6)
        self.fc, self.lif = nn.Linear(5, width), snn.Lif(current_decay=1.0, voltage_decay=0.25)
        self.decode = snn.RateDecode()

    def forward(self, x):
        return self.decode(self.lif(self.fc(self.encode(x))))


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).random((12, 5)).astype(np.float32)


@pytest.fixture
def model():
    torch.manual_seed(0)
    tiny = Tiny()
    with torch.no_grad():
        tiny.fc.weight.mul_(3.0)
    return tiny.eval()


def test_same_build_twice_gives_the_same_bytes(model, x, tmp_path):
    for name in ("a.zip", "b.zip"):
        compile(model, x).save(tmp_path / name)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_calibration_may_be_an_array_a_sequence_or_named(model, x, tmp_path):
    name = compile(model, x).inputs[0].name
    for number, samples in enumerate((x, (x,), {name: x})):
        compile(model, samples).save(tmp_path / f"{number}.zip")
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


def test_progress_ends_every_stage_that_it_starts(model, x):
    told = {}
    compile(model, x, progress=lambda stage, done, total: told.__setitem__(stage, (done, total)))
    assert {"export", "calibrate", "quantize", "compare layers", "golden traces"} <= set(told)
    assert all(done == total for done, total in told.values())


def test_options_are_recorded_and_used(model, x):
    program = compile(model, x, options=Options(golden_samples=2, keep_reference=False, seed=7), source="here")
    assert program.hybrid is None
    assert program.golden.inputs[program.inputs[0].name].shape[0] == 2
    assert (program.metadata.seed, program.metadata.source) == (7, "here")


def test_cut_statistics_are_means_over_the_calibration_samples(model, x):
    program = compile(model, x)
    cut = next(cut for cut in program.cuts if cut.target.startswith("chip"))
    expected = float(model.encode(torch.from_numpy(x)).sum()) / (len(x) * 6)
    assert program.cut_spikes[cut.value] == pytest.approx(expected, rel=1e-6)


def test_layer_that_never_spikes_is_told(model, x):
    with torch.no_grad():
        model.fc.weight.mul_(1e-3)
        model.fc.bias.mul_(1e-3)
    with pytest.warns(HsnnWarning, match="HSNN-Q030: lif never spiked"):
        compile(model, x)


def test_build_fails_past_its_limits(model, x):
    with pytest.raises(QuantizationError, match="lif"):
        compile(model, x, options=Options(limits=Limits(min_f1=1.01, min_spikes=1)))


def test_build_fails_if_the_network_does_not_fit_the_chip(model, x, tmp_path):
    from hsnn.passes.mapping.chips import load_chip

    chip = load_chip("loihi2")
    assert chip is not None
    with pytest.raises(CapacityError) as caught:
        compile(Tiny(width=1_200_000).eval(), x)
    assert caught.value.exit_status == 4


@pytest.mark.parametrize(
    ("samples", "code"),
    [
        (np.zeros((0, 5), np.float32), "HSNN-R103"),
        (np.full((3, 5), np.nan, np.float32), "HSNN-R104"),
        (np.zeros((3, 5), np.int64), "HSNN-R102"),
        ({"wrong": np.zeros((3, 5), np.float32)}, "HSNN-R101"),
        ((), "HSNN-R103"),
        (None, "HSNN-R103"),
        (torch.zeros((3, 5), requires_grad=True), "HSNN-R102"),
    ],
    ids=["none", "NaN", "integers", "wrong name", "no array", "nothing", "gradient"],
)
def test_bad_calibration_is_refused(model, samples, code):
    with pytest.raises(UsageError, match=code):
        compile(model, samples, example_inputs=(torch.zeros(1, 5),) if code != "HSNN-R103" else None)


@pytest.mark.parametrize("wrong", [42, None, nn.Linear], ids=str)
def test_what_is_no_model_is_refused(x, wrong):
    with pytest.raises(UsageError, match="HSNN-U030"):
        compile(wrong, x)


def test_check_tells_segments_and_problems_without_samples(model):
    report = check(model, example_inputs=(torch.zeros(2, 5),))
    assert report.supported
    assert report.fits
    (segment,) = report.segments
    assert (segment["neurons"], segment["synapses"], segment["timesteps"]) == (6, 30, 6)

    class Wrong(Tiny):
        def forward(self, x):
            return self.lif(self.fc(self.encode(x))).mean(0)

    report = check(Wrong().eval(), example_inputs=(torch.zeros(2, 5),))
    assert not report.supported
    assert report.problems[0]["code"] == "HSNN-P010"


def test_tensors_are_taken_for_arrays(model, x):
    program = compile(model, torch.from_numpy(x))
    assert program.golden.inputs.keys() == compile(model, x).golden.inputs.keys()
    assert check(model, example_inputs=torch.zeros(2, 5)).supported


def test_public_names():
    assert {"HsnnError", "Program", "Session", "check", "compile", "load"} <= set(dir(hsnn))
    assert hsnn.compile is compile
