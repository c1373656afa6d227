"""NIR graphs: what a hybrid model computes equals the NIR paper's equations, simulated here on their own."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from hsnn.errors import HsnnError, UnsupportedError, UsageError

nir = pytest.importorskip("nir")

from hsnn.frontends.nir.build import from_nir  # noqa: E402 - needs nir
from hsnn.frontends.nir.policy import NirPolicy, parse_policy  # noqa: E402 - needs nir
from support.nir_equations import convolve, pool, simulate  # noqa: E402 - needs nir

T = 9
DT = 1e-3


class Random:
    """Random graphs in which no field has a value that anything else may stand for."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.policy = self._policy()

    def _policy(self):
        pick = self.rng.choice
        reset = str(pick(["value", "subtract", "subtract_next", "zero_next"]))
        initial = {"value": "reset", "subtract_next": str(pick(["zero", "leak"]))}.get(reset, "zero")
        return NirPolicy(
            DT,
            str(pick(["euler", "exact"])),
            reset,
            str(pick([">", ">="])),
            synapse=str(pick(["ode", "jump"])),
            gain=str(pick(["decay", "one"])),
            integrate=str(pick(["dt", "one"])),
            tau=str(pick(["seconds", "times_dt"])),
            initial=initial,
        )

    def tau(self, shape):
        unit = DT if self.policy.tau == "seconds" else DT * DT
        return self.rng.uniform(1.3, 8.0, shape) * unit

    def neuron(self, kind, shape):
        rng, u = self.rng, self.rng.uniform
        zero = self.policy.reset == "zero_next"
        fields = {"r": u(0.5, 2.0, shape) * (1 / DT if kind in ("I", "IF") and self.policy.integrate == "dt" else 1)}
        if kind in ("LI", "LIF"):
            fields |= {"tau": self.tau(shape), "v_leak": rng.normal(0, 0.1, shape)}
        if kind.startswith("Cuba"):
            fields |= {"tau_mem": self.tau(shape), "tau_syn": self.tau(shape), "w_in": u(0.5, 1.5, shape)}
            fields |= {"v_leak": rng.normal(0, 0.1, shape)}
        if kind in ("IF", "LIF", "CubaLIF"):
            fields |= {"v_threshold": u(0.4, 1.0, shape)}
            fields |= {"v_reset": np.zeros(shape) if zero else rng.normal(0, 0.1, shape)}
        return getattr(nir, kind)(**fields)

    def spiking(self, *kinds):
        # Where a late reset takes something else off than the threshold counted from the start, it is a synapse, which
        # has no place in front of a current.
        allowed = [k for k in kinds if k != "CubaLIF" or not self.late]
        return str(self.rng.choice(allowed))

    @property
    def late(self):
        return self.policy.reset == "subtract_next" and self.policy.initial == "leak"

    def dense(self):
        n = self.rng.normal
        nodes = {
            "input": nir.Input(np.array([5])),
            "affine": nir.Affine(n(size=(6, 5)), n(0, 0.3, 6)),
            "delay": nir.Delay(self.rng.integers(0, 3, 6) * DT),
            "first": self.neuron(self.spiking("IF", "LIF", "CubaLIF"), (6,)),
            "rec": nir.Affine(n(0, 0.5, (6, 6)), n(0, 0.1, 6)),
            "scale": nir.Scale(n(1, 0.3, 6)),
            "linear": nir.Linear(n(size=(4, 6))),
            "skip": nir.Linear(n(size=(4, 5))),
            "second": self.neuron(self.spiking("IF", "LIF", "CubaLIF"), (4,)),
            "threshold": nir.Threshold(np.array([0.5, -0.3, 0.2, 1.4])),
            "read": self.neuron(str(self.rng.choice(["I", "LI", "CubaLI"])), (4,)),
            "output": nir.Output(np.array([4])),
        }
        chain = ["input", "affine", "delay", "first", "scale", "linear", "second", "threshold", "read", "output"]
        edges = [*itertools.pairwise(chain), ("input", "skip"), ("skip", "second")]
        if self.rng.random() < 0.7:
            edges += [("first", "rec"), ("rec", "first")]
        else:
            del nodes["rec"]
        return nir.NIRGraph(nodes, edges, type_check=False)

    def image(self):
        n, pick = self.rng.normal, self.rng.choice
        late = self.late
        padding = str(pick(["same", "valid"])) if self.rng.random() < 0.4 else (1, 0)
        conv = nir.Conv2d(
            (7, 8), n(size=(4, 1, 3, 2)), (1, 1) if padding == "same" else (2, 1), padding, (1, 2), 2, n(0, 0.2, 4)
        )
        shape = convolve(conv, np.zeros((2, 7, 8))).shape
        pooling = nir.SumPool2d if self.rng.random() < 0.5 else nir.AvgPool2d
        pools = pooling(np.array([2, 3]), np.array([1, 2]), np.array([1, 1]))
        after = pool(pools, np.zeros(shape), mean=True).shape
        nodes = {
            "input": nir.Input(np.array([2, 7, 8])),
            "conv": conv,
            "neurons": nir.Threshold(np.full(shape, 0.4)) if late else self.neuron(self.spiking("LIF", "IF"), shape),
            "pool": pools,
            "flatten": nir.Flatten(np.array(after), int(pick([0, 1])), int(pick([-1, 2]))),
        }
        flat = tuple(nodes["flatten"].output_type["output"])
        nodes["read"] = self.neuron("LI", flat)
        nodes["output"] = nir.Output(np.array(flat))
        names = list(nodes)
        return nir.NIRGraph(nodes, list(itertools.pairwise(names)), type_check=False)

    def line(self):
        n = self.rng.normal
        conv = nir.Conv1d(9, n(size=(4, 1, 3)), 2, 1, 1, 2, n(0, 0.2, 4))
        shape = convolve(conv, np.zeros((2, 9))).shape
        late = self.late
        nodes = {
            "input": nir.Input(np.array([2, 9])),
            "conv": conv,
            "neurons": nir.Threshold(np.full(shape, 0.4))
            if late
            else self.neuron(self.spiking("LIF", "CubaLIF"), shape),
            "linear": nir.Linear(n(size=(3, shape[-1]))),
            "read": self.neuron("I", (4, 3)),
            "output": nir.Output(np.array([4, 3])),
        }
        names = list(nodes)
        return nir.NIRGraph(nodes, list(itertools.pairwise(names)), type_check=False)


