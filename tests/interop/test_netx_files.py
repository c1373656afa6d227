"""Files that come with lava-dl: Intel's own networks, with what slayer sent when they were trained."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pytest
import slayer as library

from hsnn.errors import UnsupportedError
from hsnn.frontends.netx.build import NetxOptions, build
from hsnn.frontends.netx.read import read_net
from hsnn.runtime.bridge import to_payloads
from hsnn.target import find_target

T = 300


def shipped(name: str) -> Path:
    """A file of the installed wheel."""
    (found,) = (item for item in distribution("lava-dl").files or () if str(item).endswith(f"netx/{name}"))
    return Path(str(found.locate()))


def test_ntidigits_sends_every_spike_that_it_sent_at_intel():
    """Three layers of 740 neurons, two of them with axonal delays, on a real sample.

    lava-dl's own test compares one column of silence; this one compares every neuron at every timestep.
    """
    network = read_net(shipped("gts/ntidigits/ntidigits.net"))
    network = replace(network, layers=network.layers[:-1])  # the recording is from before the average
    given, sent = (np.load(shipped(f"gts/ntidigits/{name}.npy")) for name in ("input", "output"))
    x = given.T[None, :T].reshape(1, T, 1, 1, 64).astype(np.float32)
    plan, quantized, batch = library.integers(build(network, NetxOptions("lava", T)), x)
    (entry,), (port,) = plan.chip_segments[0].inputs, quantized.network.inputs
    payloads, _ = to_payloads(batch.values[entry], port, scale=1.0, timesteps=T)
    target = find_target("gpu").on("cpu")  # the reference takes minutes
    (found,) = target.load(quantized.network).run({port.name: payloads}).outputs.values()
    # Its input block and its three layers are each late by one timestep.
    assert np.count_nonzero(sent[:, 4:T]) > 5000
    assert np.array_equal(found.reshape(T, -1).T[:, : T - 4], sent[:, 4:T] > 0)


@pytest.mark.parametrize("name", ["mnist.net", "tiny.net", "gts/pilotnet_lif/network.net"])
def test_files_of_both_generations_are_read(name):
    hybrid = build(read_net(shipped(name)), NetxOptions("lava", 4, static_input=True))
    assert hybrid.record()["input"] == "values"


@pytest.mark.parametrize("name", ["network.net", "square_network.net"])
def test_sigma_delta_networks_are_read_but_not_compiled(name):
    network = read_net(shipped(f"gts/pilotnet_sdnn/{name}"))
    with pytest.raises(UnsupportedError) as caught:
        build(network, NetxOptions("lava", 4))
    assert caught.value.code == "HSNN-F072"
