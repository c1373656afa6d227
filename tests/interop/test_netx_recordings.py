"""What comes with lava-dl was recorded at Intel, on Loihi and by netx: hsnn gives every value of it again.

PilotNet of LIF neurons was recorded over 24 timesteps of a network that is reset every 17, each layer in the timestep
in which its first input arrives: netx with ``reset_interval=17, reset_offset=0``, ``--schedule lava`` here. Before its
first reset a layer does what its biases make it do: ``--schedule slayer``, in which all layers begin at once. Its last
layer was recorded in another run, reset every 16 timesteps and a timestep before the first input arrives.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from netx_lava import shipped

from hsnn.frontends.netx.build import NetxOptions, build
from hsnn.frontends.netx.layers import (
    ConvLayer,
    Cuba,
    DenseLayer,
    InputLayer,
    NetxNetwork,
    Resonator,
    SigmaDelta,
    Window,
)
from hsnn.frontends.netx.read import read_net
from hsnn.recording import Recording, record
from hsnn.runtime.bridge import to_payloads
from hsnn.target import find_target
from support.segments import quantized_on


def recorded(name):
    """A recording, time first and with the axes of torch: Lava's are (W, H, C, T)."""
    found = np.load(shipped(f"gts/{name}.npy"))
    return found.transpose(range(found.ndim)[::-1])


class Run:
    """One sample of a network, every spike and state of it.

    With ``payloads`` ``(timestep, *feature)`` these enter the chip; else ``x`` enters the model.
    """

    def __init__(self, network, *, timesteps, schedule="lava", x=None, payloads=None):
        options = NetxOptions(schedule, timesteps, None if payloads is None else payloads.shape[1:], payloads is None)
        hybrid = build(network, options)
        unit = 4096 if hybrid.record()["input"] == "messages" else 1
        given = x if payloads is None else (payloads[None] / unit).astype(np.float32)
        plan, quantized, batch = quantized_on(hybrid, given)
        (port,) = quantized.network.inputs
        if payloads is None:
            (entry,) = plan.chip_segments[0].inputs
            scale = quantized.input_scales[port.name]
            entering, _ = to_payloads(batch.values[entry], port, scale=scale, timesteps=timesteps)
        else:
            entering = payloads[:, None].astype(np.int32)
        self.sent, self.network = entering[:, 0], quantized.network
        target = find_target("emulator").load(quantized.network)
        self._found = record(target, {port.name: entering}, Recording(states=True))
        self._traced = target.run({port.name: entering}, trace=True)

    def name(self, layer):
        return self.network.populations[layer].name

    def spikes(self, layer):
        return self._traced.spikes[self.name(layer)][:, 0]

    def current(self, layer):
        return self._found.currents[self.name(layer)][:, 0]

    def voltage(self, layer):
        return self._found.voltages[self.name(layer)][:, 0]


LAYERS = ["conv-0", "conv-1", "conv-2", "conv-3", "conv-4", "fc-0", "fc-1", "fc-2"]
PERIOD, INDICES = 17, 24


@pytest.fixture(scope="module")
def pilotnet():
    """The network with its input as a bias of its first neurons, as netx's user gives it, and the image."""
    network = read_net(shipped("gts/pilotnet_lif/network.net"))
    # An input of 1/32 with a weight of 32/64 counts as 1 of the bias.
    first = replace(network.layers[0], weight=32, bias=0)
    return replace(network, layers=(first, *network.layers[1:])), recorded("pilotnet_lif/image")[None].astype(
        np.float32
    ) / 32


def test_pilotnet_of_lif_neurons_at_every_index_of_every_layer(pilotnet):
    network, image = pilotnet
    reset = Run(network, timesteps=PERIOD, x=image)
    free = Run(network, timesteps=len(LAYERS) + 1, x=image, schedule="slayer")
    entered = recorded("pilotnet_lif/input")
    assert all(np.array_equal(entered[index], reset.sent[index % PERIOD]) for index in range(INDICES))
    for layer, name in enumerate(LAYERS):
        sent, current, voltage = (recorded(f"pilotnet_lif/{name}{part}") for part in ("", "-u", "-v"))
        assert len(sent) == INDICES
        assert np.count_nonzero(sent) > 3
        for index in range(INDICES):
            # Its first input arrives layer + 1 indices after that of the network.
            since = index - layer - 1
            run, t = (reset, since % PERIOD) if since >= 0 else (free, index)
            assert np.array_equal(run.spikes(layer)[t].reshape(sent[index].shape) != 0, sent[index]), (name, index)
            assert np.array_equal(run.current(layer)[t].reshape(sent[index].shape), current[index]), (name, index)
            quiet = ~sent[index]  # Loihi keeps something else in the voltage of a neuron that has just fired
            assert np.array_equal(run.voltage(layer)[t].reshape(quiet.shape)[quiet], voltage[index][quiet])


def test_the_last_layer_of_pilotnet_was_reset_a_timestep_earlier(pilotnet):
    network, image = pilotnet
    current, voltage = (recorded(f"pilotnet_lif/fc-3-{part}")[:, 0] for part in "uv")
    period, layer = 16, len(LAYERS)
    reset = Run(network, timesteps=period, x=image)
    free = Run(network, timesteps=period, x=image, schedule="slayer")
    late = np.concatenate((np.zeros_like(reset.sent[:1]), reset.sent[:-1]))
    spikes = replace(
        network, layers=(replace(network.layers[0], neuron=None, weight=None, bias=None), *network.layers[1:])
    )
    early = Run(spikes, timesteps=period, payloads=late)
    # It is reset at index 8, where nothing arrives yet, and at 24, where the first input of the next sample does.
    found = [*((free, t) for t in range(layer)), *((early, t) for t in range(period)), (reset, 0)]
    assert len(found) == len(current) == 25
    assert [run.current(layer)[t, 0] for run, t in found] == current.tolist()
    assert [run.voltage(layer)[t, 0] for run, t in found] == voltage.tolist()
    assert np.count_nonzero(current) > 3


