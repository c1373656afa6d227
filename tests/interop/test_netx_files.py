"""Files that come with lava-dl: Intel's own networks, with what slayer sent when they were trained."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import slayer as library
from netx_lava import shipped

from hsnn.frontends.netx.build import NetxOptions, build
from hsnn.frontends.netx.read import read_net
from hsnn.frontends.netx.write_resonators import netx_pair
from hsnn.runtime.bridge import to_payloads
from hsnn.target import find_target
from support.segments import quantized_on

T = 300


def test_ntidigits_sends_every_spike_that_it_sent_at_intel():
    """Three layers of 740 neurons, two of them with axonal delays, on a real sample.

    lava-dl's own test compares one column of silence; this one compares every neuron at every timestep.
    """
    network = read_net(shipped("gts/ntidigits/ntidigits.net"))
    network = replace(network, layers=network.layers[:-1])  # the recording is from before the average
    given, sent = (np.load(shipped(f"gts/ntidigits/{name}.npy")) for name in ("input", "output"))
    x = given.T[None, :T].reshape(1, T, 1, 1, 64).astype(np.float32)
    plan, quantized, batch = quantized_on(build(network, NetxOptions("lava", T)), x)
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


def test_pilotnet_of_sigma_delta_neurons_gives_what_intel_recorded():
    """Ten layers, five of them convolutions, with biases: the sum of the output neuron at every timestep of Lava."""
    network = read_net(shipped("gts/pilotnet_sdnn/network.net"))
    given, expected = (np.load(shipped(f"gts/pilotnet_sdnn/{name}.npy")) for name in ("input", "output"))
    steps = expected.size
    image = given[..., 0].transpose(2, 1, 0)  # Lava's axes are (W, H, C)
    hybrid = build(network, NetxOptions("lava", steps, static_input=True))
    plan, quantized, _ = quantized_on(hybrid, image[None].astype(np.float32) / 64)
    # The recorded input has 6 fractional bits, finer than slayer's rounding of inputs; a payload has 12.
    (port,) = quantized.network.inputs
    payloads = np.repeat((image.astype(np.int32) * 64)[None, None], steps, 0)
    (changes,) = find_target("emulator").load(quantized.network).run({port.name: payloads}).outputs.values()
    assert np.array_equal(np.cumsum(changes.reshape(steps)), expected.reshape(steps))
    assert np.count_nonzero(changes) > 5
    assert [segment.name for segment in plan.chip_segments]


def test_square_pilotnet_of_sigma_delta_neurons_is_read():
    hybrid = build(read_net(shipped("gts/pilotnet_sdnn/square_network.net")), NetxOptions("lava", 4))
    assert hybrid.record()["output"] == "messages"


def test_what_netx_makes_of_a_pair_of_decays_is_what_its_own_functions_make():
    rng = np.random.default_rng(0)
    kept = 0
    for sin, cos in rng.integers(1, 2896, (300, 2)):
        params = library.slayer.neuron.rf.neuron_params({"sinDecay": int(sin), "cosDecay": int(cos), "vThMant": 64})
        angle, radius = np.pi * 2 * 1 / params["period"], 1 - params["decay"]
        found = tuple(int(np.int32(radius * part(angle) * 4096)) for part in (np.sin, np.cos))
        assert netx_pair(int(sin), int(cos)) == found
        kept += found == (sin, cos)
    assert 100 < kept < 250
