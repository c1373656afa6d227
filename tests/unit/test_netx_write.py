"""Writing .net files: reading them back gives the same integers, and what netx lacks is refused by name."""

import json
from dataclasses import replace

import numpy as np
import pytest

from hsnn.cli import main
from hsnn.errors import UnsupportedError
from hsnn.frontends.netx.build import NetxOptions, from_netx
from hsnn.frontends.netx.write import net_bytes, net_layers
from hsnn.frontends.netx.write_synapses import matrix_of
from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.plan import ModelValue
from hsnn.ir.populations import InputPort, IntegratorPopulation, LifPopulation, SigmaDeltaPopulation
from hsnn.ir.projections import ConvProjection, DenseProjection, SparseProjection
from hsnn.ir.validate import validate_network
from hsnn.passes.simulation.synapses import deliver
from hsnn.program import ChipInput, ChipOutput, ChipStage, Metadata, Program
from hsnn.verify.netx_files import even
from support.segments import network_on

h5py = pytest.importorskip("h5py")


def array(*values):
    return np.array(values[0] if len(values) == 1 else values, np.int32)


def lif(name, shape, **changes):
    fields = {"du": array(1023), "dv": array(128), "threshold": array(80 << 6), "bias_mant": array(0)} | changes
    return LifPopulation(name, shape, **fields)


def weights(seed, *shape):
    return even(seed, *shape).astype(np.int16)


