"""NIR files that hsnn wrote: other libraries' own readers load and run them, and spike as hsnn does."""

from __future__ import annotations

import tempfile
from itertools import pairwise
from pathlib import Path

import nir
import numpy as np
import torch
from registry import EXACT, POLICY, REFUSED, construct

from hsnn import nn as snn
from hsnn.frontends.nir.build import from_nir
from hsnn.frontends.nir.write import to_nir
from hsnn.frontends.torch import from_torch

T, BATCH, WIDTHS = 20, 4, (6, 5, 4)


def samples(*shape):
    return (np.random.default_rng(0).random((BATCH, T, *(shape or WIDTHS[:1]))) < 0.4).astype(np.float32)


def network(*neurons, gain=3.0):
    torch.manual_seed(0)
    linears = [torch.nn.Linear(a, b) for a, b in pairwise(WIDTHS)]
    for layer in linears:
        layer.weight.data *= gain
    parts = [part for pair in zip(linears, neurons, strict=True) for part in pair]
    return torch.nn.Sequential(snn.TrainEncode(T), *parts, snn.TrainDecode())


def exported(model, policy, x):
    """What a reader of our file gets, and what the model itself gives."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.nir"
        path.write_bytes(to_nir(from_torch(model, (torch.from_numpy(x),)), policy=policy).to_bytes())
        graph = nir.read(path)
    with torch.no_grad():
        return graph, model(torch.from_numpy(x)).numpy()


def stepped(module, x):
    """Run a module of nirtorch, which hands its state in and out."""
    state, outputs = None, []
    with torch.no_grad():
        for row in torch.from_numpy(x).transpose(0, 1):
            made, state = module(row, state)
            outputs.append(made.numpy())
    return np.stack(outputs, axis=1)


def check(found, expected):
    assert found.shape == expected.shape
    assert np.count_nonzero(expected) > 5
    np.testing.assert_array_equal(found, expected)


def lif(**changes):
    return snn.Lif(**{"threshold": 0.8, "voltage_decay": 0.25, **changes})


def cuba(**changes):
    return lif(current_decay=0.4, **changes)


def snntorch(*neurons):
    from snntorch.import_nir import import_from_nir

    graph, expected = exported(network(*neurons), None, samples())
    module = import_from_nir(graph)
    outputs = []
    for sample in samples():
        for layer in module.modules():
            if hasattr(layer, "reset_mem"):
                layer.reset_mem()
        outputs.append(stepped(module, sample[None])[0])
    check(np.stack(outputs), expected)


@construct("NIR files of hsnn: read by snnTorch", "Lif", EXACT)
def snntorch_lif():
    snntorch(lif(), lif())


@construct("NIR files of hsnn: read by snnTorch", "Lif with a current", EXACT)
def snntorch_cuba():
    snntorch(cuba(), cuba())


def spikingjelly(policy, *neurons):
    from spikingjelly.activation_based.nir_exchange import import_from_nir

    graph, expected = exported(network(*neurons), policy, samples())
    check(stepped(import_from_nir(graph), samples()), expected)


@construct("NIR files of hsnn: read by SpikingJelly", "Lif", POLICY, note="spikingjelly")
def spikingjelly_lif():
    spikingjelly("spikingjelly", lif(comparison=">="), lif(comparison=">=", decay_input=True, threshold=0.3))


@construct("NIR files of hsnn: read by SpikingJelly", "Lif with a current", POLICY, note="spikingjelly")
def spikingjelly_cuba():
    spikingjelly("spikingjelly", cuba(comparison=">="), cuba(comparison=">="))


@construct("NIR files of hsnn: read by SpikingJelly", "Lif without decay", POLICY, note="spikingjelly")
def spikingjelly_if():
    spikingjelly("spikingjelly", *(lif(comparison=">=", voltage_decay=0.0) for _ in range(2)))


@construct(
    "NIR files of hsnn: read by SpikingJelly",
    "Lif with comparison > under that policy",
    REFUSED,
    code="HSNN-F087",
    note="SpikingJelly reads >=",
)
def spikingjelly_refused():
    spikingjelly("spikingjelly", lif(), lif())


@construct("NIR files of hsnn: read by Norse", "Lif with decay_input", POLICY, note="equations,dt=1e-3")
def norse_lif():
    from norse.torch import from_nir as read

    neurons = [lif(decay_input=True, threshold=0.1) for _ in range(2)]
    graph, expected = exported(network(*neurons), "equations,dt=1e-3,initial=zero", samples())
    check(stepped(read(graph), samples()), expected)


@construct(
    "NIR files of hsnn: read by sinabs",
    "Lif, reset by subtraction",
    POLICY,
    note="sinabs-unnormalized; sinabs reads its own default, several spikes in a timestep, so the input must be small",
)
def sinabs_lif():
    from sinabs.nir import from_nir as read

    neurons = [lif(reset="subtract", comparison=">=", threshold=2.0) for _ in range(2)]
    graph, expected = exported(network(*neurons, gain=5.0), "sinabs-unnormalized", samples())
    module = read(graph, batch_size=BATCH)
    flat = torch.from_numpy(samples().reshape(BATCH * T, -1))
    with torch.no_grad():
        found = module(flat)
    found = (found[0] if isinstance(found, tuple) else found).numpy().reshape(expected.shape)
    check(found, expected)


@construct("NIR files of hsnn: read by hsnn", "RecurrentLif", EXACT)
def hsnn_recurrent():
    model = network(
        snn.RecurrentLif(5, recurrent_weight=torch.randn(5, 5), threshold=0.8, reset="subtract", refractory=0),
        lif(comparison=">="),
    )
    graph, expected = exported(model, None, samples())
    import onnxruntime as ort

    hybrid = from_nir(graph)
    session = ort.InferenceSession(hybrid.to_bytes(), providers=["CPUExecutionProvider"])
    check(session.run(None, {hybrid.inputs[0].name: samples()})[0], expected)
