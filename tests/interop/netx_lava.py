"""Hold hsnn to netx on Lava: a file that one of them or slayer wrote, run by both, message by message."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

import h5py
import numpy as np
import slayer as library
import torch
from slayer import T

from hsnn.frontends.netx.build import NetxOptions, from_netx
from hsnn.frontends.netx.write import net_bytes
from hsnn.ir.hybrid import HybridModel
from support.segments import network_on


def shipped(name: str) -> Path:
    """A file that comes with lava-dl, of the installed wheel."""
    (found,) = (item for item in distribution("lava-dl").files or () if str(item).endswith(f"netx/{name}"))
    return Path(str(found.locate()))


@dataclass(frozen=True, eq=False)
class Written:
    """A network that slayer wrote into ``folder/a.net``.

    Attributes:
        folder: Where it lies.
        x: Input of slayer, ``(batch, *feature, timestep)``.
        ours: What hsnn sends for the first sample, ``(timestep, neuron)``.
        hybrid: What hsnn read.
    """

    folder: Path
    x: torch.Tensor
    ours: np.ndarray
    hybrid: HybridModel

    @property
    def network(self):
        """Integers of the spiking segment."""
        return network_on(self.hybrid, np.moveaxis(self.x.numpy(), -1, 1))

    @property
    def layers(self) -> int:
        """Timesteps that Lava needs more than the sample has: one for each layer of synapses."""
        return sum(kind in ("dense", "dense_rec", "conv") for kind in kinds(self.folder))

    def as_hsnn_writes_it(self) -> list[str]:
        """Write the file anew with hsnn's exporter; returns the types of its layers."""
        (self.folder / "a.net").write_bytes(net_bytes(self.network))
        return kinds(self.folder)


def written(folder: Path, blocks, x, *, schedule="lava", shape=None) -> Written:
    """Write blocks with slayer's exporter and run them by hsnn."""
    library.make_ready(blocks, x)
    library.forward(blocks, x)
    library.export(blocks, folder / "a.net")
    loadable(folder / "a.net")
    hybrid = from_netx(folder / "a.net", NetxOptions(schedule, T, shape))
    return Written(folder, x, library.run(hybrid, np.moveaxis(x.numpy(), -1, 1))[0], hybrid)


def loadable(path: Path) -> None:
    """Store weight and bias of an input layer as numbers: netx takes ``int`` of them, which numpy 2.4 refuses."""
    with h5py.File(path, "r+") as file:
        layer = file["layer/0"]
        for name in {"weight", "bias"} & set(layer):
            if bytes(layer["type"][0] if layer["type"].shape else layer["type"][()]) == b"input":
                value = layer[name][()].reshape(-1)[0]
                del layer[name]
                layer[name] = value


def kinds(folder: Path) -> list[str]:
    """Types of the layers of ``folder/a.net``."""
    with h5py.File(folder / "a.net") as file:
        found = [file[f"layer/{index}/type"] for index in range(len(file["layer"]))]
        return [bytes(item[0] if item.shape else item[()]).decode() for item in found]


def for_lava(x: torch.Tensor) -> np.ndarray:
    """The first sample as Lava takes it: ``(timestep, W, H, C)`` or ``(timestep, N)``."""
    turned = np.moveaxis(x[0].numpy(), -1, 0)
    return turned.transpose(0, *range(turned.ndim - 1, 0, -1))


def on_lava(
    folder: Path, given: np.ndarray, *, layers: int, kind="spikes", shape=None, timesteps=T, read=""
) -> np.ndarray:
    """Run ``folder/a.net`` in a process group of its own, which is ended whatever happens."""
    np.save(folder / "x.npy", given)
    job = {"input": kind, "layers": layers, "shape": shape, "timesteps": timesteps, "read": read}
    (folder / "job.json").write_text(json.dumps(job))
    (folder / "y.npy").unlink(missing_ok=True)
    command = [sys.executable, "-W", "ignore", str(Path(__file__).parent / "netx_worker.py"), str(folder)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        said, _ = child.communicate(timeout=100)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    assert (folder / "y.npy").exists(), said.decode()[-2000:]
    return np.load(folder / "y.npy")


def assert_same(item: Written, *, kind="spikes", late=None, flat=False) -> None:
    """Hold what netx sends for the first sample to what hsnn sends.

    Args:
        item: The network.
        kind: What the input is, as ``netx_worker.py`` has it.
        late: Timesteps that netx is late; one for each layer by default.
        flat: Whether the first layer is dense and takes its input in the order of torch.
    """
    late = item.layers if late is None else late
    units = {"values": 64, "messages": 4096}.get(kind, 1)
    # An input layer of Delta neurons says its shape itself.
    shape = None if kind == "values" else (item.x[0, ..., 0].numel(),) if flat else item.x.shape[-2:0:-1]
    given = np.rint((np.moveaxis(item.x[0].numpy(), -1, 0).reshape(T, -1) if flat else for_lava(item.x)) * units)
    theirs = on_lava(item.folder, given, layers=item.layers, kind=kind, shape=shape)
    found = theirs.transpose(0, *range(theirs.ndim - 1, 0, -1)).reshape(len(theirs), -1)[late : late + T]
    if item.hybrid.record()["output"] in ("messages", "sums"):
        found = found / (4096 if item.hybrid.record()["output"] == "messages" else 1 << 18)
    assert np.array_equal(found, item.ours)
    assert 5 < np.count_nonzero(item.ours) < item.ours.size - 5
