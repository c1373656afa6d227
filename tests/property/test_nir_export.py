"""Hybrid models written as NIR and read back: the same spikes, states and integers, bit for bit."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from onnx import numpy_helper

nir = pytest.importorskip("nir")

from hsnn.frontends.nir.build import from_nir  # noqa: E402 - needs nir
from hsnn.frontends.nir.write import to_nir  # noqa: E402
from hsnn.ir.projections import ConvProjection, SparseProjection  # noqa: E402
from hsnn.ir.shape import size  # noqa: E402
from hsnn.passes.quantization.quantize import QuantizeOptions, quantize  # noqa: E402
from hsnn.passes.rewrite.canonicalize import canonicalize  # noqa: E402
from hsnn.passes.simulation.calibrate import calibration_of  # noqa: E402
from hsnn.passes.simulation.simulate import simulate  # noqa: E402
from hsnn.passes.trains.linear import ConvMap, as_matrix  # noqa: E402
from support.nir_models import BUILDS, T, dense, driven, segment  # noqa: E402
from support.onnx_states import states_over_time  # noqa: E402


def round_trip(hybrid, tmp_path):
    export = to_nir(hybrid)
    path = tmp_path / "network.nir"
    path.write_bytes(export.to_bytes())
    return export, from_nir(path)


def matrix(projection, shapes):
    """A projection as a dense matrix of whole numbers."""
    if isinstance(projection, ConvProjection):
        pre, post = shapes[projection.pre], shapes[projection.post]
        flat = [shape if len(shape) == 3 else (shape[0], 1, shape[1]) for shape in (pre, post)]
        (top, left) = projection.padding
        conv = ConvMap(
            projection.weights.astype(np.float64), *flat, projection.stride, (top, left, top, left),
            projection.dilation, projection.groups,
        )  # fmt: skip
        return as_matrix((conv,)).toarray() * 2.0**projection.weight_exp
    if isinstance(projection, SparseProjection):
        whole = np.zeros((len(projection.indptr) - 1, size(shapes[projection.pre])))
        rows = np.repeat(np.arange(whole.shape[0]), np.diff(projection.indptr))
        np.add.at(whole, (rows, projection.indices), projection.data.astype(np.float64))
        return whole * 2.0**projection.weight_exp
    return projection.weights * 2.0**projection.weight_exp


def assert_same_integers(ours, theirs):
    """Two networks are one: neurons in every field, synapses as matrices, by delay and source."""
    place = [{item.name: index for index, item in enumerate((*n.inputs, *n.populations))} for n in (ours, theirs)]
    for a, b in zip(ours.populations, theirs.populations, strict=True):
        assert type(a) is type(b)
        for item in fields(a):
            if item.name == "name" or (item.name == "reset" and np.all(np.asarray(a.dv) == 4096)):
                continue  # What forgets everything in a timestep has nothing to reset.
            np.testing.assert_array_equal(getattr(a, item.name), getattr(b, item.name), err_msg=f"{a.name} {item.name}")
    sums = []
    for network, places in zip((ours, theirs), place, strict=True):
        shapes = {item.name: getattr(item, "shape", (1,)) for item in (*network.inputs, *network.populations)}
        total = {}
        for link in network.projections:
            key = (places[link.pre], places[link.post], link.delay)
            total[key] = total.get(key, 0.0) + matrix(link, shapes)
        sums.append(total)
    assert sums[0].keys() == sums[1].keys()
    for key, found in sums[0].items():
        np.testing.assert_array_equal(found, sums[1][key], err_msg=str(key))


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("seed", range(6))
def test_what_is_written_and_read_back_is_the_same(build, seed, tmp_path):
    hybrid = BUILDS[build](seed)
    export, back = round_trip(hybrid, tmp_path)
    graphs = segment(hybrid), segment(back)
    runs, networks = [], []
    for graph in graphs:
        inputs = driven(graph, seed)
        run = simulate(graph, inputs)
        runs.append(run)
        networks.append(quantize(graph, calibration_of(graph, inputs, run), QuantizeOptions(margin=4.0)).network)
    spikes = 0
    for ours, theirs in zip(graphs[0].neurons, graphs[1].neurons, strict=True):
        for kept in ("spikes", "voltages"):
            a, b = getattr(runs[0], kept), getattr(runs[1], kept)
            assert (ours.name in a) == (theirs.name in b)
            if ours.name in a:
                np.testing.assert_allclose(a[ours.name], b[theirs.name], rtol=1e-6, atol=1e-6)
                spikes += np.count_nonzero(a[ours.name])
    assert spikes > 0
    assert_same_integers(*networks)
    assert all("Train" in item for item in export.left_out)


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("seed", range(3))
def test_neurons_hold_the_same_states_over_time(build, seed, tmp_path):
    """Currents as they go into the voltage, voltages before and behind every reset, of every neuron."""
    hybrid = canonicalize(BUILDS[build](seed))
    _, back = round_trip(hybrid, tmp_path)
    runs = []
    for model in (hybrid, back):
        ports = zip(model.inputs, driven(segment(hybrid), seed).values(), strict=True)
        feeds = {info.name: np.ascontiguousarray(array.swapaxes(0, 1), np.float32) for info, array in ports}
        runs.append(states_over_time(model, feeds))
    pairs = list(zip(runs[0][0], runs[1][0], strict=True))
    same = np.ones(5, np.bool_)  # samples without a spike that fell on the other side of its threshold
    for (node, ours), (_, theirs) in pairs:
        if node.op_type != "LeakyIntegrator":
            same &= (ours["s"] == theirs["s"]).swapaxes(0, 1).reshape(5, -1).all(axis=1)
    assert same.sum() >= 4
    compared = set()
    for (node, ours), (other, theirs) in pairs:
        for name, (a, b) in held_alike((node, ours, hybrid), (other, theirs, back)).items():
            assert_close(a[:, same], b[:, same], f"{node.name} {name}")
            compared.add(name)
    assert {"into the voltage", "v", "margin"} <= compared


def held_alike(*sides):
    """Pair what both sides hold by name.

    A bias may go into the input or into the voltage. What has no memory holds nothing: there only the distance from
    the threshold counts, of which a bias may be a part.
    """
    (node, states, model), (other, others, back) = sides
    pairs = {}
    if not np.all(value(model, node.input[2]) == 1.0):
        bias = 3 if node.op_type == "LeakyIntegrator" else 4
        into = [held["driven"] + value(owner, item.input[bias]) for item, held, owner in sides]
        pairs = {"into the voltage": into} | {
            name: (states[name], others[name]) for name in ("v_in", "v") if name in states
        }
    if node.op_type != "LeakyIntegrator":
        levels = value(model, node.input[3]), value(back, other.input[3])
        pairs["margin"] = (states["v_in"] - levels[0], others["v_in"] - levels[1])
    return pairs


def value(model, name):
    return next(numpy_helper.to_array(item) for item in model.proto.graph.initializer if item.name == name)


def assert_close(a, b, what):
    np.testing.assert_allclose(b, a, rtol=0, atol=1e-5 * max(1.0, np.abs(a).max()), err_msg=what)


def test_every_type_of_node_is_written(tmp_path):
    used = set()
    for seed in range(8):
        for build in BUILDS.values():
            graph = to_nir(build(seed)).graph
            nested = [node for node in graph.nodes.values() if isinstance(node, nir.NIRGraph)]
            used |= {type(node).__name__ for one in (graph, *nested) for node in one.nodes.values()}
    assert used == {name for name in nir.ir.__all__ if name[0].isupper()} - {"NIRNode"}


def test_equal_models_give_equal_files_that_nir_reads_with_its_own_checks(tmp_path):
    export, _ = round_trip(dense(2), tmp_path)
    assert export.to_bytes() == to_nir(dense(2)).to_bytes()
    graph = nir.read(tmp_path / "network.nir")
    assert graph.metadata["hsnn_timesteps"] == str(T)
    assert "comparison=" in graph.metadata["hsnn_policy"]