@pytest.mark.parametrize(("file", "layers", "suffix"), [("network", 2, ""), ("square_network", 4, "_square")])
def test_sums_inside_of_pilotnet_of_sigma_delta_neurons(file, layers, suffix):
    network = read_net(shipped(f"gts/pilotnet_sdnn/{file}.net"))
    messages = recorded("pilotnet_sdnn/act0")
    if suffix:
        messages = messages[..., :33, :33]
    run = Run(replace(network, layers=network.layers[1:]), timesteps=len(messages), payloads=messages)
    for layer in range(layers):
        assert np.array_equal(run.current(layer), recorded(f"pilotnet_sdnn/sigma{layer + 1}{suffix}"))
        assert run.current(layer).any()


def test_tinynet_of_lif_neurons():
    network = read_net(shipped("tiny.net"))
    first = replace(network.layers[0], weight=32, bias=0)
    image = recorded("tinynet/input_bias")[None].astype(np.float32) / 32
    run = Run(replace(network, layers=(first, *network.layers[1:])), timesteps=15, x=image)
    # Its old slayer sends nothing in its first timestep.
    sent, current, last = (np.load(shipped(f"gts/tinynet/{n}.npy"))[0] for n in ("layer1", "current", "output"))
    entered = np.moveaxis(np.load(shipped("gts/tinynet/input.npy"))[0], -1, 0)
    assert np.array_equal(run.sent, entered[1:])
    assert np.array_equal(run.spikes(0), np.moveaxis(sent, -1, 0)[1:])
    assert np.array_equal(run.current(0), 64 * np.moveaxis(current, -1, 0)[1:])
    assert np.array_equal(run.spikes(1), np.moveaxis(last, -1, 0)[1:])
    assert last.sum() > 20


WINDOW = Window((5, 5), (2, 2), (0, 0), (1, 1))


def test_blocks_of_sigma_delta_neurons():
    """Delta, convolution and Sigma, each driven by what was recorded in front of it."""
    kernel = recorded("tinynet_sdnn/layer1_kernel").transpose(3, 0, 1, 2)[..., ::-1, ::-1]  # Lava turns kernels around
    bias, entered, sent = (recorded(f"tinynet_sdnn/{name}") for name in ("layer1_bias", "input", "layer1"))
    conv = ConvLayer(0, (24, 6, 6), WINDOW, np.ascontiguousarray(kernel), 1, SigmaDelta(20, "relu"), bias=bias)
    run = Run(NetxNetwork((conv,)), timesteps=len(entered), payloads=entered)
    # lava-dl ran it for one timestep, in which its biases work alone.
    assert np.array_equal(run.spikes(0)[0], sent[0])
    assert sent[0].any()
    assert not sent[1:].any()
    weight = np.load(shipped("gts/tinynet_sdnn/layer2_weight.npy"))
    dense = DenseLayer(0, weight, None, None, None, None, SigmaDelta(None, "identity", sends_sum=True))
    # Its neurons are in the order of Lava's axes, and lava-dl ran it without message bits: each message counts as 1.
    messages = (sent != 0).transpose(0, 3, 2, 1).reshape(16, -1)
    run = Run(NetxNetwork((dense,)), timesteps=16, payloads=messages.astype(np.int64))
    sums = recorded("tinynet_sdnn/layer2")
    assert np.array_equal(run.current(0), sums)
    assert sums.any()
    values = np.load(shipped("gts/tinynet_sdnn/input_bias.npy"))[..., None] * np.sin(2 * np.pi * np.arange(15) / 15)
    values = values.astype(int).transpose(3, 2, 1, 0)
    network = NetxNetwork((InputLayer(0, (3, 16, 16), None, None, SigmaDelta(20, "relu")), replace(conv, index=1)))
    run = Run(network, timesteps=15, payloads=64 * values)
    assert np.array_equal(run.spikes(0), entered)


def test_blocks_of_lif_neurons_and_of_resonators():
    given, sent = (recorded(f"dense/{name}") for name in ("in", "out"))
    one = np.array(4096)
    dense = DenseLayer(0, np.load(shipped("gts/dense/weight.npy")), None, None, None, None, Cuba(one, np.array(415), 6))
    run = Run(NetxNetwork((dense,)), timesteps=len(given), payloads=given)
    assert np.array_equal(run.spikes(0)[:-1], sent[1:])
    given, sent = (recorded(f"complex_dense/{name}") for name in ("in", "out"))
    turn = 0.95 * np.exp(2j * np.pi / 11) * 4096
    neuron = Resonator(False, np.array(int(turn.imag)), np.array(int(turn.real)), 25)
    parts = [np.load(shipped(f"gts/complex_dense/weight_{part}.npy")).astype(np.int64) for part in ("r", "img")]
    run = Run(NetxNetwork((DenseLayer(0, *parts, None, None, None, neuron),)), timesteps=len(given), payloads=given)
    assert np.array_equal(run.spikes(0)[:-1], sent[1:])
    assert sent.sum() > 100
