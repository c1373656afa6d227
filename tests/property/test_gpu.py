"""The target gpu equals the integer reference in every bit, on the processor and, where there is one, on a device."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import numpy as np
import pytest
import torch

from hsnn.cli import main
from hsnn.errors import RunError, TargetMissingError, UsageError
from hsnn.ir.arithmetic import VOLTAGE_MAX, shrink, wrap_int24, wrap_int32
from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.populations import InputPort, IntegratorPopulation
from hsnn.ir.projections import ConvProjection, DenseProjection, SparseProjection, conv_output_shape
from hsnn.ir.validate import validate_network
from hsnn.target import Executable, Target, find_target
from hsnn.verify.random_networks import random_inputs, random_network, summarize
from hsnn_targets.gpu import TARGET, GpuTarget, driver, machine, memory, rules, synapses
from hsnn_targets.gpu import target as gpu_target
from hsnn_targets.reference import TARGET as REFERENCE
from support.results import require_equal

DEVICES = ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)
on_devices = pytest.mark.parametrize("device", DEVICES)
ZERO = np.zeros((), np.int32)


@on_devices
@pytest.mark.parametrize("first", range(0, 240, 40))
def test_random_networks(first, device):
    for seed in range(first, first + 40):
        rng = np.random.default_rng([seed, 50])
        timesteps = int(rng.choice([1, 2, 3, 5, 8, 13])) if seed % 20 else 65
        batch = int(rng.integers(1, 4)) if seed % 10 else 17
        network = random_network(200_000 + seed, timesteps=timesteps)
        inputs = random_inputs(network, batch, seed)
        expected = REFERENCE.load(network).run(inputs, trace=True)
        executable = GpuTarget(device).load(network)
        try:
            require_equal(executable.run(inputs, trace=True), expected)
            assert executable.run(inputs).spikes == {}
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {dict(summarize(network))}") from error


def one_population(projection, pre, post, *, peak, signed=False, timesteps=4):
    network = IntegerNetwork(
        "one",
        timesteps,
        (InputPort("in", pre, peak, signed),),
        (IntegratorPopulation("a", post, np.array(4095, np.int32), ZERO, ZERO),),
        (projection,),
        ("a",),
    )
    validate_network(network)
    return network


@on_devices
@pytest.mark.parametrize("peak", [1, 2, 255, 4096, VOLTAGE_MAX])
@pytest.mark.parametrize("exponent", [0, 7, 15])
def test_sums_beyond_what_floats_hold(peak, exponent, device):
    """Weights and payloads at their largest, all of one sign and mixed, through every kind of synapse."""
    rng = np.random.default_rng([peak, exponent])
    for low, high in ((-128, -127), (127, 128), (-128, 128)):
        flat = (rng.integers(low, high, (5, 700)) * 2).astype(np.int16)
        kernel = (rng.integers(low, high, (4, 7, 3, 3)) * 2).astype(np.int16)
        indptr = np.array([0, 600, 600, 1300, 1301, 1400], np.int32)
        indices = rng.integers(0, 700, 1400).astype(np.int32)
        data = np.resize(flat, 1400)
        conv = ConvProjection("p", "in", "a", kernel, (2, 1), (1, 2), (1, 2), groups=2, weight_exp=exponent)
        cases = (
            (DenseProjection("p", "in", "a", flat, exponent), (700,), (5,)),
            (SparseProjection("p", "in", "a", data, indices, indptr, exponent), (700,), (5,)),
            (conv, (14, 6, 7), conv_output_shape(conv, (14, 6, 7))),
        )
        for projection, pre, post in cases:
            network = one_population(projection, pre, post, peak=peak, signed=peak > 1)
            payloads = rng.integers(-peak if peak > 1 else 0, peak, (4, 3, *pre), endpoint=True).astype(np.int32)
            payloads[:, 0] = peak
            expected = REFERENCE.load(network).run({"in": payloads}, trace=True)
            require_equal(GpuTarget(device).load(network).run({"in": payloads}, trace=True), expected)


@pytest.mark.parametrize("largest", [1, 2, 255, 1 << 12, (1 << 23) + 1, 1 << 24, (1 << 24) + 1, 1 << 40])
@pytest.mark.parametrize("peak", [1, 3, 255, 1 << 15, VOLTAGE_MAX])
def test_digits_keep_every_sum_within_the_integers_of_the_floats(largest, peak):
    digits = synapses.choose_digits(largest, peak)
    most = peak if digits.count == 1 else 1 << digits.bits
    assert largest * most <= synapses.EXACT[digits.dtype]
    assert digits.count == 1 or peak < 1 << (digits.bits * digits.count)
    if digits.dtype is torch.float64:
        assert largest * peak > 1 << 24


@on_devices
def test_products_at_the_limit_are_exact_and_beyond_it_floats_would_round(device):
    limit = 1 << 24
    weights = torch.full((limit // 256, 1), 256.0, device=device)
    ones = torch.ones(1, limit // 256, device=device)
    assert int((ones @ weights).item()) == limit
    assert float(torch.tensor(limit + 1, dtype=torch.float32)) == limit


@on_devices
def test_rules_equal_those_of_the_reference(device):
    edges = [0, 1, 4095, 4096, 1 << 23, 1 << 24, (1 << 31) - 1, 1 << 31, (1 << 40) + 3]
    values = np.array([sign * (edge + step) for edge in edges for sign in (1, -1) for step in (-1, 0, 1)], np.int64)
    tensor = torch.from_numpy(values).to(device)
    np.testing.assert_array_equal(rules.wrap_int32(tensor).cpu().numpy(), wrap_int32(values))
    np.testing.assert_array_equal(rules.wrap_int24(tensor).cpu().numpy(), wrap_int24(values))
    small = values[np.abs(values) < 1 << 31]
    for decay in (0, 1, 2048, 4095, 4096):
        keep = torch.tensor(4096 - decay, device=device)
        found = rules.shrink(torch.from_numpy(small).to(device), keep).cpu().numpy()
        np.testing.assert_array_equal(found, shrink(small, decay))


@on_devices
def test_results_do_not_depend_on_how_samples_are_cut(device, monkeypatch):
    network = random_network(11)
    inputs = random_inputs(network, 9, 11)
    executable = GpuTarget(device).load(network)
    whole = executable.run(inputs, trace=True)
    monkeypatch.setattr(synapses, "UNFOLDED_BYTES", 1)
    for samples in (1, 2, 5):
        done = []
        monkeypatch.setattr(machine, "block_samples", lambda *_, samples=samples: samples)
        require_equal(executable.run(inputs, trace=True, progress=done.append), whole)
        assert sum(done) == 9
        assert max(done) == samples


def test_a_device_that_runs_out_of_memory_gets_fewer_samples(monkeypatch):
    network = random_network(12)
    inputs = random_inputs(network, 8, 12)
    executable = GpuTarget("cpu").load(network)
    expected = executable.run(inputs, trace=True)
    rest, sizes = machine.Neurons.rest, []

    def tight(self, samples):
        sizes.append(samples)
        if samples > 3:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate")
        return rest(self, samples)

    monkeypatch.setattr(machine.Neurons, "rest", tight)
    done = []
    require_equal(executable.run(inputs, trace=True, progress=done.append), expected)
    assert sizes[:2] == [8, 4]
    assert done == [2, 2, 2, 2]


def test_one_sample_that_does_not_fit(monkeypatch):
    network = random_network(13)
    inputs = random_inputs(network, 4, 13)
    executable = GpuTarget("cpu").load(network)
    monkeypatch.setattr(memory, "available_bytes", lambda: 100)
    with pytest.raises(RunError, match="HSNN-R040") as caught:
        executable.run(inputs)
    assert "available" in caught.value.allowed
    assert "emulator" in caught.value.fix
    monkeypatch.setattr(memory, "available_bytes", lambda: int(2.5 * memory.sample_bytes(network) / memory.SHARE))
    done = []
    executable.run(inputs, progress=done.append)
    assert done == [2, 2]


def test_a_device_that_has_no_room_for_one_sample_after_all(monkeypatch):
    network = random_network(13)
    executable = GpuTarget("cpu").load(network)

    def refuse(self, samples):
        raise MemoryError

    monkeypatch.setattr(machine.Neurons, "rest", refuse)
    with pytest.raises(RunError, match="HSNN-R040"):
        executable.run(random_inputs(network, 4, 13))


def test_other_failures_name_the_device(monkeypatch):
    network = random_network(13)
    executable = GpuTarget("cpu").load(network)

    def fail(self, samples):
        raise RuntimeError("CUDA error: unspecified launch failure")

    monkeypatch.setattr(machine.Neurons, "rest", fail)
    with pytest.raises(RunError, match=r"HSNN-R050.*on cpu.*unspecified launch failure"):
        executable.run(random_inputs(network, 1, 13))


def test_a_closed_network_is_refused_and_an_interrupted_one_is_not():
    network = random_network(14)
    inputs = random_inputs(network, 4, 14)
    executable = GpuTarget("cpu").load(network)
    expected = executable.run(inputs, trace=True)

    def interrupt(samples):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        executable.run(inputs, progress=interrupt)
    require_equal(executable.run(inputs, trace=True), expected)
    executable.close()
    executable.close()
    with pytest.raises(RunError, match="HSNN-R051"):
        executable.run(inputs)


def test_torch_keeps_its_precision(monkeypatch):
    network = random_network(15)
    executable = GpuTarget("cpu").load(network)
    seen, rest = [], machine.Neurons.rest

    def look(self, samples):
        seen.append(torch.get_float32_matmul_precision())
        return rest(self, samples)

    monkeypatch.setattr(machine.Neurons, "rest", look)
    torch.set_float32_matmul_precision("high")
    try:
        executable.run(random_inputs(network, 1, 15))
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert set(seen) == {"highest"}


def test_it_is_a_target_that_imports_torch_late():
    assert isinstance(TARGET, Target)
    assert find_target("gpu") is TARGET
    assert isinstance(GpuTarget("cpu").load(random_network(0)), Executable)
    assert TARGET.on("cpu") == GpuTarget("cpu")
    code = "import sys, hsnn_targets.gpu as g; g.TARGET.status(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize("device", ["", "tpu", "cuda:", "cuda:x", "cuda:1:1", "CUDA", "cuda:-1", "cpu:0"])
def test_devices_that_cannot_be_named(device, monkeypatch):
    if device:
        with pytest.raises(UsageError, match="HSNN-U050"):
            GpuTarget(device).load(random_network(0))
        monkeypatch.setenv("HSNN_GPU_DEVICE", device)
        with pytest.raises(UsageError, match=r"HSNN-U050.*HSNN_GPU_DEVICE"):
            TARGET.load(random_network(0))
    else:
        monkeypatch.setenv("HSNN_GPU_DEVICE", "cpu")
        assert TARGET.load(random_network(0)).device == "cpu"


@pytest.mark.parametrize("device", [None, "cuda", "cuda:0"])
def test_without_a_device_it_says_where_else_to_run(device, monkeypatch):
    monkeypatch.delenv("HSNN_GPU_DEVICE", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(gpu_target, "count_devices", lambda: 0)
    assert not GpuTarget(device).status().available
    with pytest.raises(TargetMissingError, match="HSNN-T051") as caught:
        GpuTarget(device).load(random_network(0))
    assert caught.value.exit_status == 6
    assert "emulator" in caught.value.fix
    assert "--device cpu" in caught.value.fix


def test_the_device_that_is_chosen(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    assert [gpu_target.choose_device(name) for name in (None, "cuda", "cuda:0")] == ["cuda:1", "cuda:1", "cuda:0"]
    with pytest.raises(TargetMissingError, match=r"HSNN-T051.*cuda:2"):
        gpu_target.choose_device("cuda:2")


def test_without_torch(monkeypatch):
    def missing(name):
        raise gpu_target.PackageNotFoundError(name)

    monkeypatch.setattr(gpu_target, "version", missing)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert "hsnn[torch]" in TARGET.status().detail
    with pytest.raises(TargetMissingError, match="HSNN-T050"):
        GpuTarget("cpu").load(random_network(0))


@pytest.mark.parametrize(
    ("devices", "torch_version", "available"),
    [(1, "2.13.0+cu130", True), (2, "2.13.0", True), (1, "2.13.0+cpu", False), (0, "2.13.0", False)],
)
def test_status_without_torch_being_imported(devices, torch_version, available, monkeypatch):
    monkeypatch.delenv("HSNN_GPU_DEVICE", raising=False)
    monkeypatch.setattr(gpu_target, "version", lambda name: torch_version)
    monkeypatch.setattr(gpu_target, "count_devices", lambda: devices)
    status = TARGET.status()
    assert status.available is available
    assert status.versions == {"torch": torch_version}
    assert GpuTarget("cpu").status().available


@pytest.mark.parametrize(("started", "told", "count"), [(0, 0, 3), (1, 0, 0), (0, 1, 0)])
def test_the_driver_is_asked(started, told, count, monkeypatch):
    class Library:
        def __init__(self, name):
            assert "nv" in name

        def nvmlInit_v2(self):
            return started

        def nvmlShutdown(self):
            return 0

        def nvmlDeviceGetCount_v2(self, place):
            ctypes.cast(place, ctypes.POINTER(ctypes.c_uint))[0] = 3
            return told

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(driver.ctypes, "CDLL", Library)
    assert driver.count_devices() == count
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert driver.count_devices() == 0


def test_no_driver(monkeypatch):
    def absent(name):
        raise OSError(name)

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(driver.ctypes, "CDLL", absent)
    assert driver.count_devices() == 0


def test_targets_verb_lists_it(capsys):
    assert main(["targets", "--json"]) == 0
    assert '"gpu"' in capsys.readouterr().out
