"""Constructs of lava-dl's slayer: written by its own ``export_hdf5``, run by it and by hsnn, equal in every spike."""

from __future__ import annotations

import sys
import tempfile
import types
from importlib.machinery import ModuleSpec
from pathlib import Path

import h5py
import numpy as np
import torch
from registry import POLICY, REFUSED, construct

# slayer imports all of itself, and its object detection asks for OpenCV and torchvision.
STUB = "lava.lib.dl.slayer.object_detection"
sys.modules.setdefault(STUB, types.ModuleType(STUB)).__spec__ = ModuleSpec(STUB, None)

from lava.lib.dl import slayer  # noqa: E402  # the stub has to be there first

from hsnn.frontends.netx.build import NetxOptions, from_netx  # noqa: E402  # as above
from hsnn.ir.hybrid import HybridModel  # noqa: E402  # as above
from hsnn.runtime.bridge import to_payloads  # noqa: E402  # as above
from hsnn.target import find_target  # noqa: E402  # as above
from support.segments import quantized_on  # noqa: E402  # as above

LIBRARY = "lava-dl slayer, by .net"
SLAYER = "delay_shift is not in the file: --schedule slayer for True, lava for False; both are equal"
T, BATCH = 40, 3
cuba, norm = slayer.block.cuba, slayer.neuron.norm


def neuron(**changes):
    """Parameters of neurons; a dict of its own for each block, since blocks change it."""
    return {"threshold": 1.0, "current_decay": 0.25, "voltage_decay": 0.03} | changes


def fired(seed, *shape, rate=0.3):
    """Spikes as slayer takes them: (batch, *feature, timestep)."""
    return torch.as_tensor((np.random.default_rng(seed).random((BATCH, *shape, T)) < rate).astype(np.float32))


def make_ready(blocks, x):
    """One forward in training mode finds shapes and means; then delays are spread and states forgotten."""
    torch.manual_seed(1)
    with torch.no_grad():
        y = x
        for block in blocks:
            y = block.train()(y)
        for block in blocks:
            block.eval()
            if getattr(block, "delay", None) is not None:
                block.delay.delay.data = 5 * torch.rand_like(block.delay.delay.data)
            if hasattr(block, "spike_state"):  # a Recurrent block keeps it from one call to the next
                block.spike_state = torch.zeros(1)
                block.neuron.current_state = block.neuron.voltage_state = torch.zeros(1)


def forward(blocks, x):
    """What slayer sends: (batch, timestep, neuron)."""
    with torch.no_grad():
        for block in blocks:
            x = block(x)
    return np.moveaxis(x.numpy().reshape(BATCH, -1, T), -1, 1)


def export(blocks, path):
    """Write a file with slayer's own exporter, which needs a forward before."""
    with h5py.File(path, "w") as file:
        layers = file.create_group("layer")
        for index, block in enumerate(blocks):
            block.export_hdf5(layers.create_group(str(index)))


def run(hybrid: HybridModel, x, *, timesteps=T) -> np.ndarray:
    """Run the integers of a hybrid model; host parts in ONNX Runtime, the spiking part on the reference."""
    import onnxruntime

    plan, quantized, batch = quantized_on(hybrid, x)
    (segment,) = plan.chip_segments
    (port,), (entry,) = quantized.network.inputs, segment.graph.inputs
    scale = quantized.input_scales[port.name]
    payloads, _ = to_payloads(batch.values[entry.value], port, scale=scale, timesteps=timesteps)
    (sent,) = find_target("reference").load(quantized.network).run({port.name: payloads}).outputs.values()
    value = sent.astype(np.float32) * np.float32(quantized.output_scales[segment.graph.outputs[0]])
    session = onnxruntime.InferenceSession(plan.stages[-1].model)
    (y,) = session.run(None, {plan.stages[-1].inputs[0]: value})
    return y.reshape(len(x), timesteps, -1)


def assert_equal(make, x, *, schedules=("slayer", "lava"), least=20, shape=None):
    """Hold hsnn to slayer for both schedules: every spike, at the offset that the record states."""
    for schedule in schedules:
        torch.manual_seed(0)
        blocks = make(schedule == "slayer")
        make_ready(blocks, x)
        expected = forward(blocks, x)
        with tempfile.TemporaryDirectory() as folder:
            export(blocks, Path(folder) / "a.net")
            hybrid = from_netx(Path(folder) / "a.net", NetxOptions(schedule, T, shape))
        found = run(hybrid, np.moveaxis(x.numpy(), -1, 1))
        offset = int(hybrid.record()["output_offset"]) if schedule == "slayer" else 0
        assert np.count_nonzero(expected) >= least
        assert np.count_nonzero(expected) < expected.size
        assert np.array_equal(found[:, : T - offset], expected[:, offset:])
        assert not expected[:, :offset].any()