def run_hybrid(hybrid, x):
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(hybrid.to_bytes(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {hybrid.inputs[0].name: x.astype(np.float32)})[0]


def follow(random, build, seed, tmp_path):
    """Hold what is compiled to the equations; return the graph, what it gets and what it sends."""
    graph = getattr(random, build)()
    shape = tuple(graph.nodes["input"].input_type["input"])
    x = np.random.default_rng(seed + 100).normal(size=(4, T, *shape)).astype(np.float32)
    path = tmp_path / "graph.nir"
    nir.write(path, graph)
    hybrid = from_nir(path, timesteps=T, policy=random.policy)
    found = run_hybrid(hybrid, x)
    expected = np.stack([simulate(graph, sample.astype(np.float64), random.policy) for sample in x])
    assert found.shape == expected.shape
    # A spike next to its threshold may fall on the other side in float32; samples without one agree throughout.
    close = np.array([np.allclose(a, b, rtol=1e-3, atol=1e-4) for a, b in zip(found, expected, strict=True)])
    assert close.mean() >= 0.75, np.abs(found - expected).max(axis=1)
    assert np.abs(expected).max() > 0
    return graph, x, expected


@pytest.mark.parametrize("build", ["dense", "image", "line"])
@pytest.mark.parametrize("seed", range(8))
def test_random_graphs_follow_the_equations(build, seed, tmp_path):
    follow(Random(seed), build, seed, tmp_path)


@pytest.mark.parametrize(("spikes", "floor"), [("many", "none"), ("many", "threshold"), ("one", "threshold")])
@pytest.mark.parametrize("build", ["dense", "image", "line"])
def test_neurons_that_count_or_have_a_floor_follow_them(build, spikes, floor, tmp_path):
    random = Random(31)
    counting = {"reset": "subtract", "comparison": ">=", "initial": "zero", "spikes": spikes, "floor": floor}
    random.policy = replace(random.policy, **counting)
    graph, x, expected = follow(random, build, 31, tmp_path)
    plain = replace(random.policy, spikes="one", floor="none")
    others = [simulate(graph, sample.astype(np.float64), plain) for sample in x]
    assert not np.allclose(expected, np.stack(others)), "nothing of it shows"


def test_every_type_of_node_is_in_the_random_graphs():
    graphs = [getattr(Random(seed), name)() for seed in range(8) for name in ("dense", "image", "line")]
    used = {type(node).__name__ for graph in graphs for node in graph.nodes.values()}
    known = {name for name in nir.ir.__all__ if name[0].isupper()} - {"NIRNode", "NIRGraph"}
    assert used == known


def lif(n=3, **changes):
    ones = np.ones(n)
    return nir.LIF(**{"tau": ones * 1e-2, "r": ones, "v_leak": ones * 0, "v_threshold": ones, **changes})


def cuba(leak=0.0):
    ones = np.ones(3)
    return nir.CubaLIF(ones * 1e-2, ones * 1e-2, ones, ones * leak, ones)


def chain(*nodes, n=3):
    items = {"input": nir.Input(np.array([n])), **{f"n{i}": node for i, node in enumerate(nodes)}}
    items["output"] = nir.Output(np.array([n]))
    names = list(items)
    return nir.NIRGraph(items, list(itertools.pairwise(names)), type_check=False)


def test_nested_graphs_are_the_flat_one():
    inner = nir.NIRGraph(
        {
            "input": nir.Input(np.array([3])),
            "lif": lif(v_threshold=np.full(3, 0.1)),
            "w": nir.Linear(np.eye(3) * 0.5),
            "output": nir.Output(np.array([3])),
        },
        [("input", "lif"), ("lif", "w"), ("w", "lif"), ("lif", "output")],
        type_check=False,
    )
    flat = chain(nir.Affine(np.eye(3) * 3, np.ones(3)), inner.nodes["lif"])
    flat.nodes["w"] = inner.nodes["w"]
    flat.edges += [("n1", "w"), ("w", "n1")]
    x = np.random.default_rng(0).normal(size=(2, T, 3))
    policy = "equations,dt=1e-3"
    nested = from_nir(chain(nir.Affine(np.eye(3) * 3, np.ones(3)), inner), timesteps=T, policy=policy)
    y = run_hybrid(nested, x)
    np.testing.assert_array_equal(y, run_hybrid(from_nir(flat, timesteps=T, policy=policy), x))
    assert 0 < y.mean() < 1
    assert "n1.lif/spikes" in {node.name for node in nested.proto.graph.node}


def test_without_a_policy_the_presets_are_listed():
    with pytest.raises(UsageError, match="HSNN-F084") as caught:
        from_nir(chain(lif()), timesteps=4)
    assert "spikingjelly" in str(caught.value)
    assert "norse" in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "brian", "norse,dt=0", "norse,dt=x", "dt=1", "norse,speed=2", "sinabs,reset=soft"]
)
def test_wrong_policies(text):
    with pytest.raises(UsageError, match="HSNN-F084"):
        parse_policy(text)


