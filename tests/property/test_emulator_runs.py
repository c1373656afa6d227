"""How the emulator runs: inputs of any layout, threads, interruption, memory, machine code."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest

from hsnn.errors import HsnnError, RunError, TargetMissingError, UsageError
from hsnn.ir.integer import IntegerNetwork
from hsnn.ir.populations import InputPort, LifPopulation
from hsnn.ir.projections import DenseProjection
from hsnn.target import Executable, Target, find_target
from hsnn.verify.random_networks import random_inputs, random_network
from hsnn_targets.emulator import TARGET, EmulatorTarget, blocks, plan, results, target
from hsnn_targets.emulator.tiers import usable_tiers
from support.at_once import at_once
from support.results import require_equal

ZERO = np.zeros((), np.int32)


def layer(pre=6, post=5, timesteps=4, ports=1):
    rng = np.random.default_rng(0)
    names = [f"in{index}" for index in range(ports)]
    synapses = tuple(
        DenseProjection(f"p{name}", name, "a", (rng.integers(-60, 100, (post, pre)) * 2).astype(np.int16))
        for name in names
    )
    neuron = LifPopulation("a", (post,), np.array(2000, np.int32), ZERO, np.array(9000, np.int32), ZERO)
    return IntegerNetwork(
        "layer", timesteps, tuple(InputPort(name, (pre,)) for name in names), (neuron,), synapses, ("a",)
    )


def spikes_for(network, batch, seed=1):
    rng = np.random.default_rng(seed)
    shape = (network.timesteps, batch, *network.inputs[0].shape)
    return {port.name: (rng.random(shape) < 0.5).astype(np.int32) for port in network.inputs}


def test_it_is_a_target():
    assert isinstance(TARGET, Target)
    assert find_target("emulator") is TARGET
    assert TARGET.name == "emulator"
    status = TARGET.status()
    assert status.available
    assert set(status.versions) == {"llvmlite"}
    assert isinstance(TARGET.load(layer()), Executable)


def test_importing_it_imports_no_compiler():
    code = "import sys, hsnn_targets.emulator as e; e.TARGET.status(); print(sorted(sys.modules))"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "'hsnn_targets.emulator.target'" in modules
    assert "'llvmlite'" not in modules
    assert "'torch'" not in modules


@pytest.mark.parametrize("ports", [1, 2])
def test_inputs_of_any_memory_layout(ports, monkeypatch):
    network = layer(ports=ports)
    inputs = spikes_for(network, 5)
    loaded = EmulatorTarget(threads=1).load(network)
    expected = loaded.run(inputs).outputs["a"]
    assert expected.any()
    assert not expected.all()
    raw = {name: np.zeros(array.nbytes + 1, np.uint8) for name, array in inputs.items()}
    unaligned = {name: raw[name][1:].view(np.int32).reshape(array.shape) for name, array in inputs.items()}
    for name, array in inputs.items():
        unaligned[name][:] = array
    layouts = {
        "fortran": {name: np.asfortranarray(array) for name, array in inputs.items()},
        "strided": {name: np.repeat(array, 2, axis=1)[:, ::2] for name, array in inputs.items()},
        "backwards": {name: array[::-1].copy()[::-1] for name, array in inputs.items()},
        "unaligned": unaligned,
        "read-only": {
            name: np.frombuffer(array.tobytes(), np.int32).reshape(array.shape) for name, array in inputs.items()
        },
    }
    for seconds in (blocks.BLOCK_SECONDS, 1e-9):
        monkeypatch.setattr(blocks, "BLOCK_SECONDS", seconds)
        for layout, given in layouts.items():
            before = {name: array.copy() for name, array in given.items()}
            np.testing.assert_array_equal(loaded.run(given).outputs["a"], expected, err_msg=layout)
            for name, array in before.items():
                np.testing.assert_array_equal(given[name], array)


def test_inputs_stay_writable():
    network = layer()
    inputs = spikes_for(network, 2)
    EmulatorTarget(threads=1).load(network).run(inputs)
    assert inputs["in0"].flags.writeable


@pytest.mark.parametrize(
    "change",
    [
        lambda array: array.astype(np.int64),
        lambda array: array[:-1],
        lambda array: array[..., :-1],
        lambda array: array + 1,
        lambda array: -array,
    ],
)
def test_inputs_that_do_not_fit_are_refused(change):
    network = layer()
    with pytest.raises(UsageError, match="HSNN-R001"):
        EmulatorTarget(threads=1).load(network).run({"in0": change(spikes_for(network, 2)["in0"])})


@pytest.mark.parametrize("tier", usable_tiers())
@pytest.mark.parametrize(("peak", "signed"), [(1, False), (3, False), (3, True), (300, False)])
@pytest.mark.parametrize("count", [1, 31, 32, 70])
def test_a_payload_out_of_range_is_found_wherever_it_is(count, peak, signed, tier):
    network = replace(layer(count, timesteps=5), inputs=(InputPort("in0", (count,), peak, signed),))
    loaded = EmulatorTarget(threads=1, tier=tier).load(network)
    good = np.full((5, 3, count), peak, np.int32)
    loaded.run({"in0": good})
    for place in ((0, 0, 0), (4, 2, count - 1), (2, 1, count // 2)):
        for wrong in (peak + 1, -peak - 1, 2**31 - 1, -(2**31), *(() if signed else (-1,))):
            bad = good.copy()
            bad[place] = wrong
            with pytest.raises(UsageError, match="HSNN-R001"):
                loaded.run({"in0": bad})
    loaded.run({"in0": good * (-1 if signed else 0)})


def test_networks_that_break_the_contract_are_refused():
    network = layer()
    broken = IntegerNetwork(network.name, 0, network.inputs, network.populations, network.projections, network.outputs)
    with pytest.raises(HsnnError, match="HSNN-I001"):
        TARGET.load(broken)


@pytest.mark.parametrize("threads", [1, 3])
def test_progress_counts_every_sample_once(threads, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_SECONDS", 1e-9)
    network = layer()
    done = []
    EmulatorTarget(threads=threads).load(network).run(spikes_for(network, 17), progress=done.append)
    assert sum(done) == 17
    assert len(done) > 5


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_interruption_stops_between_blocks_and_leaves_the_executable_usable(threads, error, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_SECONDS", 1e-9)
    network = layer(pre=200, post=200, timesteps=60)
    inputs = spikes_for(network, 300)
    loaded = EmulatorTarget(threads=threads).load(network)
    expected = loaded.run(inputs)
    done = []

    def stop(samples):
        done.append(samples)
        if len(done) == 3:
            raise error

    with pytest.raises(error):
        loaded.run(inputs, progress=stop)
    assert len(done) == 3
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("hsnn-emulator")]
    np.testing.assert_array_equal(loaded.run(inputs).outputs["a"], expected.outputs["a"])


def test_blocks_that_have_not_begun_are_dropped():
    begun = []

    def task(block):
        begun.append(block)
        return np.zeros(1, np.int64)

    def stop(samples):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(blocks.run_blocks(task, blocks.cut_batch(50, 1), threads=1, progress=stop))
    assert len(begun) == 1


def test_runs_from_several_threads_do_not_disturb_each_other():
    network = random_network(3)
    loaded = EmulatorTarget(threads=2).load(network)
    batches = [random_inputs(network, 6, seed) for seed in range(6)]
    expected = [loaded.run(batch, trace=True) for batch in batches]
    found = [None] * 6

    def work(index):
        for _ in range(5):
            found[index] = loaded.run(batches[index], trace=True)

    at_once(work, threads=6)
    for ours, theirs in zip(found, expected, strict=True):
        require_equal(ours, theirs)


def test_close_may_be_called_twice():
    loaded = EmulatorTarget().load(layer())
    loaded.close()
    loaded.close()


def test_scratch_is_bounded_for_any_number_of_timesteps():
    short, long = (plan.plan_network(layer(pre=500, post=2000, timesteps=timesteps)) for timesteps in (200, 100_000))
    sizes = [sum(array.nbytes for array in made.scratch()) for made in (short, long)]
    assert sizes[0] == sizes[1]
    assert sizes[1] < 2 * plan.WINDOW_BYTES


def test_blocks_are_cut_by_time_by_memory_and_by_threads(monkeypatch):
    network = layer()
    assert blocks.block_size(blocks.most_samples(network), 7, 2) == 4
    assert blocks.block_size(blocks.most_samples(network), 0, 2) == 1
    part = blocks.THREAD_PART * blocks.BLOCK_SECONDS
    assert [blocks.worthwhile_threads(seconds, 4) for seconds in (0, part, 2.5 * part, 9 * part)] == [1, 1, 2, 4]
    monkeypatch.setattr(blocks, "BLOCK_SECONDS", 1e9)
    samples = blocks.BLOCK_INPUT_BYTES // (4 * network.timesteps * 6)
    assert blocks.block_size(blocks.most_samples(network), 10**9, 1) == samples
    monkeypatch.setattr(blocks, "BLOCK_SECONDS", 0)
    assert blocks.block_size(blocks.most_samples(network), 10**9, 1) == 1


def test_results_that_memory_cannot_hold(monkeypatch):
    def refuse(*args):
        raise MemoryError

    loaded = EmulatorTarget(threads=1).load(layer())
    inputs = spikes_for(layer(), 2)
    monkeypatch.setattr(results.np, "zeros", refuse)
    with pytest.raises(RunError, match="HSNN-R040"):
        loaded.run(inputs)


@pytest.mark.parametrize(("text", "count"), [("1", 1), ("12", 12)])
def test_threads_from_the_environment(text, count, monkeypatch):
    monkeypatch.setenv("HSNN_THREADS", text)
    assert target.count_threads(None) == count
    assert target.count_threads(3) == 3


def test_threads_by_default(monkeypatch):
    monkeypatch.setenv("HSNN_THREADS", "")
    monkeypatch.setattr(target, "_processors", lambda: 64)
    assert target.count_threads(None) == 4
    monkeypatch.setattr(target, "_processors", lambda: 2)
    assert target.count_threads(None) == 2


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", "²"])
def test_threads_that_are_no_number(text, monkeypatch):
    monkeypatch.setenv("HSNN_THREADS", text)
    with pytest.raises(UsageError, match="HSNN-U040") as caught:
        TARGET.load(layer())
    assert "HSNN_THREADS" in caught.value.found


def test_no_threads_at_all():
    with pytest.raises(UsageError, match="HSNN-U040"):
        EmulatorTarget(threads=0).load(layer())


def test_without_llvmlite(monkeypatch):
    def missing():
        raise target.PackageNotFoundError("llvmlite")

    monkeypatch.setattr(target, "_llvmlite", missing)
    assert not TARGET.status().available
    with pytest.raises(TargetMissingError, match="HSNN-T040"):
        TARGET.load(layer())
