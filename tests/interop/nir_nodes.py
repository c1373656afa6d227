"""Every type of node of the nir package, held to NIR's equations as ``tests/support/nir_equations.py`` has them."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path

import h5py
import nir
import numpy as np
import onnxruntime as ort
from registry import EXACT, POLICY, REFUSED, construct

from hsnn.frontends.nir.build import from_nir
from hsnn.frontends.nir.policy import parse_policy
from support.nir_equations import simulate, step

LIBRARY = "NIR 1.0.8, types of nodes and graphs"
T, DT = 9, 1e-3
EQUATIONS = f"equations,dt={DT}"
TIMED = "any; it says dt, integrator, reset, comparison and where a sample starts"


def graph_of(shape, *nodes, out=None):
    names = [f"n{index}" for index in range(len(nodes))]
    items = dict(zip(names, nodes, strict=True))
    items = {"input": nir.Input(np.array(shape)), **items, "output": nir.Output(np.array(out or shape))}
    return nir.NIRGraph(items, list(itertools.pairwise(items)), type_check=False)


def run(hybrid, x):
    session = ort.InferenceSession(hybrid.to_bytes(), providers=["CPUExecutionProvider"])
    return session.run(None, {info.name: array for info, array in zip(hybrid.inputs, x, strict=True)})


def layer(shape, node):
    """A layer in front of a read-out does what the equations say."""
    out = shape if isinstance(node, nir.Delay) else step(node, np.zeros(shape), {}, parse_policy(EQUATIONS)).shape
    check(shape, node, neuron("LI", out), out=out)


def check(shape, *nodes, out=None, policy=EQUATIONS):
    """A graph from a file does what the equations say."""
    graph = graph_of(shape, *nodes, out=out)
    x = np.random.default_rng(1).normal(0.5, 1, size=(3, T, *shape)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.nir"
        nir.write(path, graph)
        (found,) = run(from_nir(path, timesteps=T, policy=policy), [x])
    expected = np.stack([simulate(graph, sample.astype(np.float64), parse_policy(policy)) for sample in x])
    assert np.count_nonzero(expected)
    np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=1e-4, atol=1e-4)


def neuron(kind, n=3, seed=0):
    u = np.random.default_rng(seed).uniform
    fields = {"r": u(0.8, 1.5, n)}
    if kind in ("LI", "LIF"):
        fields |= {"tau": u(2, 6, n) * DT, "v_leak": u(-0.1, 0.1, n)}
    if kind.startswith("Cuba"):
        fields |= {"tau_mem": u(2, 6, n) * DT, "tau_syn": u(2, 6, n) * DT, "v_leak": u(-0.1, 0.1, n)}
        fields |= {"w_in": u(0.8, 1.5, n)}
    if kind in ("I", "IF"):
        fields["r"] = fields["r"] / DT
    if kind.endswith("F"):
        fields |= {"v_threshold": u(0.4, 0.7, n), "v_reset": u(-0.1, 0.1, n)}
    return getattr(nir, kind)(**fields)


def row(kind: str, outcome: str, note: str, run_check: Callable[[], None]) -> None:
    """Add the row of a type of node; the function is this module's, by which rows are sorted."""
    construct(LIBRARY, f"`{kind}`", outcome, note=note)(lambda: run_check())


def conv(dims):
    rng = np.random.default_rng(2)
    if dims == 1:
        return nir.Conv1d(9, rng.normal(size=(4, 1, 3)), 2, 1, 1, 2, rng.normal(size=4))
    return nir.Conv2d((7, 8), rng.normal(size=(4, 1, 3, 2)), (2, 1), (1, 0), (1, 2), 2, rng.normal(size=4))


POOL = (np.array([2, 3]), np.array([1, 2]), np.array([1, 1]))
WEIGHT = np.random.default_rng(0).normal(size=(3, 3))
for name, make in {
    "Affine": lambda: layer((3,), nir.Affine(WEIGHT, WEIGHT[0])),
    "Linear": lambda: layer((3,), nir.Linear(WEIGHT)),
    "Scale": lambda: layer((3,), nir.Scale(WEIGHT[1])),
    "Conv1d": lambda: layer((2, 9), conv(1)),
    "Conv2d": lambda: layer((2, 7, 8), conv(2)),
    "SumPool2d": lambda: layer((2, 5, 6), nir.SumPool2d(*POOL)),
    "AvgPool2d": lambda: layer((2, 5, 6), nir.AvgPool2d(*POOL)),
    "Flatten": lambda: layer((2, 3, 4), nir.Flatten(np.array([2, 3, 4]), 1, 2)),
    "Input": lambda: layer((3,), nir.Scale(WEIGHT[1])),
    "Output": lambda: layer((3,), nir.Scale(WEIGHT[1])),
}.items():
    row(name, EXACT, "" if name != "Input" else "0 and 1 only with `inputs=binary` in the policy", make)
for name in ("I", "LI", "CubaLI", "IF", "LIF", "CubaLIF"):
    row(name, POLICY, TIMED, lambda name=name: check((3,), nir.Linear(3 * np.eye(3)), neuron(name)))
row("Threshold", POLICY, "any; it says the comparison", lambda: check((3,), nir.Threshold(np.array([0.3, -0.2, 0.5]))))
row("Delay", POLICY, "any; whole timesteps of its dt", lambda: layer((3,), nir.Delay(np.array([0, 1, 3]) * DT)))


