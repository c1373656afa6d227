"""NIR files that other libraries' own exporters wrote: their float outputs over time equal ours."""

from __future__ import annotations

import tempfile
import warnings
from itertools import pairwise
from pathlib import Path

import nir
import numpy as np
import onnxruntime as ort
import torch
from registry import POLICY, construct

from hsnn.frontends.nir.build import from_nir

T, BATCH, WIDTHS = 20, 4, (6, 5, 4)


def samples():
    return (np.random.default_rng(0).random((BATCH, T, WIDTHS[0])) < 0.4).astype(np.float32)


def linears(gain):
    torch.manual_seed(0)
    made = [torch.nn.Linear(a, b) for a, b in pairwise(WIDTHS)]
    for layer in made:
        layer.weight.data *= gain
    return made


def check(graph, policy, expected):
    """Write and read a graph; what comes out equals the library's output, and something happened."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.nir"
        nir.write(path, graph, compression=None)
        hybrid = from_nir(path, timesteps=T, policy=policy)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(hybrid.to_bytes(), options, providers=["CPUExecutionProvider"])
    given = hybrid.inputs[0]
    (found,) = session.run(None, {given.name: samples().reshape(BATCH, T, *given.shape[2:])})
    found = found.reshape(expected.shape)
    assert np.count_nonzero(expected) > 5
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def snntorch(make, policy):
    from snntorch.export_nir import export_to_nir

    first, second = linears(3.0)
    net = torch.nn.Sequential(first, make(WIDTHS[1]), second, make(WIDTHS[2]))
    graph = export_to_nir(net, torch.from_numpy(samples()[0, 0]))
    outputs = []
    for sample in torch.from_numpy(samples()):
        for layer in (net[1], net[3]):
            layer.reset_mem()
        outputs.append(np.stack([net(row[None]).detach().numpy()[0] for row in sample]))
    check(graph, policy, np.stack(outputs))


def leaky(reset):
    import snntorch as snn

    return lambda n: snn.Leaky(
        beta=torch.linspace(0.5, 0.9, n), threshold=torch.linspace(0.8, 1.1, n), init_hidden=True, reset_mechanism=reset
    )


def synaptic(reset):
    import snntorch as snn

    return lambda n: snn.Synaptic(
        alpha=torch.linspace(0.2, 0.6, n),
        beta=torch.linspace(0.5, 0.9, n),
        threshold=torch.linspace(0.8, 1.1, n),
        init_hidden=True,
        reset_mechanism=reset,
    )


@construct("NIR files: snnTorch", "Leaky, reset by subtraction", POLICY, note="snntorch-subtract")
def snntorch_leaky_subtract():
    snntorch(leaky("subtract"), "snntorch-subtract")


@construct("NIR files: snnTorch", "Leaky, reset to zero", POLICY, note="snntorch-zero")
def snntorch_leaky_zero():
    snntorch(leaky("zero"), "snntorch-zero")


@construct("NIR files: snnTorch", "Synaptic, reset to zero", POLICY, note="snntorch-synaptic-zero")
def snntorch_synaptic_zero():
    snntorch(synaptic("zero"), "snntorch-synaptic-zero")


@construct("NIR files: snnTorch", "Synaptic, reset by subtraction", POLICY, note="snntorch-subtract")
def snntorch_synaptic_subtract():
    snntorch(synaptic("subtract"), "snntorch-subtract")


def norse(make):
    import norse.torch as norse_torch
    from norse.torch.utils.export_nir import to_nir

    first, second = linears(40.0)
    net = norse_torch.SequentialState(first, make(norse_torch), second, make(norse_torch))
    graph = to_nir(net, torch.from_numpy(samples()[0, 0]))
    state, outputs = None, []
    for t in range(T):
        sent, state = net(torch.from_numpy(samples()[:, t]), state)
        outputs.append(sent.detach().numpy())
    check(graph, "norse", np.stack(outputs, axis=1))


@construct("NIR files: Norse", "LIFCell", POLICY, note="norse")
def norse_lif():
    norse(lambda module: module.LIFCell())


@construct("NIR files: Norse", "LIFBoxCell", POLICY, note="norse")
def norse_lif_box():
    norse(lambda module: module.LIFBoxCell())


@construct("NIR files: Norse", "LIBoxCell", POLICY, note="norse")
def norse_li_box():
    norse(lambda module: module.LIBoxCell())


@construct("NIR files: Norse", "IAFCell", POLICY, note="norse")
def norse_iaf():
    norse(lambda module: module.IAFCell())


def spikingjelly(make):
    from spikingjelly.activation_based import functional, layer, neuron
    from spikingjelly.activation_based.nir_exchange import export_to_nir

    torch.manual_seed(0)
    widths = pairwise(WIDTHS)
    layers = [item for a, b in widths for item in (layer.Linear(a, b, step_mode="m"), make(neuron))]
    for item in layers[::2]:
        item.weight.data *= 6.0
    net = torch.nn.Sequential(*layers)
    x = torch.from_numpy(samples()).transpose(0, 1)
    graph = export_to_nir(net, x)
    functional.reset_net(net)
    check(graph, "spikingjelly", net(x).detach().numpy().swapaxes(0, 1))


@construct("NIR files: SpikingJelly", "LIFNode, decay_input=False", POLICY, note="spikingjelly")
def spikingjelly_lif():
    spikingjelly(lambda neuron: neuron.LIFNode(tau=3.0, decay_input=False, step_mode="m"))


@construct("NIR files: SpikingJelly", "LIFNode, decay_input=True, v_reset=-0.2", POLICY, note="spikingjelly")
def spikingjelly_lif_reset():
    spikingjelly(lambda neuron: neuron.LIFNode(tau=2.0, v_threshold=0.5, v_reset=-0.2, step_mode="m"))


@construct("NIR files: SpikingJelly", "IFNode", POLICY, note="spikingjelly")
def spikingjelly_if():
    spikingjelly(lambda neuron: neuron.IFNode(step_mode="m"))


@construct("NIR files: SpikingJelly", "ParametricLIFNode", POLICY, note="spikingjelly")
def spikingjelly_plif():
    spikingjelly(lambda neuron: neuron.ParametricLIFNode(init_tau=3.0, decay_input=False, step_mode="m"))


def sinabs(make, policy, gain, *, spiking=True):
    import sinabs.layers as layers
    from sinabs.activation import SingleSpike
    from sinabs.nir import to_nir

    once = {"spike_fn": SingleSpike} if "spikes=one" in policy else {}
    first, second = linears(gain)
    net = torch.nn.Sequential(first, make(layers, once), second, make(layers, once))
    flat = torch.from_numpy(samples()).reshape(BATCH * T, -1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = to_nir(net, flat)
    for item in (net[1], net[3]):
        item.reset_states()
    expected = net(flat).detach().numpy().reshape(BATCH, T, -1)
    assert expected.max() > 1 or once or not spiking
    check(graph, policy, expected)


def sinabs_lif(norm):
    return lambda layers, once: layers.LIFSqueeze(
        tau_mem=torch.tensor([10.0]),
        spike_threshold=torch.tensor([1.0]),
        norm_input=norm,
        batch_size=BATCH,
        **once,
    )


@construct("NIR files: sinabs", "LIFSqueeze, several spikes in a timestep (its default)", POLICY, note="sinabs")
def sinabs_normalized():
    sinabs(sinabs_lif(True), "sinabs", 60.0)


@construct("NIR files: sinabs", "LIFSqueeze, SingleSpike", POLICY, note="sinabs,spikes=one")
def sinabs_normalized_once():
    sinabs(sinabs_lif(True), "sinabs,spikes=one", 60.0)


@construct("NIR files: sinabs", "LIFSqueeze, norm_input=False", POLICY, note="sinabs-unnormalized, or with spikes=one")
def sinabs_unnormalized():
    sinabs(sinabs_lif(False), "sinabs-unnormalized", 3.0)
    sinabs(sinabs_lif(False), "sinabs-unnormalized,spikes=one", 3.0)


@construct("NIR files: sinabs", "IAFSqueeze", POLICY, note="sinabs, or sinabs,spikes=one for SingleSpike")
def sinabs_iaf():
    for policy in ("sinabs", "sinabs,spikes=one"):
        sinabs(lambda layers, once: layers.IAFSqueeze(batch_size=BATCH, **once), policy, 3.0)


@construct("NIR files: sinabs", "IAFSqueeze with min_v_mem=-spike_threshold", POLICY, note="sinabs,floor=threshold")
def sinabs_floor():
    sinabs(
        lambda layers, once: layers.IAFSqueeze(batch_size=BATCH, min_v_mem=-1.0, **once), "sinabs,floor=threshold", 3.0
    )


@construct("NIR files: sinabs", "ExpLeakSqueeze", POLICY, note="sinabs")
def sinabs_leak():
    sinabs(
        lambda layers, _: layers.ExpLeakSqueeze(tau_mem=torch.tensor([5.0]), norm_input=True, batch_size=BATCH),
        "sinabs",
        3.0,
        spiking=False,
    )


def rockpool(make, gain=6.0):
    from rockpool.nn.combinators import Sequential
    from rockpool.nn.modules import LinearTorch
    from rockpool.nn.modules.torch.nir import to_nir

    torch.manual_seed(0)
    layers = []
    for before, after in pairwise(WIDTHS):
        linear = LinearTorch((before, after), has_bias=True)
        linear.weight.data *= gain
        linear.bias.data = torch.linspace(-0.1, 0.2, after)
        layers += [linear, make(after)]
    net = Sequential(*layers)
    for layer in layers[1::2]:
        if hasattr(layer, "tau"):
            layer.tau.requires_grad_(False)  # the exporter of ExpSynTorch does not detach it
    graph = to_nir(net)
    net.reset_state()
    expected, _, _ = net(torch.from_numpy(samples()))
    check(graph, "rockpool", expected.detach().numpy())


@construct("NIR files: Rockpool", "LIFTorch with `max_spikes_per_dt` 1", POLICY, note="rockpool")
def rockpool_lif():
    from rockpool.nn.modules import LIFTorch

    rockpool(
        lambda n: LIFTorch(
            n,
            tau_mem=torch.linspace(2e-3, 9e-3, n),
            tau_syn=torch.linspace(1e-3, 6e-3, n)[:, None],
            threshold=torch.linspace(0.7, 1.2, n),
            max_spikes_per_dt=torch.tensor(1.0),
            dt=1e-3,
        )
    )


@construct("NIR files: Rockpool", "LIFNeuronTorch with `max_spikes_per_dt` 1", POLICY, note="rockpool")
def rockpool_lif_neuron():
    from rockpool.nn.modules import LIFNeuronTorch

    rockpool(
        lambda n: LIFNeuronTorch(
            n, tau_mem=torch.linspace(2e-3, 9e-3, n), threshold=0.9, max_spikes_per_dt=torch.tensor(1.0), dt=1e-3
        )
    )


@construct("NIR files: Rockpool", "ExpSynTorch, read over time", POLICY, note="rockpool")
def rockpool_synapse():
    from rockpool.nn.modules import ExpSynTorch

    rockpool(lambda n: ExpSynTorch(n, tau=torch.linspace(2e-3, 9e-3, n), dt=1e-3))


@construct("NIR files: nir", "Affine and LI, by NIR's own equations", POLICY, note="equations,dt=1")
def nir_itself():
    u = np.random.default_rng(0).uniform
    nodes = {
        "input": nir.Input(np.array([6])),
        "fc": nir.Affine(u(-1, 2, (4, 6)), u(-1, 1, 4)),
        "read": nir.LI(u(2, 5, 4), u(1, 2, 4), u(0, 0, 4)),
        "output": nir.Output(np.array([4])),
    }
    names = list(nodes)
    graph = nir.NIRGraph(nodes, list(pairwise(names)), type_check=False)
    decay, v, outputs = 1 / nodes["read"].tau, np.zeros((BATCH, 4)), []
    for t in range(T):
        drive = samples()[:, t] @ nodes["fc"].weight.T + nodes["fc"].bias
        v = v + decay * (-v + nodes["read"].r * drive)
        outputs.append(v)
    check(graph, "equations,dt=1,initial=zero", np.stack(outputs, axis=1))