@construct(LIBRARY, "cuba.Dense", POLICY, note=SLAYER)
def dense():
    assert_equal(
        lambda shift: [
            cuba.Dense(neuron(), 12, 20, weight_scale=4, delay_shift=shift),
            cuba.Dense(neuron(), 20, 8, weight_scale=4, delay_shift=shift),
        ],
        fired(0, 12),
    )


@construct(LIBRARY, "cuba.Dense with MeanOnlyBatchNorm and weight norm", POLICY, note=SLAYER)
def dense_norm():
    settings = {"weight_scale": 4, "weight_norm": True}
    assert_equal(
        lambda shift: [
            cuba.Dense(neuron(norm=norm.MeanOnlyBatchNorm), 12, 20, delay_shift=shift, **settings),
            cuba.Dense(neuron(norm=norm.MeanOnlyBatchNorm), 20, 8, delay_shift=shift, **settings),
        ],
        fired(1, 12),
    )


@construct(LIBRARY, "axonal delays, also of the last block", POLICY, note=SLAYER)
def delays():
    assert_equal(
        lambda shift: [
            cuba.Dense(neuron(norm=norm.MeanOnlyBatchNorm), 12, 20, weight_scale=4, delay=True, delay_shift=shift),
            cuba.Dense(neuron(), 20, 8, weight_scale=4, delay=True, delay_shift=shift),
        ],
        fired(2, 12),
    )


@construct(LIBRARY, "cuba.Conv, Pool and Flatten, with groups, strides and delays", POLICY, note=SLAYER)
def conv():
    assert_equal(
        lambda shift: [
            cuba.Conv(neuron(norm=norm.MeanOnlyBatchNorm), 2, 6, 3, padding=1, weight_scale=4, delay_shift=shift),
            cuba.Pool(neuron(), 2, weight_scale=1.5, delay_shift=shift),
            cuba.Conv(neuron(), 6, 4, 3, stride=2, groups=2, weight_scale=4, delay=True, delay_shift=shift),
            cuba.Flatten(),
            cuba.Dense(neuron(), 16, 5, weight_scale=4, delay_shift=shift),
        ],
        fired(3, 2, 9, 10),
        shape=(2, 9, 10),
    )


@construct(LIBRARY, "cuba.ConvT and Unpool", POLICY, note=SLAYER)
def transposed():
    assert_equal(
        lambda shift: [
            cuba.ConvT(neuron(), 3, 4, 3, stride=2, padding=1, weight_scale=5, delay_shift=shift),
            cuba.Unpool(neuron(), 2, weight_scale=1.5, delay_shift=shift),
        ],
        fired(4, 3, 3, 4),
        shape=(3, 3, 4),
    )


@construct(
    LIBRARY, "cuba.Recurrent", POLICY, note=SLAYER + "; state does not leak into the next sample, as it does in slayer"
)
def recurrent():
    assert_equal(
        lambda shift: [
            cuba.Recurrent(neuron(), 12, 16, weight_scale=3, delay_shift=shift),
            cuba.Dense(neuron(), 16, 8, weight_scale=4, delay_shift=shift),
        ],
        fired(5, 12),
    )


@construct(LIBRARY, "cuba.Input with neurons, weight and bias", POLICY, note=SLAYER + "; its neurons run on the host")
def entry():
    settings = neuron(threshold=0.5, current_decay=0.4, voltage_decay=0.1)
    assert_equal(
        lambda shift: [
            cuba.Input(dict(settings), weight=1.3, bias=0.2, delay_shift=shift),
            cuba.Dense(neuron(norm=norm.MeanOnlyBatchNorm), 12, 20, weight_scale=4, delay_shift=shift),
        ],
        torch.as_tensor(np.random.default_rng(6).normal(0.5, 1.0, (BATCH, 12, T)).astype(np.float32)),
    )


@construct(LIBRARY, "cuba.Affine, read as a voltage", POLICY, note=SLAYER)
def affine():
    assert_equal(
        lambda shift: [
            cuba.Dense(neuron(), 12, 20, weight_scale=4, delay_shift=shift),
            cuba.Affine(neuron(), 20, 6, weight_scale=2),
        ],
        fired(7, 12),
    )


@construct(
    LIBRARY,
    "cuba.Affine without dynamics",
    POLICY,
    note="--schedule slayer; netx sums the input up instead, and so does lava",
)
def affine_without_dynamics():
    assert_equal(
        lambda shift: [
            cuba.Dense(neuron(), 12, 20, weight_scale=4, delay_shift=shift),
            cuba.Affine(neuron(), 20, 6, weight_scale=2, dynamics=False),
        ],
        fired(8, 12),
        schedules=("slayer",),
    )


