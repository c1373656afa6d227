"""Models whose inputs and outputs are spike trains: the whole way, and what is refused on it."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import helper
from torch import nn

import hsnn
from hsnn import nn as snn
from hsnn.compiler import Options, compile
from hsnn.errors import UnsupportedError, UsageError
from hsnn.frontends.onnx import from_onnx
from hsnn.report.layers import Limits
from hsnn.verify.ladder import verify

TIMESTEPS = 7
LENIENT = Limits(min_f1=0.0, max_rate_error=10.0, max_dead=1.0, max_voltage_error=10.0, max_saturation=0.05)


class Trains(nn.Module):
    """Two trains in; spikes and voltages out."""

    def __init__(self) -> None:
        super().__init__()
        self.spikes = snn.TrainEncode(TIMESTEPS)
        self.currents = snn.TrainEncode(TIMESTEPS, values="graded")
        self.conv = snn.TimeDistributed(nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.Flatten()))
        self.first = snn.Lif(0.6, voltage_decay=0.25, reset="subtract")
        self.fc = nn.Linear(48, 5)
        self.read = snn.LeakyIntegrator(voltage_decay=0.25)
        self.out = snn.TrainDecode()

    def forward(self, events, current):
        hidden = self.first(self.conv(self.spikes(events)) + self.currents(current))
        return self.out(hidden), self.out(self.read(self.fc(hidden)))


def samples(count=24, seed=0):
    rng = np.random.default_rng(seed)
    events = (rng.random((count, TIMESTEPS, 2, 4, 4)) < 0.3).astype(np.float32)
    current = (rng.integers(-8, 9, (count, TIMESTEPS, 48)) / 16).astype(np.float32)
    return {"events": events, "current": current}


def build():
    torch.manual_seed(1)
    model = Trains().eval()
    return model, compile(model, samples(), options=Options(limits=LENIENT, golden_samples=3))


@pytest.fixture(scope="module")
def built():
    return build()


def test_every_rung_holds(built):
    model, program = built
    report = verify(program, model=model, target="emulator")
    assert {rung.status for rung in report.rungs} == {"passed"}


@pytest.mark.lava
def test_every_rung_holds_down_to_lava(built):
    model, program = built
    report = verify(program, model=model, target="loihi2-sim")
    assert {rung.status for rung in report.rungs} == {"passed"}


def test_trains_leave_as_they_are(built):
    model, program = built
    given = samples(5, seed=3)
    with hsnn.Session(program, target="emulator") as session:
        spikes, voltages = session.run(given).outputs.values()
    assert spikes.shape == (5, TIMESTEPS, 48)
    assert voltages.shape == (5, TIMESTEPS, 5)
    assert set(np.unique(spikes)) == {0.0, 1.0}
    with torch.no_grad():
        expected, potential = (item.numpy() for item in model(*map(torch.from_numpy, given.values())))
    assert np.mean(spikes != expected) < 0.03
    close = (spikes == expected).all(axis=(1, 2))
    np.testing.assert_allclose(voltages[close], potential[close], atol=0.05)


def test_grids_are_exact_and_binary_ports_carry_one_bit(built):
    stage = built[1].chip_stages[0]
    scales = {item.value: item.scale for item in stage.inputs}
    ports = {port.name: port for port in stage.network.inputs}
    by_value = {item.value: ports[item.port] for item in stage.inputs}
    assert scales["spikes/TrainEncode"] == 1.0
    assert not by_value["spikes/TrainEncode"].graded
    assert by_value["currents/TrainEncode"].signed
    assert (1 / 16 / scales["currents/TrainEncode"]).is_integer()


def test_binary_trains_with_other_values_are_refused(built):
    given = samples(3)
    for value in (0.5, 2.0, -1.0):
        given["events"][1, 2, 0, 1, 3] = value
        with hsnn.Session(built[1], target="emulator") as session, pytest.raises(UsageError, match="HSNN-R111"):
            session.run(given)
    with pytest.raises(UsageError, match="HSNN-Q004"):
        compile(from_onnx(hybrid_of(built)), given, options=Options(limits=LENIENT))


def hybrid_of(built):
    return onnx.load_from_string(built[1].hybrid)


def test_another_number_of_timesteps_is_refused(built):
    model = hybrid_of(built)
    node = next(node for node in model.graph.node if node.op_type == "TrainEncode")
    for attribute in node.attribute:
        if attribute.name == "timesteps":
            attribute.i = TIMESTEPS + 1
    with pytest.raises(UnsupportedError, match="HSNN-F028"):
        from_onnx(model)


def test_a_free_time_axis_is_refused(built):
    model = hybrid_of(built)
    shape = helper.make_tensor_value_info("events", 1, ["batch", "time", 2, 4, 4])
    model.graph.input[0].CopyFrom(shape)
    with pytest.raises(UnsupportedError, match=r"HSNN-F02[78]"):
        from_onnx(model)
