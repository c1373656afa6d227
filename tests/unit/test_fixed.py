"""Neurons on a grid: torch, ONNX, simulation and the integers of a chip against plain loops over integers."""

from __future__ import annotations

import math

import numpy as np
import onnxruntime as ort
import pytest
import torch
from torch import nn

from hsnn import nn as snn
from hsnn.compiler import Options, compile
from hsnn.frontends.torch import from_torch
from hsnn.runtime.session import Session
from hsnn.verify.ladder import verify
from support.refusals import code_of

UNIT, T, BATCH = 4096, 40, 4
DECAYS = {"current_decay": 301 / UNIT, "voltage_decay": 77 / UNIT}


def cut(state, decay):
    """Multiply an integer by what is kept of it, and round toward zero."""
    size = (abs(state) * (UNIT - decay)) >> 12
    return size if state >= 0 else -size


def lif(drive, *, threshold, bias=0, back=None):
    """One sample of integers (T, N); returns spikes and voltages before reset."""
    u, v = [0] * drive.shape[1], [0] * drive.shape[1]
    spikes, voltages = np.zeros(drive.shape, np.float32), np.zeros(drive.shape, np.int64)
    for t in range(len(drive)):
        arriving = drive[t] + (back @ spikes[t - 1].astype(np.int64) if back is not None and t else 0)
        for i, a in enumerate(arriving):
            u[i] = cut(u[i], 301) + int(a)
            v[i] = cut(v[i], 77) + u[i] + bias
            voltages[t, i] = v[i]
            if threshold is not None and v[i] > threshold:
                spikes[t, i], v[i] = 1.0, 0
    return spikes, voltages


class One(nn.Module):
    """Spikes, even weights of 8 bits, neurons, their train."""

    def __init__(self, layer, weight):
        super().__init__()
        self.enter, self.leave = snn.TrainEncode(T), snn.TrainDecode()
        self.fc = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
        self.fc.weight.data = torch.as_tensor(weight / 64, dtype=torch.float32)
        self.layer = layer

    def forward(self, x):
        return self.leave(self.layer(self.fc(self.enter(x))))


NUMBERS = np.random.default_rng(0)
WEIGHT = 2 * NUMBERS.integers(-50, 55, (6, 8))
SPIKES = (NUMBERS.random((BATCH, T, 8)) < 0.3).astype(np.float32)
DRIVE = SPIKES.astype(np.int64) @ WEIGHT.T * 64


def everywhere(layer, expected, *, lava=False):
    """Hold torch, ONNX and the reference to the expected train (batch, timestep, neuron)."""
    model = One(layer, WEIGHT).eval()
    x = torch.as_tensor(SPIKES)
    with torch.no_grad():
        np.testing.assert_array_equal(model(x).numpy(), expected)
    hybrid = from_torch(model, (x,))
    session = ort.InferenceSession(hybrid.proto.SerializeToString(), providers=["CPUExecutionProvider"])
    np.testing.assert_array_equal(session.run(None, {hybrid.inputs[0].name: SPIKES})[0], expected)
    program = compile(model, SPIKES, options=Options(golden_samples=2))
    with Session(program, target="emulator") as session:
        (found,) = session.run(SPIKES).outputs.values()
    np.testing.assert_array_equal(found, expected)
    report = verify(program, model=model, target="loihi2-sim" if lava else "reference")
    assert report.passed, report
    return program


def test_spikes_are_those_of_integers():
    expected = np.stack([lif(drive, threshold=70 * 64, bias=2 * 64)[0] for drive in DRIVE])
    assert 0.02 < expected.mean() < 0.9
    layer = snn.FixedLif(70 / 64, resolution=1 / UNIT, bias=2 / 64, **DECAYS)
    program = everywhere(layer, expected)
    assert [item["scale"] for item in program.layers] == [UNIT]


def test_recurrent_spikes_are_those_of_integers(rng):
    back = 2 * rng.integers(-40, 40, (6, 6))
    expected = np.stack([lif(drive, threshold=70 * 64, back=back * 64)[0] for drive in DRIVE])
    weight = torch.as_tensor(back / 64, dtype=torch.float32)
    everywhere(snn.FixedRecurrentLif(weight, threshold=70 / 64, resolution=1 / UNIT, **DECAYS), expected)


@pytest.mark.parametrize("make", [snn.FixedRecurrentLif, snn.FixedRecurrentAdaptiveLif])
def test_recurrent_neurons_refuse_features_that_their_weights_do_not_have(make):
    layer = make(torch.zeros(3, 3), resolution=1 / UNIT)
    assert layer(torch.zeros(4, 2, 3)).shape == (4, 2, 3)
    assert code_of(layer, torch.zeros(4, 2, 5)) == "HSNN-U022"


def test_voltages_are_those_of_integers():
    expected = np.stack([lif(drive, threshold=None, bias=64)[1] for drive in DRIVE]).astype(np.float32) / UNIT
    layer = snn.FixedLeakyIntegrator(resolution=1 / UNIT, bias=1 / 64, **DECAYS)
    everywhere(layer, expected)
    # Without the grid, the same neurons have other voltages.
    plain = One(snn.LeakyIntegrator(bias=1 / 64, **DECAYS), WEIGHT)
    with torch.no_grad():
        assert (plain(torch.as_tensor(SPIKES)).numpy() != expected).any()


