"""The ladder holds for a sound program, and each rung falls for the fault that it is there to find."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from hsnn import nn as snn
from hsnn.cli import main
from hsnn.compiler import Options, compile
from hsnn.errors import UsageError, VerificationError
from hsnn.ir.plan import HostStage
from hsnn.ir.projections import DenseProjection
from hsnn.program import ChipStage, Program
from hsnn.report.layers import Limits
from hsnn.runtime.session import Session
from hsnn.target import SegmentResult, find_target
from hsnn.verify import ladder
from hsnn.verify.difference import first_difference
from hsnn.verify.ladder import VerifyReport, verify


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Linear(8, 12), nn.BatchNorm1d(12), nn.Sigmoid())
        self.encode = snn.RateEncode(timesteps=8)
        self.fc1, self.lif1 = nn.Linear(12, 10), snn.Lif(current_decay=1.0, voltage_decay=0.25)
        self.fc2, self.lif2 = nn.Linear(10, 6), snn.Lif(current_decay=0.5, voltage_decay=0.25)
        self.decode = snn.RateDecode()
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        spikes = self.lif1(self.fc1(self.encode(self.stem(x))))
        return self.head(self.decode(self.lif2(self.fc2(spikes))))


@pytest.fixture(scope="module")
def built():
    torch.manual_seed(5)
    model = Small()
    with torch.no_grad():
        for layer in (model.fc1, model.fc2):
            layer.weight.mul_(3.0)
    x = np.random.default_rng(2).normal(size=(24, 8)).astype(np.float32)
    return model.eval(), x, compile(model, x, options=Options(target="emulator"))


def statuses(report: VerifyReport) -> dict[str, str]:
    return {rung.name: rung.status for rung in report.rungs}


def with_stage(program: Program, index: int, stage: HostStage | ChipStage) -> Program:
    stages = list(program.stages)
    stages[index] = stage
    return replace(program, stages=tuple(stages))


def with_weight_off(program: Program) -> Program:
    """The same program with one weight changed by one unit."""
    stage = program.chip_stages[0]
    projection = next(p for p in stage.network.projections if isinstance(p, DenseProjection))
    weights = projection.weights.copy()
    weights[0] = np.where(weights[0] > 0, weights[0] - 64, weights[0] + 64)
    changed = tuple(replace(p, weights=weights) if p.name == projection.name else p for p in stage.network.projections)
    network = replace(stage.network, projections=changed)
    return with_stage(program, program.stages.index(stage), replace(stage, network=network))


def test_every_rung_holds_for_a_sound_program(built):
    model, x, program = built
    told = []
    report = verify(
        program, model=model, samples={program.inputs[0].name: x}, target="emulator", progress=lambda *a: told.append(a)
    )
    assert set(statuses(report).values()) == {"passed"}
    assert report.passed
    report.raise_for_status()
    assert told[-1][1] == told[-1][2]


def test_rungs_that_cannot_be_climbed_are_skipped_and_say_why(built):
    _, _, program = built
    report = verify(replace(program, hybrid=None), target="emulator")
    found = {rung.name: rung for rung in report.rungs}
    assert found["torch = ONNX"].status == "skipped"
    assert "--model" in found["torch = ONNX"].detail
    assert found["host segments = ONNX"].status == "skipped"
    assert "--no-reference" in found["host segments = ONNX"].detail
    assert report.passed


def test_what_samples_could_not_prove_is_said(built):
    _, x, program = built
    few, many = ({program.inputs[0].name: x[:count]} for count in (2, 24))

    def details(program, samples):
        return {rung.name: rung.detail for rung in verify(program, samples=samples, target="emulator").rungs}

    assert "sent too few spikes to judge (under 20)" in details(program, few)["float ~ integer"]
    assert "too few" not in details(program, many)["float ~ integer"]
    assert "nothing spiked" not in details(program, many)["reference = emulator"]
    stage = program.chip_stages[0]
    deaf = tuple(replace(n, threshold=np.array(2**23 - 1, np.int32)) for n in stage.network.neurons)
    kept = tuple(n for n in stage.network.populations if n not in stage.network.neurons)
    network = replace(stage.network, populations=kept + deaf)
    silent = with_stage(program, program.stages.index(stage), replace(stage, network=network))
    assert "of 24 samples equal, but nothing spiked" in details(silent, many)["reference = emulator"]


def test_another_torch_model_fails_the_first_rung(built):
    _, _, program = built
    torch.manual_seed(6)
    report = verify(program, model=Small().eval(), target="emulator")
    assert statuses(report)["torch = ONNX"] == "failed"
    with pytest.raises(VerificationError, match=r"HSNN-V001: torch = ONNX failed"):
        report.raise_for_status()


def test_changed_host_segment_fails_the_second_rung(built):
    _, _, program = built
    stage = program.host_stages[0]
    model = onnx.load_from_string(stage.model)
    for tensor in model.graph.initializer:
        array = onnx.numpy_helper.to_array(tensor)
        if array.ndim == 2:
            tensor.CopyFrom(onnx.numpy_helper.from_array(array * np.float32(1.5), tensor.name))
    wrong = with_stage(program, 0, replace(stage, model=model.SerializeToString()))
    report = verify(wrong, target="emulator")
    assert statuses(report)["host segments = ONNX"] == "failed"
    difference = next(rung.difference for rung in report.rungs if rung.name == "host segments = ONNX")
    assert difference is not None
    assert difference.segment == "host.0"


def test_limits_decide_the_third_rung(built):
    _, _, program = built
    report = verify(program, target="emulator", limits=Limits(min_f1=1.01, min_spikes=1))
    assert statuses(report)["float ~ integer"] == "failed"


def test_changed_weight_fails_the_golden_replay_and_names_the_first_difference(built):
    _, _, program = built
    report = verify(with_weight_off(program), target="emulator")
    assert statuses(report)["golden replay"] == "failed"
    (rung,) = (rung for rung in report.rungs if rung.name == "golden replay")
    assert rung.difference is not None
    assert (rung.difference.segment, rung.difference.layer) == ("chip.0", "lif1")
    assert rung.difference.neuron == (0,)
    assert {rung.difference.expected, rung.difference.found} == {0.0, 1.0}


def test_target_that_differs_in_one_spike_fails_its_rung(built, monkeypatch):
    _, _, program = built
    real = find_target("reference")

    class Wrong:
        name = "wrong"
        status = real.status

        def load(self, network, *, timeout=None):
            return WrongExecutable(real.load(network))

    class WrongExecutable:
        def __init__(self, inner):
            self.inner = inner

        def run(self, inputs, *, trace=False, progress=None):
            result = self.inner.run(inputs, trace=trace)
            spikes = {name: array.copy() for name, array in result.spikes.items()}
            spikes["lif2"][3, 1, 4] ^= 1
            return replace(result, spikes=spikes)

        def close(self):
            self.inner.close()

    monkeypatch.setattr(ladder, "find_target", lambda name: Wrong() if name == "wrong" else find_target(name))
    report = verify(program, target="wrong")
    (rung,) = (rung for rung in report.rungs if rung.name == "emulator = wrong")
    assert rung.status == "failed"
    difference = rung.difference
    assert difference is not None
    assert (difference.layer, difference.timestep, difference.sample, difference.neuron) == ("lif2", 3, 1, (4,))
    assert "timestep 3, sample 1, neuron (4,)" in str(difference)


def test_target_that_shows_outputs_only_is_held_to_those(built, monkeypatch):
    _, _, program = built
    real = find_target("reference")

    class Board:
        name = "board"
        outputs_only = True
        status = real.status

        def __init__(self, flip):
            self.flip = flip

        def load(self, network, *, timeout=None):
            return BoardExecutable(real.load(network), self.flip)

    class BoardExecutable:
        def __init__(self, inner, flip):
            self.inner, self.flip = inner, flip

        def run(self, inputs, *, trace=False, progress=None):
            outputs = {name: array.copy() for name, array in self.inner.run(inputs).outputs.items()}
            outputs["lif2"][2, 0, 1] ^= self.flip
            return SegmentResult(outputs)

        def close(self):
            self.inner.close()

    for flip, status in ((0, "passed"), (1, "failed")):
        board = Board(flip)
        monkeypatch.setattr(ladder, "find_target", lambda name, b=board: b if name == "board" else find_target(name))
        assert statuses(verify(program, target="board"))["emulator = board"] == status


def test_final_states_count_too_and_may_be_of_the_last_samples_only(built):
    _, _, program = built
    network = program.chip_stages[0].network
    payloads = program.golden.payloads["chip.0"]
    result = find_target("reference").load(network).run(payloads, trace=True)
    last = replace(
        result,
        current={name: array[-1:] for name, array in result.current.items()},
        voltage={name: array[-1:].copy() for name, array in result.voltage.items()},
    )
    assert first_difference(network, result, last) is None
    last.voltage["lif1"][0, 7] += 1
    difference = first_difference(network, result, last)
    assert (difference.layer, difference.what, difference.timestep, difference.sample, difference.neuron) == (
        "lif1",
        "final voltage",
        None,
        result.voltage["lif1"].shape[0] - 1,
        (7,),
    )


def test_program_without_golden_traces_needs_samples(built):
    _, _, program = built
    with pytest.raises(UsageError, match="HSNN-V002"):
        verify(replace(program, golden=None), target="emulator")


def test_verify_takes_the_target_and_its_device(built, folder, capsys):
    built[2].save("net.hsnn")
    verify = ["verify", "net.hsnn", "--json"]
    assert main([*verify, "--target", "gpu", "--device", "cpu"]) == 0
    rungs = {rung["name"]: rung["status"] for rung in json.loads(capsys.readouterr().out)["rungs"]}
    assert rungs["emulator = gpu"] == "passed"
    for name in ("emulator", "reference"):
        assert main([*verify, "--target", name]) == 0
        assert f"emulator = {name}" not in capsys.readouterr().out
    wrong = {("--target", "gpu", "--device", "tpu"): (2, "HSNN-U050"), ("--device", "cpu"): (2, "HSNN-U051")}
    for arguments, (status, code) in {**wrong, ("--target", "none"): (6, "HSNN-T001")}.items():
        assert main([*verify, *arguments]) == status
        assert json.loads(capsys.readouterr().out)["error"]["code"] == code


def test_a_path_is_no_program():
    for use in (verify, Session):
        with pytest.raises(UsageError, match="HSNN-U156: what should be run is a str") as raised:
            use("net.hsnn")
        assert "hsnn.load" in raised.value.fix
