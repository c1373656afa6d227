"""HAS-8 goes the whole way: random small models of both families and presets, compiled and verified."""

from __future__ import annotations

import re
import subprocess
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import nn

from hsnn.compiler import Options, compile
from hsnn.errors import CapacityError, HsnnWarning
from hsnn.feasibility import check
from hsnn.nn import TimeDistributed, has8, matched
from hsnn.passes.mapping.delays import match_delays
from hsnn.report.layers import Limits
from hsnn.runtime.session import Session
from hsnn.verify.ladder import verify
from hsnn_models import data
from hsnn_models.has8 import Has8ResNet, Has8Vgg
from hsnn_models.has8_blocks import SpikingBranch, SpikingResidual, spiking_neurons
from hsnn_models.has8_recipes import load

if TYPE_CHECKING:
    from hsnn.program import Program

LENIENT = Limits(min_f1=0.0, max_rate_error=10.0, max_dead=1.0, max_voltage_error=10.0, max_saturation=0.05)
"""Weights are random; what is proven here is that every step computes the same."""
OPTIONS = Options(limits=LENIENT, golden_samples=3)
RUNGS = 5


@dataclass(frozen=True)
class Built:
    """A model with what it became."""

    model: nn.Module
    program: Program
    images: np.ndarray


def vgg(preset: str) -> nn.Module:
    return Has8Vgg(preset, base=4, depth=2, hidden=(16, 12))


def resnet(preset: str) -> nn.Module:
    return Has8ResNet(preset, stem=4, base=6, depth=(1, 1), stem_stride=2)


FAMILIES = {"vgg": vgg, "resnet": resnet}
CASES = [
    pytest.param((family, preset), id=f"{family}-{preset}") for family in FAMILIES for preset in ("has8", "matched")
]


