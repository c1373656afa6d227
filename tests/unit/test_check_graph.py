"""Float graphs that break their contract are refused before anything is computed from them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hsnn.errors import HsnnError, QuantizationError
from hsnn.ir.populations import ConstantSource
from hsnn.ir.spiking import FloatConv, FloatDense, SpikeInput, SpikingGraph
from hsnn.passes.simulation.check_graph import check_graph
from support.float_graphs import integrator, lif, single, sparse

GOOD = single([[1.0, 1.0]], lif("n", (1,)))


def with_projection(**changes):
    return replace(GOOD, projections=(replace(GOOD.projections[0], **changes),))


def conv_graph(**changes):
    port, neuron = SpikeInput("x", (2, 4, 4), "x", True), lif("n", (2, 4, 4))
    conv = replace(FloatConv("w", "x", "n", np.ones((2, 2, 3, 3)), padding=(1, 1)), **changes)
    return SpikingGraph("g", 4, (port,), (neuron,), (conv,), ())


def sparse_graph(**changes):
    return replace(GOOD, projections=(replace(sparse("w", "x", "n", np.ones((1, 2))), **changes),))


OUT = integrator("o", (1,))

STRUCTURE = {
    "no timesteps": replace(GOOD, timesteps=0),
    "names twice": replace(GOOD, populations=(lif("x", (1,)),)),
    "projections twice": replace(GOOD, projections=GOOD.projections * 2),
    "no neurons": replace(GOOD, populations=(lif("n", (0,)),), projections=()),
    "empty input": replace(GOOD, inputs=(SpikeInput("x", (0,), "x", True),), projections=()),
    "unknown source": with_projection(pre="nobody"),
    "unknown target": with_projection(post="nobody"),
    "into an input": with_projection(post="x"),
    "into a constant": replace(with_projection(post="one"), populations=(ConstantSource("one"), lif("n", (1,)))),
    "from a read-out": replace(
        GOOD, populations=(OUT, lif("n", (1,))), projections=(FloatDense("w", "o", "n", np.ones((1, 1))),)
    ),
    "loop without delay": replace(GOOD, projections=(FloatDense("w", "n", "n", np.ones((1, 1))),)),
    "delay too long": with_projection(delay=63),
    "delay negative": with_projection(delay=-1),
    "dense shape": with_projection(weights=np.ones((2, 1))),
    "conv of a vector": replace(GOOD, projections=(FloatConv("w", "x", "n", np.ones((1, 2, 1, 1))),)),
    "conv channels": conv_graph(weights=np.ones((2, 1, 3, 3))),
    "conv extent": conv_graph(padding=(0, 0)),
    "conv stride": conv_graph(stride=(0, 1)),
    "conv groups": conv_graph(groups=0),
    "sparse indices": sparse_graph(indices=np.array([0, 2], np.int32)),
    "sparse rows": sparse_graph(indptr=np.array([0, 1], np.int32)),
    "output unknown": replace(GOOD, outputs=("nobody",)),
    "output constant": replace(GOOD, populations=(ConstantSource("one"), lif("n", (1,))), outputs=("one",)),
}


@pytest.mark.parametrize("name", STRUCTURE)
def test_a_broken_structure_is_refused(name):
    with pytest.raises(QuantizationError) as caught:
        check_graph(STRUCTURE[name])
    assert caught.value.code == "HSNN-Q011"
    assert caught.value.allowed
    assert caught.value.fix


PARAMETERS = {
    "threshold zero": {"threshold": 0.0},
    "threshold negative": {"threshold": -1.0},
    "threshold nan": {"threshold": np.nan},
    "threshold infinite": {"threshold": np.inf},
    "threshold shape": {"threshold": np.ones(2)},
    "threshold axes": {"threshold": np.ones((1, 1))},
    "current_decay low": {"current_decay": -0.01},
    "current_decay high": {"current_decay": 1.01},
    "voltage_decay nan": {"voltage_decay": np.nan},
    "voltage_decay high": {"voltage_decay": 2.0},
    "bias infinite": {"bias": -np.inf},
    "bias nan": {"bias": np.nan},
    "refractory negative": {"refractory": -1},
    "refractory long": {"refractory": 65},
    "reset unknown": {"reset": "soft"},
    "comparison unknown": {"comparison": "<"},
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_wrong_parameter_is_refused_by_name(name):
    graph = replace(GOOD, populations=(lif("n", (1,), **PARAMETERS[name]),))
    with pytest.raises(QuantizationError) as caught:
        check_graph(graph)
    error = caught.value
    assert error.code == "HSNN-Q010"
    assert "'n'" in error.found
    assert name.split()[0] in error.found


@pytest.mark.parametrize("weights", [[[np.nan, 1.0]], [[np.inf, 1.0]]])
def test_weights_that_are_not_finite_are_refused(weights):
    with pytest.raises(HsnnError) as caught:
        check_graph(with_projection(weights=np.array(weights)))
    assert caught.value.code == "HSNN-Q010"


def test_weights_of_another_type_are_refused():
    with pytest.raises(HsnnError) as caught:
        check_graph(with_projection(weights=np.ones((1, 2), np.float32)))
    assert caught.value.code == "HSNN-Q010"


def test_parameters_may_broadcast():
    neuron = lif("n", (2, 3, 3), threshold=np.ones((2, 1, 1)), bias=np.ones((3,)), voltage_decay=np.zeros((1, 3, 1)))
    check_graph(SpikingGraph("g", 1, (), (neuron,), (), ()))