def adaptive(drive):
    spikes = np.zeros(drive.shape, np.float32)
    for i in range(drive.shape[1]):
        u = v = raised = against = 0
        for t in range(len(drive)):
            u = cut(u, 301) + int(drive[t, i])
            v = cut(v, 77) + u
            raised, against = cut(raised, 123), cut(against, 400)
            level = 70 * 64 + raised
            if v - against >= level:
                spikes[t, i], raised, against = 1.0, raised + 20 * 64, against + 2 * level
    return spikes


@pytest.mark.lava
def test_adaptive_spikes_are_those_of_integers():
    layer = snn.FixedAdaptiveLif(
        70 / 64,
        resolution=1 / UNIT,
        threshold_decay=123 / UNIT,
        refractory_decay=400 / UNIT,
        threshold_step=20 / 64,
        **DECAYS,
    )
    expected = np.stack([adaptive(drive) for drive in DRIVE])
    assert expected.any()
    program = everywhere(layer, expected, lava=True)
    assert [item["scale"] for item in program.layers] == [UNIT]


def resonate(drive, *, firing, cos=3100, sin=1900):
    """One sample of integers (T, 2 N), real and imaginary part in turn."""
    spikes = np.zeros((len(drive), drive.shape[1] // 2), np.float32)
    for i in range(spikes.shape[1]):
        real = imag = 0
        for t in range(len(drive)):
            before, level = imag, 20 * 64
            kept = [int(math.copysign((abs(a) * b) >> 12, a)) for a in (real, imag) for b in (cos, sin)]
            real, imag = kept[0] - kept[3] + int(drive[t, 2 * i]), kept[1] + kept[2] + int(drive[t, 2 * i + 1])
            if firing == "phase":
                spikes[t, i] = real >= level and imag >= 0 > before
            elif imag >= level:
                spikes[t, i], real, imag = 1.0, 0, level - 1
    return spikes


@pytest.mark.lava
@pytest.mark.parametrize("firing", ["phase", "izhikevich"])
def test_spikes_of_resonators_are_those_of_integers(firing):
    layer = snn.FixedResonateFire(
        20 / 64, resolution=1 / UNIT, cos_decay=3100 / UNIT, sin_decay=1900 / UNIT, firing=firing
    )
    expected = np.stack([resonate(drive, firing=firing) for drive in DRIVE])
    assert expected.any()
    program = everywhere(layer, expected, lava=True)
    assert [item["scale"] for item in program.layers] == [UNIT]


class Changes(nn.Module):
    """Values on a grid, two sigma-delta layers, what the second sends."""

    def __init__(self, threshold=0.3):
        super().__init__()
        self.enter, self.leave = snn.TrainEncode(T, values="graded"), snn.TrainDecode()
        self.first = snn.FixedDelta(0.1, resolution=1 / UNIT)
        self.fc = nn.Linear(8, 6, bias=False)
        self.fc.weight.data = torch.as_tensor(WEIGHT / 64, dtype=torch.float32)
        self.second = snn.FixedSigmaDelta(threshold, resolution=1 / UNIT, bias=0.25)

    def forward(self, x):
        return self.leave(self.second(self.fc(self.first(self.enter(x)))))


def messages(activations, threshold):
    """Messages in 1/4096 of activations in 1/2**18, (T, N)."""
    sent, out = np.zeros(activations.shape[1], np.int64), []
    for activation in activations:
        due = activation - sent
        due = np.where(np.abs(due) >= threshold * 2**18, due, 0)
        sent = sent + due
        out.append(due >> 6)
    return np.stack(out)


def test_messages_are_those_of_integers(rng):
    x = np.round(np.cumsum(rng.normal(0, 0.1, (BATCH, T, 8)), 1) * 32) / 32
    first = [messages((sample * 2**18).astype(np.int64), 0.1) for sample in x]
    sigma = [np.cumsum(sent @ WEIGHT.T, 0) for sent in first]
    expected = np.stack([messages(np.maximum(item + 2**16, 0), 0.3) for item in sigma]).astype(np.float32) / UNIT
    model, x = Changes().eval(), x.astype(np.float32)
    with torch.no_grad():
        np.testing.assert_array_equal(model(torch.as_tensor(x)).numpy(), expected)
    hybrid = from_torch(model, (torch.as_tensor(x),))
    session = ort.InferenceSession(hybrid.proto.SerializeToString(), providers=["CPUExecutionProvider"])
    np.testing.assert_array_equal(session.run(None, {hybrid.inputs[0].name: x})[0], expected)
    program = compile(model, x, options=Options(golden_samples=2))
    with Session(program, target="emulator") as session:
        (found,) = session.run(x).outputs.values()
    np.testing.assert_array_equal(found, expected)
    assert not any(neuron.keep_rest for neuron in program.chip_stages[0].network.neurons)


def test_what_is_not_on_the_grid_is_quantized_as_ever():
    weight = WEIGHT + 0.37
    model = One(snn.FixedLif(70 / 64, resolution=1 / UNIT, **DECAYS), weight).eval()
    program = compile(model, SPIKES, options=Options(golden_samples=2))
    (layer,) = program.layers
    assert layer["scale"] != UNIT
    assert layer["spikes"]["f1"] > 0.9