def lively(model: nn.Module, images: np.ndarray) -> nn.Module:
    """Give batch norm the statistics of images, and weights that make neurons of every layer spike."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.constant_(module.weight, 2.5)
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0.3, 1.0)
    model.train()
    with torch.no_grad():
        for _ in range(20):
            model(torch.from_numpy(images))
    return model.eval()


def quietly(call):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HsnnWarning)
        return call()


@pytest.fixture(scope="module", params=CASES)
def built(request: pytest.FixtureRequest) -> Built:
    family, preset = request.param
    torch.set_num_threads(1)
    torch.manual_seed(4)
    images = data.fashion_subset("calibration").images
    model = lively(FAMILIES[family](preset), images)
    program = quietly(lambda: compile(model, images[:16], options=OPTIONS))
    return Built(model, program, images[:6])


def test_every_rung_holds(built: Built) -> None:
    report = verify(built.program, model=built.model, target="emulator")
    assert [rung.status for rung in report.rungs] == ["passed"] * RUNGS, report


def test_every_layer_spikes(built: Built) -> None:
    """Else the rungs above would prove little."""
    assert built.program.golden is not None
    for stage, sent in built.program.golden.sent.items():
        for population, spikes in sent.items():
            assert np.count_nonzero(spikes), f"{stage} {population}"


def test_the_program_is_close_to_the_model(built: Built) -> None:
    with torch.no_grad():
        wanted = built.model(torch.from_numpy(built.images)).numpy()
    name = built.program.inputs[0].name
    with Session(built.program, target="emulator", batch_size=len(built.images)) as session:
        found = session.run({name: built.images}).outputs[built.program.outputs[0].name]
    spread = np.abs(wanted - wanted.mean(axis=0)).mean() + 1e-6
    assert np.abs(found - wanted).mean() < spread


def test_payloads_are_what_the_preset_sends(built: Built, request: pytest.FixtureRequest) -> None:
    published = "has8" in request.node.name.split("[")[1]
    first, *others = [port for stage in built.program.chip_stages for port in stage.network.inputs]
    assert not any(port.signed for port in (first, *others))
    # Pixels are multiples of 1/255, so even the real-valued plane 0 of the image is a bit.
    assert first.max_payload <= 2
    for port in others:
        assert port.graded == published


def test_warnings_stand_in_the_tables(built: Built, request: pytest.FixtureRequest) -> None:
    published = "has8" in request.node.name.split("[")[1]
    by_op: dict[str, set[str]] = {}
    for placement in built.program.placements:
        by_op.setdefault(placement.op, set()).add(placement.code)
    assert by_op["hsnn.BitPlaneEncode"] == ({"HSNN-P031"} if published else {""})
    # Weights that match the order may have become integrators on the chip; published ones cannot.
    assert by_op.get("hsnn.WeightedSumDecode", {""}) == ({"HSNN-P030"} if published else {""})
    assert not (published and "hsnn.LeakyIntegrator" in by_op)


def test_published_batches_matter_and_matched_ones_do_not(built: Built, request: pytest.FixtureRequest) -> None:
    published = "has8" in request.node.name.split("[")[1]
    name, out = built.program.inputs[0].name, built.program.outputs[0].name
    with Session(built.program, target="emulator", batch_size=6) as session:
        together = session.run({name: built.images}).outputs[out]
        alone = np.concatenate([session.run({name: built.images[i : i + 1]}).outputs[out] for i in range(6)])
    assert np.allclose(together, alone, atol=1e-5) != published


def test_nine_crossings_there_and_back_and_sizes_as_derived() -> None:
    """The sizes of the published ResNet at 32 pixels, base 32: 35.6 k neurons, 11.8 M synapses; and no warning."""
    model = Has8ResNet("matched", inputs=3, base=32).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("error", HsnnWarning)
        report = check(model, example_inputs=(np.zeros((1, 3, 32, 32), np.float32),))
    assert report.supported
    assert sum(segment["neurons"] for segment in report.segments) == 35_584
    assert sum(segment["synapses"] for segment in report.segments) == 11_780_096
    entering = [cut for cut in report.cuts if cut.target.startswith("chip")]
    leaving = [cut for cut in report.cuts if cut.source.startswith("chip")]
    assert len({cut.value for cut in entering}) == 9
    # Shortcuts of four stages send spikes of their own: the stem has 64 channels, the first stage 32.
    assert len(leaving) == 9 + 4


def test_a_model_too_large_is_refused_before_it_is_calibrated() -> None:
    """224 pixels at base 32: calibrating even these few images would take far longer than a test may."""
    model = Has8ResNet("matched", inputs=1, stem=32, base=32, depth=(1, 1)).eval()
    told: list[str] = []
    with pytest.raises(CapacityError, match="HSNN-C010"):
        compile(
            model,
            np.zeros((64, 1, 224, 224), np.float32),
            options=OPTIONS,
            progress=lambda stage, done, total: told.append(stage),
        )
    assert "calibrate" not in told


def test_the_programs_of_the_page_run() -> None:
    """docs/has8.md, in order, in one process of its own."""
    page = Path(__file__).parents[2] / "docs" / "has8.md"
    programs = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    done = subprocess.run([sys.executable, "-c", "\n".join(programs)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(": passed") == RUNGS
    assert "torch.Size([2, 10])" in done.stdout


def test_the_trained_model_keeps_its_accuracy_as_integers() -> None:
    """On the 500 test images that are packed: float above 85 %, compiled within 1 point of it."""
    test = data.fashion_subset("test")
    model = load("has8_resnet_matched", trained=True)
    program = compile(model, data.fashion_subset("calibration").images, options=Options(golden_samples=2))
    with torch.no_grad():
        expected = model(torch.from_numpy(test.images)).argmax(1).numpy()
    with Session(program, target="emulator", batch_size=250) as session:
        found = session.run(test.images).output.argmax(1)
    right = int((expected == test.labels).sum())
    assert right > 0.85 * len(test)
    assert abs(int((found == test.labels).sum()) - right) <= len(test) // 100  # a point, counted in images
    assert float((found == expected).mean()) > 0.97
    report = verify(program, model=model, target="emulator")
    assert [rung.status for rung in report.rungs] == ["passed"] * RUNGS, report


class Deep(nn.Module):
    """Sums of spikes go on through pooling and synapses, in one segment: shortcut, pooling, shortcut, dense."""

    def __init__(self, preset: str) -> None:
        super().__init__()
        pair = has8() if preset == "has8" else matched()
        pool = TimeDistributed(nn.Sequential(nn.AvgPool2d(2), nn.Flatten()))
        residuals = SpikingResidual(2, 2, stride=1), SpikingResidual(2, 4, stride=2)
        self.branch = SpikingBranch(nn.Sequential(*residuals, pool, nn.Linear(16, 5), spiking_neurons()), *pair)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.branch(x)


@pytest.mark.lava
@pytest.mark.parametrize("preset", ["has8", "matched"])
def test_sums_of_spikes_go_through_synapses(preset: str) -> None:
    torch.manual_seed(6)
    # Values beyond [0, 1], so that the published preset rescales and its plane 0 is real.
    images = (np.random.default_rng(6).random((40, 2, 8, 8)) * 2 - 0.5).astype(np.float32)
    model = lively(Deep(preset), images)
    program = quietly(lambda: compile(model, images[:8], options=OPTIONS))
    (stage,) = program.chip_stages
    assert len(stage.network.neurons) == 6
    # The input goes around two layers of neurons, so its shortcut has to wait for them; so does the second one.
    assert max(match_delays(stage.network).extra.values()) == 2
    assert stage.network.inputs[0].graded == (preset == "has8")
    report = verify(program, model=model, target="loihi2-sim")
    assert {rung.status for rung in report.rungs} == {"passed"}, report
    assert program.golden is not None
    for name, spikes in program.golden.sent[stage.name].items():
        assert np.count_nonzero(spikes), name


@pytest.mark.lava
@pytest.mark.parametrize(("family", "preset"), [("vgg", "matched"), ("resnet", "has8")])
def test_lava_equals_the_emulator(family: str, preset: str) -> None:
    torch.manual_seed(5)
    images = data.fashion_subset("calibration").images[:, :, 6:22, 6:22]
    images = np.ascontiguousarray(images)
    tiny = {
        "vgg": lambda: Has8Vgg(preset, base=3, depth=1, hidden=(8,)),
        "resnet": lambda: Has8ResNet(preset, stem=3, base=4, depth=(1, 1), stem_stride=2),
    }
    model = lively(tiny[family](), images)
    program = quietly(lambda: compile(model, images[:8], options=OPTIONS))
    report = verify(program, model=model, target="loihi2-sim")
    assert {rung.status for rung in report.rungs} == {"passed"}, report
