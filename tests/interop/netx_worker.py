"""Run a .net file by netx on Lava; in a process of its own, since Lava forks and does not mix with torch.

``python netx_worker.py FOLDER`` runs ``FOLDER/a.net`` as ``FOLDER/job.json`` says. ``x.npy`` is the input, with the
axes of Lava; ``y.npy`` gets what arrives, ``(timestep, *feature)``, in the timesteps of Lava: ``layers`` more than went
in.

The input is one of

- ``spikes`` or ``messages`` ``(timestep, *feature)``, which a source sends to the network;
- ``values`` ``(timestep, *feature)`` for the Delta neurons of an input layer, in 1/64;
- ``bias`` ``(*feature)`` for the LIF neurons of an input layer.

Layers are reset once, each in the timestep in which its first input arrives. With ``read`` the final ``v`` of the last
layer is written instead of what it sent.
"""

from __future__ import annotations

import json
import sys
import types
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np

from hsnn_targets.lava.shim import import_lava

INTERVAL = 4096
MESSAGE_BITS = 16


def main() -> None:
    """Build, run, and write what arrives."""
    folder = Path(sys.argv[1])
    job, given = json.loads((folder / "job.json").read_text()), np.load(folder / "x.npy")
    import_lava()
    stub = "lava.lib.dl.slayer.object_detection"  # it asks for OpenCV and torchvision
    sys.modules.setdefault(stub, types.ModuleType(stub)).__spec__ = ModuleSpec(stub, None)
    from lava.lib.dl.netx import hdf5
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg
    from lava.proc.io.sink import RingBuffer as Sink
    from lava.proc.io.source import RingBuffer as Source

    kind, steps = job["input"], job["timesteps"] + job["layers"]
    options = {} if job["shape"] is None else {"input_shape": tuple(job["shape"])}
    if kind in ("spikes", "bias"):
        # The neurons of an input layer are the first that are reset.
        options |= {"reset_interval": INTERVAL, "reset_offset": int(kind == "spikes")}
    if kind == "messages":
        options["input_message_bits"] = MESSAGE_BITS
    network = hdf5.Network(str(folder / "a.net"), **options)
    if kind == "bias":
        network.in_layer.neuron.bias_mant.init = given
    else:
        port = network.in_layer.neuron.a_in if kind == "values" else network.inp
        train = np.zeros((*port.shape, steps), np.int32)
        train[..., : len(given)] = np.moveaxis(given, 0, -1)
        source = Source(data=train)
        source.s_out.connect(port)
    sink = Sink(shape=network.out.shape, buffer=steps)
    network.out.connect(sink.a_in)
    network.run(condition=RunSteps(num_steps=steps), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
    found = network.out_layer.neuron.v.get().copy() if job["read"] else np.moveaxis(sink.data.get().copy(), -1, 0)
    network.stop()
    np.save(folder / "y.npy", found)


if __name__ == "__main__":
    main()
