"""Run a .net file by netx on Lava; in a process of its own, since Lava forks and does not mix with torch.

``python netx_worker.py FILE.net SPIKES.npy OUT.npy LAYERS SHAPE``: spikes are ``(timestep, *feature)`` with the axes of
Lava; the output has the timesteps of Lava, ``LAYERS`` more than went in.
"""

from __future__ import annotations

import sys
import types
from importlib.machinery import ModuleSpec

import numpy as np

from hsnn_targets.lava.shim import import_lava

INTERVAL, OFFSET = 4096, 1
"""Reset once: every layer in the timestep in which its first input arrives."""


def main() -> None:
    """Build, run, and write what arrives."""
    path, spikes, out, layers = sys.argv[1], np.load(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    import_lava()
    stub = "lava.lib.dl.slayer.object_detection"  # it asks for OpenCV and torchvision
    sys.modules.setdefault(stub, types.ModuleType(stub)).__spec__ = ModuleSpec(stub, None)
    from lava.lib.dl.netx import hdf5
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg
    from lava.proc.io.sink import RingBuffer as Sink
    from lava.proc.io.source import RingBuffer as Source

    steps = len(spikes) + layers
    shape = tuple(int(extent) for extent in sys.argv[5].split("x"))
    network = hdf5.Network(path, input_shape=shape, reset_interval=INTERVAL, reset_offset=OFFSET)
    train = np.zeros((*network.inp.shape, steps), np.int32)
    train[..., : len(spikes)] = np.moveaxis(spikes, 0, -1)
    source, sink = Source(data=train), Sink(shape=network.out.shape, buffer=steps)
    source.s_out.connect(network.inp)
    network.out.connect(sink.a_in)
    network.run(condition=RunSteps(num_steps=steps), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
    found = sink.data.get().copy()
    network.stop()
    np.save(out, np.moveaxis(found, -1, 0))


if __name__ == "__main__":
    main()
