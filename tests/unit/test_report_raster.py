"""Spikes and weights as pictures."""

from __future__ import annotations

import re

import numpy as np
import pytest

from hsnn.program import ChipStage, Golden, Metadata, Program
from hsnn.report import raster, weights
from hsnn.verify.random_networks import random_network
from support.report_programs import every_part, golden_of

# Rasters and histograms


@pytest.fixture(scope="module")
def program():
    return every_part()


def spikes_of(strokes):
    """Timestep and row of every cell that strokes cover, by kind."""
    return {
        (stroke.kind, int(t) + i, int(row))
        for stroke in strokes
        for t, row, length in re.findall(r"M(\d+) (\d+)h(\d+)", stroke.path)
        for i in range(int(length))
    }


def test_a_raster_shows_exactly_the_spikes():
    part = (np.random.default_rng(5).random((9, 7)) < 0.4).astype(np.int32)
    assert spikes_of(raster._spikes(part)) == {
        ("on", int(t), int(row)) for t, row in zip(*np.nonzero(part), strict=True)
    }
    assert raster._spikes(np.zeros((3, 2), np.int32)) == ()


def test_graded_spikes_are_shaded_by_magnitude_and_sign():
    part = np.array([[100, -100], [1, 0], [50, -26]], np.int32)
    assert spikes_of(raster._spikes(part)) == {
        ("up4", 0, 0), ("down4", 0, 1), ("up1", 1, 0), ("up2", 2, 0), ("down2", 2, 1),
    }  # fmt: skip


def test_a_large_population_shows_neurons_that_spike():
    train = np.zeros((4, 1000), np.int32)
    train[:, 700:900] = 1
    kept, remark = raster._choose(train, 50)
    assert len(set(kept)) == 50
    assert 700 <= min(kept) <= max(kept) < 900
    assert remark == "50 of the 200 that spike of 1,000 neurons"
    kept, remark = raster._choose(np.zeros((4, 1000), np.int32), 50)
    assert len(set(kept)) == 50
    assert remark == "50 of 1,000 neurons"


def test_pictures_are_in_dataflow_order_and_tell_what_is_left_out(program):
    drawn, more = raster.pictures(program)
    assert [(item.name, item.kind) for item in drawn] == [
        ("image", "raster"),
        ("side", "raster"),
        ("block.conv1", "raster"),
        ("block.fc1", "raster"),
        ("readout", "traces"),
    ]
    assert more == 0
    volts = program.golden.sent["chip.0"]["readout"][-1, 0]
    assert f"neuron {int(np.argmax(volts))} ends highest" in drawn[-1].caption
    nothing, _ = raster.pictures(program, sample=2)
    assert nothing == ()


def test_long_samples_are_cut():
    network = random_network(3, features=(), timesteps=400)
    payloads, sent = golden_of(network, 1)
    stage = ChipStage("chip.0", network, (), ())
    program = Program(
        (stage,), (), (), Metadata("0", "emulator"), golden=Golden({}, {}, {"chip.0": payloads}, {"chip.0": sent})
    )
    drawn, _ = raster.pictures(program)
    assert {item.steps for item in drawn} == {raster.MOST_STEPS}
    assert "first 256 of 400 timesteps" in drawn[0].caption


def test_histograms_count_weights_but_no_zeros():
    path = weights._histogram(np.array([0, 0, 0, 2, 2, 14, -256, 254, 255], np.int16))
    bars = {int(at): int(height) for at, height in re.findall(r"M(\d+) 20v-(\d+)h1", path)}
    assert bars == {0: 7, 16: 20, 31: 14}
    assert weights._histogram(np.zeros(0, np.int16)) == ""
