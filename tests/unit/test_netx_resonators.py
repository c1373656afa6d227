""".net files with resonators: the equations of slayer written down again, refusals by layer, and files written back."""

from __future__ import annotations

import numpy as np
import pytest

from hsnn.errors import UnsupportedError
from hsnn.frontends.netx.build import NetxOptions, build, from_netx
from hsnn.frontends.netx.read import parse_arrays
from hsnn.frontends.netx.write import net_bytes
from hsnn.frontends.netx.write_resonators import netx_pair
from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.populations import InputPort, ResonatorPopulation
from hsnn.ir.projections import DenseProjection
from hsnn.verify.netx_files import CUBA, arrays_of, conv, dense, even
from support.segments import network_on, sent_by

T, BATCH = 30, 3
NONE = {name: None for name in CUBA}
PHASE, IZHIKEVICH = "RF_PHASE", "RF_IZHIKEVICH"


def resonant(layer, kind, seed, **changes):
    """Turn a layer of ``hsnn.verify.netx_files`` into one of resonators."""
    shape = layer["weight"].shape
    halves = {"weight": None, "weight/real": even(seed, *shape), "weight/imag": even(seed + 1, *shape)}
    neurons = {"neuron/type": kind.encode(), "neuron/sinDecay": 2500, "neuron/cosDecay": 2700, "neuron/vThMant": 90}
    return {**layer, **NONE, **halves, **neurons, "neuron/gradedSpike": False, **changes}


def hybrid_of(layers, **options):
    return build(parse_arrays(arrays_of(layers)), NetxOptions(timesteps=T, **options))


def times(x, factor):
    return np.sign(x * factor) * (np.abs(x * factor) >> 12)


def resonator(real_drive, imag_drive, layer):
    """slayer's equations in whole numbers; drives are ``(timestep, batch, neuron)`` in units of weights."""
    sin, cos = np.asarray(layer["neuron/sinDecay"]), np.asarray(layer["neuron/cosDecay"])
    level = 64 * layer["neuron/vThMant"]
    real, imag, sent = np.zeros_like(real_drive[0]), np.zeros_like(real_drive[0]), []
    for a_real, a_imag in zip(64 * real_drive, 64 * imag_drive, strict=True):
        before = imag
        real, imag = times(real, cos) - times(imag, sin) + a_real, times(real, sin) + times(imag, cos) + a_imag
        if layer["neuron/type"] == PHASE.encode():
            sent.append((real >= level) & (imag >= 0) & (before < 0))
            continue
        sent.append(imag >= level)
        real, imag = np.where(sent[-1], 0, real), np.where(sent[-1], level - 1, imag)
    return np.stack(sent).astype(np.int64)


def late(train, steps):
    return np.concatenate([np.zeros_like(train[:steps]), train])[: len(train)]


@pytest.mark.parametrize("kind", [PHASE, IZHIKEVICH])
@pytest.mark.parametrize("schedule", ["lava", "slayer"])
def test_dense_layers_with_delays(kind, schedule):
    delay = np.array([0, 0, 1, 2, 5, 1, 0])
    each = np.linspace(200, 2800, 7).astype(np.int64)
    first = resonant(dense(0, 9, 7), kind, 1, delay=delay, **{"neuron/sinDecay": each})
    second = resonant(dense(1, 7, 5), kind, 3)
    x = (np.random.default_rng(5).random((BATCH, T, 9)) < 0.4).astype(np.float32)
    network = network_on(hybrid_of([{"type": b"input", "shape": [9]}, first, second], schedule=schedule), x)
    shift = int(schedule == "slayer")
    train = late(np.moveaxis(x, 1, 0).astype(np.int64), shift)
    for layer in (first, second):
        sent = resonator(*(train @ layer[f"weight/{part}"].T.astype(np.int64) for part in ("real", "imag")), layer)
        steps = layer.get("delay", np.zeros(sent.shape[-1], int))
        train = np.stack([late(sent[..., n], steps[n] + shift) for n in range(sent.shape[-1])], axis=-1)
        assert 0 < sent.mean() < 1
    np.testing.assert_array_equal(sent_by(network, x), sent)