def nested():
    inner = graph_of((3,), neuron("LIF"))
    inner.nodes["w"] = nir.Linear(WEIGHT)
    inner.edges += [("n0", "w"), ("w", "n0")]
    flat = graph_of((3,), nir.Linear(3 * np.eye(3)), inner.nodes["n0"])
    flat.nodes["w"] = inner.nodes["w"]
    flat.edges += [("n1", "w"), ("w", "n1")]
    x = [np.random.default_rng(1).normal(0.5, 1, size=(3, T, 3)).astype(np.float32)]
    whole = graph_of((3,), nir.Linear(3 * np.eye(3)), inner)
    ours, theirs = (run(from_nir(item, timesteps=T, policy=EQUATIONS), x)[0] for item in (whole, flat))
    assert 0 < ours.mean() < 1
    np.testing.assert_array_equal(ours, theirs)


row("NIRGraph", EXACT, "graphs in graphs, one input and one output each", nested)


@construct(LIBRARY, "a loop through one neuron, with `Linear`, `Affine`, `Scale` or nothing in it", POLICY, note=TIMED)
def loops():
    for back in (nir.Linear(WEIGHT), nir.Affine(WEIGHT, WEIGHT[0]), nir.Scale(WEIGHT[0])):
        graph = graph_of((3,), nir.Linear(3 * np.eye(3)), neuron("LIF"))
        graph.nodes["rec"] = back
        graph.edges += [("n1", "rec"), ("rec", "n1")]
        x = np.random.default_rng(1).normal(0.5, 1, size=(3, T, 3)).astype(np.float32)
        (found,) = run(from_nir(graph, timesteps=T, policy=EQUATIONS), [x])
        policy = parse_policy(EQUATIONS)
        np.testing.assert_allclose(found, np.stack([simulate(graph, sample, policy) for sample in x]), atol=1e-4)


@construct(LIBRARY, "several inputs and outputs", EXACT)
def several():
    one, two = neuron("LI"), neuron("LI", seed=1)
    graph = graph_of((3,), nir.Linear(WEIGHT), one)
    graph.nodes |= {"other": nir.Input(np.array([2])), "w": nir.Linear(WEIGHT[:, :2]), "read": two}
    graph.nodes["too"] = nir.Output(np.array([3]))
    graph.edges += [("other", "w"), ("w", "read"), ("read", "n1"), ("read", "too")]
    hybrid = from_nir(graph, timesteps=T, policy=EQUATIONS)
    rng = np.random.default_rng(1)
    x = {"input": rng.normal(size=(2, T, 3)), "other": rng.normal(size=(2, T, 2))}
    found = run(hybrid, [np.float32(x[info.name]) for info in hybrid.inputs])
    by_name = dict(zip((info.name for info in hybrid.outputs), found, strict=True))
    policy = parse_policy(EQUATIONS)
    read = np.stack([simulate(graph_of((2,), graph.nodes["w"], two), sample, policy) for sample in x["other"]])
    sums = x["input"] @ WEIGHT.T + read
    np.testing.assert_allclose(by_name["too"], read, atol=1e-4)
    np.testing.assert_allclose(
        by_name["output"], np.stack([simulate(graph_of((3,), one), sample, policy) for sample in sums]), atol=1e-4
    )


def refused(graph, policy=EQUATIONS, timesteps=T):
    from_nir(graph, timesteps=timesteps, policy=policy)


@construct(LIBRARY, "loops through two neurons, or a `Delay`", REFUSED, code="HSNN-F086", note="one population each")
def other_loops():
    graph = graph_of((3,), neuron("LIF"), neuron("LIF"))
    graph.edges.append(("n1", "n0"))
    refused(graph)


@construct(
    LIBRARY, "a nested graph with several inputs", REFUSED, code="HSNN-F082", note="which edge is whose is not said"
)
def nested_inputs():
    inner = graph_of((3,), nir.Linear(WEIGHT))
    inner.nodes["other"] = nir.Input(np.array([3]))
    inner.edges.append(("other", "n0"))
    refused(graph_of((3,), inner))


@construct(LIBRARY, "delays that are no whole timesteps", REFUSED, code="HSNN-F083", note="they would be rounded")
def part_of_a_timestep():
    refused(graph_of((3,), nir.Delay(np.full(3, 1.5 * DT))))


@construct(LIBRARY, "no policy", REFUSED, code="HSNN-F084", note="nothing is guessed; the presets are listed")
def no_policy():
    refused(graph_of((3,), neuron("LIF")), policy=None)


@construct(LIBRARY, "no number of timesteps", REFUSED, code="HSNN-F085", note="NIR does not say it")
def no_timesteps():
    refused(graph_of((3,), neuron("LIF")), timesteps=None)


def changed(change):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.nir"
        nir.write(path, graph_of((3,), neuron("LIF")))
        with h5py.File(path, "r+") as file:
            change(file)
        refused(path)


@construct(
    LIBRARY, "a type of node that nir 1.x does not have", REFUSED, code="HSNN-F081", note="its equation is unknown"
)
def unknown_node():
    def change(file):
        del file["node/nodes/n0/type"]
        file["node/nodes/n0/type"] = b"Izhikevich"

    changed(change)


@construct(
    LIBRARY, "a version that is not 0.x or 1.x", REFUSED, code="HSNN-F081", note="fields may mean something else"
)
def unknown_version():
    def change(file):
        del file["version"]
        file["version"] = b"2.0.0"

    changed(change)
