"""Float simulation against a naive evaluation, its statistics, and its errors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hsnn.errors import UsageError
from hsnn.ir.populations import ConstantSource
from hsnn.ir.spiking import FloatConv, FloatDense, FloatIntegrator, FloatSparse, SpikeInput, SpikingGraph
from hsnn.passes.simulation.simulate import simulate, stepwise_groups
from support.float_graphs import integrator, lif, single, sparse


def mixed_graph(rng, *, timesteps=7):
    """Every kind of projection, parameters of every shape, a loop over two populations, skips and delays."""
    inputs = (SpikeInput("image", (2, 5, 5), "image", True), SpikeInput("graded", (3,), "graded", False))
    populations = (
        ConstantSource("one"),
        lif("conv", (4, 3, 3), threshold=rng.uniform(0.5, 2, (4, 1, 1)), current_decay=0.6, voltage_decay=0.3),
        lif(
            "zero",
            (6,),
            threshold=rng.uniform(0.5, 1.5, 6),
            current_decay=rng.uniform(0, 1, 6),
            voltage_decay=rng.uniform(0, 1, 6),
            bias=rng.normal(0, 0.3, 6),
            comparison=">=",
            refractory=1,
        ),
        lif("subtract", (5,), reset="subtract", voltage_decay=0.1, refractory=2),
        lif("none", (4,), reset="none", voltage_decay=0.4, comparison=">="),
        integrator("out", (2,), current_decay=0.5, voltage_decay=0.2, bias=rng.normal(0, 1, 2)),
    )
    projections = (
        FloatConv("c", "image", "conv", rng.normal(0, 0.6, (4, 1, 3, 2)), (2, 1), (1, 0), (1, 2), groups=2),
        FloatDense("b", "one", "zero", rng.normal(0, 0.2, (6, 1))),
        FloatDense("d", "conv", "zero", rng.normal(0.1, 0.5, (6, 36))),
        sparse("s", "graded", "zero", rng.normal(0, 1, (6, 3)) * (rng.random((6, 3)) < 0.5), delay=2),
        FloatDense("e", "zero", "subtract", rng.normal(0.3, 0.5, (5, 6))),
        FloatDense("back", "none", "zero", rng.normal(0, 0.5, (6, 4)), delay=1),
        FloatDense("self", "subtract", "subtract", rng.normal(0, 0.5, (5, 5)), delay=3),
        sparse("f", "subtract", "none", rng.normal(0.4, 0.5, (4, 5)) * (rng.random((4, 5)) < 0.7)),
        FloatDense("skip", "graded", "none", rng.normal(0, 0.5, (4, 3)), delay=1),
        FloatDense("late", "graded", "none", rng.normal(0, 0.5, (4, 3)), delay=50),
        FloatDense("g", "none", "out", rng.normal(0, 1, (2, 4))),
        FloatDense("h", "conv", "out", rng.normal(0, 1, (2, 36)), delay=2),
    )
    return SpikingGraph("mixed", timesteps, inputs, populations, projections, ("out", "conv"))


def mixed_inputs(rng, batch, *, timesteps=7):
    return {
        "image": rng.random((timesteps, batch, 2, 5, 5)) < 0.4,
        "graded": rng.normal(0, 1, (timesteps, batch, 3)),
    }


def matrix_of(projection, pre, post):
    """The projection as a matrix (post neurons, pre neurons), from its definition."""
    rows, columns = int(np.prod(post)), int(np.prod(pre))
    if isinstance(projection, FloatDense):
        return projection.weights
    matrix = np.zeros((rows, columns))
    if isinstance(projection, FloatSparse):
        for row in range(rows):
            for k in range(projection.indptr[row], projection.indptr[row + 1]):
                matrix[row, projection.indices[k]] += projection.data[k]
        return matrix
    out_c, in_c, kernel_h, kernel_w = projection.weights.shape
    for o, y, x in np.ndindex(post):
        group = o // (out_c // projection.groups)
        for c, i, j in np.ndindex(in_c, kernel_h, kernel_w):
            row = y * projection.stride[0] - projection.padding[0] + i * projection.dilation[0]
            column = x * projection.stride[1] - projection.padding[1] + j * projection.dilation[1]
            if 0 <= row < pre[1] and 0 <= column < pre[2]:
                source = np.ravel_multi_index((group * in_c + c, row, column), pre)
                matrix[np.ravel_multi_index((o, y, x), post), source] += projection.weights[o, c, i, j]
    return matrix


def at(values, neuron, i):
    return float(np.broadcast_to(values, neuron.shape).ravel()[i])


def naive(graph, inputs):
    """Evaluate one sample after the other, neuron by neuron, as the contract says it."""
    batch = next(iter(inputs.values())).shape[1]
    shapes = {item.name: item.shape for item in (*graph.inputs, *graph.populations)}
    matrices = {p.name: matrix_of(p, shapes[p.pre], shapes[p.post]) for p in graph.projections}
    out = {n.name: np.zeros((graph.timesteps, batch, *n.shape)) for n in graph.neurons}
    for sample in range(batch):
        sent = {port.name: inputs[port.name][:, sample].reshape(graph.timesteps, -1) for port in graph.inputs}
        sent |= {n.name: np.zeros((graph.timesteps, int(np.prod(n.shape)))) for n in graph.neurons}
        sent["one"] = np.ones((graph.timesteps, 1))
        u, v, held = ({n.name: [0.0] * int(np.prod(n.shape)) for n in graph.neurons} for _ in range(3))
        for t in range(graph.timesteps):
            for n in graph.neurons:
                for i in range(int(np.prod(n.shape))):
                    a = 0.0
                    for p in graph.into(n.name):
                        if t >= p.delay:
                            a += float(matrices[p.name][i] @ sent[p.pre][t - p.delay])
                    u[n.name][i] = (1 - at(n.current_decay, n, i)) * u[n.name][i] + a
                    moved = (1 - at(n.voltage_decay, n, i)) * v[n.name][i] + u[n.name][i] + at(n.bias, n, i)
                    if isinstance(n, FloatIntegrator):
                        v[n.name][i] = sent[n.name][t, i] = moved
                        continue
                    if held[n.name][i]:
                        held[n.name][i] -= 1
                        continue
                    theta = at(n.threshold, n, i)
                    fires = moved >= theta if n.comparison == ">=" else moved > theta
                    sent[n.name][t, i] = fires
                    held[n.name][i] = n.refractory if fires else 0
                    after = {"zero": 0.0, "subtract": moved - theta, "none": moved}[n.reset]
                    v[n.name][i] = after if fires else moved
        for n in graph.neurons:
            out[n.name][:, sample] = sent[n.name].reshape(graph.timesteps, *n.shape)
    return out


@pytest.mark.parametrize("seed", range(4))
def test_equals_a_naive_evaluation(seed):
    rng = np.random.default_rng(seed)
    graph, inputs = mixed_graph(rng), mixed_inputs(rng, 3)
    run, wanted = simulate(graph, inputs), naive(graph, inputs)
    assert set(run.spikes) == {"conv", "zero", "subtract", "none"}
    for name, spikes in run.spikes.items():
        assert spikes.dtype == np.bool_
        np.testing.assert_array_equal(spikes, wanted[name].astype(bool), err_msg=name)
        assert 0 < spikes.sum() < spikes.size, "a test of nothing"
    np.testing.assert_allclose(run.voltages["out"], wanted["out"], rtol=1e-12)


@pytest.mark.parametrize("block", [1, 2, 5, 100])
def test_blocks_do_not_change_the_result(block):
    rng = np.random.default_rng(5)
    graph, inputs = mixed_graph(rng), mixed_inputs(rng, 5)
    whole, parts = simulate(graph, inputs, block=100), simulate(graph, inputs, block=block)
    assert parts.batch == 5
    for name, spikes in whole.spikes.items():
        np.testing.assert_array_equal(parts.spikes[name], spikes)
        np.testing.assert_array_equal(parts.populations[name].spikes, spikes.sum(axis=(0, 1)))
        assert parts.populations[name].updates == whole.populations[name].updates == 35
    np.testing.assert_allclose(parts.voltages["out"], whole.voltages["out"], rtol=1e-12)
    assert parts.deliveries == pytest.approx(whole.deliveries)


def test_samples_do_not_touch_each_other():
    rng = np.random.default_rng(6)
    graph, inputs = mixed_graph(rng), mixed_inputs(rng, 4)
    alone = simulate(graph, {name: array[:, 2:3] for name, array in inputs.items()})
    together = simulate(graph, inputs)
    for name, spikes in alone.spikes.items():
        np.testing.assert_array_equal(spikes[:, 0], together.spikes[name][:, 2])


def test_statistics_by_hand():
    graph = single([[0.5], [-2.0]], lif("n", (2,), current_decay=0.5, threshold=1.25, bias=0.25), timesteps=3)
    x = np.array([1, 1, 0], np.float32).reshape(3, 1, 1)
    run = simulate(graph, {"x": x})
    stats = run.populations["n"]
    # u: 0.5, 0.75, 0.375 and -2, -3, -1.5; v: 0.75, 1.75 (fires), 0.625 and -1.75, -4.5, -5.75.
    assert (stats.activation, stats.current) == (2.0, 3.0)
    assert (stats.voltage_low, stats.voltage_high) == (-5.75, 1.75)
    assert stats.spikes.tolist() == [1, 0]
    assert stats.rate.tolist() == [1 / 3, 0.0]
    assert run.deliveries == {"w": 2.0}


def test_keep_chooses_what_is_returned_and_statistics_stay():
    rng = np.random.default_rng(7)
    graph, inputs = mixed_graph(rng), mixed_inputs(rng, 2)
    nothing, some = simulate(graph, inputs, keep=()), simulate(graph, inputs, keep=("zero", "out"))
    assert (dict(nothing.spikes), dict(nothing.voltages)) == ({}, {})
    assert (set(some.spikes), set(some.voltages)) == ({"zero"}, {"out"})
    assert nothing.populations["none"].spikes.sum() > 0
    assert nothing.deliveries["late"] == 0.0


@pytest.mark.parametrize(("comparison", "fires"), [(">", False), (">=", True)])
def test_a_tie_is_decided_by_the_comparison(comparison, fires):
    graph = single([[1.0]], lif("n", (1,), comparison=comparison), timesteps=1)
    assert bool(simulate(graph, {"x": np.ones((1, 1, 1))}).spikes["n"].all()) is fires


def test_a_graph_without_inputs_runs_one_sample():
    neuron = lif("n", (2,), threshold=2.5, bias=1.0)
    graph = SpikingGraph("g", 4, (), (neuron,), (), ("n",))
    assert simulate(graph, {}).spikes["n"][:, 0, 0].tolist() == [False, False, True, False]


def test_only_loops_are_computed_stepwise():
    graph = mixed_graph(np.random.default_rng(0))
    names = [[neuron.name for neuron in group] for group in stepwise_groups(graph)]
    assert names == [["conv"], ["zero", "subtract", "none"], ["out"]]


def test_empty_rows_of_a_sparse_matrix_get_nothing():
    matrix = np.zeros((4, 3))
    matrix[1] = [1.0, 0.0, 2.0]
    port, out = SpikeInput("x", (3,), "x", True), integrator("o", (4,))
    graph = SpikingGraph("g", 1, (port,), (out,), (sparse("s", "x", "o", matrix),), ("o",))
    assert simulate(graph, {"x": np.ones((1, 1, 3))}).voltages["o"].ravel().tolist() == [0.0, 3.0, 0.0, 0.0]


GOOD = single([[1.0, 1.0]], lif("n", (1,)))
ONES = np.ones((4, 2, 2), np.float32)


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        ({}, "HSNN-Q002"),
        ({"x": ONES[:3]}, "HSNN-Q002"),
        ({"x": ONES[:, :, :1]}, "HSNN-Q002"),
        ({"x": ONES[:, :0]}, "HSNN-Q002"),
        ({"x": ONES.astype(np.complex64)}, "HSNN-Q002"),
        ({"x": ONES * np.nan}, "HSNN-Q004"),
        ({"x": ONES * np.inf}, "HSNN-Q004"),
        ({"x": ONES.astype(np.float64) * -1e91}, "HSNN-Q004"),
        ({"x": ONES * 2}, "HSNN-Q004"),
        ({"x": ONES * 0.5}, "HSNN-Q004"),
    ],
)
def test_wrong_inputs_are_refused(inputs, code):
    with pytest.raises(UsageError) as caught:
        simulate(GOOD, inputs)
    assert caught.value.code == code
    assert "'x'" in caught.value.found


def test_wrong_options_are_refused():
    for options in ({"keep": ("nobody",)}, {"block": 0}):
        with pytest.raises(UsageError) as caught:
            simulate(GOOD, {"x": ONES}, **options)
        assert caught.value.code == "HSNN-Q002"


def test_two_batch_sizes_are_refused():
    ports = (SpikeInput("x", (2,), "x", True), SpikeInput("y", (2,), "y", True))
    with pytest.raises(UsageError) as caught:
        simulate(replace(GOOD, inputs=ports), {"x": ONES, "y": ONES[:, :1]})
    assert caught.value.code == "HSNN-Q002"