def refused(layer, code="HSNN-F072", entry=4):
    with pytest.raises(UnsupportedError, match=code) as caught:
        hybrid_of([{"type": b"input", "shape": [entry]}, layer])
    assert "layer 1" in str(caught.value)


def test_what_is_refused_names_its_layer():
    good = resonant(dense(0, 4, 3), PHASE, 1)
    hybrid_of([{"type": b"input", "shape": [4]}, good])
    refused({**good, "weight": even(1, 3, 4), "weight/real": None, "weight/imag": None})
    refused({**good, "neuron/vThMant": 0})
    refused({**good, "neuron/vThMant": (1 << 18) - 1})
    refused({**good, "bias": np.array([0, 2, 0])})
    refused({**good, "neuron/sinDecay": 4000, "neuron/cosDecay": 4000})
    refused({**good, "type": b"dense_rec", "weight_rec": even(2, 3, 3)})
    refused({**good, "weight/imag": np.ones((3, 4), np.float32)})
    refused({**dense(0, 4, 3), "weight": None, "weight/real": even(1, 3, 4), "weight/imag": even(2, 3, 4)})


def test_a_convolution_keeps_its_groups():
    layer = resonant(conv(0, 2, (6, 3, 2), 3, groups=2, inChannels=4), IZHIKEVICH, 7)
    hybrid = hybrid_of([{"type": b"input", "shape": [4, 5, 4]}, layer], input_shape=(4, 5, 4))
    x = (np.random.default_rng(1).random((BATCH, T, 4, 5, 4)) < 0.3).astype(np.float32)
    network = network_on(hybrid, x)
    (projection,), (neuron,) = network.projections, network.neurons
    assert (projection.weights.shape, projection.groups, neuron.shape) == ((12, 2, 3, 3), 2, (6, 3, 2))
    np.testing.assert_array_equal(projection.weights[0::2], layer["weight/real"])
    np.testing.assert_array_equal(projection.weights[1::2], layer["weight/imag"])
    assert 0 < sent_by(network, x).mean() < 1


def chain(**changes):
    """One layer of resonators whose decays netx gives back."""
    fields = {"cos_decay": 4000, "sin_decay": 10, "threshold": 90 << 6} | changes
    arrays = {name: np.array(value, np.int32) for name, value in fields.items() if name != "weights"}
    weights = fields.get("weights", even(3, 6, 4).astype(np.int16))
    neuron = ResonatorPopulation("rf", (3,), **arrays, firing="izhikevich")
    return IntegerNetwork(
        "n", T, (InputPort("x", (4,)),), (neuron,), (DenseProjection("p", "x", "rf", weights),), ("rf",)
    )


def test_what_is_written_reads_back(tmp_path):
    pytest.importorskip("h5py")
    network = chain()
    (tmp_path / "a.net").write_bytes(net_bytes(network))
    x = (np.random.default_rng(1).random((BATCH, T, 4)) < 0.3).astype(np.float32)
    again = network_on(from_netx(tmp_path / "a.net"), x)
    np.testing.assert_array_equal(again.projections[0].weights, network.projections[0].weights)
    for name in ("cos_decay", "sin_decay", "threshold", "firing"):
        assert getattr(again.neurons[0], name) == getattr(network.neurons[0], name)


@pytest.mark.parametrize(
    "change",
    [
        {"cos_decay": 782, "sin_decay": 1480},  # comes back as (1479, 782)
        {"sin_decay": 0},
        {"cos_decay": [4000, 4000, 3999]},
        {"threshold": 100},
        {"weights": np.zeros((6, 4), np.int16)},
    ],
)
def test_what_netx_would_compute_otherwise_is_not_written(change):
    pytest.importorskip("h5py")
    with pytest.raises(UnsupportedError, match="HSNN-F079"):
        net_bytes(chain(**change))


def test_netx_gives_about_six_of_ten_pairs_back():
    pairs = np.random.default_rng(0).integers(1, 2896, (1000, 2)).tolist()
    assert 0.5 < np.mean([netx_pair(sin, cos) == (sin, cos) for sin, cos in pairs]) < 0.75