def test_a_policy_is_written_and_read_back():
    for seed in range(20):
        policy = Random(seed).policy
        assert parse_policy(policy.text()) == policy
    assert parse_policy("sinabs,comparison=>").comparison == ">"


@pytest.mark.parametrize(
    ("code", "graph", "policy"),
    [
        ("F083", lambda: chain(lif(tau=np.full(3, 1e-4))), "equations,dt=1e-3"),
        ("F083", lambda: chain(lif(tau=np.zeros(3))), "equations,dt=1e-3"),
        ("F083", lambda: chain(lif(v_threshold=np.zeros(3))), "equations,dt=1e-3"),
        ("F083", lambda: chain(nir.Delay(np.full(3, 1.5e-3)), lif()), "equations,dt=1e-3"),
        ("F083", lambda: chain(lif(r=np.array([1, np.nan, 1]))), "equations,dt=1e-3"),
        ("F086", lambda: chain(lif(v_reset=np.full(3, 0.2))), "equations,dt=1e-3,initial=zero"),
        ("F086", lambda: chain(lif(v_leak=np.full(3, 0.2))), "equations,dt=1e-3,initial=leak"),
        ("F086", lambda: chain(lif(v_leak=np.full(3, 0.2))), "sinabs,initial=leak"),
        ("F086", lambda: chain(lif(v_reset=np.full(3, 0.2))), "equations,dt=1e-3,reset=zero_next"),
        ("F086", lambda: chain(cuba(0.2)), "snntorch-subtract,initial=leak"),
        ("F086", lambda: chain(lif()), "sinabs,comparison=>"),
        (
            "F086",
            lambda: chain(lif(v_leak=np.full(3, 0.2))),
            "spikingjelly,initial=leak,reset=subtract_next,spikes=many",
        ),
        ("F082", lambda: chain(lif(n=4)), "equations,dt=1e-3"),
        ("F082", lambda: chain(nir.Linear(np.ones((3, 4))), lif()), "equations,dt=1e-3"),
        ("F082", lambda: chain(nir.Linear(np.ones((4, 3))), lif(4)), "equations,dt=1e-3"),
    ],
)
def test_what_cannot_be_compiled(code, graph, policy):
    with pytest.raises(HsnnError, match=f"HSNN-{code}"):
        from_nir(graph(), timesteps=T, policy=policy)


