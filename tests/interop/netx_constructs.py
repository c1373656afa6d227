"""What netx runs on Lava, of the files that slayer writes and of those that hsnn exports, and what is not exported."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import h5py
import netx_networks as networks
import numpy as np
import slayer as library
import torch
from netx_lava import assert_same, for_lava, kinds, loadable, on_lava, shipped, written
from registry import EXACT, POLICY, REFUSED, construct
from slayer import BATCH, T, cuba, neuron, slayer
from slayer_resonators import with_geometry

from hsnn.frontends.netx.build import NetxOptions, from_netx
from hsnn.frontends.netx.write import net_bytes
from hsnn.ir.projections import DenseProjection

LIBRARY = "lava-dl netx, .net files on Lava"
RF = slayer.block.rf
AS_OTHERS = "netx has no such layers; hsnn exports them as the conv and dense layers that compute the same"


def hold(blocks, x, types, *, shape=None, loads=True, schedule="lava", **options):
    """Hold netx to hsnn on the file that slayer writes, if netx loads it, and on the one that hsnn writes."""
    with tempfile.TemporaryDirectory() as folder:
        item = written(Path(folder), blocks, x, schedule=schedule, shape=shape)
        if loads:
            if schedule == "lava" and options.get("kind", "spikes") == "spikes":
                assert int(item.hybrid.record()["output_offset"]) == item.layers
            assert_same(item, **options)
        assert item.as_hsnn_writes_it() == types
        assert_same(item, **options)


def export(blocks, x, *, schedule="lava", change=lambda network: network):
    """Export what hsnn makes of blocks; what is refused raises."""
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        net_bytes(change(written(Path(folder), blocks, x, schedule=schedule).network))


def seeded(make, *arguments, **more):
    """Blocks whose weights are the same each time."""
    torch.manual_seed(0)
    return make(*arguments, **more)


@construct(LIBRARY, "dense with CUBA neurons and biases", EXACT, lava=True)
def dense():
    hold(seeded(networks.dense), library.fired(1, 12), ["input", "dense", "dense"], shape=(12,))


@construct(LIBRARY, "dense_rec", POLICY, note="without biases up to there", lava=True)
def recurrent():
    hold(seeded(networks.recurrent), library.fired(1, 12), ["input", "dense_rec", "dense"], shape=(12,))


@construct(
    LIBRARY, "conv and flatten; biases and decays per channel, stride, padding, dilation, groups", EXACT, lava=True
)
def conv():
    types = ["input", "conv", "conv", "flatten", "dense"]
    hold(seeded(networks.conv), library.fired(1, 2, 7, 6), types, shape=(2, 7, 6))


@construct(LIBRARY, "read-out neurons (slayer's Affine), whose voltage is read", EXACT, lava=True)
def read_out():
    torch.manual_seed(0)
    blocks = [cuba.Dense(neuron(), 12, 20, weight_scale=4), cuba.Affine(neuron(), 20, 6, weight_scale=2)]
    with tempfile.TemporaryDirectory() as folder:
        item = written(Path(folder), blocks, library.fired(7, 12))
        for types in (["dense", "dense"], ["input", "dense", "dense"]):
            assert kinds(item.folder) == types
            theirs = on_lava(item.folder, for_lava(item.x), layers=2, shape=(12,), read="v")
            assert np.array_equal(theirs / 4096, item.ours[-1])
            assert item.ours[-1].any()
            item.as_hsnn_writes_it()


@construct(LIBRARY, "axonal delays of dense layers, CUBA and SDNN", POLICY, note="without biases", lava=True)
def delays():
    hold(seeded(networks.delayed), library.fired(1, 12), ["input", "dense", "dense"])
    x, types = networks.values(14, 12), ["input", "dense", "dense"]
    hold(seeded(networks.changes_delayed), x, types, kind="values", late=0)


@construct(
    LIBRARY,
    "networks of slayer's schedule",
    POLICY,
    note="without biases: the timesteps of the layers only shift their spikes",
    lava=True,
)
def slayers_schedule():
    # What its first layer reads is not late, so there is no layer in front of it.
    options = {"schedule": "slayer", "late": 1}
    hold(seeded(networks.delayed), library.fired(1, 12), ["dense", "dense"], **options)


@construct(LIBRARY, "pool, unpool and convT, CUBA and SDNN", POLICY, note=AS_OTHERS, lava=True)
def pools():
    types = ["input", "conv", "conv", "flatten", "dense", "dense", "dense"]
    hold(seeded(networks.pooled), library.fired(1, 2, 6, 4), types, shape=(2, 6, 4), loads=False)
    x, types = networks.values(14, 2, 6, 8), ["input", "conv", "flatten", "dense", "dense"]
    hold(seeded(networks.changes_pooled), x, types, shape=(2, 6, 8), loads=False, kind="values", late=0)


@construct(
    LIBRARY,
    "dense with resonators, RF_PHASE and RF_IZHIKEVICH",
    POLICY,
    note="pairs of sinDecay and cosDecay that netx's floats give back, six of ten",
    lava=True,
)
def resonators():
    for kind in (RF, slayer.block.rf_iz):
        x = library.fired(31, 12, rate=0.5)
        hold(seeded(networks.resonators, kind), x, ["input", "dense", "dense", "dense"])


@construct(LIBRARY, "conv, pool and others with resonators", POLICY, note=AS_OTHERS, lava=True)
def resonators_conv():
    kind, own = slayer.block.rf_iz, networks.resonator
    torch.manual_seed(0)
    blocks = [
        with_geometry(kind.Conv(own(), 2, 3, 3, stride=2, padding=1, weight_scale=4)),
        with_geometry(kind.Pool(own(), 2, weight_scale=1.5)),
    ]
    x = library.fired(32, 2, 7, 8, rate=0.5)
    # Its first layer is dense, so its input is flat, in the order of torch.
    hold(blocks, x, ["input", "flatten", "dense", "dense"], shape=(2, 7, 8), loads=False, flat=True)


@construct(LIBRARY, "SDNN: input, dense with biases, sigma_output", EXACT, lava=True)
def changes():
    x, types = networks.values(14, 12), ["input", "dense", "dense", "dense"]
    hold(seeded(networks.changes), x, types, kind="values", late=0)


@construct(LIBRARY, "SDNN: conv with biases, flatten", EXACT, lava=True)
def changes_conv():
    x, types = networks.values(14, 2, 6, 7), ["input", "conv", "conv", "flatten", "dense"]
    hold(seeded(networks.changes_conv), x, types, shape=(2, 6, 7), kind="values", late=0)


@construct(
    LIBRARY, "SDNN without an input layer: messages enter", POLICY, note="netx needs input_message_bits=16", lava=True
)
def messages():
    rng = np.random.default_rng(3)
    sent = rng.integers(-300, 300, (BATCH, 12, T)) * (rng.random((BATCH, 12, T)) < 0.5) / 512
    blocks = seeded(networks.changes)[1:3]
    hold(blocks, torch.as_tensor(sent.astype(np.float32)), ["input", "dense", "dense"], kind="messages", late=0)


@construct(
    LIBRARY,
    "input with CUBA neurons; dense without neurons, read as a voltage (Intel's tiny.net and mnist.net)",
    POLICY,
    note="netx's user gives the input as a bias; in hsnn its neurons run on the host, so an export begins behind them",
    lava=True,
)
def input_neurons():
    for name, timesteps, read in (("tiny.net", 16, ""), ("mnist.net", 12, "v")):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "a.net"
            shutil.copyfile(shipped(name), path)
            hybrid = from_netx(path, NetxOptions("lava", timesteps, static_input=True))
            quarters = np.random.default_rng(0).integers(-2, 5, hybrid.inputs[0].shape[1:])
            ours = library.run(hybrid, (quarters / 4)[None].astype(np.float32), timesteps=timesteps)[0]
            loadable(path)
            with h5py.File(path) as file:
                weight, bias = (float(file[f"layer/0/{part}"][()]) for part in ("weight", "bias"))
            given = weight * quarters / 4 + bias
            assert np.array_equal(given, np.rint(given))
            layers = sum(kind in ("dense", "conv") for kind in kinds(Path(folder)))
            given = given.astype(np.int64).transpose(range(given.ndim)[::-1])
            theirs = on_lava(Path(folder), given, layers=layers, kind="bias", timesteps=timesteps, read=read)
            found = theirs / 4096 if read else theirs[layers:].reshape(timesteps, -1)
            assert np.array_equal(found, ours[-1] if read else ours)
            assert np.count_nonzero(ours) > 20


@construct(
    LIBRARY,
    "export: biases of CUBA neurons in slayer's schedule",
    REFUSED,
    code="HSNN-F079",
    note="they work before the first input arrives; netx resets a layer then",
)
def early_biases():
    export(networks.dense(), library.fired(1, 12), schedule="slayer")


@construct(
    LIBRARY,
    "export: biases of SDNN neurons in slayer's schedule",
    REFUSED,
    code="HSNN-F079",
    note="they meet the input of the same timestep; on Lava each layer is a timestep later",
)
def early_biases_of_changes():
    export(networks.changes(), networks.values(14, 12), schedule="slayer")


@construct(
    LIBRARY,
    "export: axonal delays beside biases",
    REFUSED,
    code="HSNN-F079",
    note="netx delays what neurons receive, not what they send",
)
def delays_beside_biases():
    export(networks.dense(delay=True), library.fired(1, 12))


@construct(
    LIBRARY,
    "export: dense_rec beside biases",
    REFUSED,
    code="HSNN-F079",
    note="what a layer sends before it is reset comes back behind its reset",
)
def biased_recurrent():
    export(networks.recurrent(biased=True), library.fired(1, 12))


@construct(
    LIBRARY,
    "export: resonators behind biases",
    REFUSED,
    code="HSNN-F079",
    note="netx does not reset them, so what biases send before the first input stays in their state",
)
def resonators_behind_biases():
    biased = cuba.Dense(neuron(norm=networks.MEAN), 12, 12, weight_scale=4)
    export([biased, *networks.resonators(RF)[:1]], library.fired(1, 12))


@construct(
    LIBRARY,
    "export: axonal delays of dense_rec",
    REFUSED,
    code="HSNN-F079",
    note="netx loses the exponent of its weights then",
)
def delays_of_recurrent():
    export(networks.recurrent(delay=True), library.fired(1, 12))


@construct(LIBRARY, "export: axonal delays of resonators", REFUSED, code="HSNN-F079", note="netx has none for them")
def delays_of_resonators():
    export(networks.resonators(RF, delay=True), library.fired(1, 12))


@construct(
    LIBRARY, "export: resonators whose pair of decays netx changes", REFUSED, code="HSNN-F079", note="by its floats"
)
def rounded_pair():
    export(networks.resonators(RF, survives=False), library.fired(1, 12))


@construct(LIBRARY, "export: adaptive neurons (ALIF)", REFUSED, code="HSNN-F079", note="netx has no process for them")
def adaptive():
    settings = {"threshold": 1.0, "threshold_step": 0.5, "current_decay": 0.1, "voltage_decay": 0.1}
    settings |= {"threshold_decay": 0.1, "refractory_decay": 0.17}
    export([slayer.block.alif.Dense(settings, 12, 20, weight_scale=4)], library.fired(1, 12))


@construct(
    LIBRARY,
    "export: skip connections, concatenations, several outputs",
    REFUSED,
    code="HSNN-F079",
    note="netx builds chains; it raises NotImplementedError for concat",
)
def skips():
    weights = np.full((8, 12), 2, np.int16)

    def skip(network):
        first, last = network.inputs[0].name, network.populations[-1].name
        return replace(network, projections=(*network.projections, DenseProjection("skip", first, last, weights)))

    export(networks.delayed(), library.fired(1, 12), change=skip)
