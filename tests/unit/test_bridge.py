"""The bridge between host and chip: values to payloads and back."""

from __future__ import annotations

import numpy as np
import pytest

from hsnn.ir.populations import InputPort
from hsnn.runtime.bridge import from_sent, to_payloads, to_spikes
from support.refusals import code_of


def test_payloads_round_half_to_even_and_clip():
    port = InputPort("p", (8,), max_payload=3, signed=True)
    value = np.array([[0.5, 1.5, 2.5, -0.5, -1.5, 3.5, -9.0, np.inf]], np.float32)
    payload, clipped = to_payloads(value, port, scale=1.0, timesteps=1)
    assert payload.tolist() == [[[0, 2, 2, 0, -2, 3, -3, 3]]]
    assert payload.dtype == np.int32
    assert clipped == 3
    unsigned, clipped = to_payloads(value, InputPort("p", (8,), 2), scale=1.0, timesteps=1)
    assert (unsigned.tolist(), clipped) == ([[[0, 2, 2, 0, 0, 2, 0, 2]]], 4)


def test_binary_spikes_become_bytes_and_all_else_is_left_to_payloads():
    port, value = InputPort("p", (4,)), np.array([[0, 1, 1, 0], [1, 0, -0.0, 1]], np.float32)
    spikes = to_spikes(value, port, timesteps=2)
    assert spikes is not None
    assert (spikes.dtype, spikes.shape) == (np.uint8, (2, 1, 4))
    assert np.array_equal(spikes, to_payloads(value, port, scale=1.0, timesteps=2)[0])
    assert to_spikes(value, InputPort("p", (4,), 7), timesteps=2) is None
    for other in (0.5, -1, 2, 1e-30, np.nan, np.inf):
        value[1, 2] = other
        assert to_spikes(value, port, timesteps=2) is None
    assert code_of(to_spikes, value, InputPort("p", (3,)), timesteps=2) == "HSNN-R108"


def test_payloads_of_quantized_values_are_exact():
    """What ``GradedEncode`` rounds to multiples of a step comes back as exactly those multiples."""
    units = np.arange(-(2**15), 2**15, dtype=np.int64)
    port = InputPort("p", (), max_payload=2**15, signed=True)
    for step in (0.1, 1 / 3, 1e-6, 7.7, 2.0**-20):
        value = (np.float32(step) * units.astype(np.float32)).astype(np.float32)
        payload, clipped = to_payloads(value[None], port, scale=step, timesteps=1)
        assert np.array_equal(payload[0], units)
        assert clipped == 0


def test_values_round_once():
    sent = np.array([[1, -3, 8388607, -8388607]], np.int32)
    assert np.array_equal(from_sent(sent, 1.0), sent.astype(np.float32))
    assert np.array_equal(from_sent(sent, 0.1), (sent.astype(np.float64) * 0.1).astype(np.float32))
    assert from_sent(sent, 0.1).dtype == np.float32


@pytest.mark.parametrize(
    "value",
    [
        np.full((2, 3, 4), np.nan, np.float32),
        np.zeros((2, 3, 5), np.float32),
        np.zeros((3, 2, 4), np.float32),
        np.zeros((3, 4), np.float32),
        np.zeros((4,), np.float32),
        np.zeros((2, 1, 2, 4), np.float32),
        np.zeros((2, 0, 4), np.float32),
        np.zeros((2, 3, 4), np.int32),
        np.zeros((2, 3, 4), bool),
    ],
)
def test_values_that_are_no_spikes(value):
    assert code_of(to_payloads, value, InputPort("p", (4,), 7), scale=1.0, timesteps=2) == "HSNN-R108"


def test_one_nan_among_many_is_found():
    value = np.zeros((2, 300, 4), np.float32)
    value[1, 200, 3] = np.nan
    assert code_of(to_payloads, value, InputPort("p", (4,), 7), scale=1.0, timesteps=2) == "HSNN-R108"
    # NaN on a binary port is what TrainEncode makes of anything but 0 and 1.
    assert code_of(to_payloads, value, InputPort("p", (4,)), scale=1.0, timesteps=2) == "HSNN-R111"