def loop(*edges, **nodes):
    graph = chain(lif(), lif())
    graph.nodes.update(nodes)
    graph.edges += edges
    return graph


@pytest.mark.parametrize(
    ("code", "graph"),
    [
        ("F086", lambda: loop(("n1", "n0"))),
        ("F086", lambda: loop(("n0", "d"), ("d", "n0"), d=nir.Delay(np.full(3, 1e-3)))),
        ("F086", lambda: loop(("n0", "w"), ("w", "n0"), ("w", "n1"), w=nir.Linear(np.eye(3)))),
        ("F086", lambda: loop(("a", "b"), ("b", "a"), ("a", "n0"), a=nir.Scale(np.ones(3)), b=nir.Scale(np.ones(3)))),
        ("F082", lambda: loop(("n0", "nowhere"))),
        ("F082", lambda: loop(w=nir.Scale(np.ones(3)))),
        ("F082", lambda: loop(("n0", "w"), w=nir.Scale(np.ones(3)))),
        ("F082", lambda: loop(("n0", "input"))),
        ("F082", lambda: loop(("input", "n0"))),
    ],
)
def test_graphs_that_make_no_sense(code, graph):
    with pytest.raises(UnsupportedError, match=f"HSNN-{code}"):
        from_nir(graph(), timesteps=T, policy="equations,dt=1e-3")


def test_a_self_loop_is_a_recurrent_neuron():
    graph = chain(lif(v_threshold=np.full(3, 0.05)))
    graph.edges.append(("n0", "n0"))
    hybrid = from_nir(graph, timesteps=T, policy="equations,dt=1e-3")
    assert "RecurrentLif" in {node.op_type for node in hybrid.proto.graph.node}


@pytest.mark.parametrize("timesteps", [0, -1, 1 << 21])
def test_wrong_numbers_of_timesteps(timesteps):
    with pytest.raises(UsageError, match="HSNN-F085"):
        from_nir(chain(lif()), timesteps=timesteps, policy="spikingjelly")
