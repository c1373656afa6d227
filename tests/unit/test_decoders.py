"""Weighted sums over time, decoded on the host or by integrators on the chip."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import hsnn
from hsnn import nn as snn
from hsnn.compiler import Options
from hsnn.frontends.torch import from_torch
from hsnn.ir.populations import IntegratorPopulation
from hsnn.passes.rewrite.canonicalize import canonicalize
from hsnn.passes.rewrite.decoders import place_decoders
from hsnn.passes.simulation.whole_run import run_whole
from hsnn.report.layers import Limits
from hsnn.verify.ladder import verify

PLANES = 8
GROWING = [2.0**k for k in range(PLANES)]
LENIENT = Limits(min_f1=0.0, max_rate_error=10.0, max_dead=1.0, max_voltage_error=10.0)


class Planes(nn.Module):
    """Bit planes, one layer of neurons, a weighted sum."""

    def __init__(self, weights, *, threshold=1.0, divisor=255.0):
        super().__init__()
        torch.manual_seed(0)
        self.encode, _ = snn.matched()
        self.fc = nn.Linear(6, 12)
        nn.init.normal_(self.fc.weight, 0.3, 1.5)
        self.lif = snn.Lif(threshold, voltage_decay=0.5, decay_input=True, comparison=">=")
        self.decode = snn.WeightedSumDecode(weights, divisor=divisor)

    def forward(self, x):
        return self.decode(self.lif(self.fc(self.encode(x))))


@pytest.fixture
def samples():
    return {"x": np.random.default_rng(0).random((40, 6)).astype(np.float32)}


def hybrid_of(model, samples):
    return canonicalize(from_torch(model.eval(), (torch.from_numpy(samples["x"][:2]),)))


def output(hybrid, samples):
    name = hybrid.outputs[0].name
    return run_whole(hybrid, samples, (name,))[name]


@pytest.mark.parametrize(
    "weights", [GROWING, [1.0] * PLANES, [-(3.0**k) for k in range(PLANES)], [0.3 * 1.25**k for k in range(PLANES)]]
)
def test_an_integrator_decodes_weights_that_grow_by_one_factor(weights, samples):
    hybrid = hybrid_of(Planes(weights, divisor=7.0), samples)
    moved, (choice,) = place_decoders(hybrid, samples, "chip")
    assert (choice.place, choice.module, choice.values) == ("chip", "decode", 12)
    assert {node.op_type for node in moved.proto.graph.node} >= {"LeakyIntegrator", "MembraneDecode"}
    expected = output(hybrid, samples)
    assert np.unique(expected).size >= 9
    np.testing.assert_allclose(output(moved, samples), expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def test_bit_planes_are_decoded_exactly(samples):
    hybrid = hybrid_of(Planes(GROWING, divisor=1.0), samples)
    moved, _ = place_decoders(hybrid, samples, "chip")
    np.testing.assert_array_equal(output(moved, samples), output(hybrid, samples))


@pytest.mark.parametrize("weights", [GROWING[::-1], [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 100.0], [0.0, *GROWING[1:]]])
@pytest.mark.parametrize("side", ["auto", "chip"])
def test_other_weights_stay_on_the_host_with_their_reason(weights, side, samples):
    hybrid = hybrid_of(Planes(weights), samples)
    same, (choice,) = place_decoders(hybrid, samples, side)
    assert choice.place == "host"
    assert "do not grow by one factor" in choice.reason
    assert same.to_bytes() == hybrid.to_bytes()


@pytest.mark.parametrize(("threshold", "place"), [(0.05, "chip"), (3.0, "host")])
def test_the_way_that_moves_less_is_taken(threshold, place, samples):
    hybrid = hybrid_of(Planes(GROWING, threshold=threshold), samples)
    _, (choice,) = place_decoders(hybrid, samples, "auto")
    (name,) = [node.output[0] for node in hybrid.proto.graph.node if node.op_type == "Lif"]
    few = {"x": samples["x"][:32]}
    assert choice.spikes == np.count_nonzero(run_whole(hybrid, few, (name,))[name]) / 32
    assert choice.place == place == ("chip" if choice.spikes > 12 else "host")
    assert f"{choice.spikes:,.1f} spikes" in choice.reason


def test_left_alone_nothing_is_decided(samples):
    hybrid = hybrid_of(Planes(GROWING), samples)
    assert place_decoders(hybrid, samples, "host") == (hybrid, ())


def test_what_does_not_come_from_neurons_stays_on_the_host(samples):
    class Rectified(Planes):
        def forward(self, x):
            return self.decode(torch.relu(self.lif(self.fc(self.encode(x))) - 0.5))

    hybrid = hybrid_of(Rectified(GROWING), samples)
    _, (choice,) = place_decoders(hybrid, samples, "chip")
    assert choice.place == "host"
    assert "straight from neurons" in choice.reason


def test_sums_with_the_planes_of_the_encoder_are_decoded_too(samples):
    """A shortcut brings the planes to the integrators, which have to wait for the neurons."""

    class Residual(Planes):
        def __init__(self):
            super().__init__(GROWING)
            self.fc = nn.Linear(6, 6)
            nn.init.normal_(self.fc.weight, 0.3, 1.5)

        def forward(self, x):
            planes = self.encode(x)
            return self.decode(planes + self.lif(self.fc(planes)))

    model = Residual().eval()
    programs = [
        hsnn.compile(model, samples["x"], options=Options(decode=side, limits=LENIENT)) for side in ("host", "chip")
    ]
    found = [hsnn.Session(program, target="emulator").run(samples["x"]).output for program in programs]
    np.testing.assert_allclose(found[1], found[0], rtol=1e-6, atol=1e-6)
    assert np.unique(found[0]).size > 10


def test_compiled_both_ways_say_the_same_and_climb_all_rungs(samples):
    model = Planes(GROWING, threshold=0.3).eval()
    found = {}
    for side in ("host", "chip"):
        program = hsnn.compile(model, samples["x"], options=Options(decode=side, limits=LENIENT))
        (stage,) = program.chip_stages
        integrators = [item for item in stage.network.neurons if isinstance(item, IntegratorPopulation)]
        assert len(integrators) == (side == "chip")
        report = verify(program, model=model, target="emulator")
        assert {rung.status for rung in report.rungs} == {"passed"}, report
        result = hsnn.Session(program, target="emulator").run(samples["x"])
        found[side] = result.output
        (cut,) = [cut for cut in program.cuts if cut.source == stage.name]
        (output,) = stage.outputs
        assert (cut.timesteps, output.last) == ((1, True) if side == "chip" else (PLANES, False))
        messages = sum(part.messages.get(cut.value, 0) for part in result.stages)
        spikes = sum(part.spike_counts.get("lif", 0) for part in result.stages)
        assert messages == (np.count_nonzero(result.output) if side == "chip" else spikes)
        reasons = {item.op: item.reason for item in program.placements}
        if side == "chip":
            assert reasons["hsnn.LeakyIntegrator"] == "decodes with integrators, as was asked for"
        assert program.metadata.options["decode"] == side
    np.testing.assert_allclose(found["chip"], found["host"], rtol=1e-6, atol=1e-6)
    assert np.unique(found["host"]).size > 10


@pytest.mark.lava
def test_integrators_decode_on_lava(samples):
    model = Planes(GROWING, threshold=0.3).eval()
    program = hsnn.compile(model, samples["x"], options=Options(decode="chip", limits=LENIENT, golden_samples=3))
    report = verify(program, model=model, target="loihi2-sim")
    assert {rung.status for rung in report.rungs} == {"passed"}, report


def test_decoders_stay_on_the_host_where_their_integrators_would_not_fit(samples, monkeypatch):
    """Asked for on the chip they are an error; left to choose, the build does without them."""
    from hsnn import compiler
    from hsnn.errors import CapacityError

    rooms = []

    def only_for_few(plan, chip):
        rooms.append(sum(len(segment.graph.neurons) for segment in plan.chip_segments))
        if rooms[-1] > 1:
            raise CapacityError("HSNN-C010", "the chip is full")

    monkeypatch.setattr(compiler, "_require_room", only_for_few)
    model = Planes(GROWING, threshold=0.05).eval()
    program = hsnn.compile(model, samples["x"], options=Options(limits=LENIENT))
    assert rooms == [1, 2]
    assert not any(isinstance(item, IntegratorPopulation) for item in program.chip_stages[0].network.neurons)
    with pytest.raises(CapacityError):
        hsnn.compile(model, samples["x"], options=Options(limits=LENIENT, decode="chip"))
