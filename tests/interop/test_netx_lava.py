"""netx on Lava sends what hsnn sends, at the offset that the artifact records."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import slayer as library
import torch
from slayer import T, cuba, neuron, norm

from hsnn.frontends.netx.build import NetxOptions, from_netx
from hsnn.frontends.netx.write import net_bytes
from support.segments import quantized_on

pytestmark = [pytest.mark.lava, pytest.mark.slow]
MEAN = norm.MeanOnlyBatchNorm
SMALL = {"weight_scale": 4}
NETWORKS = {
    "dense": ((12,), [(cuba.Dense, (12, 20), {}), (cuba.Dense, (20, 8), {})], 2),
    "dense with biases": ((12,), [(cuba.Dense, (12, 20), {"norm": MEAN}), (cuba.Dense, (20, 8), {"norm": MEAN})], 2),
    "recurrent": ((12,), [(cuba.Recurrent, (12, 16), {}), (cuba.Dense, (16, 8), {})], 2),
    "conv and dense": (
        (2, 7, 6),
        [
            (cuba.Conv, (2, 4, 3), {"norm": MEAN}),
            (cuba.Conv, (4, 3, 2), {}),
            (cuba.Flatten, (), None),
            (cuba.Dense, (36, 5), {}),
        ],
        3,
    ),
}


def on_lava(folder: Path, spikes, layers: int, shape) -> np.ndarray:
    """Run ``folder/a.net`` in a process group of its own, which is ended whatever happens."""
    np.save(folder / "x.npy", spikes)
    command = [sys.executable, "-W", "ignore", str(Path(__file__).parent / "netx_worker.py")]
    command += [str(folder / "a.net"), str(folder / "x.npy"), str(folder / "y.npy"), str(layers)]
    command += ["x".join(map(str, shape))]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        said, _ = child.communicate(timeout=100)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    assert (folder / "y.npy").exists(), said.decode()[-2000:]
    return np.load(folder / "y.npy")


def networks_of(name, folder):
    """Write a network with slayer; return its input, what hsnn sends for the first sample, and the hybrid model."""
    shape, parts, layers = NETWORKS[name]
    torch.manual_seed(0)
    blocks = [kind(neuron(**more), *sizes, **SMALL) if more is not None else kind() for kind, sizes, more in parts]
    x = library.fired(1, *shape)
    library.make_ready(blocks, x)
    library.forward(blocks, x)
    library.export(blocks, folder / "a.net")
    hybrid = from_netx(folder / "a.net", NetxOptions("lava", T, shape))
    assert int(hybrid.record()["output_offset"]) == layers
    ours = library.run(hybrid, np.moveaxis(x.numpy(), -1, 1))[0]
    assert 5 < ours.sum() < ours.size - 5
    return x, ours, hybrid


def assert_equal_on_lava(name, folder, x, ours):
    shape, _, layers = NETWORKS[name]
    spikes = np.moveaxis(x[0].numpy(), -1, 0)  # Lava's axes are (W, H, C)
    spikes = spikes.transpose(0, *range(spikes.ndim - 1, 0, -1))
    theirs = on_lava(folder, spikes, layers, shape[::-1])
    assert np.array_equal(theirs.reshape(len(theirs), -1)[layers : layers + T], ours)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_spike_is_equal(name, tmp_path):
    x, ours, _ = networks_of(name, tmp_path)
    assert_equal_on_lava(name, tmp_path, x, ours)


@pytest.mark.parametrize("name", ["recurrent", "conv and dense"])
def test_netx_runs_what_hsnn_exports(name, tmp_path):
    x, ours, hybrid = networks_of(name, tmp_path)
    _, quantized, _ = quantized_on(hybrid, np.moveaxis(x.numpy(), -1, 1))
    (tmp_path / "a.net").write_bytes(net_bytes(quantized.network))
    assert_equal_on_lava(name, tmp_path, x, ours)