def chain(*, loop=False) -> IntegerNetwork:
    """Convolution, dense, read-out; the dense layer with synapses to itself, or the first two with biases."""
    bias = np.repeat(array(-6, 0, 254), 20).reshape(3, 4, 5)
    bias *= not loop
    network = IntegerNetwork(
        "chip.0",
        12,
        (InputPort("x", (2, 5, 5)),),
        (
            lif("a", (3, 4, 5), bias_mant=bias, bias_exp=6, du=np.repeat(array(-1, 5, 4095), 20).reshape(3, 4, 5)),
            lif("b", (7,), bias_mant=array(0 if loop else 128), bias_exp=0),
            IntegratorPopulation("c", (4,), array(4095), array(array(0, 1, 2, 4096)), array(0)),
        ),
        (
            ConvProjection("xa", "x", "a", weights(0, 3, 2, 2, 3), padding=(0, 1)),
            DenseProjection("ab", "a", "b", weights(1, 7, 60) // 4 * 2, 1),
            *([DenseProjection("bb", "b", "b", weights(2, 7, 7), delay=1)] if loop else []),
            DenseProjection("bc", "b", "c", weights(3, 4, 7)),
        ),
        ("c",),
    )
    validate_network(network)
    return network


def sigma_delta(name, shape, **changes):
    fields = {"threshold": array(6 << 12), "bias": array(0), "message_shift": 6, "keep_rest": False} | changes
    return SigmaDeltaPopulation(name, shape, **fields)


def changes(**delays) -> IntegerNetwork:
    """Values, convolution, dense, sums: sigma-delta neurons as lava-dl has them, in the timesteps of Lava."""
    each = SparseProjection(
        "xd", "x", "d", np.full(50, 64, np.int16), np.arange(50, dtype=np.int32), np.arange(51, dtype=np.int32)
    )
    network = IntegerNetwork(
        "chip.0",
        12,
        (InputPort("x", (2, 5, 5), 8192, signed=True),),
        (
            sigma_delta("d", (2, 5, 5), accumulate=False, rectify=False),
            sigma_delta("a", (3, 4, 5), bias=np.repeat(array(-6, 0, 254), 20).reshape(3, 4, 5) << 12),
            sigma_delta("b", (7,), bias=array(2 << 12), threshold=array(0)),
            sigma_delta("c", (4,), threshold=array(0), message_shift=0, rectify=False),
        ),
        (
            each,
            ConvProjection("da", "d", "a", weights(0, 3, 2, 2, 3) // 16 * 2, padding=(0, 1), delay=1),
            DenseProjection("ab", "a", "b", weights(1, 7, 60) // 16 * 2, delay=1),
            DenseProjection("bc", "b", "c", weights(3, 4, 7), delay=1),
        ),
        ("c",),
    )
    network = replace(
        network, projections=tuple(replace(p, delay=delays.get(p.name, p.delay)) for p in network.projections)
    )
    validate_network(network)
    return network


def test_sigma_delta_networks_read_back(tmp_path):
    network = changes()
    found = read_back(network, tmp_path)
    names = ("threshold", "bias", "message_shift", "accumulate", "rectify")
    for ours, theirs in zip(network.neurons, found.neurons, strict=True):
        assert all(np.all(getattr(ours, name) == getattr(theirs, name)) for name in names)
        assert ours.keep_rest == theirs.keep_rest or not ours.message_shift
    for ours, theirs in zip(network.projections, found.projections, strict=True):
        raw = [item.data if isinstance(item, SparseProjection) else item.weights for item in (ours, theirs)]
        assert np.array_equal(raw[0].astype(int) << ours.weight_exp, raw[1].astype(int) << theirs.weight_exp)
        assert ours.delay == theirs.delay
    with h5py.File(tmp_path / "a.net") as file:
        assert [file[f"layer/{index}/neuron/type"][()] for index in (0, 1, 3, 4)] == [b"SDNN"] * 4
        assert file["layer/4/neuron/sigma_output"].dtype == np.bool_


def delayed(late=0, **fields) -> IntegerNetwork:
    """Two dense layers without biases; neurons of the first have delays of 0, 3 and 5 timesteps."""
    steps, whole = np.array([0, 3, 5, 3, 0]), weights(1, 4, 5)
    parts = tuple(
        DenseProjection(f"ab{step}", "a", "b", np.where(steps == step, whole, 0).astype(np.int16), delay=step + late)
        for step in (0, 3, 5)
    )
    first = DenseProjection("xa", "x", "a", weights(0, 5, 6), delay=late)
    populations = (lif("a", (5,), **fields), lif("b", (4,)))
    return IntegerNetwork("chip.0", 12, (InputPort("x", (6,)),), populations, (first, *parts), ("b",))


@pytest.mark.parametrize(("late", "schedule"), [(0, "lava"), (1, "slayer")])
def test_delays_read_back(late, schedule, tmp_path):
    network = delayed(late)
    layers = net_layers(network)
    assert layers[1]["delay"].tolist() == [0, 3, 5, 3, 0]
    assert np.array_equal(layers[2]["weight"], sum(p.weights for p in network.projections[1:]))
    found = read_back(network, tmp_path, schedule=schedule)
    matrices = [
        {p.delay: matrix_of(p, n.source(p.pre).shape, (4,)) for p in n.into(n.outputs[0])} for n in (network, found)
    ]
    assert matrices[0].keys() == matrices[1].keys()
    assert all(np.array_equal(matrices[0][step], matrices[1][step]) for step in matrices[0])
    assert found.into(found.populations[0].name)[0].delay == late


def test_a_convolution_behind_a_dense_layer_is_one_itself():
    """Here the second layer is a pool that came out as single synapses, so its neurons stand in one row in netx."""
    first = chain()
    pool = SparseProjection(
        "ab", "a", "b", np.full(60, 64, np.int16), np.arange(60, dtype=np.int32), np.arange(61, dtype=np.int32)
    )
    conv = ConvProjection("bc", "b", "c", weights(4, 2, 3, 3, 3), stride=(1, 2))
    populations = (first.populations[0], lif("b", (3, 4, 5)), lif("c", (2, 2, 2)))
    layers = net_layers(replace(first, populations=populations, projections=(first.projections[0], pool, conv)))
    assert [layer["type"] for layer in layers] == ["input", "conv", "flatten", "dense", "dense"]
    image = np.random.default_rng(0).integers(0, 2, (1, 3, 4, 5))
    expected = deliver(conv, image, (2, 2, 2)).reshape(-1)
    assert np.array_equal(layers[-1]["weight"] @ image.reshape(-1), expected)


def read_back(network, tmp_path, schedule="lava") -> IntegerNetwork:
    path = tmp_path / "a.net"
    path.write_bytes(net_bytes(network))
    hybrid = from_netx(path, NetxOptions(schedule))
    shape = (2, *hybrid.inputs[0].shape[1:])
    x = (np.random.default_rng(0).random(shape) < 0.3).astype(np.float32)
    return network_on(hybrid, x)


@pytest.mark.parametrize("loop", [False, True])
def test_reading_back_gives_the_same_integers(loop, tmp_path):
    network = chain(loop=loop)
    found = read_back(network, tmp_path)
    assert found.timesteps == network.timesteps
    assert found.inputs[0].shape == network.inputs[0].shape
    for ours, theirs in zip(network.neurons, found.neurons, strict=True):
        assert type(ours) is type(theirs)
        for name in ("du", "dv", "bias", *(("threshold",) if isinstance(ours, LifPopulation) else ())):
            whole = [np.broadcast_to(getattr(item, name), ours.shape) for item in (ours, theirs)]
            assert np.array_equal(*whole)
    assert len(found.projections) == len(network.projections)
    for ours in network.projections:
        pre, post = (order(network, end) for end in (ours.pre, ours.post))
        (theirs,) = (p for p in found.projections if (order(found, p.pre), order(found, p.post)) == (pre, post))
        wide = [item.weights.astype(int) << item.weight_exp for item in (ours, theirs)]
        assert np.array_equal(*wide)
        assert ours.delay == theirs.delay
        if isinstance(ours, ConvProjection):
            assert (ours.stride, ours.padding, ours.groups) == (theirs.stride, theirs.padding, theirs.groups)


def order(network, name):
    return [item.name for item in (*network.inputs, *network.populations)].index(name)


def test_the_types_are_those_of_lava_dl(tmp_path):
    path = tmp_path / "a.net"
    path.write_bytes(net_bytes(chain()))
    assert path.read_bytes() == net_bytes(chain())
    with h5py.File(path) as file:
        kinds = [file[f"layer/{index}/type"] for index in range(len(file["layer"]))]
        assert [bytes(kind[0]) for kind in kinds] == [b"input", b"conv", b"flatten", b"dense", b"dense"]
        assert all(kind.dtype == "S10" and kind.shape == (1,) for kind in kinds)
        assert file["layer/3/neuron/type"].dtype == object
        assert file["layer/3/weight"].dtype == np.float32
        assert file["layer/3/inFeatures"].dtype == np.int64
        assert file["layer/3/bias"][:].tolist() == [2.0] * 7
        assert file["layer/1/neuron/iDecay"][:].tolist() == [0, 6, 4096]


def saved(network, path):
    """An artifact with nothing but a segment in it."""
    stage = ChipStage("chip.0", network, (ChipInput("x", "x", 1.0),), (ChipOutput("y", network.outputs[0], 1.0),))
    values = [ModelValue(name, (None, 12), "float32") for name in "xy"]
    Program((stage,), (values[0],), (values[1],), Metadata("0", "reference")).save(path)
    return str(path)


def test_the_verb_export(tmp_path, capsys):
    artifact, path = saved(chain(), tmp_path / "a.hsnn"), tmp_path / "a.net"
    assert main(["export", artifact, "--to", "netx", "-o", str(path), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["layers"] == ["input", "conv", "flatten", "dense", "dense"]
    assert result["schedule"] == "lava"
    assert path.read_bytes() == net_bytes(chain())
    assert main(["export", artifact, "--to", "netx", "-o", str(path)]) == 2
    refused = saved(changed(0, reset="none"), tmp_path / "b.hsnn")
    assert main(["export", refused, "--to", "netx", "-o", str(tmp_path / "b.net")]) == 3
    assert "HSNN-F079: 'a' resets by 'none'" in capsys.readouterr().err
    assert not (tmp_path / "b.net").exists()


def changed(index, network=None, **fields):
    network = network or chain()
    populations = list(network.populations)
    populations[index] = replace(populations[index], **fields)
    return replace(network, populations=tuple(populations))


def linked(index, **changes):
    network = chain(loop=True)
    projections = list(network.projections)
    projections[index] = replace(projections[index], **changes)
    return replace(network, projections=tuple(projections))


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (changed(0, reset="none"), "'a' resets by 'none'"),
        (changed(1, refractory=2), "refractory time of 2"),
        (changed(1, threshold=array(5000)), "threshold of 'b'"),
        (changed(1, bias_mant=array(3)), "biases of 'b'"),
        (changed(0, dv=np.arange(60, dtype=np.int32).reshape(3, 4, 5)), "dv of 'a'"),
        (linked(0, delay=2), "'xa' has delays of 2 to 2"),
        (linked(2, delay=2), "'bb' is a loop"),
        (changed(0, chain(loop=True), bias_mant=array(64)), "'b' has synapses to itself, and a biases"),
        (changed(1, chain(loop=True), bias_mant=array(64)), "'b' has synapses to itself, and b biases"),
        (linked(3, weight_exp=3), "weights of 'bc'"),
        (linked(3, weights=np.zeros((4, 7), np.int16)), "all weights of 'bc' are 0"),
        (linked(3, pre="a", weights=weights(0, 4, 60)), "'c' reads a"),
        (replace(chain(), outputs=("b",)), "gives back b"),
        (replace(chain(), inputs=(InputPort("x", (2, 5, 5), max_payload=7),)), "x (graded)"),
        (changed(1, changes(), keep_rest=True), "messages of 'a'"),
        (changed(1, changes(), message_shift=4), "leave 4 bits"),
        (changed(2, changes(), threshold=array(5)), "threshold of 'b' is 5"),
        (changed(1, changes(), bias=array(64)), "biases of 'a'"),
        (changed(2, changes(), rectify=False), "'b' has no ReLU"),
        (changed(3, changes(), bias=array(1 << 12)), "sends its sum with a threshold or a bias"),
        (changes(da=0), "biases of a, b work"),
        (changes(xd=1), "xd lead into 'd'"),
        (delayed(bias_mant=array(64)), "beside biases of a"),
        (changed(1, delayed(late=1), bias_mant=array(64)), "biases of b work"),
        (replace(delayed(), populations=(lif("a", (5,)), sigma_delta("b", (4,)))), "beside others"),
        (
            replace(
                delayed(), projections=(*delayed().projections, DenseProjection("again", "a", "b", weights(1, 4, 5)))
            ),
            "lead from the same neurons",
        ),
    ],
)
def test_what_netx_lacks_is_refused(network, said):
    with pytest.raises(UnsupportedError) as caught:
        net_layers(network)
    assert caught.value.code == "HSNN-F079"
    assert said in caught.value.found
