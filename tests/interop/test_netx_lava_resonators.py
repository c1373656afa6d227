"""netx on Lava sends what hsnn sends, for resonators whose decays survive netx's floats, and runs what hsnn exports."""

from __future__ import annotations

import numpy as np
import pytest
import slayer as library
import torch
from slayer import T, cuba, neuron, slayer
from test_netx_lava import on_lava

from hsnn.errors import UnsupportedError
from hsnn.frontends.netx.build import NetxOptions, from_netx
from hsnn.frontends.netx.resonators import netx_pair
from hsnn.frontends.netx.write import net_bytes
from hsnn.ir.populations import ResonatorPopulation
from support.segments import quantized_on

pytestmark = [pytest.mark.lava, pytest.mark.slow]


def settings(*, survives=True):
    """Parameters of neurons whose pair of decays netx gives back, or does not."""
    for period in np.arange(5.0, 12.0, 0.37):
        device = slayer.neuron.rf.Neuron(0.5, float(period), 0.08).device_params
        pair = (int(device["sinDecay"]), int(device["cosDecay"]))
        if (netx_pair(*pair) == pair) == survives:
            return {"threshold": 0.5, "period": float(period), "decay": 0.08}
    raise AssertionError("no such period")


def written(kind, folder, *, survives=True):
    """Write a network with slayer; return its input, what hsnn sends for the first sample, and the hybrid model."""
    torch.manual_seed(0)
    blocks = [
        kind.Dense(settings(survives=survives), 12, 20, weight_scale=4),
        kind.Dense(settings(survives=survives), 20, 16, weight_scale=8),
        cuba.Dense(neuron(), 16, 6, weight_scale=8),
    ]
    x = library.fired(31, 12, rate=0.5)
    library.make_ready(blocks, x)
    library.export(blocks, folder / "a.net")
    hybrid = from_netx(folder / "a.net", NetxOptions("lava", T))
    ours = library.run(hybrid, np.moveaxis(x.numpy(), -1, 1))[0]
    assert 5 < ours.sum() < ours.size - 5
    return x, ours, hybrid


def sent_by_lava(folder, x):
    theirs = on_lava(folder, x[0].numpy().T, 3, (12,))
    return theirs.reshape(len(theirs), -1)[3 : 3 + T]


@pytest.mark.parametrize("kind", ["rf", "rf_iz"])
def test_every_spike_is_equal(kind, tmp_path):
    x, ours, hybrid = written(getattr(slayer.block, kind), tmp_path)
    assert np.array_equal(sent_by_lava(tmp_path, x), ours)
    _, quantized, _ = quantized_on(hybrid, np.moveaxis(x.numpy(), -1, 1))
    assert sum(isinstance(n, ResonatorPopulation) for n in quantized.network.neurons) == 2
    (tmp_path / "y.npy").unlink()
    (tmp_path / "a.net").write_bytes(net_bytes(quantized.network))
    assert np.array_equal(sent_by_lava(tmp_path, x), ours)


def test_a_pair_that_netx_rounds_is_not_exported(tmp_path):
    x, _, hybrid = written(slayer.block.rf, tmp_path, survives=False)
    _, quantized, _ = quantized_on(hybrid, np.moveaxis(x.numpy(), -1, 1))
    with pytest.raises(UnsupportedError, match="HSNN-F079"):
        net_bytes(quantized.network)


def test_what_netx_makes_of_a_pair_is_what_its_own_functions_make():
    rng = np.random.default_rng(0)
    kept = 0
    for sin, cos in rng.integers(1, 2896, (300, 2)):
        params = slayer.neuron.rf.neuron_params({"sinDecay": int(sin), "cosDecay": int(cos), "vThMant": 64})
        angle, radius = np.pi * 2 * 1 / params["period"], 1 - params["decay"]
        found = tuple(int(np.int32(radius * part(angle) * 4096)) for part in (np.sin, np.cos))
        assert netx_pair(int(sin), int(cos)) == found
        kept += found == (sin, cos)
    assert 100 < kept < 250
