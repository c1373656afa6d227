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


def read_by_sinabs(*neurons):
    from sinabs.nir import from_nir as read

    graph, expected = exported(network(*neurons, gain=5.0), "sinabs-unnormalized", samples())
    module = read(graph, batch_size=BATCH)
    flat = torch.from_numpy(samples().reshape(BATCH * T, -1))
    with torch.no_grad():
        found = module(flat)
    found = (found[0] if isinstance(found, tuple) else found).numpy().reshape(expected.shape)
    assert expected.max() > 1
    check(found, expected)


@construct("NIR files of hsnn: read by sinabs", "CountingLif with a leak", POLICY, note="sinabs-unnormalized")
def sinabs_lif():
    read_by_sinabs(*(snn.CountingLif(0.7, voltage_decay=0.25) for _ in range(2)))


@construct(
    "NIR files of hsnn: read by sinabs",
    "CountingLif without a leak, its floor at minus the threshold",
    POLICY,
    note="sinabs-unnormalized; sinabs gives every IF that floor",
)
def sinabs_if():
    read_by_sinabs(*(snn.CountingLif(0.7, v_min=-0.7) for _ in range(2)))


@construct(
    "NIR files of hsnn: read by sinabs",
    "Lif, or another floor",
    REFUSED,
    code="HSNN-F087",
    note="sinabs reads neurons that send several spikes in a timestep",
)
def sinabs_once():
    read_by_sinabs(*(lif(reset="subtract", comparison=">=", threshold=2.0) for _ in range(2)))


def read_by_hsnn(*neurons):
    import onnxruntime as ort

    graph, expected = exported(network(*neurons), None, samples())
    hybrid = from_nir(graph)
    session = ort.InferenceSession(hybrid.to_bytes(), providers=["CPUExecutionProvider"])
    check(session.run(None, {hybrid.inputs[0].name: samples()})[0], expected)
    return expected


@construct("NIR files of hsnn: read by hsnn", "RecurrentLif", EXACT)
def hsnn_recurrent():
    feedback = torch.randn(5, 5, generator=torch.Generator().manual_seed(0))
    read_by_hsnn(
        snn.RecurrentLif(5, recurrent_weight=feedback, threshold=0.8, reset="subtract", refractory=0),
        lif(comparison=">="),
    )


@construct("NIR files of hsnn: read by hsnn", "RecurrentCountingLif, CountingLif with a floor", EXACT)
def hsnn_counting():
    feedback = 0.1 * torch.randn(5, 5, generator=torch.Generator().manual_seed(0))
    first = snn.RecurrentCountingLif(5, recurrent_weight=feedback, threshold=0.25, voltage_decay=0.125)
    expected = read_by_hsnn(
        first, snn.CountingLif(0.25, v_min=-0.25, reset="zero", current_decay=0.5, voltage_decay=0.25)
    )
    assert expected.max() > 2
