"""NIR files of a library that is not installed for the tests: kept, with what it made of an input."""

from __future__ import annotations

import io
from pathlib import Path

import nir
import numpy as np
import onnxruntime as ort
from registry import POLICY, REFUSED, construct

from hsnn.frontends.nir.build import from_nir

KEPT = Path(__file__).with_name("spyx.npz")
LIBRARY = "NIR files: spyx 1.0.0"


def check(name):
    with np.load(KEPT) as kept:
        graph = nir.read(io.BytesIO(kept[f"{name}.nir"].tobytes()))
        x, expected = kept["x"], kept[f"{name}.y"]
    hybrid = from_nir(graph, timesteps=x.shape[1], policy="spyx")
    session = ort.InferenceSession(hybrid.to_bytes(), providers=["CPUExecutionProvider"])
    assert np.count_nonzero(expected) > 5
    np.testing.assert_array_equal(session.run(None, {hybrid.inputs[0].name: x})[0], expected)


@construct(LIBRARY, "LIF, a decay for each neuron", POLICY, note="spyx; its spikes leave one timestep later")
def leaky():
    check("lif")


@construct(LIBRARY, "IF", POLICY, note="spyx")
def integrate():
    check("if")


@construct(LIBRARY, "CuBaLIF", POLICY, note="spyx; it subtracts before the decay, LIF behind it")
def with_current():
    check("cuba")


@construct(
    LIBRARY,
    "RIF, RLIF, RCuBaLIF",
    REFUSED,
    code="HSNN-F086",
    note="the file sends the input through the recurrent weights, which is not what spyx computes",
)
def recurrent():
    check("recurrent")