@construct(LIBRARY, "decays per channel (shared_param=False)", POLICY, note=SLAYER)
def decays():
    each = {"shared_param": False, "current_decay": (0.1, 0.9), "voltage_decay": (0.01, 0.2)}
    assert_equal(lambda shift: [cuba.Dense(neuron(**each), 12, 20, weight_scale=4, delay_shift=shift)], fired(9, 12))


def _refuse(*blocks, x):
    """Export and read; what is refused raises."""
    make_ready(blocks, x)
    with tempfile.TemporaryDirectory() as folder:
        export(blocks, Path(folder) / "a.net")
        from_netx(Path(folder) / "a.net", NetxOptions(timesteps=T))


@construct(
    LIBRARY, "cuba.Pool whose windows overlap", REFUSED, code="HSNN-F072", note="slayer's reach into the next channel"
)
def overlapping():
    x = fired(15, 2, 9, 9)
    blocks = [cuba.Pool(neuron(threshold=8), kernel_size=3, stride=2, weight_scale=1.5)]
    make_ready(blocks, x)
    with tempfile.TemporaryDirectory() as folder:
        export(blocks, Path(folder) / "a.net")
        from_netx(Path(folder) / "a.net", NetxOptions(timesteps=T, input_shape=(2, 9, 9)))


@construct(
    LIBRARY,
    "WgtScaleBatchNorm",
    REFUSED,
    code="HSNN-F072",
    note="it divides the current, which is exact only where weights grow and iDecay is 4096; netx ignores it",
)
def wgt_scale():
    _refuse(cuba.Dense(neuron(norm=norm.WgtScaleBatchNorm), 12, 20, weight_scale=16), x=fired(10, 12))


@construct(LIBRARY, "graded spikes", REFUSED, code="HSNN-F072", note="spikes would carry voltages; netx ignores it")
def graded():
    _refuse(cuba.Dense(neuron(graded_spike=True), 12, 20, weight_scale=4), x=fired(11, 12))


@construct(LIBRARY, "KWTA", REFUSED, code="HSNN-F070", note="slayer exports an empty group")
def kwta():
    with tempfile.TemporaryDirectory() as folder:
        with h5py.File(Path(folder) / "a.net", "w") as file:
            cuba.KWTA(neuron(), 4, 4, 1).export_hdf5(file.create_group("layer/0"))
        from_netx(Path(folder) / "a.net", NetxOptions(timesteps=T))


def wandering(seed, *shape):
    """Values that wander over time."""
    steps = np.random.default_rng(seed).normal(0.02, 0.1, (BATCH, *shape, T))
    return torch.as_tensor(np.cumsum(steps, -1).astype(np.float32))


UNIT = {"threshold": 0.1, "activation": torch.relu}


@construct(
    LIBRARY,
    "sigma_delta blocks: Input, Dense with norm and delays, Output",
    POLICY,
    note="--schedule slayer for delay_shift=False, the default of these blocks; lava as netx runs them",
)
def sigma_delta():
    block = slayer.block.sigma_delta
    assert_equal(
        lambda _: [
            block.Input(dict(UNIT), weight=1.3, bias=0.2),
            block.Dense({**UNIT, "norm": norm.MeanOnlyBatchNorm}, 12, 20, weight_scale=2, weight_norm=True),
            block.Dense(dict(UNIT), 20, 8, weight_scale=2, delay=True),
            block.Output(dict(UNIT), 8, 5, weight_scale=2),
        ],
        wandering(14, 12),
        schedules=("slayer",),
    )


@construct(
    LIBRARY,
    "sigma_delta.Conv, Pool, ConvT, Unpool and Flatten; messages as input and output",
    POLICY,
    note="--schedule slayer for delay_shift=False, the default of these blocks; lava as netx runs them",
)
def sigma_delta_conv():
    block = slayer.block.sigma_delta
    assert_equal(
        lambda _: [
            block.Conv({**UNIT, "norm": norm.MeanOnlyBatchNorm}, 2, 4, 3, padding=1, weight_scale=2),
            block.Pool(dict(UNIT), 2, weight_scale=0.5),
            block.ConvT(dict(UNIT), 4, 3, 2, stride=2, weight_scale=2),
            block.Unpool(dict(UNIT), 2, weight_scale=1.5),
            block.Flatten(),
            block.Dense(dict(UNIT), 3 * 12 * 16, 5, weight_scale=2),
        ],
        torch.round(wandering(15, 2, 6, 8) * 64) / 64,
        schedules=("slayer",),
        shape=(2, 6, 8),
    )


@construct(LIBRARY, "sigma_delta blocks whose activation is no ReLU", REFUSED, code="HSNN-F072", note="netx ignores it")
def other_activation():
    _refuse(slayer.block.sigma_delta.Dense({**UNIT, "activation": torch.tanh}, 12, 20, weight_scale=1), x=fired(14, 12))
